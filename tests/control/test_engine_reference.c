/* The engine against the reference (reference.h), written from its description by obvious means: ten million random
 * steps over many small random tables, compared after every one of them. And outputs.changed is honest: what a
 * replay leaves out has changed nothing.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/control/reference.h"
#include "tests/control/reference_world.h"
#include "tests/support/bytes.h"

#ifdef SLUICE_SANITIZED
#define TABLES 12u /* too few for what is rare */
#define RARE   false
#else
#define TABLES 625u
#define RARE   true
#endif
#define STEPS 4000u /* of each table; four tests: 10 million in all */

static struct world world;
static struct engine_state state;
static struct engine_state before;
static struct engine_outputs outputs;
static struct reference reference;

/* What the differing step was about. */
static uint64_t seed;
static uint32_t at_step;
static char differs[4096];
static size_t differs_length;

static void differ(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void differ(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(differs + differs_length, sizeof(differs) - differs_length, format, arguments);
    va_end(arguments);
    differs_length += n > 0 ? (size_t)n : 0;
    differs_length = differs_length < sizeof(differs) - 1 ? differs_length : sizeof(differs) - 1;
}

static void same(const char *what, uint32_t index, uint64_t engine, uint64_t model)
{
    if (engine != model) {
        differ("  %s[%u]: engine %lu (%#lx), reference %lu (%#lx)\n", what, index, engine, engine, model, model);
    }
}

/* To nine digits: how a quotient is rounded is nobody's requirement. */
static bool close_enough(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a <= b && a >= b) || fabs(a - b) <= 1e-9 * fabs(b);
}

static void same_number(const char *what, uint32_t index, double engine, double model)
{
    if (!close_enough(engine, model)) {
        differ("  %s[%u]: engine %.17g, reference %.17g\n", what, index, engine, model);
    }
}

static void same_cause(const char *what, uint32_t i, const struct engine_cause *e, const struct engine_cause *m)
{
    if (e->kind != m->kind) {
        differ("  %s[%u].kind: engine %s, reference %s\n", what, i, engine_cause_name(e->kind),
               engine_cause_name(m->kind));
    }
    same(what, i, e->rule, m->rule);
    same(what, i, e->output, m->output);
    same(what, i, e->members, m->members);
    same(what, i, e->unknown, m->unknown);
    if (m->kind == CAUSE_SELF_TEST || m->kind == CAUSE_DEADLINE || m->kind == CAUSE_OUTPUT) {
        return; /* their channel and value are not told */
    }
    same(what, i, e->channel, m->channel);
    same_number("value", i, e->value, m->value);
    bool one_sample = m->channel != ENGINE_NONE && m->kind != CAUSE_DEVIATION;
    if (m->rule != ENGINE_NONE) {
        same_number("limit", i, e->limit, m->limit);
    }
    if (one_sample || m->channel == ENGINE_NONE) {
        same("tai_ns", i, e->tai_ns, m->tai_ns);
        same("position", i, e->position, m->position);
        same("source_sequence", i, e->source_sequence, m->source_sequence);
    }
}

static void same_causes(const char *what, const struct engine_cause *e, uint32_t count,
                        const struct reference_list *m)
{
    uint32_t expected = m->count < ENGINE_CAUSES_MAX ? m->count : ENGINE_CAUSES_MAX;
    same(what, ENGINE_NONE, count, expected);
    for (uint32_t i = 0; i < count && i < expected; i++) {
        same_cause(what, i, &e[i], &m->cause[i]);
    }
    for (uint32_t i = expected; i < count && i < ENGINE_CAUSES_MAX; i++) {
        differ("  %s[%u]: only the engine has %s, rule %u, channel %u\n", what, i, engine_cause_name(e[i].kind),
               e[i].rule, e[i].channel);
    }
    for (uint32_t i = count; i < expected; i++) {
        differ("  %s[%u]: only the reference has %s, rule %u, channel %u\n", what, i,
               engine_cause_name(m->cause[i].kind), m->cause[i].rule, m->cause[i].channel);
    }
}

static void compare_causes(void)
{
    static struct reference_list all;
    all.count = 0;
    for (uint32_t i = 0; i < reference.demanding.count; i++) {
        all.cause[all.count++] = reference.demanding.cause[i];
    }
    uint32_t demanding = all.count;
    for (uint32_t i = 0; i < reference.blocking.count; i++) {
        all.cause[all.count++] = reference.blocking.cause[i];
    }
    same("demand_count", 0, state.demand_count, demanding < ENGINE_CAUSES_MAX ? demanding : ENGINE_CAUSES_MAX);
    same_causes("cause", state.cause, state.cause_count, &all);
    same_causes("first_out", state.first_out, state.first_out_count, &reference.first_out);
}

static void compare_rules(void)
{
    for (uint32_t i = 0; i < world.table.rules; i++) {
        const struct engine_rule_state *e = &state.rule[i];
        const struct reference_rule *m = &reference.rule[i];
        size_t differs_before = differs_length;
        if (e->truth != m->truth) {
            differ("  rule[%u] (form %u) truth: engine %s, reference %s\n", i, world.table.rule[i].form,
                   engine_truth_name(e->truth), engine_truth_name(m->truth));
        }
        if (m->truth != TRUTH_CLEAR) {
            same("rule why", i, e->why, m->why);
        }
        same_number("rule measure", i, e->measure, m->measure);
        if (differs_length > differs_before) {
            const struct control_rule *rule = &world.table.rule[i];
            differ("  rule[%u]: was %s, %s; low %u %g (%g) high %u %g (%g)\n", i,
                   engine_truth_name(before.rule[i].truth), engine_cause_name(before.rule[i].why), rule->has_low,
                   rule->low, rule->low_clear, rule->has_high, rule->high, rule->high_clear);
        }
        same("rule alarm", i, e->alarm, m->alarm);
        same("rule bypass_until_ns", i, e->bypass_until_ns, m->bypass_until_ns);
        same("rule shelved_until_ns", i, e->shelved_until_ns, m->shelved_until_ns);
        same("rule demands", i, e->demands, m->demands);
        same("rule members", i, e->members, m->members);
        same("rule unknown", i, e->unknown, m->unknown);
    }
}

/* Values that the description gives no meaning are not compared. */
static bool event_has_value(uint32_t kind)
{
    return kind == EVENT_TRIP || kind == EVENT_RULE_ON || kind == EVENT_BYPASS_ON || kind == EVENT_BYPASS_OFF ||
           kind == EVENT_ALARM || kind == EVENT_SHELVED || kind == EVENT_TEST || kind == EVENT_QUALITY;
}

static bool same_event(const struct engine_event *e, const struct engine_event *m)
{
    bool value = !event_has_value(m->kind) || close_enough(e->value, m->value);
    return e->kind == m->kind && e->index == m->index && e->tai_ns == m->tai_ns && value;
}

static void tell_events(const char *who, const struct engine_event *event, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        differ("  event of the %s: %s index %#x value %g\n", who, engine_event_name(event[i].kind), event[i].index,
               event[i].value);
    }
}

/* Their order within a step is not told: each of one side has its match on the other. */
static void compare_events(void)
{
    bool taken[ENGINE_EVENTS_MAX] = {false};
    same("events", 0, outputs.events + outputs.events_lost, reference.events);
    uint32_t found = 0;
    for (uint32_t i = 0; i < outputs.events && i < ENGINE_EVENTS_MAX; i++) {
        for (uint32_t k = 0; k < reference.events && k < ENGINE_EVENTS_MAX; k++) {
            if (!taken[k] && same_event(&outputs.event[i], &reference.event[k])) {
                taken[k] = true;
                found++;
                break;
            }
        }
    }
    if (reference.events <= ENGINE_EVENTS_MAX - ENGINE_EVENTS_OWN &&
        (found != reference.events || outputs.events != found)) {
        tell_events("engine", outputs.event, outputs.events);
        tell_events("reference", reference.event, reference.events);
    }
}

static void compare_outputs(void)
{
    for (uint32_t i = 0; i < world.table.outputs; i++) {
        same("position", i, state.output[i].position, reference.output[i].position);
    }
    for (uint32_t i = 0; i < world.table.channels; i++) {
        same("quality", i, state.quality[i], reference.quality[i]);
        same("why", i, state.why[i], reference.why[i]);
    }
    same("test result", 0, state.test.result, reference.test.result);
    same("test phase", 0, state.test.phase, reference.test.phase);
    same("test output", 0, state.test.output, reference.test.output);
    same("test safe_ns", 0, state.test.safe_ns, reference.test.safe_ns);
    same("test back_ns", 0, state.test.back_ns, reference.test.back_ns);
}

static void compare_state(void)
{
    if (state.code != reference.code) {
        differ("  code: engine %s, reference %s\n", engine_state_name(state.code),
               engine_state_name(reference.code));
    }
    same("energised", 0, outputs.energised, reference.energised);
    same("state.energised", 0, state.energised, reference.energised);
    same("answer", 0, outputs.answer, reference.answer);
    same("tripped", 0, outputs.tripped, reference.tripped);
    same("trips", 0, state.trips, reference.trips);
    same("first_out_open", 0, state.first_out_open, reference.first_out_open);
    same("latched", 0, state.latched, reference.latched);
    same("held", 0, state.held, reference.held);
    same("gate_missing", 0, state.gate_missing, reference.gate_missing);
    uint32_t bypasses = 0;
    for (uint32_t i = 0; i < world.table.rules; i++) {
        bypasses += reference.rule[i].bypass_until_ns != 0;
    }
    same("bypasses", 0, state.bypasses, bypasses);
}

/* Of a step that says it has changed nothing, nothing but its count, its time and its causes has changed. Rules
 * behind the table's are looked at once, at the end. */
static void compare_changed(void)
{
    size_t bytes = offsetof(struct engine_state, rule) + world.table.rules * sizeof(state.rule[0]);
    if (outputs.changed == 0) {
        before.steps = state.steps;
        before.last_now_ns = state.last_now_ns;
        before.cause_count = state.cause_count; /* found anew in every step */
        before.demand_count = state.demand_count;
        memcpy(before.cause, state.cause, sizeof(before.cause));
        if (!same_bytes(&before, &state, bytes)) {
            differ("  changed is 0, but the state has changed\n");
        }
    }
    memcpy(&before, &state, bytes);
}

/* The table and what the reference makes of it, for whoever reads the difference. */
static void tell_all(void)
{
    for (uint32_t i = 0; i < world.table.channels; i++) {
        const struct engine_sample *sample = &world.inputs.channel[i];
        differ("  channel %u: %s, %s, value %.17g, samples %lu, age %ld ns%s\n", i,
               engine_quality_name(reference.quality[i]), engine_cause_name(reference.why[i]), sample->value,
               sample->samples, (long)(world.inputs.now_ns - sample->tai_ns), sample->old != 0 ? ", old" : "");
    }
    for (uint32_t i = 0; i < world.table.rules; i++) {
        const struct control_rule *rule = &world.table.rule[i];
        const struct reference_rule *m = &reference.rule[i];
        differ("  rule %u: form %u role %u channel %u other %u outputs %#x shadow %u: %s, %s, measure %g\n", i,
               rule->form, rule->role, rule->channel, rule->other, rule->outputs, rule->shadow,
               engine_truth_name(m->truth), engine_cause_name(m->why), m->measure);
    }
}

static void compare(uint32_t code)
{
    compare_state();
    compare_causes();
    compare_rules();
    compare_outputs();
    compare_events();
    compare_changed();
    if (differs_length > 0) {
        tell_all();
    }
    cr_assert_eq(differs_length, 0, "seed %lu step %u, from %s, command %#x index %u:\n%s", seed, at_step,
                 engine_state_name(code), world.inputs.command, world.inputs.command_index, differs);
}

static struct {
    uint64_t armed, test, ready, fault, trips, latched, held, answers[16], tested[8], idle, filled;
    uint64_t causes[CAUSES];
} seen;

static void count(void)
{
    seen.armed += state.code == ENGINE_ARMED;
    seen.test += state.code == ENGINE_TEST;
    seen.ready += state.code == ENGINE_READY;
    seen.fault += state.code == ENGINE_FAULT;
    seen.trips += outputs.tripped;
    seen.latched += state.latched != 0 && machine_permits(state.code);
    seen.held += state.held != 0;
    seen.answers[outputs.answer & 15]++;
    seen.idle += outputs.changed == 0;
    for (uint32_t i = 0; i < outputs.events && i < ENGINE_EVENTS_MAX; i++) {
        if (outputs.event[i].kind == EVENT_TEST) {
            seen.tested[state.test.result & 7]++;
        }
    }
    for (uint32_t i = 0; i < state.first_out_count && outputs.tripped != 0; i++) {
        seen.causes[state.first_out[i].kind % CAUSES]++;
    }
}

static void restart(void)
{
    engine_init(&state);
    reference_init(&reference);
    world_restart(&world);
    before = state;
}

static void run_table(void)
{
    world_make(&world, seed);
    restart();
    for (at_step = 0; at_step < STEPS; at_step++) {
        uint32_t code = state.code;
        world_step(&world, reference.energised, reference.code);
        engine_step(&world.table, &state, &world.inputs, &outputs);
        reference_step(&world.table, &reference, &world.inputs);
        compare(code);
        count();
        if (state.code == ENGINE_FAULT && test_random_chance(&world.random, 100)) {
            restart();
        } else if (test_random_below(&world.random, 20000) == 0) {
            uint32_t flipped = state.code ^ UINT32_C(1) << test_random_below(&world.random, 32);
            state.code = before.code = reference.code = flipped;
        }
    }
    for (uint32_t i = world.table.rules; i < CONTROL_RULES_MAX; i++) {
        static const struct engine_rule_state none;
        cr_assert(same_bytes(&state.rule[i], &none, sizeof(none)), "rule %u is not in the table", i);
    }
}

static void run_tables(uint64_t from)
{
    memset(&seen, 0, sizeof(seen));
    for (uint64_t i = 0; i < TABLES; i++) {
        seed = from + i;
        run_table();
    }
    uint64_t steps = (uint64_t)TABLES * STEPS;
    cr_assert_gt(seen.armed, steps / 8, "ARMED was hardly reached: %lu", seen.armed);
    cr_assert_gt(seen.test, steps / 2000, "TEST: %lu", seen.test);
    cr_assert_gt(seen.ready, steps / 200, "READY: %lu", seen.ready);
    cr_assert_gt(seen.fault, steps / 1000, "FAULT: %lu", seen.fault);
    cr_assert_gt(seen.latched, steps / 1000, "latched: %lu", seen.latched);
    cr_assert_gt(seen.held, steps / 1000, "held: %lu", seen.held);
    cr_assert_gt(seen.trips, steps / 1000, "trips: %lu", seen.trips);
    for (uint32_t i = ANSWER_DONE; i <= ANSWER_NOT_NOW; i++) {
        cr_assert(!RARE || seen.answers[i] > 0, "answer %u was never given", i);
    }
    for (uint32_t i = TEST_RUNNING; i <= TEST_ABORTED; i++) {
        cr_assert(!RARE || seen.tested[i] > 0, "%s: no proof test", engine_test_name(i));
    }
    for (uint32_t i = CAUSE_DEADLINE; i < CAUSES; i++) {
        /* At the start only; and a heartbeat is judged before it can lack history while armed. */
        bool cannot = !RARE || i == CAUSE_CONTROL_DIED;
        cr_assert(cannot || seen.causes[i] > 0, "%s was never a first-out", engine_cause_name(i));
    }
}

/* IL-034 IL-035 IL-037 IL-038 IL-065 IL-066: and every other requirement of the step, as the reference reads it. */
Test(engine_reference, first_quarter, .timeout = 300)
{
    run_tables(1000000);
}

Test(engine_reference, second_quarter, .timeout = 300)
{
    run_tables(2000000);
}

Test(engine_reference, third_quarter, .timeout = 300)
{
    run_tables(3000000);
}

Test(engine_reference, fourth_quarter, .timeout = 300)
{
    run_tables(4000000);
}
