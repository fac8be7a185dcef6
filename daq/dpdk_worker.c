#include "daq/dpdk_worker.h"

#include <string.h>
#include <time.h>

#include "net/dpdk_drivers.h"
#include "net/dpdk_gone.h"
#include "ring/clock.h"

#define WAIT_SLEEP_NS  (50 * CLOCK_NS_PER_US)
#define BURSTS_A_ROUND 16u /* of one queue before the next has its turn */
#define DRAIN_NS       (20 * CLOCK_NS_PER_MS)

/* Deals the sources out to their threads. */
static void deal(struct dpdk_worker *worker, const int leases_fd[PLAN_THREADS_MAX])
{
    for (uint32_t t = 0; t < PLAN_THREADS_MAX; t++) {
        worker->poller[t].leases_fd = leases_fd[t];
    }
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        struct dpdk_poller *poller = &worker->poller[worker->plan->source[i].thread];
        poller->ring[poller->sources] = &worker->ring[i];
        poller->source[poller->sources++] = &worker->source[i];
    }
}

/* What works, but not as well as it may be expected to. */
static void show_notes(const struct dpdk_worker *worker, struct worker_board *board)
{
    char text[DPDK_DRIVERS_NOTE_BYTES];
    if (dpdk_memory_note() != NULL) {
        board_refuse(&board->common, "%s", dpdk_memory_note());
    }
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        if (dpdk_drivers_note(&worker->source[i], text) != NULL) {
            board_refuse(&board->common, "%s", text);
        }
    }
}

int dpdk_worker_init(struct dpdk_worker *worker, const struct worker_plan *plan, struct worker_board *board,
                     const int leases_fd[PLAN_THREADS_MAX], int bell_fd, struct error *err)
{
    memset(worker, 0, sizeof(*worker));
    worker->plan = plan;
    worker->bell_fd = bell_fd;
    poll_threads_init(&worker->threads, plan, board);
    deal(worker, leases_fd);
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        code = worker_ring_open(&worker->ring[i], &plan->source[i], err);
    }
    if (code == 0) {
        for (uint32_t t = 0; t < worker->threads.count; t++) {
            worker_rings_take_leases(worker->poller[t].ring, worker->poller[t].sources, leases_fd[t]);
        }
        code = dpdk_start(&worker->dpdk, plan, err);
    }
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        worker_ring_begin(&worker->ring[i], &plan->source[i], plan->tai_minus_monotonic_ns);
        code = dpdk_open(&worker->dpdk, plan, i, &worker->source[i], &worker->ring[i].writer, err);
    }
    if (code == 0) {
        code = dpdk_run_ports(&worker->dpdk, err);
    }
    if (code == 0) {
        code = dpdk_gone_watch(plan, err);
    }
    if (code == 0) {
        show_notes(worker, board);
    }
    return code;
}

void dpdk_worker_measure(struct dpdk_worker *worker, struct worker_board *board, size_t bytes)
{
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        worker_ring_measure(&worker->ring[i], &worker->plan->source[i], board, bytes, i);
    }
    for (uint32_t t = 0; t < worker->threads.count; t++) {
        worker->poller[t].hops = worker_thread_part(board, bytes, t);
    }
}

void dpdk_worker_fini(struct dpdk_worker *worker)
{
    dpdk_stop(&worker->dpdk);
}

/* A poll-mode thread gives its core up only if the plan says so: for sleep_us after each spin_us (duty), or for as
 * long as there is no frame (wait). What comes meanwhile waits in the device's descriptors. */
static void idle(const struct dpdk_worker *worker, struct dpdk_poller *poller, uint32_t frames, uint64_t now_ns)
{
    const struct thread_plan *thread = &worker->plan->thread;
    uint64_t sleep_ns = WAIT_SLEEP_NS;
    if (thread->idle == IDLE_BUSY || (thread->idle == IDLE_WAIT && frames > 0)) {
        return;
    }
    if (thread->idle == IDLE_DUTY) {
        if (clock_elapsed_ns(poller->spin_since_ns, now_ns) < thread->spin_us * CLOCK_NS_PER_US) {
            return;
        }
        sleep_ns = thread->sleep_us * CLOCK_NS_PER_US;
    }
    poller->slept_ns =
        frames > 0 ? clock_monotonic_ns() : now_ns; /* of a round that found nothing it does not matter */
    clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = (long)sleep_ns}, NULL);
    poller->spin_since_ns = clock_monotonic_ns();
}

/* The round before this one: one that did not sleep was busy until now, if it took anything. */
static void begin_round(struct dpdk_poller *poller, uint64_t now_ns)
{
    uint64_t until_ns = poller->slept_ns != 0 ? poller->slept_ns : now_ns;
    worker_thread_round(poller->hops, poller->round_ns, poller->found ? until_ns : 0, now_ns);
    poller->round_ns = now_ns;
    poller->slept_ns = 0;
}

/* Takes what there is, at most BURSTS_A_ROUND bursts of each queue. */
static uint32_t poll_all(const struct dpdk_worker *worker, struct dpdk_poller *poller, uint64_t now_ns)
{
    uint64_t tai_ns = now_ns + (uint64_t)worker->plan->tai_minus_monotonic_ns;
    uint32_t frames = 0;
    for (uint32_t i = 0; i < poller->sources; i++) {
        uint32_t taken = DPDK_BURST;
        for (uint32_t n = 0; n < BURSTS_A_ROUND && taken == DPDK_BURST; n++) {
            taken = dpdk_poll(poller->source[i], tai_ns);
            frames += taken;
        }
    }
    return frames;
}

uint32_t dpdk_worker_cycle(struct dpdk_worker *worker, uint32_t thread)
{
    struct dpdk_poller *poller = &worker->poller[thread];
    uint64_t now_ns = clock_monotonic_ns();
    begin_round(poller, now_ns);
    worker_rings_look(poller->ring, poller->sources, poller->leases_fd, now_ns);
    uint32_t frames = poll_all(worker, poller, now_ns);
    poller->found = frames > 0;
    for (uint32_t i = 0; i < poller->sources; i++) {
        dpdk_look(poller->source[i], now_ns);
    }
    worker_rings_ring_bells(poller->ring, poller->sources, worker->bell_fd);
    poll_threads_beat(&worker->threads, thread, now_ns);
    idle(worker, poller, frames, now_ns);
    return frames;
}

/* Loss-free stop: what the device has taken already is still published; a sender that goes on does not hold us. */
static void drain(struct dpdk_worker *worker, uint32_t thread)
{
    struct dpdk_poller *poller = &worker->poller[thread];
    uint64_t from_ns = clock_monotonic_ns();
    while (poll_all(worker, poller, clock_monotonic_ns()) > 0 &&
           clock_elapsed_ns(from_ns, clock_monotonic_ns()) < DRAIN_NS) {
    }
}

static int begin_thread(void *context, uint32_t index, struct error *err)
{
    (void)context;
    return dpdk_thread_begin(index, err);
}

static void run_thread(void *context, uint32_t index)
{
    struct dpdk_worker *worker = context;
    while (!poll_threads_stopping(&worker->threads)) {
        dpdk_worker_cycle(worker, index);
    }
    if (!dpdk_gone()) {
        drain(worker, index);
    }
}

int dpdk_worker_start(struct dpdk_worker *worker, enum seal_profile profile, struct error *err)
{
    static const struct poll_work work = {.begin = begin_thread, .run = run_thread};
    return poll_threads_start(&worker->threads, profile, &work, worker, err);
}

void dpdk_worker_run(struct dpdk_worker *worker, const volatile sig_atomic_t *stop)
{
    poll_threads_go(&worker->threads);
    while (*stop == 0 && !dpdk_gone()) {
        dpdk_worker_cycle(worker, 0);
    }
    poll_threads_stop(&worker->threads);
    if (!dpdk_gone()) {
        drain(worker, 0);
    }
    poll_threads_join(&worker->threads);
    if (dpdk_gone()) {
        dpdk_abandon(&worker->dpdk);
    } else {
        dpdk_leave(&worker->dpdk);
    }
}
