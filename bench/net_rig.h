/* One receiving path under test: a generator (sluice-gen) on one core, a receiver on another, both processes of
 * their own and the programs that are installed; for our paths a ring between the receiver and a reader's process.
 */
#ifndef BENCH_NET_RIG_H
#define BENCH_NET_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/plan.h"
#include "ring/board.h"
#include "ring/error.h"
#include "ring/ring.h"
#include "ring/segment.h"
#include "ring/stall.h"

#define NET_SEED                 UINT64_C(0x736c7569)
#define NET_UDP_HEADERS          42u   /* Ethernet, IPv4, UDP: of a frame */
#define NET_PORT                 4000u /* that frames are sent to */
#define NET_RECEIVE_BUFFER_BYTES (32u << 20)

enum net_wire {
    NET_MEMIF = 1,
    NET_MEMIF_ZERO = 2,
    NET_UDP = 3,   /* datagrams over the loopback */
    NET_VHOST = 4, /* virtio-user -> vhost */
    NET_VETH = 5   /* a pair of the kernel's interfaces */
};

enum net_receiver {
    NET_OURS = 1,     /* sluice-dpdk, or sluice-worker */
    NET_OURS_GRO = 2, /* sluice-worker, several datagrams from the kernel at a time */
    NET_BARE = 3,     /* net-floor: takes and drops */
    NET_PCAP = 4,     /* net-floor */
    NET_PYTHON = 5,   /* a loop around socket.recv */
    NET_OURS_XDP = 6  /* sluice-worker, by AF_XDP */
};

struct net_path {
    const char *variant;
    enum net_wire wire;
    enum net_receiver receiver;
    bool read; /* the reader checks every frame while they come; else what is in the ring after each trial */
    bool is_floor;
    bool is_peer;
    const char *note; /* for who reads its figures; NULL */
};

const struct net_path *net_path_at(uint32_t index); /* NULL: there are no more */

/* What a floor tells us, in memory shared with it (net-floor.c). */
struct net_tally {
    uint64_t frames;
    uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of its last round; 0: it does not tell */
    uint64_t ready;
    struct stall_record stalls;
};

/* A round of a floor that never waits. */
static inline void net_tally_beat(struct net_tally *tally)
{
    uint64_t now_ns = clock_monotonic_ns();
    stall_look(&tally->stalls, tally->heartbeat_ns, now_ns);
    __atomic_store_n(&tally->heartbeat_ns, now_ns, __ATOMIC_RELAXED);
}

struct net_reader;
struct net_generator;

struct net_rig {
    const struct net_path *path;
    uint32_t size_bytes;    /* of a frame, of a datagram's payload over UDP */
    uint32_t payload_bytes; /* of the UDP payload */
    uint32_t buffer_frames; /* that the wire holds before it loses any */
    int receiver_core, generator_core, reader_core;
    uint16_t port;
    int holder;      /* a socket that has the port while the receiver is no socket; -1 */
    char socket[64]; /* memif's, vhost's */
    char folder[32]; /* of a socket that is a file .. */
    pid_t keeper;    /* .. which this process removes when nobody holds keeper_fd any more; 0: none */
    int keeper_fd;
    int namespace; /* of a veth pair's end that the generator has; 0: there is none */
    uint32_t descriptors;
    pid_t receiver;
    /* ours */
    struct segment ring, orders, plan, board;
    int plan_fd, orders_fd;
    struct ring_header *header;
    struct net_reader *reader;
    /* a floor */
    struct segment tally;
    struct net_generator *generator;
};

/* Starts receiver, reader and generator, in this order. Zeroed but for path, size and cores. 0 or -errno, -ENOTSUP
 * if there is no such thing here; close it in either case. */
int net_rig_open(struct net_rig *rig, struct error *err);
void net_rig_close(struct net_rig *rig);

/* Frames that the receiver has taken (and published) so far. */
uint64_t net_rig_taken(const struct net_rig *rig);

/* The word in which the receiver tells of its rounds (0: it does not), and its stalls. */
const uint64_t *net_rig_heartbeat(const struct net_rig *rig);
const struct stall_record *net_rig_stalls(const struct net_rig *rig);

/* 0, or -ECHILD with err if the receiver has ended. */
int net_rig_alive(const struct net_rig *rig, struct error *err);

/* Ours: the ring, the plan, the process. net_ours.c */
int net_ours_open(struct net_rig *rig, struct error *err);
void net_ours_close(struct net_rig *rig);

/* The others. net_others.c */
int net_others_open(struct net_rig *rig, struct error *err);
void net_others_close(struct net_rig *rig);

#endif
