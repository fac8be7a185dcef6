#include "daq/worker.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daq/leases.h"
#include "net/sequence.h"
#include "ring/clock.h"
#include "ring/segment.h"

#define URING_ENTRIES    64u
#define EVENTS_PER_ROUND 1024u
#define WAIT_NS          (5 * CLOCK_NS_PER_MS)

static int open_ring(struct worker *worker, uint32_t i, struct error *err)
{
    const struct source_plan *plan = &worker->plan->source[i];
    struct worker_source *source = &worker->source[i];
    void *base;
    void *orders;
    size_t bytes;
    size_t orders_bytes;
    int code = segment_map((int)plan->orders_fd, false, RING_ORDERS_BYTES, &orders, &orders_bytes, err);
    if (code == 0) {
        code = ring_orders_check(orders, orders_bytes, err);
    }
    if (code == 0) {
        code = segment_map((int)plan->ring_fd, true, RING_HEADER_BYTES, &base, &bytes, err);
    }
    if (code == 0) {
        code = leases_open(&source->gates, orders, plan->gates, err);
    }
    if (code == 0) {
        code = ring_writer_attach(&source->writer, base, bytes, (uint64_t)getpid(), &source->gates, err);
    }
    return code;
}

static int open_source(struct worker *worker, uint32_t i, struct error *err)
{
    const struct source_plan *plan = &worker->plan->source[i];
    struct worker_source *source = &worker->source[i];
    struct ring_writer *writer = &source->writer;
    ring_writer_look(writer, clock_monotonic_ns());
    if (writer->epoch > 1) {
        /* We follow one that died: what came meanwhile is missing, and readers are told in the ring itself. */
        net_sequence_interrupted(&plan->sequence, &writer->view.header->ledger);
        ring_writer_owe_gap(writer, RING_LOSS_RESTART, 0, 0);
        (void)ring_writer_pay_gap(writer, clock_tai_ns(worker->plan->tai_minus_monotonic_ns));
    }
    ring_count_set(&writer->view.header->ledger.is_open, 0);
    if (plan->kind == SOURCE_UDP) {
        return udp_open(&source->u.udp, plan, writer, worker->uring, (uint16_t)i, i, err);
    }
    return serial_init(&source->u.serial, plan, writer, worker->uring, i, err);
}

static void take_leases(struct worker *worker)
{
    struct ring_gates *gates[PLAN_SOURCES_MAX];
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        gates[i] = &worker->source[i].gates;
    }
    leases_take(worker->leases_fd, gates, worker->plan->sources);
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
    }
    int code = uring_create(&worker->uring, URING_ENTRIES, err);
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        code = open_ring(worker, i, err);
    }
    take_leases(worker); /* the gates that stand, before the first slot is claimed */
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
        if (source->writer.view.header == NULL) {
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

/* Orders, and with them leases; demotions that are due. */
static void look_at_gates(struct worker *worker, uint64_t monotonic_ns)
{
    bool ordered = false;
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        ordered = ordered || ring_gates_ordered(&worker->source[i].gates);
    }
    if (ordered) {
        take_leases(worker);
    }
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        ring_writer_look(&worker->source[i].writer, monotonic_ns);
    }
}

/* Somebody sleeps until there is something new: one system call, however many they are, and none while nobody does.
 */
static void ring_bells(struct worker *worker)
{
    const uint64_t one = 1;
    bool ring = false;
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        struct worker_source *source = &worker->source[i];
        uint64_t bell = __atomic_load_n(&source->gates.orders->bell, __ATOMIC_ACQUIRE);
        if (bell != source->rung && source->writer.published != source->seen_published) {
            source->rung = bell;
            ring = true;
        }
        source->seen_published = source->writer.published;
    }
    if (ring && worker->bell_fd >= 0) {
        (void)!write(worker->bell_fd, &one, sizeof(one));
    }
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
    look_at_gates(worker, clock_monotonic_ns());
    arm(worker);
    (void)uring_wait(worker->uring, wait_for_ns(worker));
    uint32_t frames = complete(worker, clock_tai_ns(worker->plan->tai_minus_monotonic_ns));
    ring_bells(worker);
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
