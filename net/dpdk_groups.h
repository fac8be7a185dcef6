/* A port's multicast groups: those that the `to` of its sources name are joined while the link is up. The kernel
 * knows nothing of the port, so the reports (net/igmp.h) are sent by its polling thread, out of EAL's memory: no
 * heap; a system call only where the driver makes one to send.
 */
#ifndef NET_DPDK_GROUPS_H
#define NET_DPDK_GROUPS_H

#include "net/dpdk_grace.h"
#include "net/igmp.h"
#include "net/plan.h"
#include "ring/error.h"

struct rte_mempool;

struct dpdk_groups {
    struct igmp_host host;
    uint32_t count;
    struct igmp_group group[PLAN_SOURCES_MAX];
    struct rte_mempool *pool; /* NULL: nothing is ever to be said */
    struct dpdk_grace *grace; /* that of the thread which sends */
    uint16_t port;
    uint32_t said;    /* rounds since the link came up */
    uint64_t next_ns; /* when the next one is due */
};

/* What the sources of one port (of the name `port_name`) join. Pure. */
void dpdk_groups_collect(struct dpdk_groups *groups, const struct worker_plan *plan, const char *port_name);

/* The same, and what is needed to say so. 0 or -errno. Cold. */
int dpdk_groups_open(struct dpdk_groups *groups, const struct worker_plan *plan, const struct source_plan *source,
                     uint16_t port, struct dpdk_grace *grace, struct error *err);

/* Says what is due, on the port's first transmit queue: by the one thread that polls the port's first queue. */
void dpdk_groups_look(struct dpdk_groups *groups, bool is_up, uint64_t monotonic_ns);

/* Leaves what was joined. False: there was nothing to leave. */
bool dpdk_groups_leave(struct dpdk_groups *groups);

/* After the port is closed. Fine on what was never opened. Cold. */
void dpdk_groups_close(struct dpdk_groups *groups);

#endif
