/* How frames leave: a UDP socket, a raw socket on an interface, a DPDK port. A batch is reserved, written in place,
 * and sent. One thread.
 */
#ifndef TOOLS_GEN_TRANSPORT_H
#define TOOLS_GEN_TRANSPORT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring/error.h"

#define TRANSPORT_BATCH_MAX 256u /* frames that are reserved at once */
#define TRANSPORT_STUCK_S   10u  /* so long without taking a frame is an error */

struct transport_spec {
    const char *target;
    uint32_t frame_bytes_max; /* with what the transport's writer puts in front */
    uint32_t from_ip;         /* udp: 0: the kernel chooses; network byte order */
    uint16_t from_port;       /* udp: 0: the same */
    bool no_gso;              /* udp */
    bool drop_when_full;      /* dpdk: as a network card that does not wait */
    uint32_t descriptors;     /* dpdk */
    uint32_t wait_s;          /* dpdk: for the other end */
    int32_t core;             /* dpdk; -1: the one this thread runs on */
    const volatile sig_atomic_t *stop;
};

struct transport_counts {
    uint64_t sent;    /* frames that were taken */
    uint64_t dropped; /* frames that were not (drop_when_full), or after a stop */
    uint64_t full;    /* times the other side had no room */
    uint64_t
        longest_full_ns; /* dpdk, drop_when_full: from a frame that was not taken to the next that was, at most */
    uint64_t refused;    /* udp: times the kernel said that nobody listens */
    uint64_t reconnects; /* dpdk: times the link was made anew */
};

struct transport {
    const struct transport_ops *ops;
    struct transport_counts counts;
    const volatile sig_atomic_t *stop;
    bool insists;       /* on the frame that is the end: it is not dropped at once, whatever drop_when_full says */
    char about[128];    /* one line on what was found, for the report */
    uint8_t own_mac[6]; /* packet: of the interface */
    bool keeps_content; /* rooms still hold what was written before */
};

struct transport_ops {
    const char *name;
    /* Rooms for `count` (TRANSPORT_BATCH_MAX) frames of bytes[i]. 0 or -errno. */
    int (*reserve)(struct transport *t, const uint32_t *bytes, uint8_t **room, uint32_t count, struct error *err);
    /* Sends what was reserved, whole and in order; frames that were not taken are in counts.dropped. 0 or -errno.
     */
    int (*send)(struct transport *t, const uint32_t *bytes, uint32_t count, struct error *err);
    /* keeps_content: each room once. NULL: rooms keep nothing. */
    void (*rooms)(struct transport *t, void (*visit)(void *context, uint8_t *room, uint32_t bytes), void *context);
    /* On the other end's side everything that was sent has been taken; or it waits so long. NULL: at once. */
    void (*drain)(struct transport *t, uint32_t linger_ms);
    void (*close)(struct transport *t);
};

/* NULL with err. */
struct transport *gen_udp_open(const struct transport_spec *spec, struct error *err);
struct transport *gen_packet_open(const struct transport_spec *spec, struct error *err);
struct transport *gen_dpdk_open(const struct transport_spec *spec, struct error *err);

/* "ADDRESS:PORT" of IPv4, in network byte order. 0 or -EINVAL. */
int udp_target_parse(const char *text, uint32_t *address, uint16_t *port, struct error *err);

#endif
