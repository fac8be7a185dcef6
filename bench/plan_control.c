/* The cases of `sluice-bench control`. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/decisions.h"
#include "bench/engine_paths.h"
#include "bench/instructions.h"
#include "bench/plan.h"
#include "bench/report.h"

#define CONTROL_PRIORITY   80
#define RULES_MOST         256u
#define PATH_SHARE         0.1   /* of --seconds, for each path of the engine */
#define SECONDS_A_DECISION 50e-6 /* more than one takes, for --decisions */

static const char *const value_names[DECISION_VALUES] = {
    "decision_p50", "decision_p99",     "decision_p999", "decision_p9999", "decision_p99999",
    "decision_max", "late_per_million", "unexplained",   "stalls_5us",     "stalls_50us",
    "stalls_500us", "stall_share",      "stall_max",     "wake_max",       "preempted",
    "undetected",   "misses",           "unacted",       "trips"};
static const char *const value_units[DECISION_VALUES] = {
    "ns",  "ns",   "ns", "ns", "ns",  "ns",        "decisions", "decisions", "1/s",  "1/s",
    "1/s", "us/s", "us", "us", "1/s", "decisions", "cycles",    "cycles",    "trips"};

/* In memory shared with the processes that measure. */
struct shared {
    struct decisions_total total[PLAN_CASES_MAX];
    struct decisions_spec spec[PLAN_CASES_MAX];
};

struct maker {
    struct plan *plan;
    const struct environment *environment;
    double seconds;
    uint64_t decisions;
    struct shared *shared;
};

static struct real_time real_time;

static struct row *add_row(struct maker *m, const char *name, const char *variant, const char *unit, bool floor)
{
    struct row *row = &m->plan->rows[m->plan->row_count++];
    *row = (struct row){.name = name,
                        .unit = unit,
                        .stall_us = -1,
                        .kind = floor ? PEER_FLOOR : PEER_OURS,
                        .batch = 1,
                        .is_floor = floor};
    snprintf(row->variant, sizeof(row->variant), "%s", variant);
    return row;
}

/* NULL if it is not wanted. Its rows follow. */
static struct plan_case *add_case(struct maker *m, const char *name, const char *variant, measure_body *body,
                                  uint32_t rows)
{
    if (!plan_wants(m->plan->only, name, variant) || m->plan->case_count == PLAN_CASES_MAX ||
        m->plan->row_count + rows + 1 > ROWS_MAX) {
        return NULL;
    }
    struct plan_case *c = &m->plan->cases[m->plan->case_count++];
    *c = (struct plan_case){.first_row = m->plan->row_count, .row_count = rows};
    for (uint32_t i = 0; i < MEASURE_VALUES_MAX; i++) {
        c->scale[i] = 1;
    }
    c->question = (struct question){.body = body, .seconds = m->seconds, .core_count = m->environment->core_count};
    memcpy(c->question.cores, m->environment->cores, sizeof(c->question.cores));
    return c;
}

static void name_variant(struct decisions_spec *spec)
{
    char rules[16];
    snprintf(rules, sizeof(rules), "-r%u", spec->rules);
    snprintf(spec->variant, sizeof(spec->variant), "%s-%s-%s%s%s", spec->floor ? "floor" : "sluice",
             spec->idle == IDLE_BUSY ? "busy" : "duty", spec->loaded ? "loaded" : "idle",
             spec->port == PORT_UDP ? "-udp" : "", spec->floor ? "" : rules);
}

static void add_decisions(struct maker *m, const struct decisions_spec *wanted)
{
    struct decisions_spec spec = *wanted;
    name_variant(&spec);
    uint32_t group = (spec.idle == IDLE_BUSY ? 1 : 0) + (spec.loaded ? 2 : 0) + (spec.port == PORT_UDP ? 4 : 0);
    uint32_t rows = spec.floor ? FLOOR_VALUES : DECISION_VALUES;
    struct plan_case *c = add_case(m, "decisions", spec.variant, measure_decisions, rows);
    if (c == NULL) {
        return;
    }
    uint32_t index = (uint32_t)(c - m->plan->cases);
    m->shared->spec[index] = spec;
    m->shared->spec[index].most = m->decisions;
    c->question.decisions = &m->shared->spec[index];
    c->question.total = &m->shared->total[index];
    c->question.rules = spec.rules;
    c->question.cap_s = (double)m->decisions * SECONDS_A_DECISION;
    for (uint32_t i = 0; i < rows; i++) {
        struct row *row = add_row(m, value_names[i], spec.variant, value_units[i], spec.floor);
        row->group = group;
    }
    if (!spec.floor) {
        add_row(m, "decision_added", spec.variant, "ns", false)->group = group;
    }
}

/* The floor and what is compared with it, one after the other. */
static void add_group(struct maker *m, enum idle_mode idle, bool loaded)
{
    static const uint32_t rules[] = {1, 16, 256};
    struct decisions_spec spec = {.idle = idle, .loaded = loaded, .port = PORT_STORE, .floor = true};
    add_decisions(m, &spec);
    spec.floor = false;
    for (uint32_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        spec.rules = rules[i];
        add_decisions(m, &spec);
    }
    spec = (struct decisions_spec){.idle = idle, .loaded = loaded, .port = PORT_UDP, .floor = true};
    add_decisions(m, &spec);
    spec.floor = false;
    spec.rules = 16;
    add_decisions(m, &spec);
}

static void add_path(struct maker *m, const struct engine_path *path, uint32_t rules, double seconds)
{
    char variant[48];
    snprintf(variant, sizeof(variant), "%s-r%u", path->name, rules);
    struct plan_case *c = add_case(m, "engine_step", variant, measure_engine, 2);
    if (c != NULL) {
        c->question.path = path;
        c->question.rules = rules;
        c->question.seconds = seconds;
        add_row(m, "engine_step", variant, "ns", false);
        add_row(m, "engine_step_p99", variant, "ns", false);
    }
}

static void add_cycle(struct maker *m, uint32_t rules)
{
    static const char *const names[] = {"cycle_idle", "cycle_frame", "cycle_full", "cycle_idle_off",
                                        "cycle_frame_off"};
    const uint32_t count = sizeof(names) / sizeof(names[0]);
    char variant[48];
    snprintf(variant, sizeof(variant), "sluice-r%u", rules);
    struct plan_case *c = add_case(m, "cycle", variant, measure_cycle, count);
    for (uint32_t i = 0; c != NULL && i < count; i++) {
        c->question.rules = rules;
        add_row(m, names[i], variant, "ns", false);
    }
}

static void add_instruments(struct maker *m)
{
    static const char *const instrument_names[] = {"instruments_record", "instruments_plain_off",
                                                   "instruments_plain", "instruments_packet_off",
                                                   "instruments_packet"};
    const uint32_t count = sizeof(instrument_names) / sizeof(instrument_names[0]);
    struct plan_case *c = add_case(m, "instruments", "sluice-writer", measure_instruments, count);
    for (uint32_t i = 0; c != NULL && i < count; i++) {
        add_row(m, instrument_names[i], "sluice-writer", "ns", false);
    }
}

static void add_observer(struct maker *m)
{
    static const char *const switch_names[] = {"switch_off", "switch_others", "switch_watched"};
    const uint32_t count = sizeof(switch_names) / sizeof(switch_names[0]);
    struct plan_case *c = add_case(m, "observer", "sluice-observer", measure_observer, count);
    for (uint32_t i = 0; c != NULL && i < count; i++) {
        add_row(m, switch_names[i], "sluice-observer", "ns", false);
    }
}

static void add_engine(struct maker *m)
{
    static const uint32_t rules[] = {1, 16, 64, RULES_MOST};
    for (uint32_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        add_cycle(m, rules[i]);
        add_path(m, engine_path_at(0), rules[i], m->seconds);
        add_path(m, engine_path_at(1), rules[i], m->seconds);
    }
    for (uint32_t i = 2; i < engine_path_count(); i++) {
        add_path(m, engine_path_at(i), RULES_MOST, m->seconds * PATH_SHARE);
    }
}

void plan_control(struct plan *plan, const struct environment *environment, double seconds, uint64_t decisions,
                  const char *only)
{
    *plan = (struct plan){.only = only, .real_time = &real_time};
    real_time = (struct real_time){
        .policy = -1, .priority = CONTROL_PRIORITY, .rt_runtime_us = environment->host.rt_runtime_us};
    struct maker m = {.plan = plan, .environment = environment, .seconds = seconds, .decisions = decisions};
    m.shared = mmap(NULL, sizeof(*m.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m.shared == MAP_FAILED) {
        fprintf(stderr, "sluice-bench control: no memory for the results: %s\n", strerror(errno));
        // cppcheck-suppress memleak ; there is none
        return;
    }
    add_group(&m, IDLE_BUSY, false);
    add_group(&m, IDLE_BUSY, true);
    add_group(&m, IDLE_DUTY, false);
    add_group(&m, IDLE_DUTY, true);
    add_engine(&m);
    add_instruments(&m);
    add_observer(&m);
}

static struct row *find_row(struct plan *plan, const char *name, uint32_t group, bool floor)
{
    for (uint32_t i = 0; i < plan->row_count; i++) {
        struct row *row = &plan->rows[i];
        if (strcmp(row->name, name) == 0 && row->group == group && row->is_floor == floor) {
            return row;
        }
    }
    return NULL;
}

/* Round by round, the median less the floor's. */
static void finish_added(struct plan *plan, struct row *p50)
{
    const struct row *floor = find_row(plan, p50->name, p50->group, true);
    struct row *added = p50 + DECISION_VALUES;
    for (uint32_t i = 0; i < p50->rounds; i++) {
        added->samples[i] = floor != NULL ? p50->samples[i] - floor->samples[i] : NAN;
    }
    if (floor == NULL) {
        added->note = "not available: its floor was left out";
    }
}

static double pooled(const struct decisions_total *total, uint32_t value)
{
    static const double shares[] = {0.5, 0.99, 0.999, 0.9999, 0.99999};
    if (value < DECISION_MAX) {
        return (double)spread_quantile_ns(&total->spread, shares[value]);
    }
    if (value == DECISION_MAX) {
        return (double)total->spread.max_ns;
    }
    if (value == DECISION_LATE) {
        return total->values[value] * 1e6 / (double)total->spread.count;
    }
    bool rate = value == PREEMPTED || (value >= STALL_5US && value <= STALL_SHARE);
    return rate ? total->values[value] / total->seconds : total->values[value];
}

static void finish_decisions(struct plan *plan, const struct plan_case *c)
{
    struct row *rows = &plan->rows[c->first_row];
    const struct decisions_total *total = c->question.total;
    for (uint32_t i = 0; i < c->row_count && total->spread.count > 0; i++) {
        rows[i].has_pooled = true;
        rows[i].pooled = pooled(total, i);
    }
    if (total->spread.count > 0) {
        real_time.policy = total->policy;
        real_time.locked = total->locked;
    }
    if (!c->question.decisions->floor) {
        finish_added(plan, rows);
    }
}

static uint32_t index_of(const struct engine_path *path)
{
    uint32_t i = 0;
    while (engine_path_at(i) != path) {
        i++;
    }
    return i;
}

static bool is_path_of(const struct question *question, uint32_t rules)
{
    return question->body == measure_engine && question->rules == rules;
}

/* Counted once: they are the same in every run. */
static void finish_instructions(struct plan *plan, uint32_t rules)
{
    static double steps[PLAN_CASES_MAX];
    static struct error err;
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->case_count; i++) {
        const struct question *q = &plan->cases[i].question;
        if (is_path_of(q, rules) && index_of(q->path) >= count) {
            count = index_of(q->path) + 1;
        }
    }
    int code = count > 0 ? instructions_count(rules, count, steps, &err) : 0;
    for (uint32_t i = 0; i < plan->case_count && plan->row_count < ROWS_MAX; i++) {
        const struct plan_case *c = &plan->cases[i];
        if (!is_path_of(&c->question, rules)) {
            continue;
        }
        struct maker m = {.plan = plan};
        struct row *row =
            add_row(&m, "engine_instructions", plan->rows[c->first_row].variant, "instructions", false);
        row->rounds = 1;
        row->samples[0] = code == 0 ? steps[index_of(c->question.path)] : NAN;
        row->note = code == 0 ? NULL : err.text;
    }
}

void plan_control_finish(struct plan *plan)
{
    static const uint32_t rules[] = {1, 16, 64, RULES_MOST};
    for (uint32_t i = 0; i < plan->case_count; i++) {
        if (plan->cases[i].question.body == measure_decisions) {
            finish_decisions(plan, &plan->cases[i]);
        }
    }
    for (uint32_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        finish_instructions(plan, rules[i]);
    }
}
