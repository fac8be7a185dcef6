/* What our receivers are compared with: each a process of its own that takes and counts, and does nothing else. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/net_process.h"
#include "bench/net_rig.h"
#include "bench/net_wire.h"
#include "bench/peer.h"

/* The plainest loop there is. It tells how many came after each 1024, and whenever none has come for 20 ms. */
static const char python_loop[] =
    "import mmap, socket, struct, sys\n"
    "tally = mmap.mmap(3, 4096)\n"
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 20000))\n"
    "try:\n"
    "    s.setsockopt(socket.SOL_SOCKET, 33, int(sys.argv[2]))\n" /* SO_RCVBUFFORCE */
    "except PermissionError:\n"
    "    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(sys.argv[2]))\n"
    "s.bind(('127.0.0.1', int(sys.argv[1])))\n"
    "struct.pack_into('Q', tally, 16, 1)\n"
    "frames = 0\n"
    "while True:\n"
    "    try:\n"
    "        while True:\n"
    "            for i in range(1024):\n"
    "                data = s.recv(65536)\n"
    "                frames += 1\n"
    "            struct.pack_into('Q', tally, 0, frames)\n"
    "    except BlockingIOError:\n"
    "        struct.pack_into('Q', tally, 0, frames)\n";

static pid_t start(struct net_rig *rig, struct error *err)
{
    char port[300];
    char bytes[16];
    char size[16];
    char descriptors[16];
    bool by_dpdk = rig->path->wire != NET_UDP;
    snprintf(port, sizeof(port), "%u", rig->port);
    if (by_dpdk) {
        net_wire_receiving_port(rig, port, sizeof(port));
    }
    snprintf(bytes, sizeof(bytes), "%u", NET_RECEIVE_BUFFER_BYTES);
    snprintf(size, sizeof(size), "%u", by_dpdk ? net_wire_room(rig) : rig->size_bytes);
    snprintf(descriptors, sizeof(descriptors), "%u", rig->descriptors);
    const char *python[] = {"python3", "-c", python_loop, port, bytes, NULL};
    const char *dpdk[] = {"net-floor-dpdk", port, size, descriptors, NULL};
    const char *sockets[] = {"net-floor", rig->path->receiver == NET_PCAP ? "pcap" : "recvmmsg", port, size, bytes,
                             NULL};
    struct net_process process = {.argv = rig->path->receiver == NET_PYTHON ? python
                                          : by_dpdk                         ? dpdk
                                                                            : sockets,
                                  .core = rig->receiver_core,
                                  .in = -1,
                                  .out = -1,
                                  .shared = rig->tally.fd,
                                  .search = rig->path->receiver == NET_PYTHON};
    return net_process_start(&process, err);
}

int net_others_open(struct net_rig *rig, struct error *err)
{
    int code = segment_create(&rig->tally, "tally", sizeof(struct net_tally), SEGMENT_NORMAL, err);
    if (code != 0) {
        return code;
    }
    rig->receiver = start(rig, err);
    if (rig->receiver < 0) {
        return (int)rig->receiver;
    }
    const struct net_tally *tally = rig->tally.base;
    uint64_t from_ns = clock_monotonic_ns();
    while (__atomic_load_n(&tally->ready, __ATOMIC_ACQUIRE) == 0) {
        if (net_process_ended(rig->receiver) || clock_monotonic_ns() - from_ns > NET_PATIENCE_NS) {
            return error_set(
                err, rig->path->receiver == NET_PCAP || rig->path->receiver == NET_PYTHON ? -ENOTSUP : -ECHILD,
                "not available: the receiver %s does not start; the lines above say why", rig->path->variant);
        }
        net_rest_us(1000);
    }
    return 0;
}

void net_others_close(struct net_rig *rig)
{
    net_process_end(rig->receiver);
    rig->receiver = 0;
    segment_destroy(&rig->tally);
}
