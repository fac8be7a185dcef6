#include "bench/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/host.h"
#include "ring/clock.h"

#define LIMIT_S 30.0 /* over what was asked for: a measurement that takes longer hangs */
#define WARM_S  0.02 /* of a measurement that only warms up */
/* What a measurement takes beside --seconds, for who waits. */
#define START_S         0.1
#define NET_START_S     1.5
#define NET_TRIALS_S    14.0
#define NET_TRIAL_S     0.15
#define DAQ_START_S     0.6
#define DAQ_TIMES       1.25
#define DISK_START_S    2.5
#define DISK_TIMES      1.5
#define READERS_START_S 1.2
#define READERS_TIMES   2.5

static volatile sig_atomic_t stopped;
static int stop_fd = -1;
static pid_t stop_pid; /* whose it is: those that measure have inherited the signals' handler */

int plan_stop_fd(void)
{
    if (stop_fd < 0) {
        stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        stop_pid = getpid();
    }
    return stop_fd;
}

void plan_stop(void)
{
    int saved = errno;
    stopped = 1;
    if (stop_pid == getpid()) {
        (void)!write(stop_fd, &(uint64_t){1}, sizeof(uint64_t));
    }
    errno = saved;
}

bool plan_stopped(void)
{
    return stopped != 0;
}

bool plan_wants(const char *only, const char *name, const char *variant)
{
    const char *end;
    if (only == NULL) {
        return true;
    }
    for (const char *word = only; word != NULL; word = end != NULL ? end + 1 : NULL) {
        end = strchr(word, ',');
        size_t n = end != NULL ? (size_t)(end - word) : strlen(word);
        bool is_name = strncmp(word, name, n) == 0 && name[n] == 0;
        bool is_variant = strncmp(variant, word, n) == 0 && (variant[n] == 0 || variant[n] == '-');
        if (n > 0 && (is_name || is_variant)) {
            return true;
        }
    }
    return false;
}

static void drop(struct plan *plan, struct plan_case *c, const struct outcome *outcome)
{
    snprintf(c->reason, sizeof(c->reason), "%s",
             outcome->err.text[0] != 0 ? outcome->err.text : strerror(-outcome->code));
    c->dropped = true;
    for (uint32_t i = 0; i < c->row_count; i++) {
        plan->rows[c->first_row + i].note = c->reason;
    }
}

static void take(struct plan *plan, struct plan_case *c, uint32_t round, const struct outcome *outcome,
                 const struct stall_evidence *evidence)
{
    bool is_noted = outcome->note[0] != 0;
    if (is_noted) {
        snprintf(c->reason, sizeof(c->reason), "%s", outcome->note);
    }
    for (uint32_t i = 0; i < c->row_count; i++) {
        struct row *row = &plan->rows[c->first_row + i];
        row->samples[round] = outcome->values[i] * c->scale[i];
        row->stall_us = outcome->stall_us > row->stall_us ? outcome->stall_us : row->stall_us;
        stalls_add(&row->stalls, evidence);
        row->frames += outcome->frames;
        row->lost += outcome->lost;
        row->wrong += outcome->wrong;
        row->capped = row->capped || outcome->capped;
        row->note = is_noted ? c->reason : row->note;
    }
}

/* The child's own record, and what the hypervisor took from the bench's cores meanwhile. */
static struct stall_evidence measure(const struct question *q, struct outcome *outcome)
{
    uint64_t before[MEASURE_CORES_MAX];
    uint64_t after[MEASURE_CORES_MAX];
    struct stall_evidence evidence = {.tick_hz = host_tick_hz()};
    uint64_t from_ns = clock_monotonic_ns();
    host_steal(q->cores, q->core_count, before);
    measure_in_child(q, q->seconds + q->cap_s + LIMIT_S, outcome);
    host_steal(q->cores, q->core_count, after);
    evidence.seconds = (double)(clock_monotonic_ns() - from_ns) / (double)CLOCK_NS_PER_S;
    for (uint32_t i = 0; i < q->core_count; i++) {
        uint64_t ticks = after[i] - before[i];
        evidence.steal_ticks = ticks > evidence.steal_ticks ? ticks : evidence.steal_ticks;
    }
    evidence.own_us = outcome->stall_us;
    return evidence;
}

/* 1 if it failed, and that is said. */
static uint32_t say_failed(struct plan *plan, struct plan_case *c, const struct outcome *outcome)
{
    const struct row *row = &plan->rows[c->first_row];
    drop(plan, c, outcome);
    if (outcome->code != -ENOTSUP) {
        fprintf(stderr, "sluice-bench: %s %s of %u bytes failed: %s\n", row->name, row->variant, row->size_bytes,
                row->note);
    }
    return outcome->code != -ENOTSUP;
}

/* 1 if it failed, and that is said. What was broken off by plan_stop says nothing. */
static uint32_t ask(struct plan *plan, struct plan_case *c, uint32_t round)
{
    struct outcome outcome;
    const struct row *row = &plan->rows[c->first_row];
    struct stall_evidence evidence = measure(&c->question, &outcome);
    if (plan_stopped()) {
        return 0;
    }
    if (outcome.code != 0) {
        return say_failed(plan, c, &outcome);
    }
    evidence.own_us = c->is_stall ? -1 : evidence.own_us;
    take(plan, c, round, &outcome, &evidence);
    if (outcome.wrong > 0) {
        fprintf(stderr, "sluice-bench: %s %s of %u bytes: %" PRIu64 " of %" PRIu64 " frames came out wrong\n",
                row->name, row->variant, row->size_bytes, outcome.wrong, outcome.wrong + outcome.frames);
    }
    c->dropped = outcome.capped; /* the cap takes long, and would be the same again */
    return outcome.wrong > 0;
}

/* What is not to be warmed up: it starts programs of its own, or a search that warms itself up. */
static bool is_warmed(const struct question *q)
{
    return q->body != measure_death && q->body != measure_attach && q->body != measure_net &&
           q->body != measure_daq && q->body != measure_record && q->body != measure_readers;
}

static double expected_s(const struct plan_case *c, bool warm)
{
    const struct question *q = &c->question;
    if (warm) {
        return is_warmed(q) ? WARM_S + START_S : 0;
    }
    if (q->body == measure_net) {
        return NET_START_S + NET_TRIALS_S * (q->seconds + NET_TRIAL_S);
    }
    if (q->body == measure_record) {
        return DISK_START_S + DISK_TIMES * q->seconds;
    }
    if (q->body == measure_readers) {
        return READERS_START_S + READERS_TIMES * q->seconds;
    }
    return q->body == measure_daq ? DAQ_START_S + DAQ_TIMES * q->seconds : q->seconds + START_S;
}

double plan_expected_s(const struct plan *plan, bool warm)
{
    double s = 0;
    for (uint32_t i = 0; i < plan->case_count; i++) {
        s += expected_s(&plan->cases[i], warm);
    }
    return s;
}

static void tell(const struct plan *plan, const struct plan_case *c, int round)
{
    const struct row *row = &plan->rows[c->first_row];
    char what[96];
    snprintf(what, sizeof(what), "%s %s", row->name, row->variant);
    if (plan->progress != NULL) {
        progress_case(plan->progress, plan->question, round, plan->rounds, what);
    }
}

static void tell_done(const struct plan *plan, const struct plan_case *c, bool warm)
{
    if (plan->progress != NULL) {
        progress_add(plan->progress, expected_s(c, warm));
    }
}

uint32_t plan_warm_up(struct plan *plan)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < plan->case_count && !plan_stopped(); i++) {
        struct plan_case *c = &plan->cases[i];
        struct outcome outcome;
        if (is_warmed(&c->question)) {
            tell(plan, c, -1);
            struct question q = c->question;
            q.warm = true;
            q.seconds = q.seconds < WARM_S ? q.seconds : WARM_S;
            measure_in_child(&q, WARM_S + LIMIT_S, &outcome);
            failed += outcome.code != 0 && !plan_stopped() ? say_failed(plan, c, &outcome) : 0;
            tell_done(plan, c, true);
        }
    }
    return failed;
}

uint32_t plan_round(struct plan *plan, uint32_t round)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < plan->row_count; i++) {
        plan->rows[i].samples[round] = NAN;
        plan->rows[i].rounds = round + 1;
    }
    for (uint32_t i = 0; i < plan->case_count && !plan_stopped(); i++) {
        if (!plan->cases[i].dropped) {
            tell(plan, &plan->cases[i], (int)round);
            failed += ask(plan, &plan->cases[i], round);
        }
        tell_done(plan, &plan->cases[i], false);
    }
    return failed;
}
