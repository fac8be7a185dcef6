/* A driver's memory is not taken away while a port is being polled.
 *
 * When memif's peer goes, DPDK's own thread for events marks the link as down and unmaps the peer's memory at once
 * (memif_disconnect in its drivers/net/memif, 22.11 and later alike): whoever is reading a burst at that moment
 * dies of it. So the programs that poll are linked with munmap wrapped (-Wl,--wrap=munmap): it waits until every
 * thread that is inside a driver has come out once; who enters after that sees the link down.
 *
 * One dpdk_grace per polled queue, in static or otherwise lasting memory.
 */
#ifndef NET_DPDK_GRACE_H
#define NET_DPDK_GRACE_H

#include <stdint.h>

#define DPDK_GRACE_MAX 256u

struct dpdk_grace {
    uint64_t round; /* odd: its thread is inside the driver */
};

/* Before the queue is polled for the first time, and after the last time. Beyond DPDK_GRACE_MAX queues -ENOSPC: not
 * guarded. Cold; one thread. */
int dpdk_grace_join(struct dpdk_grace *grace);
void dpdk_grace_leave(struct dpdk_grace *grace);

/* Around each call into the driver, by the queue's own thread. The exchange is a full barrier: the driver's look at
 * the link comes after it. Hot. */
static inline void dpdk_grace_enter(struct dpdk_grace *grace)
{
    (void)__atomic_exchange_n(&grace->round, grace->round + 1, __ATOMIC_SEQ_CST);
}

static inline void dpdk_grace_exit(struct dpdk_grace *grace)
{
    __atomic_store_n(&grace->round, grace->round + 1, __ATOMIC_RELEASE);
}

/* Until every thread that is inside now has come out, at most for DPDK_GRACE_WAIT_NS: one that does not run for so
 * long is worth less than DPDK's thread for events. 0, or -ETIMEDOUT. Not from inside. */
#define DPDK_GRACE_WAIT_NS UINT64_C(2000000000)
int dpdk_grace_wait(void);

#endif
