/* A card that is pulled out while it is polled. DPDK takes a port apart with calls that a sealed thread may not
 * make, so the process does not try to go on without it: it says which card it was and ends. It is started again,
 * and goes on in the same rings when the card is there.
 *
 * DPDK's thread for events is told, by the kernel's driver, which waits for us to let go of the card (vfio-pci), or
 * by the kernel's word that a device was removed (uevent). Until then polling threads go on: the registers of a
 * card that is gone read as ones (net/dpdk_counters.c); a kernel that answers with SIGBUS ends the process on the
 * spot, which for the rings is the same.
 */
#ifndef NET_DPDK_GONE_H
#define NET_DPDK_GONE_H

#include <stdbool.h>

#include "net/plan.h"
#include "ring/error.h"

#define DPDK_GONE_EXIT 1 /* the process's exit code then */

extern uint32_t dpdk_gone_devices; /* how many; written by DPDK's thread for events */

/* Watches the plan's PCI ports, which are started; nothing if it has none. 0 or -errno. Once in a process. Cold. */
int dpdk_gone_watch(const struct worker_plan *plan, struct error *err);

/* A card is gone, and it has been said. Hot. */
static inline bool dpdk_gone(void)
{
    return __builtin_expect(__atomic_load_n(&dpdk_gone_devices, __ATOMIC_RELAXED) != 0, 0);
}

#endif
