/* The polling thread of sluice-dpdk: every queue of its ports, each into its own ring. */
#ifndef DAQ_DPDK_WORKER_H
#define DAQ_DPDK_WORKER_H

#include <signal.h>

#include "daq/worker_ring.h"
#include "net/dpdk.h"
#include "ring/board.h"

struct dpdk_worker {
    const struct worker_plan *plan;
    struct board *board;
    struct dpdk dpdk;
    uint64_t spin_since_ns; /* when the last sleep ended */
    int leases_fd;
    int bell_fd;
    struct worker_ring source_ring[PLAN_SOURCES_MAX];
    struct worker_ring *ring[PLAN_SOURCES_MAX];
    struct dpdk_source source[PLAN_SOURCES_MAX];
};

/* Starts DPDK, attaches to the rings, starts the ports. 0 or -errno; dpdk_worker_fini is fine after a failure.
 * Cold.
 */
int dpdk_worker_init(struct dpdk_worker *worker, const struct worker_plan *plan, struct board *board, int leases_fd,
                     int bell_fd, struct error *err);
void dpdk_worker_fini(struct dpdk_worker *worker);

/* One bounded round over all queues. Returns frames taken. */
uint32_t dpdk_worker_cycle(struct dpdk_worker *worker);

void dpdk_worker_run(struct dpdk_worker *worker, const volatile sig_atomic_t *stop);

#endif
