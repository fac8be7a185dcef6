/* What readers in C and in Python carry, and what they cost. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bench/plan.h"
#include "bench/readers_rig.h"
#include "bench/tsc.h"

#define PROCESSES_MIN 3u /* that attach, each once */
#define PROCESSES_MAX 31u

static void take_counts(const struct readers_rig *rig, struct outcome *outcome)
{
    const struct readers_page *page = readers_page_of(rig, 0);
    outcome->frames += page->frames;
    outcome->lost += page->lost;
    outcome->wrong += page->wrong;
}

static void measure_sum(struct readers_rig *rig, struct outcome *outcome)
{
    outcome->code = readers_start(rig, &outcome->err);
    if (outcome->code == 0) {
        outcome->code = readers_wait(rig, 0, READERS_DONE, &outcome->err);
    }
    if (outcome->code == 0) {
        for (uint32_t i = 0; i < rig->path->value_count; i++) {
            outcome->values[i] = readers_page_of(rig, 0)->values[i];
        }
        take_counts(rig, outcome);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of each value the median of all processes. */
static void measure_attach_readers(struct readers_rig *rig, struct outcome *outcome)
{
    double found[READERS_VALUES][PROCESSES_MAX];
    uint32_t values = rig->path->value_count;
    uint32_t n = 0;
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(rig->question->seconds * 1e9);
    while (n < PROCESSES_MAX && (n < PROCESSES_MIN || clock_monotonic_ns() < end_ns)) {
        outcome->code = readers_start(rig, &outcome->err);
        if (outcome->code == 0) {
            outcome->code = readers_wait(rig, 0, READERS_DONE, &outcome->err);
        }
        if (outcome->code != 0) {
            return;
        }
        for (uint32_t i = 0; i < values; i++) {
            found[i][n] = readers_page_of(rig, 0)->values[i];
        }
        take_counts(rig, outcome);
        readers_stop(rig);
        n++;
    }
    for (uint32_t i = 0; i < values; i++) {
        qsort(found[i], n, sizeof(found[i][0]), compare);
        outcome->values[i] = found[i][n / 2];
    }
}

/* Ten million readings: ms, then KiB: private at the end, the most seen meanwhile, shared. */
static void measure_hold(struct readers_rig *rig, struct outcome *outcome)
{
    const struct readers_page *page = readers_page_of(rig, 0);
    outcome->code = readers_start(rig, &outcome->err);
    if (outcome->code == 0) {
        outcome->code = readers_wait(rig, 0, READERS_READY, &outcome->err);
    }
    if (outcome->code != 0) {
        return;
    }
    double before_kb = readers_anonymous_kb(rig->pid[0]);
    rig->peak_kb = before_kb;
    readers_tell(rig, READERS_GO);
    outcome->code = readers_wait(rig, 0, READERS_DONE, &outcome->err);
    if (outcome->code == 0) {
        double grown = rig->peak_kb - before_kb;
        outcome->values[0] = page->values[0];
        outcome->values[1] = page->values[1];
        outcome->values[2] = grown > page->values[1] ? grown : page->values[1];
        outcome->values[3] = page->values[2];
        take_counts(rig, outcome);
    }
}

static void measure_with_ring(struct readers_rig *rig, struct outcome *outcome)
{
    switch (rig->path->way) {
    case READERS_FLOW:
        readers_flow(rig, outcome);
        break;
    case READERS_MOST:
        readers_most(rig, outcome);
        break;
    case READERS_ATTACH:
        measure_attach_readers(rig, outcome);
        break;
    case READERS_IMPACT:
        readers_impact(rig, outcome);
        break;
    case READERS_HOLD:
        measure_hold(rig, outcome);
        break;
    default:
        measure_sum(rig, outcome);
        break;
    }
}

void measure_readers(const struct question *question, struct outcome *outcome)
{
    static struct readers_rig rig;
    (void)tsc_per_ns();
    outcome->code = 0;
    if (question->readers->way == READERS_MEMORY) {
        outcome->code = readers_memory(question, outcome);
        return;
    }
    outcome->code = readers_open(&rig, question, &outcome->err);
    if (outcome->code == 0) {
        measure_with_ring(&rig, outcome);
    }
    readers_close(&rig);
}
