/* DPDK's inline functions, callable. */

#include <rte_ip.h>

uint16_t peer_dpdk_raw_cksum(const void *bytes, size_t length) {
    return rte_raw_cksum(bytes, length);
}
