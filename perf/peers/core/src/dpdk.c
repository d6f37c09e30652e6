/* DPDK's functions over bytes in memory, callable. Most are inline; rte_net_get_ptype is in librte_net. */

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

uint16_t peer_dpdk_raw_cksum(const void *bytes, size_t length) {
    return rte_raw_cksum(bytes, length);
}

struct place {
    uint32_t offset;
    uint32_t length;
};

/* What a contestant counts; parse/job.rs has the same. */
struct tally {
    uint64_t outputs[17];
    uint64_t bad_ip;
    uint64_t bad_l4;
};

/* Parses each frame, verifies its IPv4 header and its TCP or UDP checksum, and counts it for the output of its port. The
 * tables have the output of each port plus 1, or 0: the destination counts before the source, and the last output
 * is that of all else. */
void peer_dpdk_job(const uint8_t *slab, const struct place *places, size_t count, const uint16_t *tcp_table,
                   const uint16_t *udp_table, struct tally *tally) {
    struct rte_mbuf mbuf = {.nb_segs = 1};
    for (size_t i = 0; i < count; i++) {
        const uint8_t *frame = slab + places[i].offset;
        uint32_t length = places[i].length;
        mbuf.buf_addr = (void *)(uintptr_t)frame;
        mbuf.data_len = length;
        mbuf.pkt_len = length;
        struct rte_net_hdr_lens lengths;
        uint32_t type = rte_net_get_ptype(&mbuf, &lengths, RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);
        uint16_t output = 0;
        if (RTE_ETH_IS_IPV4_HDR(type)) {
            const struct rte_ipv4_hdr *ip = (const void *)(frame + lengths.l2_len);
            const uint8_t *l4 = (const uint8_t *)ip + lengths.l3_len;
            if (rte_raw_cksum(ip, lengths.l3_len) != 0xffff)
                tally->bad_ip++;
            int whole = lengths.l2_len + rte_be_to_cpu_16(ip->total_length) <= length;
            uint32_t kind = type & RTE_PTYPE_L4_MASK;
            const uint16_t *table = NULL;
            if (kind == RTE_PTYPE_L4_TCP) {
                table = tcp_table;
                if (whole && rte_ipv4_udptcp_cksum_verify(ip, l4) != 0)
                    tally->bad_l4++;
            } else if (kind == RTE_PTYPE_L4_UDP) {
                table = udp_table;
                const struct rte_udp_hdr *udp = (const void *)l4;
                if (whole && udp->dgram_cksum != 0 && rte_ipv4_udptcp_cksum_verify(ip, l4) != 0)
                    tally->bad_l4++;
            }
            if (table != NULL) {
                /* The ports of both stand alike. */
                const struct rte_udp_hdr *ports = (const void *)l4;
                output = table[rte_be_to_cpu_16(ports->dst_port)];
                if (output == 0)
                    output = table[rte_be_to_cpu_16(ports->src_port)];
            }
        }
        tally->outputs[output == 0 ? 16 : output - 1]++;
    }
}
