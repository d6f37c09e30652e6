/* libpcap's two ways to read a file, doing no work with the packets. */

#include <pcap.h>
#include <stdint.h>

/* Packets in the file and, in *bytes, how long they were on the wire; UINT64_MAX when it cannot be read. */
uint64_t peer_pcap_next_ex(const char *path, uint64_t *bytes) {
    char error[PCAP_ERRBUF_SIZE];
    struct pcap_pkthdr *header;
    const u_char *data;
    uint64_t packets = 0;
    int status;
    pcap_t *pcap = pcap_open_offline(path, error);
    if (pcap == NULL)
        return UINT64_MAX;
    while ((status = pcap_next_ex(pcap, &header, &data)) == 1) {
        packets++;
        *bytes += header->len;
    }
    pcap_close(pcap);
    return status == PCAP_ERROR_BREAK ? packets : UINT64_MAX;
}

struct count {
    uint64_t packets, bytes;
};

static void add(u_char *user, const struct pcap_pkthdr *header, const u_char *data) {
    struct count *count = (struct count *)user;
    (void)data;
    count->packets++;
    count->bytes += header->len;
}

uint64_t peer_pcap_loop(const char *path, uint64_t *bytes) {
    char error[PCAP_ERRBUF_SIZE];
    struct count count = {0, 0};
    int status;
    pcap_t *pcap = pcap_open_offline(path, error);
    if (pcap == NULL)
        return UINT64_MAX;
    status = pcap_loop(pcap, -1, add, (u_char *)&count);
    pcap_close(pcap);
    *bytes += count.bytes;
    return status == 0 ? count.packets : UINT64_MAX;
}

const char *peer_pcap_version(void) { return pcap_lib_version(); }
