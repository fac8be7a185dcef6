#include "daq/worker.h"

#include <string.h>

#include "ring/clock.h"

#define URING_ENTRIES    128u
#define EVENTS_PER_ROUND 1024u
#define WAIT_NS          (5 * CLOCK_NS_PER_MS)
#define GATHERED_MAX     32u /* completions that are worth an end of the wait */

static int open_afxdp(struct worker *worker, uint32_t i, struct error *err)
{
    struct worker_source *source = &worker->source[i];
    int code = afxdp_init(&source->u.afxdp, &worker->plan->source[i], &source->ring.writer, worker->uring, i,
                          worker->steers, worker->plan->thread.idle != IDLE_BUSY, err);
    if (code == 0 && source->u.afxdp.note.text[0] != 0) {
        board_refuse(worker->board, "%s", source->u.afxdp.note.text);
    }
    return code;
}

static int open_udp(struct worker *worker, uint32_t i, struct error *err)
{
    struct worker_source *source = &worker->source[i];
    const struct source_plan *plan = &worker->plan->source[i];
    struct ring_writer *writer = &source->ring.writer;
    if (plan->rate.nominal_hz > 0) {
        rate_meter_init(&source->meter, &writer->view.header->rate, plan->rate.nominal_hz,
                        plan->sequence.width_bytes == 0);
        rate_meter_start(&source->meter, clock_tai_ns(worker->plan->tai_minus_monotonic_ns));
    }
    return udp_open(&source->u.udp, plan, writer, worker->uring, (uint16_t)i, i, err);
}

static uint64_t coalesce_ns(const struct worker_plan *plan)
{
    return plan->thread.idle == IDLE_WAIT ? plan->coalesce_us * CLOCK_NS_PER_US : 0;
}

static int open_source(struct worker *worker, uint32_t i, struct error *err)
{
    const struct source_plan *plan = &worker->plan->source[i];
    struct worker_source *source = &worker->source[i];
    struct ring_writer *writer = &source->ring.writer;
    worker_ring_begin(&source->ring, plan, worker->plan->tai_minus_monotonic_ns);
    switch (plan->kind) {
    case SOURCE_UDP:
        return open_udp(worker, i, err);
    case SOURCE_AFXDP:
        worker->may_gather = false;
        return open_afxdp(worker, i, err);
    case SOURCE_RECORDING:
        worker->may_gather = false;
        return recording_init(&source->u.recording, plan, writer, worker->uring, &worker->start, i, err);
    default:
        break;
    }
    int code = stream_init(&source->u.stream, plan, writer, worker->uring, &worker->opener, i, err);
    source->u.stream.coalesce_ns = coalesce_ns(worker->plan);
    worker->may_gather = worker->may_gather && source->u.stream.line != NULL;
    return code;
}

int worker_init(struct worker *worker, const struct worker_plan *plan, struct board *board, int leases_fd,
                int bell_fd, struct error *err)
{
    memset(worker, 0, sizeof(*worker));
    worker->plan = plan;
    worker->board = board;
    worker->leases_fd = leases_fd;
    worker->bell_fd = bell_fd;
    worker->may_gather = coalesce_ns(plan) > 0;
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
    if (code == 0) {
        code = opener_start(&worker->opener, err);
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
        switch (worker->plan->source[i].kind) {
        case SOURCE_UDP:
            udp_close(&source->u.udp);
            break;
        case SOURCE_AFXDP:
            afxdp_fini(&source->u.afxdp);
            break;
        case SOURCE_RECORDING:
            recording_fini(&source->u.recording);
            break;
        default:
            stream_fini(&source->u.stream);
            break;
        }
    }
    opener_fini(&worker->opener);
    for (uint32_t i = 0; i < PLAN_SOURCES_MAX && worker->steers[i].queue != NULL; i++) {
        steer_unload(&worker->steers[i]);
    }
    uring_destroy(worker->uring);
    worker->uring = NULL;
}

void worker_measure(struct worker *worker, struct worker_board *board, size_t bytes)
{
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        worker_ring_measure(worker->ring[i], &worker->plan->source[i], board, bytes, i);
    }
    worker->hops = worker_thread_part(board, bytes, 0);
}

static bool is_stream(uint32_t kind)
{
    return kind != SOURCE_UDP && kind != SOURCE_AFXDP && kind != SOURCE_RECORDING;
}

static void arm(struct worker *worker)
{
    uint64_t monotonic_ns = clock_monotonic_ns();
    uint64_t tai_ns = monotonic_ns + (uint64_t)worker->plan->tai_minus_monotonic_ns;
    worker->armed_ns = monotonic_ns;
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        struct worker_source *source = &worker->source[i];
        switch (worker->plan->source[i].kind) {
        case SOURCE_UDP:
            rate_meter_look(&source->meter, tai_ns);
            udp_arm(&source->u.udp, tai_ns);
            break;
        case SOURCE_AFXDP:
            afxdp_arm(&source->u.afxdp, monotonic_ns, tai_ns);
            break;
        case SOURCE_RECORDING:
            recording_arm(&source->u.recording);
            break;
        default:
            stream_arm(&source->u.stream, monotonic_ns, tai_ns);
            break;
        }
    }
}

static uint32_t complete_one(struct worker *worker, const struct uring_event *event, uint64_t monotonic_ns,
                             uint64_t tai_ns)
{
    uint64_t i = event->user & ~UDP_SCRATCH_USER;
    if (i >= worker->plan->sources) {
        return 0;
    }
    struct worker_source *source = &worker->source[i];
    switch (worker->plan->source[i].kind) {
    case SOURCE_UDP:
        udp_complete(&source->u.udp, event, tai_ns);
        return 0;
    case SOURCE_AFXDP:
        afxdp_complete(&source->u.afxdp, event, tai_ns);
        return 0;
    case SOURCE_RECORDING:
        recording_complete(&source->u.recording);
        return 0;
    default:
        return stream_complete(&source->u.stream, event, monotonic_ns, tai_ns);
    }
}

/* Busy from the completions on until it is ready to wait again (arm). */
static void begin_round(struct worker *worker, uint64_t monotonic_ns)
{
    worker_thread_round(worker->hops, worker->woke_ns, worker->found ? worker->armed_ns : 0, monotonic_ns);
    worker->woke_ns = monotonic_ns;
}

/* What no completion brings: of datagrams and packets all that have come, of a recording what is due. */
static uint32_t take(struct worker *worker, uint32_t i, uint64_t monotonic_ns, uint64_t tai_ns)
{
    struct worker_source *source = &worker->source[i];
    uint32_t frames = 0;
    bool more = false;
    switch (worker->plan->source[i].kind) {
    case SOURCE_UDP:
        frames = udp_flush(&source->u.udp, tai_ns);
        rate_meter_take_batch(&source->meter, frames, tai_ns);
        break;
    case SOURCE_AFXDP:
        frames = afxdp_take(&source->u.afxdp, tai_ns, &more);
        break;
    case SOURCE_RECORDING:
        frames = recording_take(&source->u.recording, monotonic_ns, tai_ns, &more);
        break;
    default:
        break;
    }
    worker->more = worker->more || more;
    return frames;
}

static uint32_t complete(struct worker *worker)
{
    struct uring_event event;
    uint64_t monotonic_ns = clock_monotonic_ns();
    uint64_t tai_ns = monotonic_ns + (uint64_t)worker->plan->tai_minus_monotonic_ns;
    uint32_t frames = 0;
    uint32_t events = 0;
    begin_round(worker, monotonic_ns);
    for (; events < EVENTS_PER_ROUND && uring_next(worker->uring, &event); events++) {
        frames += complete_one(worker, &event, monotonic_ns, tai_ns);
    }
    worker->more = false;
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        frames += take(worker, i, monotonic_ns, tai_ns);
    }
    worker->found = events > 0 || frames > 0;
    return frames;
}

/* Up to when something is to be done that no completion tells: a frame to be replayed or played, a file to be
 * looked at again. */
static uint64_t until_due(const struct worker *worker, uint64_t now_ns)
{
    uint64_t due_ns = now_ns + WAIT_NS;
    for (uint32_t i = 0; i < worker->plan->sources; i++) {
        uint64_t wakes_ns = UINT64_MAX;
        if (is_stream(worker->plan->source[i].kind)) {
            wakes_ns = stream_wakes_at(&worker->source[i].u.stream);
            wakes_ns = wakes_ns > worker->armed_ns ? wakes_ns : UINT64_MAX; /* else it waits for a slot */
        } else if (worker->plan->source[i].kind == SOURCE_RECORDING) {
            wakes_ns = recording_wakes_at(&worker->source[i].u.recording);
        }
        due_ns = wakes_ns < due_ns ? wakes_ns : due_ns;
    }
    return due_ns > now_ns ? due_ns - now_ns : 1;
}

/* How long the wait may sleep: a duty-cycled worker spins for spin_us, then sleeps for sleep_us. */
static uint64_t wait_for_ns(struct worker *worker)
{
    const struct thread_plan *thread = &worker->plan->thread;
    if (thread->idle == IDLE_BUSY || worker->more) {
        return 0;
    }
    uint64_t now_ns = clock_monotonic_ns();
    if (thread->idle == IDLE_WAIT) {
        return until_due(worker, now_ns);
    }
    if (now_ns - worker->spin_since_ns < thread->spin_us * CLOCK_NS_PER_US) {
        return 0;
    }
    worker->spin_since_ns = now_ns + thread->sleep_us * CLOCK_NS_PER_US;
    return thread->sleep_us * CLOCK_NS_PER_US;
}

/* Frames that come one by one faster than coalesce_us are waited for together: a system call for each is what they
 * cost most. */
static void wait(struct worker *worker)
{
    uint64_t wait_ns = wait_for_ns(worker);
    uint64_t gather_ns = coalesce_ns(worker->plan);
    if (worker->gathers && wait_ns > 0) {
        (void)uring_wait_many(worker->uring, GATHERED_MAX, wait_ns < gather_ns ? wait_ns : gather_ns);
    } else {
        (void)uring_wait(worker->uring, wait_ns);
    }
}

static void watch_pace(struct worker *worker, uint32_t frames, uint64_t now_ns)
{
    if (frames > 0) {
        worker->gathers = worker->may_gather && now_ns - worker->taken_ns < 2 * coalesce_ns(worker->plan);
        worker->taken_ns = now_ns;
    } else {
        worker->gathers = false;
    }
}

uint32_t worker_cycle(struct worker *worker)
{
    worker_rings_look(worker->ring, worker->plan->sources, worker->leases_fd, clock_monotonic_ns());
    arm(worker);
    wait(worker);
    uint32_t frames = complete(worker);
    uint64_t now_ns = clock_monotonic_ns();
    watch_pace(worker, frames, now_ns);
    worker_rings_ring_bells(worker->ring, worker->plan->sources, worker->bell_fd);
    if (worker->plan->thread.idle == IDLE_BUSY) {
        board_beat_busy(worker->board, now_ns);
    } else {
        board_beat(worker->board, now_ns);
    }
    return frames;
}

void worker_run(struct worker *worker, const volatile sig_atomic_t *stop)
{
    while (*stop == 0) {
        worker_cycle(worker);
    }
    /* Loss-free stop: what the kernel has already received is still published, also of sources that rest. */
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < worker->plan->sources; i++) {
            if (is_stream(worker->plan->source[i].kind)) {
                stream_hurry(&worker->source[i].u.stream);
            }
        }
        arm(worker);
        (void)uring_wait(worker->uring, 0);
        complete(worker);
    }
    opener_stop(&worker->opener);
}
