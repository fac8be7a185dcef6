/* What a reader carries that consumes every byte: at the rate of a line, and the most. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/plan.h"
#include "bench/readers_rig.h"

#define GBIT       (8 / 1e9)
#define PERCENT    100.0
#define TRIALS_MAX 8    /* rates that are tried; each once more if it was no good */
#define LATE_SHARE 0.02 /* of a trial's time, in which a reader that keeps up has come to its end .. */
#define LATE_NS    5e6  /* .. or at most that */

struct flow {
    double offered; /* bytes of payload per second */
    double carried; /* until the reader had come to the end */
    double cpu_percent;
    double late_ns; /* it came to the end so much later than the writer */
    double ns;
    uint64_t frames;
    uint64_t lost;
};

static int wait_until_read(const struct readers_rig *rig, struct error *err)
{
    const struct readers_page *page = readers_page_of(rig, 0);
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(READERS_PATIENCE_S * 1e9);
    while (__atomic_load_n(&page->position, __ATOMIC_ACQUIRE) < rig->writer->next) {
        uint64_t state = __atomic_load_n(&page->state, __ATOMIC_ACQUIRE);
        if (plan_stopped()) {
            return -EINTR;
        }
        if (state == READERS_FAILED || state == READERS_DONE || clock_monotonic_ns() > end_ns) {
            return error_set(err, -ECHILD, "a reader came to position %llu, expected %llu: %.*s",
                             (unsigned long long)page->position, (unsigned long long)rig->writer->next,
                             (int)sizeof(page->text) - 1, page->text);
        }
    }
    return 0;
}

static int flow_for(struct readers_rig *rig, double pace, struct flow *flow, struct error *err)
{
    const struct readers_page *page = readers_page_of(rig, 0);
    uint64_t frames = page->frames;
    uint64_t lost = page->lost;
    uint64_t cpu_ns = readers_cpu_ns(rig);
    uint64_t first = rig->writer->next;
    uint64_t from_ns = clock_monotonic_ns();
    flow->offered = readers_feed(rig, rig->question->seconds, pace);
    uint64_t fed_ns = clock_monotonic_ns();
    int code = wait_until_read(rig, err);
    if (code != 0) {
        return code;
    }
    uint64_t end_ns = clock_monotonic_ns();
    flow->ns = (double)(end_ns - from_ns);
    flow->late_ns = (double)(end_ns - fed_ns);
    flow->frames = page->frames - frames;
    flow->lost = page->lost - lost;
    flow->carried = (double)flow->frames * rig->path->frame_bytes / flow->ns * 1e9;
    flow->cpu_percent = (double)(readers_cpu_ns(rig) - cpu_ns) / flow->ns * PERCENT;
    uint64_t sent = rig->writer->next - first;
    return flow->frames + flow->lost == sent
               ? 0
               : error_set(err, -EIO, "expected %llu frames read or told as lost, found %llu and %llu",
                           (unsigned long long)sent, (unsigned long long)flow->frames,
                           (unsigned long long)flow->lost);
}

/* The reader has seen every page when it is ready. */
static int begin(struct readers_rig *rig, struct outcome *outcome)
{
    int code = readers_start(rig, &outcome->err);
    return code == 0 ? readers_wait(rig, 0, READERS_READY, &outcome->err) : code;
}

static void end(struct readers_rig *rig, struct outcome *outcome)
{
    const struct readers_page *page = readers_page_of(rig, 0);
    outcome->wrong = page->wrong;
    outcome->stall_us = (double)rig->longest_ns / (double)CLOCK_NS_PER_US;
}

void readers_flow(struct readers_rig *rig, struct outcome *outcome)
{
    struct flow flow;
    outcome->code = begin(rig, outcome);
    if (outcome->code == 0) {
        outcome->code = flow_for(rig, rig->path->pace, &flow, &outcome->err);
    }
    if (outcome->code != 0) {
        return;
    }
    end(rig, outcome);
    outcome->frames = flow.frames;
    outcome->lost = flow.lost;
    outcome->values[0] = flow.carried * GBIT;
    outcome->values[1] = flow.cpu_percent;
    outcome->values[2] = (double)flow.lost;
    if (flow.offered < rig->path->pace * (1 - LATE_SHARE)) {
        snprintf(outcome->note, sizeof(outcome->note), "the writer was held up: only %.2f Gbit/s were offered",
                 flow.offered * GBIT);
    }
}

static bool is_good(const struct flow *flow)
{
    double most = flow->ns * LATE_SHARE > LATE_NS ? flow->ns * LATE_SHARE : LATE_NS;
    return flow->lost == 0 && flow->late_ns <= most;
}

/* A ring takes up what a reader is behind; who has not read all soon after the end has not kept up. */
static int try_rate(struct readers_rig *rig, double pace, struct flow *flow, struct outcome *outcome)
{
    int code = 0;
    for (int attempt = 0; attempt < 2 && code == 0; attempt++) {
        code = flow_for(rig, pace, flow, &outcome->err);
        outcome->values[1]++;
        outcome->frames += code == 0 ? flow->frames : 0;
        if (code == 0 && is_good(flow)) {
            return 0;
        }
    }
    return code;
}

void readers_most(struct readers_rig *rig, struct outcome *outcome)
{
    struct flow flow;
    double good = 0;
    outcome->code = begin(rig, outcome);
    if (outcome->code == 0) {
        outcome->code = try_rate(rig, 0, &flow, outcome);
    }
    if (outcome->code == 0 && is_good(&flow)) {
        good = flow.offered;
        snprintf(outcome->note, sizeof(outcome->note), "as much as the writer can");
    } else if (outcome->code == 0) {
        double bad = flow.offered;
        double pace = flow.carried < bad ? flow.carried : bad / 2; /* what it did carry is the first guess */
        for (int trial = 1; trial < TRIALS_MAX && outcome->code == 0; trial++) {
            outcome->code = try_rate(rig, pace, &flow, outcome);
            if (outcome->code == 0 && is_good(&flow)) {
                good = flow.offered;
            } else {
                bad = pace;
            }
            pace = (good + bad) / 2;
        }
    }
    if (outcome->code == 0) {
        end(rig, outcome);
        outcome->values[0] = good * GBIT;
    }
}
