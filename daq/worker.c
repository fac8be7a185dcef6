#include "daq/worker.h"

#include <string.h>

#include "ring/clock.h"

#define URING_ENTRIES    64u
#define EVENTS_PER_ROUND 1024u
#define WAIT_NS          (5 * CLOCK_NS_PER_MS)

static int open_source(struct worker *worker, uint32_t i, struct error *err)
{
    const struct source_plan *plan = &worker->plan->source[i];
    struct worker_source *source = &worker->source[i];
    struct ring_writer *writer = &source->ring.writer;
    worker_ring_begin(&source->ring, plan, worker->plan->tai_minus_monotonic_ns);
    if (plan->kind == SOURCE_UDP) {
        return udp_open(&source->u.udp, plan, writer, worker->uring, (uint16_t)i, i, err);
    }
    return serial_init(&source->u.serial, plan, writer, worker->uring, i, err);
}

int worker_init(struct worker *worker, const struct worker_plan *plan, struct board *board, int leases_fd,
                int bell_fd, struct error *err)
{
    memset(worker, 0, sizeof(*worker));
    worker->plan = plan;
    worker->board = board;
    worker->leases_fd = leases_fd;
    worker->bell_fd = bell_fd;
    for (uint32_t i = 0; i < PLAN_SOURCES_MAX; i++) {
        worker->source[i].u.udp.fd = -1;
        worker->ring[i] = &worker->source[i].ring;
    }
    int code = uring_create(&worker->uring, URING_ENTRIES, err);
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        code = worker_ring_open(worker->ring[i], &plan->source[i], err);
    }
    /* The gates that stand, before the first slot is claimed. */
    worker_rings_take_leases(worker->ring, plan->sources, leases_fd);
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        code = open_source(worker, i, err);
    }
    if (code == 0) {
        code = uring_start(worker->uring); /* before the seal: it is io_uring_register(2) */
    }
    return code;
}

void worker_fini(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        struct worker_source *source = &worker->source[i];
        if (source->ring.writer.view.header == NULL) {
            continue;
        }
        if (worker->plan->source[i].kind == SOURCE_UDP) {
            udp_close(&source->u.udp);
        } else {
            serial_fini(&source->u.serial);
        }
    }
    uring_destroy(worker->uring);
    worker->uring = NULL;
}

static void arm(struct worker *worker)
{
    uint64_t monotonic_ns = clock_monotonic_ns();
    uint64_t tai_ns = monotonic_ns + (uint64_t)worker->plan->tai_minus_monotonic_ns;
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        if (worker->plan->source[i].kind == SOURCE_UDP) {
            udp_arm(&worker->source[i].u.udp, tai_ns);
        } else {
            serial_arm(&worker->source[i].u.serial, monotonic_ns, tai_ns);
        }
    }
}

static uint32_t complete(struct worker *worker, uint64_t tai_ns)
{
    struct uring_event event;
    uint32_t frames = 0;
    for (uint32_t n = 0; n < EVENTS_PER_ROUND && uring_next(worker->uring, &event); n++) {
        uint64_t i = event.user & ~UDP_SCRATCH_USER;
        if (i >= worker->plan->sources) {
            continue;
        }
        struct worker_source *source = &worker->source[i];
        if (worker->plan->source[i].kind == SOURCE_UDP) {
            udp_complete(&source->u.udp, &event, tai_ns);
        } else {
            frames += serial_complete(&source->u.serial, &event, tai_ns);
        }
    }
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        if (worker->plan->source[i].kind == SOURCE_UDP) {
            frames += udp_flush(&worker->source[i].u.udp, tai_ns);
        }
    }
    return frames;
}

/* How long the wait may sleep: a duty-cycled worker spins for spin_us, then sleeps for sleep_us. */
static uint64_t wait_for_ns(struct worker *worker)
{
    const struct thread_plan *thread = &worker->plan->thread;
    if (thread->idle == IDLE_WAIT) {
        return WAIT_NS;
    }
    if (thread->idle == IDLE_BUSY) {
        return 0;
    }
    uint64_t now_ns = clock_monotonic_ns();
    if (now_ns - worker->spin_since_ns < thread->spin_us * CLOCK_NS_PER_US) {
        return 0;
    }
    worker->spin_since_ns = now_ns + thread->sleep_us * CLOCK_NS_PER_US;
    return thread->sleep_us * CLOCK_NS_PER_US;
}

uint32_t worker_cycle(struct worker *worker)
{
    worker_rings_look(worker->ring, worker->plan->sources, worker->leases_fd, clock_monotonic_ns());
    arm(worker);
    (void)uring_wait(worker->uring, wait_for_ns(worker));
    uint32_t frames = complete(worker, clock_tai_ns(worker->plan->tai_minus_monotonic_ns));
    worker_rings_ring_bells(worker->ring, worker->plan->sources, worker->bell_fd);
    board_beat(worker->board, clock_monotonic_ns());
    return frames;
}

void worker_run(struct worker *worker, const volatile sig_atomic_t *stop)
{
    while (*stop == 0) {
        worker_cycle(worker);
    }
    /* Loss-free stop: what the kernel has already received is still published. */
    (void)uring_wait(worker->uring, 0);
    complete(worker, clock_tai_ns(worker->plan->tai_minus_monotonic_ns));
}
