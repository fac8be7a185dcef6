/* Which frames a port takes off the wire: those to the Ethernet addresses that its sources want, or all. Cold. */
#ifndef NET_DPDK_ADDRESSES_H
#define NET_DPDK_ADDRESSES_H

#include "net/plan.h"
#include "ring/error.h"

#define DPDK_ADDRESS_BYTES 6u

struct dpdk_addresses {
    uint32_t groups; /* multicast */
    uint32_t hosts;
    bool all; /* a source takes frames to whatever address */
    uint8_t group[PLAN_SOURCES_MAX][DPDK_ADDRESS_BYTES];
    uint8_t host[PLAN_SOURCES_MAX][DPDK_ADDRESS_BYTES];
};

/* What the sources of one port want, each address once. Pure. */
void dpdk_addresses_collect(struct dpdk_addresses *addresses, const struct worker_plan *plan,
                            const char *port_name);

/* Tells the started port. What it cannot single out it is told to take with all others; what it does not know at
 * all (a virtual port knows of no addresses) is taken for granted. 0 or -errno. */
int dpdk_addresses_admit(const struct worker_plan *plan, const struct source_plan *source, uint16_t port,
                         struct error *err);

#endif
