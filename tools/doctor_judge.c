/* The judgement of what was measured, and of nothing else. */
#include "ring/clock.h"
#include "tools/doctor.h"

#define BUDGET_NS     (1000 * CLOCK_NS_PER_US) /* where no configuration has one */
#define BANDWIDTH_MIN UINT64_C(4000000000)
#define PING_PONG_NS  1000

static uint64_t budget_of(const struct doctor *d)
{
    return d->need.budget_ns > 0 ? d->need.budget_ns : BUDGET_NS;
}

static const struct doctor_core *worst_core(const struct doctor_measures *m, bool timer)
{
    const struct doctor_core *worst = NULL;
    for (uint32_t i = 0; i < m->cores; i++) {
        const struct doctor_core *core = &m->core[i];
        bool there = timer ? core->timers > 0 : core->span_ns > 0;
        if (there && (worst == NULL ||
                      (timer ? core->timer_max_ns > worst->timer_max_ns : core->gap_max_ns > worst->gap_max_ns))) {
            worst = core;
        }
    }
    return worst;
}

/* How many cores nothing is known of. */
static uint32_t not_measured(const struct doctor_measures *m, bool timer)
{
    uint32_t n = m->cores_left_out;
    for (uint32_t i = 0; i < m->cores; i++) {
        n += timer ? m->core[i].timers == 0 : m->core[i].span_ns == 0;
    }
    return n;
}

/* Beyond the budget is bad, whatever else is not known; within it is good if all is known. */
static enum doctor_severity severity_of(const struct doctor *d, uint64_t worst_ns, uint32_t unknown,
                                        enum doctor_severity bad)
{
    return worst_ns > budget_of(d) ? bad : unknown > 0 ? DOCTOR_UNKNOWN : DOCTOR_OK;
}

static void judge_cores(struct doctor *d)
{
    const struct doctor_measures *m = &d->measures;
    const struct doctor_core *core = worst_core(m, false);
    enum doctor_severity bad = d->need.budget_ns > 0 ? DOCTOR_DANGER : DOCTOR_WARNING;
    double budget_us = (double)budget_of(d) / 1e3;
    uint32_t unknown = not_measured(m, false);
    if (core != NULL) {
        doctor_find(d, DOCTOR_STALLS, severity_of(d, core->gap_max_ns, unknown, bad),
                    "up to %.0f us on core %d (budget %.0f us), %.2f %% of its time taken; %u cores not measured",
                    (double)core->gap_max_ns / 1e3, core->core, budget_us,
                    100.0 * (double)core->stolen_ns / (double)core->span_ns, unknown);
    } else {
        doctor_find(d, DOCTOR_STALLS, DOCTOR_UNKNOWN, "no core could be measured");
    }
    core = worst_core(m, true);
    unknown = not_measured(m, true);
    if (core != NULL) {
        doctor_find(
            d, DOCTOR_TIMER, severity_of(d, core->timer_max_ns, unknown, DOCTOR_WARNING),
            "core %d: p50 %.0f us, p99 %.0f us, at most %.0f us late (budget %.0f us); %u cores not measured",
            core->core, (double)core->timer_p50_ns / 1e3, (double)core->timer_p99_ns / 1e3,
            (double)core->timer_max_ns / 1e3, budget_us, unknown);
    } else {
        doctor_find(d, DOCTOR_TIMER, DOCTOR_UNKNOWN, "no core could be measured");
    }
}

static void judge_memory(struct doctor *d)
{
    const struct doctor_measures *m = &d->measures;
    const struct doctor_pair *worst = NULL;
    bool whole = m->cores_left_out == 0 && m->pairs > 0;
    if (m->memcpy_bytes_per_s == 0) {
        doctor_find(d, DOCTOR_BANDWIDTH, DOCTOR_UNKNOWN, "it could not be measured");
    } else {
        doctor_find(d, DOCTOR_BANDWIDTH, m->memcpy_bytes_per_s < BANDWIDTH_MIN ? DOCTOR_WARNING : DOCTOR_OK,
                    "%.1f GB/s on core %d", (double)m->memcpy_bytes_per_s / 1e9, m->core[0].core);
    }
    for (uint32_t i = 0; i < m->pairs; i++) {
        whole = whole && m->pair[i].rounds > 0;
        if (m->pair[i].rounds > 0 && (worst == NULL || m->pair[i].p50_ns > worst->p50_ns)) {
            worst = &m->pair[i];
        }
    }
    if (m->cores == 1 && m->core[0].span_ns > 0 && m->cores_left_out == 0) {
        doctor_find(d, DOCTOR_PING_PONG, DOCTOR_NOTE,
                    "one core only: nothing goes from core to core that is named");
    } else if (worst == NULL) {
        doctor_find(d, DOCTOR_PING_PONG, DOCTOR_UNKNOWN, "no two cores could be measured");
    } else {
        doctor_find(d, DOCTOR_PING_PONG,
                    worst->p50_ns > PING_PONG_NS ? DOCTOR_WARNING
                    : whole                      ? DOCTOR_OK
                                                 : DOCTOR_UNKNOWN,
                    "core %d to %d: p50 %llu ns, at most %.0f us%s", worst->from, worst->to,
                    (unsigned long long)worst->p50_ns, (double)worst->max_ns / 1e3,
                    whole ? "" : "; not all could be measured");
    }
}

void doctor_judge(struct doctor *d)
{
    const struct doctor_measures *m = &d->measures;
    if (m->done) {
        judge_cores(d);
        judge_memory(d);
        return;
    }
    for (enum doctor_key key = DOCTOR_STALLS; key <= DOCTOR_PING_PONG; key++) {
        doctor_find(d, key, DOCTOR_UNKNOWN, "was not measured: %s", m->why_not);
        doctor_advise(d, key, "measure: --seconds N, while no server runs");
    }
}
