#include "bench/net_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net_generator.h"
#include "bench/net_process.h"
#include "bench/net_reader.h"
#include "bench/net_wire.h"
#include "net/xsk.h"

#define SKB_BYTES         768u /* that the kernel adds to each datagram in a socket's buffer, about */
#define DESCRIPTORS       4096u
#define DESCRIPTORS_LARGE 2048u /* .. of frames of which a ring of 160 MiB does not hold four times as many */
#define LARGE_BYTES       4096u
#define VHOST_DESCRIPTORS 1024u /* of frames of which more do not stay in the cache: measured as the best */
#define VHOST_LARGE_BYTES 1024u

static const char veth_note[] = "a veth pair: the kernel's half of receiving runs on the generator's core";
static const struct net_path paths[] = {
    {.variant = "floor-memif", .wire = NET_MEMIF, .receiver = NET_BARE, .is_floor = true},
    {.variant = "sluice-memif", .wire = NET_MEMIF, .receiver = NET_OURS},
    {.variant = "sluice-memif-read", .wire = NET_MEMIF, .receiver = NET_OURS, .read = true},
    {.variant = "floor-memif_zc", .wire = NET_MEMIF_ZERO, .receiver = NET_BARE, .is_floor = true},
    {.variant = "sluice-memif_zc", .wire = NET_MEMIF_ZERO, .receiver = NET_OURS},
    {.variant = "sluice-memif_zc-read", .wire = NET_MEMIF_ZERO, .receiver = NET_OURS, .read = true},
    {.variant = "floor-vhost", .wire = NET_VHOST, .receiver = NET_BARE, .is_floor = true},
    {.variant = "sluice-vhost", .wire = NET_VHOST, .receiver = NET_OURS},
    {.variant = "sluice-vhost-read", .wire = NET_VHOST, .receiver = NET_OURS, .read = true},
    {.variant = "floor-af_packet", .wire = NET_VETH, .receiver = NET_BARE, .is_floor = true, .note = veth_note},
    {.variant = "sluice-afxdp", .wire = NET_VETH, .receiver = NET_OURS_XDP, .note = veth_note},
    {.variant = "sluice-afxdp-read", .wire = NET_VETH, .receiver = NET_OURS_XDP, .read = true, .note = veth_note},
    {.variant = "recvmmsg", .wire = NET_UDP, .receiver = NET_BARE, .is_floor = true, .is_peer = true},
    {.variant = "sluice-udp", .wire = NET_UDP, .receiver = NET_OURS},
    {.variant = "sluice-udp-read", .wire = NET_UDP, .receiver = NET_OURS, .read = true},
    {.variant = "sluice-udp_gro", .wire = NET_UDP, .receiver = NET_OURS_GRO},
    {.variant = "sluice-udp_gro-read", .wire = NET_UDP, .receiver = NET_OURS_GRO, .read = true},
    {.variant = "af_packet-pcap", .wire = NET_UDP, .receiver = NET_PCAP, .is_peer = true},
    {.variant = "python", .wire = NET_UDP, .receiver = NET_PYTHON, .is_peer = true},
};

const struct net_path *net_path_at(uint32_t index)
{
    return index < sizeof(paths) / sizeof(paths[0]) ? &paths[index] : NULL;
}

static bool is_ours(const struct net_rig *rig)
{
    enum net_receiver receiver = rig->path->receiver;
    return receiver == NET_OURS || receiver == NET_OURS_GRO || receiver == NET_OURS_XDP;
}

/* A port that nobody has. Who captures has no socket: ours holds the port, so that nobody answers the sender that
 * it is closed. */
static int choose_port(struct net_rig *rig, struct error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) {
        return error_set(err, -errno, "a UDP port on the loopback: %s", strerror(errno));
    }
    rig->port = ntohs(address.sin_port);
    if (rig->path->receiver == NET_PCAP) {
        int least = 0;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
        rig->holder = fd;
    } else {
        close(fd);
    }
    return 0;
}

static uint32_t descriptors_of(const struct net_rig *rig)
{
    if (rig->path->wire == NET_VHOST && rig->size_bytes > VHOST_LARGE_BYTES) {
        return VHOST_DESCRIPTORS;
    }
    bool few = rig->size_bytes > LARGE_BYTES && rig->path->receiver != NET_OURS_XDP; /* its pieces lie elsewhere */
    return few ? DESCRIPTORS_LARGE : DESCRIPTORS;
}

/* Descriptors that a frame takes. */
static uint32_t pieces_of(const struct net_rig *rig)
{
    return rig->path->receiver == NET_OURS_XDP ? rig->size_bytes / (XSK_CHUNK_BYTES_MAX - XSK_HEADROOM_BYTES) + 1
                                               : 1;
}

static int choose(struct net_rig *rig, struct error *err)
{
    if (rig->path->wire == NET_UDP) {
        rig->payload_bytes = rig->size_bytes;
        rig->buffer_frames = NET_RECEIVE_BUFFER_BYTES / (rig->size_bytes + SKB_BYTES);
        return choose_port(rig, err);
    }
    rig->payload_bytes = rig->size_bytes - NET_UDP_HEADERS;
    rig->descriptors = descriptors_of(rig);
    rig->buffer_frames = rig->descriptors / pieces_of(rig);
    return net_wire_open(rig, err);
}

int net_rig_open(struct net_rig *rig, struct error *err)
{
    rig->holder = -1;
    rig->plan_fd = -1;
    rig->orders_fd = -1;
    rig->ring.fd = -1;
    rig->orders.fd = -1;
    rig->plan.fd = -1;
    rig->board.fd = -1;
    rig->tally.fd = -1;
    int code = choose(rig, err);
    if (code == 0) {
        code = is_ours(rig) ? net_ours_open(rig, err) : net_others_open(rig, err);
    }
    if (code == 0 && is_ours(rig)) {
        rig->reader = net_reader_open(rig, rig->path->read, err);
        code = rig->reader != NULL ? 0 : -ECHILD;
    }
    if (code == 0) {
        rig->generator = net_generator_open(rig, err);
        code = rig->generator != NULL ? 0 : -ECHILD;
    }
    return code;
}

void net_rig_close(struct net_rig *rig)
{
    net_generator_close(rig->generator);
    net_reader_close(rig->reader);
    if (is_ours(rig)) {
        net_ours_close(rig);
    } else {
        net_others_close(rig);
    }
    net_wire_close(rig);
    if (rig->holder >= 0) {
        close(rig->holder);
    }
}

uint64_t net_rig_taken(const struct net_rig *rig)
{
    if (is_ours(rig)) {
        return __atomic_load_n(&rig->header->ledger.delivered, __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&((const struct net_tally *)rig->tally.base)->frames, __ATOMIC_RELAXED);
}

const uint64_t *net_rig_heartbeat(const struct net_rig *rig)
{
    if (is_ours(rig)) {
        return &((const struct board *)rig->board.base)->heartbeat_ns;
    }
    return &((const struct net_tally *)rig->tally.base)->heartbeat_ns;
}

const struct stall_record *net_rig_stalls(const struct net_rig *rig)
{
    return is_ours(rig) ? &((const struct board *)rig->board.base)->stalls
                        : &((const struct net_tally *)rig->tally.base)->stalls;
}

int net_rig_alive(const struct net_rig *rig, struct error *err)
{
    return net_process_ended(rig->receiver)
               ? error_set(err, -ECHILD, "the receiver of %s has ended; the lines above say why",
                           rig->path->variant)
               : 0;
}
