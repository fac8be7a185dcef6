#include "daq/dpdk_worker.h"

#include <string.h>
#include <time.h>

#include "ring/clock.h"

#define WAIT_SLEEP_NS  (50 * CLOCK_NS_PER_US)
#define BURSTS_A_ROUND 16u /* of one queue before the next has its turn */
#define DRAIN_NS       (20 * CLOCK_NS_PER_MS)

int dpdk_worker_init(struct dpdk_worker *worker, const struct worker_plan *plan, struct board *board, int leases_fd,
                     int bell_fd, struct error *err)
{
    memset(worker, 0, sizeof(*worker));
    worker->plan = plan;
    worker->board = board;
    worker->leases_fd = leases_fd;
    worker->bell_fd = bell_fd;
    for (uint32_t i = 0; i < PLAN_SOURCES_MAX; i++) {
        worker->ring[i] = &worker->source_ring[i];
    }
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        code = worker_ring_open(worker->ring[i], &plan->source[i], err);
    }
    if (code == 0) {
        worker_rings_take_leases(worker->ring, plan->sources, leases_fd);
        code = dpdk_start(&worker->dpdk, plan, err);
    }
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        worker_ring_begin(worker->ring[i], &plan->source[i], plan->tai_minus_monotonic_ns);
        code = dpdk_open(&worker->dpdk, plan, i, &worker->source[i], &worker->ring[i]->writer, err);
    }
    if (code == 0) {
        code = dpdk_run_ports(&worker->dpdk, err);
    }
    if (code == 0 && dpdk_memory_note() != NULL) {
        board_refuse(board, "%s", dpdk_memory_note());
    }
    return code;
}

void dpdk_worker_fini(struct dpdk_worker *worker)
{
    dpdk_stop(&worker->dpdk);
}

/* A poll-mode thread gives its core up only if the plan says so: for sleep_us after each spin_us (duty), or for as
 * long as there is no frame (wait). What comes meanwhile waits in the device's descriptors. */
static void idle(struct dpdk_worker *worker, uint32_t frames, uint64_t now_ns)
{
    const struct thread_plan *thread = &worker->plan->thread;
    uint64_t sleep_ns = WAIT_SLEEP_NS;
    if (thread->idle == IDLE_BUSY || (thread->idle == IDLE_WAIT && frames > 0)) {
        return;
    }
    if (thread->idle == IDLE_DUTY) {
        if (clock_elapsed_ns(worker->spin_since_ns, now_ns) < thread->spin_us * CLOCK_NS_PER_US) {
            return;
        }
        sleep_ns = thread->sleep_us * CLOCK_NS_PER_US;
    }
    clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = (long)sleep_ns}, NULL);
    worker->spin_since_ns = clock_monotonic_ns();
}

/* Takes what there is, at most BURSTS_A_ROUND bursts of each queue. */
static uint32_t poll_all(struct dpdk_worker *worker, uint64_t now_ns)
{
    uint64_t tai_ns = now_ns + (uint64_t)worker->plan->tai_minus_monotonic_ns;
    uint32_t frames = 0;
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        uint32_t taken = DPDK_BURST;
        for (uint32_t n = 0; n < BURSTS_A_ROUND && taken == DPDK_BURST; n++) {
            taken = dpdk_poll(&worker->source[i], tai_ns);
            frames += taken;
        }
    }
    return frames;
}

uint32_t dpdk_worker_cycle(struct dpdk_worker *worker)
{
    uint64_t now_ns = clock_monotonic_ns();
    worker_rings_look(worker->ring, worker->plan->sources, worker->leases_fd, now_ns);
    uint32_t frames = poll_all(worker, now_ns);
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        dpdk_look(&worker->source[i], now_ns);
    }
    worker_rings_ring_bells(worker->ring, worker->plan->sources, worker->bell_fd);
    if (worker->plan->thread.idle == IDLE_BUSY) {
        board_beat_busy(worker->board, now_ns);
    } else {
        board_beat(worker->board, now_ns);
    }
    idle(worker, frames, now_ns);
    return frames;
}

void dpdk_worker_run(struct dpdk_worker *worker, const volatile sig_atomic_t *stop)
{
    while (*stop == 0) {
        dpdk_worker_cycle(worker);
    }
    /* Loss-free stop: what the device has taken already is still published; a sender that goes on does not hold us.
     */
    uint64_t from_ns = clock_monotonic_ns();
    while (poll_all(worker, clock_monotonic_ns()) > 0 &&
           clock_elapsed_ns(from_ns, clock_monotonic_ns()) < DRAIN_NS) {
    }
    dpdk_leave(&worker->dpdk);
}
