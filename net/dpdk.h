/* Packets straight into ring slots by DPDK's poll mode: each queue of a port into a ring of its own, which is the
 * queue's packet pool (net/dpdk_pool.h). One process, one polling thread or several, any number of ports and
 * queues; the ports may be physical or virtual. rte_* stays inside net/dpdk*.c.
 *
 * A queue belongs to one thread. What is asked of a whole port (link, counters) is asked by the thread of its first
 * queue alone: ethdev's calls are not for two threads at a time.
 *
 * EAL and several port drivers keep threads of their own for connecting and for link changes: they are not on the
 * polling threads' cores, and touch no ring.
 */
#ifndef NET_DPDK_H
#define NET_DPDK_H

#include <stdalign.h>

#include "net/dpdk_counters.h"
#include "net/dpdk_grace.h"
#include "net/dpdk_groups.h"
#include "net/dpdk_pool.h"
#include "net/plan.h"

struct rte_flow;

#define DPDK_BURST 64u
/* A ring for such a source has its payload here: descriptor, then room for what virtio writes in front of a frame
 * and, where the payload is UDP's, for the headers up to it (50 bytes with two VLAN tags). */
#define DPDK_PAYLOAD_OFFSET_ETHERNET 64u
#define DPDK_PAYLOAD_OFFSET_UDP      128u

struct dpdk_source {
    alignas(128) const struct source_plan *plan; /* the next source's thread may be another */
    struct ring_writer *writer;
    struct dpdk_pool pool;
    struct dpdk_grace grace;
    uint32_t headers; /* bytes expected in front of the payload */
    uint32_t checks;  /* enum packet_checks: what holds for every frame of this port */
    uint16_t port;
    uint16_t queue;
    bool is_plain;             /* most of its frames can be taken by net/plain.h */
    struct dpdk_source *first; /* of the same port's sources: it has queue 0 */
    uint32_t links;            /* the first's: changes of the link so far, odd: it is up; others read it */
    uint32_t links_seen;       /* of the first's `links`, as last seen */
    uint64_t run;              /* frames that came in full bursts, one after the other: the device had many */
    uint64_t look_ns;          /* how often link and counts are looked at */
    uint64_t looked_ns;        /* when they were last */
    uint64_t disordered;       /* 1: the device does not keep the order of its buffers: it is not polled any more */
    struct rte_flow *flow;     /* the device's rule that steers the stream to this queue; NULL: none */
    /* The port's, with the source of its first queue: */
    struct dpdk_counters counters;
    struct dpdk_groups groups;
};

struct dpdk {
    const struct worker_plan *plan;
    struct dpdk_bind bind;
    struct dpdk_source *source[PLAN_SOURCES_MAX];
    uint32_t sources;
};

/* Starts EAL with this worker's ports (their virtual devices, or their PCI addresses and no others). Once in a
 * process. 0, -EINVAL, -ENODEV (a port did not come up) or -errno. Cold. */
int dpdk_start(struct dpdk *dpdk, const struct worker_plan *plan, struct error *err);

/* Opens source i of the plan on its ring; dpdk_run_ports starts the ports when all are open. 0 or -errno. Cold. */
int dpdk_open(struct dpdk *dpdk, const struct worker_plan *plan, uint32_t i, struct dpdk_source *source,
              struct ring_writer *writer, struct error *err);
int dpdk_run_ports(struct dpdk *dpdk, struct error *err);
void dpdk_stop(struct dpdk *dpdk);

/* The last thing that the polling thread does: leaves multicast groups, so that nobody sends on in vain. No heap,
 * and no system call but a sleep and what the drivers send with. When no other thread polls. */
void dpdk_leave(struct dpdk *dpdk);

/* The same when a card is gone (net/dpdk_gone.h): no device is touched any more. Who reads the rings is told that
 * nothing comes. */
void dpdk_abandon(struct dpdk *dpdk);

/* Takes up to DPDK_BURST frames, checks each where it lies, commits and publishes. The number of frames taken, 0:
 * there was nothing. Hot. */
uint32_t dpdk_poll(struct dpdk_source *source, uint64_t tai_ns);

/* Link and the device's own counters, at most once in a millisecond; of a card once in ten, as that costs it up to
 * hundreds of reads across the bus. No system call on memif, vhost, virtio and cards. */
void dpdk_look(struct dpdk_source *source, uint64_t monotonic_ns);

/* The port that a source names. 0 or -ENODEV: DPDK has none of that name. Cold. */
int dpdk_find_port(const struct source_plan *source, uint16_t *port);

/* What a polling thread that is not EAL's main thread does before its first poll. 0 or -errno. Cold. */
int dpdk_thread_begin(uint32_t index, struct error *err);

/* Why DPDK's own memory has no huge pages, for the board; NULL: it has. Cold. */
const char *dpdk_memory_note(void);

#endif
