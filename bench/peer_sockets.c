/* net-floor recvmmsg|pcap PORT SIZE BUFFER_BYTES: the plain ways to receive datagrams that the kernel has, on the
 * loopback: take, count, drop. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "bench/net_rig.h"
#include "ring/clock.h"

#define BATCH       64u
#define SNAP_BYTES  (65536 + 64)
#define RECORD_ROOM 65536u

static uint8_t records[BATCH][RECORD_ROOM];

static int open_socket(uint16_t port, int buffer_bytes)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof(buffer_bytes)) != 0 &&
         setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes)) != 0) ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        fprintf(stderr, "net-floor: a socket on port %u: %s\n", port, strerror(errno));
        return -1;
    }
    return fd;
}

static int receive(struct net_tally *tally, uint16_t port, int buffer_bytes)
{
    static struct mmsghdr messages[BATCH];
    static struct iovec rooms[BATCH];
    int fd = open_socket(port, buffer_bytes);
    for (uint32_t i = 0; i < BATCH; i++) {
        rooms[i] = (struct iovec){.iov_base = records[i], .iov_len = RECORD_ROOM};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &rooms[i], .msg_iovlen = 1};
    }
    if (fd < 0) {
        return 1;
    }
    __atomic_store_n(&tally->ready, 1, __ATOMIC_RELEASE);
    for (;;) {
        int n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        net_tally_beat(tally);
        if (n > 0) {
            __atomic_store_n(&tally->frames, tally->frames + (uint64_t)n, __ATOMIC_RELAXED);
        }
    }
}

struct count {
    struct net_tally *tally;
    uint32_t size;
};

/* What leaves as one message that the kernel would cut up late (GSO) is seen whole here. */
static void on_packet(u_char *context, const struct pcap_pkthdr *head, const u_char *bytes)
{
    const struct count *c = (const struct count *)(const void *)context;
    (void)bytes;
    uint64_t frames = (head->len - NET_UDP_HEADERS + c->size - 1) / c->size;
    __atomic_store_n(&c->tally->frames, c->tally->frames + frames, __ATOMIC_RELAXED);
}

static int capture(struct net_tally *tally, uint16_t port, uint32_t size, int buffer_bytes)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    char text[64];
    struct bpf_program filter;
    struct count count = {.tally = tally, .size = size};
    pcap_t *pcap = pcap_create("lo", why);
    snprintf(text, sizeof(text), "udp dst port %u", port);
    if (pcap == NULL || pcap_set_snaplen(pcap, SNAP_BYTES) != 0 || pcap_set_buffer_size(pcap, buffer_bytes) != 0 ||
        pcap_set_timeout(pcap, 1) != 0 || pcap_activate(pcap) < 0 || pcap_setdirection(pcap, PCAP_D_IN) != 0 ||
        pcap_compile(pcap, &filter, text, 1, PCAP_NETMASK_UNKNOWN) != 0 || pcap_setfilter(pcap, &filter) != 0) {
        fprintf(stderr, "net-floor: AF_PACKET on lo (needs CAP_NET_RAW): %s\n",
                pcap != NULL ? pcap_geterr(pcap) : why);
        return 1;
    }
    __atomic_store_n(&tally->ready, 1, __ATOMIC_RELEASE);
    while (pcap_dispatch(pcap, -1, on_packet, (u_char *)&count) >= 0) {
        __atomic_store_n(&tally->heartbeat_ns, clock_monotonic_ns(), __ATOMIC_RELAXED);
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct net_tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
    if (argc != 5 || tally == MAP_FAILED) {
        fprintf(stderr, "net-floor: is started by sluice-bench net\n");
        return 2;
    }
    uint16_t port = (uint16_t)strtoul(argv[2], NULL, 10);
    int buffer_bytes = (int)strtol(argv[4], NULL, 10);
    return strcmp(argv[1], "pcap") == 0 ? capture(tally, port, (uint32_t)strtoul(argv[3], NULL, 10), buffer_bytes)
                                        : receive(tally, port, buffer_bytes);
}
