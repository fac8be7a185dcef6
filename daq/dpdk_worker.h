/* The polling threads of sluice-dpdk: every queue of its ports, each polled by one of the threads into a ring of
 * its own. */
#ifndef DAQ_DPDK_WORKER_H
#define DAQ_DPDK_WORKER_H

#include <signal.h>

#include "daq/poll_threads.h"
#include "daq/worker_hops.h"
#include "daq/worker_ring.h"
#include "net/dpdk.h"

/* What one thread has, and no other touches. */
struct dpdk_poller {
    alignas(128) uint64_t spin_since_ns; /* when the last sleep ended */
    uint64_t round_ns;                   /* when the last round began, */
    uint64_t slept_ns;                   /* and when it fell asleep; 0: it did not */
    bool found;                          /* and it took frames */
    struct worker_thread_hops *hops;     /* NULL: nothing is measured */
    int leases_fd;
    uint32_t sources;
    struct worker_ring *ring[PLAN_SOURCES_MAX]; /* of its sources */
    struct dpdk_source *source[PLAN_SOURCES_MAX];
};

struct dpdk_worker {
    const struct worker_plan *plan;
    int bell_fd; /* everyone's: each write is one of its own */
    struct dpdk dpdk;
    struct poll_threads threads;
    struct dpdk_poller poller[PLAN_THREADS_MAX];
    struct worker_ring ring[PLAN_SOURCES_MAX];
    struct dpdk_source source[PLAN_SOURCES_MAX];
};

/* Starts DPDK, attaches to the rings, starts the ports. 0 or -errno; dpdk_worker_fini is fine after a failure.
 * Cold.
 */
int dpdk_worker_init(struct dpdk_worker *worker, const struct worker_plan *plan, struct worker_board *board,
                     const int leases_fd[PLAN_THREADS_MAX], int bell_fd, struct error *err);

/* What its threads measure goes behind the board, whose segment has so many bytes. Before they start. Cold. */
void dpdk_worker_measure(struct dpdk_worker *worker, struct worker_board *board, size_t bytes);

/* Starts the threads beside the first, which wait for dpdk_worker_run. 0 or -errno. Cold. */
int dpdk_worker_start(struct dpdk_worker *worker, enum seal_profile profile, struct error *err);
void dpdk_worker_fini(struct dpdk_worker *worker);

/* One bounded round over all queues of a thread. Returns frames taken. */
uint32_t dpdk_worker_cycle(struct dpdk_worker *worker, uint32_t thread);

/* The first thread, and with it all others, until *stop. */
void dpdk_worker_run(struct dpdk_worker *worker, const volatile sig_atomic_t *stop);

#endif
