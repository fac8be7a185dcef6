/* The loop: wait until a burst is due, take it from the plan, write it where the transport wants it, send it. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "ring/clock.h"
#include "tools/gen/generator.h"

#define BURST_NS        20000u /* the frames of about so long leave together, unless --burst says how many */
#define BURST_AUTO_MAX  64u
#define SLEEP_MAX_NS    100000000u /* a signal that comes just before a sleep does not end it */
#define HEARTBEATS_NONE UINT64_MAX

struct run {
    struct generator *generator;
    const struct options *options;
    struct run_result *result;
    struct plan plan;
    struct plan_item items[PLAN_ITEMS_MAX];
    uint64_t end_ns;       /* of --seconds; UINT64_MAX: none */
    uint64_t spin_ns;      /* what is further away than twice this is slept for, up to this before it */
    uint64_t heartbeat_ns; /* when the next is due */
    uint64_t looked_ns;    /* when the last burst began */
    uint32_t burst;
    bool ending; /* only what is held back is still to be sent, without a pace */
};

static bool stopped(const struct run *run)
{
    return *run->generator->stop != 0;
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / CLOCK_NS_PER_S), .tv_nsec = (long)(at_ns % CLOCK_NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* The time, which is then or later, unless a stop was asked for. */
static uint64_t wait_until(const struct run *run, uint64_t at_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    while (now_ns < at_ns && !stopped(run)) {
        if (at_ns - now_ns > 2 * run->spin_ns) {
            uint64_t left_ns = at_ns - now_ns - run->spin_ns;
            sleep_until(now_ns + (left_ns < SLEEP_MAX_NS ? left_ns : SLEEP_MAX_NS));
        }
        now_ns = clock_monotonic_ns();
    }
    return now_ns;
}

/* Items that fit into one batch. */
static int send_batch(struct run *run, const struct plan_item *items, uint32_t count, uint64_t tai_ns,
                      struct error *err)
{
    struct generator *g = run->generator;
    struct transport *t = g->transport;
    uint32_t head_bytes = writer_head_bytes(&g->writer);
    uint32_t bytes[TRANSPORT_BATCH_MAX];
    uint8_t *room[TRANSPORT_BATCH_MAX];
    for (uint32_t i = 0; i < count; i++) {
        bytes[i] = head_bytes + items[i].bytes;
    }
    int failed = t->ops->reserve(t, bytes, room, count, err);
    if (failed != 0) {
        return failed;
    }
    for (uint32_t i = 0; i < count; i++) {
        writer_frame(&g->writer, &items[i], tai_ns, room[i]);
    }
    return t->ops->send(t, bytes, count, err);
}

static int send_items(struct run *run, uint32_t count, uint64_t tai_ns, struct error *err)
{
    int failed = 0;
    for (uint32_t from = 0; from < count && failed == 0; from += TRANSPORT_BATCH_MAX) {
        uint32_t n = count - from < TRANSPORT_BATCH_MAX ? count - from : TRANSPORT_BATCH_MAX;
        failed = send_batch(run, run->items + from, n, tai_ns, err);
    }
    return failed;
}

static int send_heartbeat(struct run *run, bool end, uint64_t now_ns, struct error *err)
{
    struct generator *g = run->generator;
    uint32_t bytes = writer_head_bytes(&g->writer) + writer_bytes_min(WRITER_SLUICE);
    uint8_t *room;
    int failed = g->transport->ops->reserve(g->transport, &bytes, &room, 1, err);
    if (failed != 0) {
        return failed;
    }
    writer_heartbeat(&g->writer, run->plan.next, end, now_ns + (uint64_t)g->tai_offset_ns, room);
    run->result->heartbeats++;
    return g->transport->ops->send(g->transport, &bytes, 1, err);
}

/* Waits for the burst, with the heartbeats that are due before it. */
static int wait_for_burst(struct run *run, uint64_t due_ns, uint64_t *now_ns, struct error *err)
{
    int failed = 0;
    *now_ns = run->ending ? clock_monotonic_ns()
                          : wait_until(run, due_ns < run->heartbeat_ns ? due_ns : run->heartbeat_ns);
    while (*now_ns >= run->heartbeat_ns && failed == 0) {
        failed = send_heartbeat(run, false, *now_ns, err);
        run->heartbeat_ns += run->options->heartbeat_ms * CLOCK_NS_PER_MS;
        if (run->heartbeat_ns <= *now_ns) {
            run->heartbeat_ns =
                *now_ns + run->options->heartbeat_ms * CLOCK_NS_PER_MS; /* none twice after a stall */
        }
        if (!run->ending) {
            *now_ns = wait_until(run, due_ns < run->heartbeat_ns ? due_ns : run->heartbeat_ns);
        }
    }
    return failed;
}

/* Numbers or bits that have been dealt with: what time is counted in. */
static uint64_t units_of(const struct run *run)
{
    return run->result->pace.rate.in_bits ? 8 * run->plan.paced : run->plan.next - run->plan.spec.first;
}

/* Behind the end of the burst before, or behind its time if that is later. */
static void look_for_stall(struct run *run, uint64_t due_ns, uint64_t now_ns)
{
    stall_look(&run->result->stalls, due_ns > run->looked_ns ? due_ns : run->looked_ns, now_ns);
    run->looked_ns = now_ns;
}

static int one_burst(struct run *run, struct error *err)
{
    struct pace *pace = &run->result->pace;
    uint64_t due_ns = pace_due_ns(pace, units_of(run));
    uint64_t now_ns;
    if (!run->ending && due_ns < run->end_ns) {
        int failed = wait_for_burst(run, due_ns, &now_ns, err);
        if (failed != 0) {
            return failed;
        }
    } else {
        now_ns = clock_monotonic_ns();
    }
    look_for_stall(run, due_ns, now_ns);
    if (!run->ending && (due_ns >= run->end_ns || now_ns >= run->end_ns || stopped(run))) {
        run->ending = true;
        run->result->interrupted = stopped(run);
        plan_end(&run->plan);
    }
    uint32_t count = plan_take(&run->plan, run->burst, run->items);
    if (!run->ending) {
        pace_begun(pace, due_ns, pace_due_ns(pace, units_of(run)), now_ns);
    }
    return send_items(run, count, now_ns + (uint64_t)run->generator->tai_offset_ns, err);
}

/* Mean size of what is drawn, for a rate in bits. */
static double mean_bytes(const struct generator *g, const struct options *o)
{
    double sum = 0;
    double weights = 0;
    if (o->file != NULL) {
        return (double)g->recording.used / (double)g->recording.frames;
    }
    for (uint32_t i = 0; i < o->sizes; i++) {
        sum += (double)o->size[i].bytes * o->size[i].weight;
        weights += o->size[i].weight;
    }
    return sum / weights;
}

static uint32_t burst_of(const struct generator *g, const struct options *o)
{
    if (o->burst != 0) {
        return (uint32_t)o->burst;
    }
    if (o->max) {
        return BURST_AUTO_MAX;
    }
    double per_s = (double)o->rate.per_1000_s / 1000;
    if (o->rate.in_bits) {
        double bits = 8 * mean_bytes(g, o);
        per_s /= bits > 8 ? bits : 8;
    }
    double burst = per_s * BURST_NS * 1e-9;
    return burst < 1 ? 1 : burst > BURST_AUTO_MAX ? BURST_AUTO_MAX : (uint32_t)burst;
}

static void init_plan(struct run *run)
{
    const struct generator *g = run->generator;
    const struct options *o = run->options;
    struct plan_spec spec = {.seed = o->seed,
                             .first = o->first,
                             .count = o->count != 0 ? o->count : PLAN_ENDLESS,
                             .lose_tail = o->lose_tail,
                             .share = {[PLAN_LOST] = o->lose,
                                       [PLAN_DUPLICATED] = o->duplicate,
                                       [PLAN_REORDERED] = o->reorder,
                                       [PLAN_LATE] = o->late,
                                       [PLAN_CORRUPTED] = o->corrupt},
                             .late_by = (uint32_t)o->late_by,
                             .sizes = o->sizes};
    memcpy(spec.size, o->size, sizeof(spec.size));
    if (o->file != NULL) {
        spec.file_bytes = g->recording.count;
        spec.file_frames = g->recording.frames;
        if (o->count == 0 && o->seconds == 0) {
            spec.count = g->recording.frames * o->repeat;
        }
    }
    plan_init(&run->plan, &spec);
}

static void init_run(struct run *run)
{
    const struct options *o = run->options;
    struct pace_rate as_fast_as_it_goes = {0};
    uint64_t now_ns = clock_monotonic_ns();
    init_plan(run);
    run->burst = burst_of(run->generator, o);
    run->spin_ns = o->spin_us * CLOCK_NS_PER_US;
    if (o->start_at_ns > now_ns) {
        now_ns = wait_until(run, o->start_at_ns);
    }
    uint64_t start_ns = now_ns > o->start_at_ns && o->start_at_ns != 0 && now_ns - o->start_at_ns < CLOCK_NS_PER_S
                            ? o->start_at_ns
                            : now_ns;
    pace_init(&run->result->pace, o->max ? &as_fast_as_it_goes : &o->rate, start_ns,
              o->catch_up_us * CLOCK_NS_PER_US);
    run->end_ns = o->seconds > 0 ? start_ns + (uint64_t)(o->seconds * 1e9) : UINT64_MAX;
    run->heartbeat_ns = o->heartbeat_ms > 0 ? start_ns + o->heartbeat_ms * CLOCK_NS_PER_MS : HEARTBEATS_NONE;
}

static void subtract(struct transport_counts *counts, const struct transport_counts *before)
{
    counts->sent -= before->sent;
    counts->dropped -= before->dropped;
    counts->full -= before->full;
    counts->refused -= before->refused;
    counts->reconnects -= before->reconnects;
}

static void finish(struct run *run, const struct transport_counts *before)
{
    struct run_result *result = run->result;
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t due_ns = pace_due_ns(&result->pace, units_of(run));
    if (!run->ending && due_ns > now_ns) {
        now_ns = due_ns; /* the last frame's time belongs to it */
    } else if (run->ending && !result->interrupted && run->end_ns > now_ns) {
        now_ns = run->end_ns;
    }
    result->elapsed_ns = clock_elapsed_ns(result->pace.start_ns, now_ns);
    result->counts = run->plan.counts;
    result->next = run->plan.next;
    result->sent = run->generator->transport->counts;
    subtract(&result->sent, before);
}

int generator_run(struct generator *generator, const struct options *options, struct run_result *result,
                  struct error *err)
{
    static struct run run;                            /* too large for a stack */
    generator->transport->counts.longest_full_ns = 0; /* a maximum: of this run */
    struct transport_counts before = generator->transport->counts;
    int failed = 0;
    *result = (struct run_result){.first = options->first};
    run = (struct run){.generator = generator, .options = options, .result = result};
    generator->writer.spec.seed = options->seed;
    generator->writer.sizes = 0;
    init_run(&run);
    while (failed == 0 && !plan_done(&run.plan)) {
        failed = one_burst(&run, err);
    }
    finish(&run, &before);
    if (failed == 0 && generator->writer.spec.format == WRITER_SLUICE && !options->no_end) {
        generator->transport->insists = true;
        failed = send_heartbeat(&run, true, clock_monotonic_ns(), err);
        generator->transport->insists = false;
        result->sent = generator->transport->counts;
        subtract(&result->sent, &before);
    }
    return failed;
}
