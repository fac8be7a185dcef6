/* The engine against an independent one, written to be obviously right instead of fast: two million random steps,
 * equal in state, outputs, answers, causes and trips.
 */
#include <criterion/criterion.h>
#include <math.h>

#include "control/engine.h"
#include "tests/support/random.h"
#include "tests/support/table.h"

#ifdef SLUICE_SANITIZED
#define STEPS 200000u
#else
#define STEPS 2000000u
#endif
#define CHANNELS 4u
#define LOG      64u

enum model_state { M_INIT, M_TRIPPED, M_READY, M_ARMING, M_ARMED, M_FAULT };

/* A rule's memory: the stamps of the samples beyond its limit, in a row. */
struct run {
    uint64_t stamps[LOG]; /* the first LOG of them */
    uint64_t length;
    uint64_t judged; /* number of the last sample taken into account */
};

struct model {
    enum model_state state;
    uint32_t held;
    uint64_t latest_ns;
    uint64_t trips;
    struct run runs[CONTROL_RULES_MAX];
    uint32_t kinds[64];
    uint32_t channels[64];
    uint32_t causes;
    uint32_t first_kind;
    uint32_t answer;
    bool tripped;
};

static struct control_table table;
static struct engine_state state;
static struct engine_inputs inputs;
static struct model model;

static void note(struct model *m, uint32_t kind, uint32_t channel)
{
    m->kinds[m->causes] = kind;
    m->channels[m->causes++] = channel;
}

static uint32_t fault_of(const struct engine_sample *s, const struct control_channel *c)
{
    int64_t age_ns = (int64_t)(inputs.now_ns - s->tai_ns);
    return s->samples == 0                      ? CAUSE_STALE
           : s->fault != 0                      ? s->fault
           : age_ns < -(int64_t)table.future_ns ? CAUSE_FRAME
           : age_ns > (int64_t)c->stale_ns      ? CAUSE_STALE
           : isnan(s->value) || isinf(s->value) ? CAUSE_NOT_FINITE
           : s->value > c->decode.range_high    ? CAUSE_RANGE
           : s->value < c->decode.range_low     ? CAUSE_RANGE
                                                : CAUSE_NONE;
}

static void judge_rule(struct model *m, uint32_t index)
{
    const struct control_rule *rule = &table.rule[index];
    const struct engine_sample *s = &inputs.channel[rule->channel];
    struct run *run = &m->runs[index];
    bool good = fault_of(s, &table.channel[rule->channel]) == CAUSE_NONE;
    bool above = good && rule->has_high != 0 && s->value > rule->high;
    bool below = good && rule->has_low != 0 && s->value < rule->low;
    if (run->judged != s->samples) {
        run->judged = s->samples;
        if (!above && !below) {
            run->length = 0;
        } else {
            run->stamps[run->length < LOG ? run->length : LOG - 1] = s->tai_ns;
            run->length++;
        }
    }
    if (!above && !below) {
        return;
    }
    bool long_enough = s->tai_ns - run->stamps[0] >= rule->delay_ns;
    if (run->length >= rule->delay_samples && (long_enough || run->length == 0)) {
        note(m, above ? CAUSE_HIGH : CAUSE_LOW, rule->channel);
    }
}

static void gather(struct model *m, uint32_t pressed)
{
    m->causes = 0;
    if (inputs.deadline_missed != 0) {
        note(m, CAUSE_DEADLINE, ENGINE_NO_RULE);
    }
    if ((pressed & COMMAND_TRIP) != 0) {
        note(m, CAUSE_MANUAL, ENGINE_NO_RULE);
    }
    if (inputs.output_fault != 0) {
        note(m, CAUSE_OUTPUT, ENGINE_NO_RULE);
    }
    for (uint32_t i = 0; i < table.channels; i++) {
        uint32_t why = fault_of(&inputs.channel[i], &table.channel[i]);
        if (why != CAUSE_NONE && table.channel[i].guarded != 0) {
            note(m, why, i);
        }
    }
    for (uint32_t i = 0; i < table.rules; i++) {
        judge_rule(m, i);
    }
}

static void withdraw(struct model *m, uint32_t kind)
{
    if (m->state == M_ARMING || m->state == M_ARMED) {
        m->tripped = true;
        m->trips++;
        m->first_kind = kind;
    }
}

static uint32_t refusal(uint32_t pressed)
{
    return pressed != 0 ? ANSWER_CAUSE_STANDS : ANSWER_NONE;
}

static void model_step(struct model *m)
{
    uint32_t pressed = inputs.command & ~m->held;
    uint32_t idle_answer = pressed != 0 ? ANSWER_ALREADY : ANSWER_NONE;
    m->tripped = false;
    gather(m, pressed);
    bool broken = inputs.self_test_bad != 0 || inputs.now_ns < m->latest_ns;
    m->held = inputs.command;
    m->latest_ns = inputs.now_ns;
    if (broken || m->state == M_FAULT) {
        withdraw(m, CAUSE_SELF_TEST);
        m->state = M_FAULT;
        m->answer = pressed != 0 ? ANSWER_FAULT : ANSWER_NONE;
    } else if (m->state == M_INIT) {
        m->first_kind = CAUSE_STARTUP;
        m->state = M_TRIPPED;
        m->answer = refusal(pressed);
    } else if (m->state == M_TRIPPED) {
        bool reset = (pressed & COMMAND_RESET) != 0;
        bool arm = (pressed & COMMAND_ARM) != 0;
        m->answer = (reset || arm) && m->causes > 0 ? ANSWER_CAUSE_STANDS
                    : reset                         ? ANSWER_DONE
                    : arm                           ? ANSWER_RESET_FIRST
                                                    : idle_answer;
        m->state = reset && m->causes == 0 ? M_READY : M_TRIPPED;
    } else if (m->causes > 0) {
        withdraw(m, m->kinds[0]);
        m->state = M_TRIPPED;
        m->answer = (pressed & COMMAND_TRIP) != 0 ? ANSWER_DONE : refusal(pressed);
    } else if (m->state == M_READY) {
        bool arm = (pressed & COMMAND_ARM) != 0;
        m->answer = arm ? ANSWER_DONE : idle_answer;
        m->state = arm ? M_ARMING : M_READY;
    } else {
        m->answer = idle_answer;
        m->state = M_ARMED;
    }
}

static void make_table(void)
{
    table_make(&table);
    table_add_channel(&table, 1);
    table_add_channel(&table, 0);
    struct control_rule *rule = table_add_rule(&table, 2);
    *rule = (struct control_rule){
        .channel = 2, .has_high = 1, .high = 80, .has_low = 1, .low = -80, .delay_samples = 3};
    rule = table_add_rule(&table, 2);
    *rule = (struct control_rule){.channel = 2, .has_high = 1, .high = 60, .delay_samples = 1, .delay_ns = 4000000};
    rule = table_add_rule(&table, 0);
    *rule = (struct control_rule){.channel = 0, .has_low = 1, .low = -90, .delay_samples = 2, .delay_ns = 2500000};
}

static double random_value(struct test_random *random)
{
    static const double odd[] = {101, 100, -95, 81, 999, 1001, -1001, 0.0, -0.0, 4e-320, 70, -85};
    uint64_t dice = test_random_below(random, 1000);
    if (dice < 4) {
        return dice < 2 ? (double)NAN : (double)INFINITY;
    }
    return dice < 40 ? odd[dice % (sizeof(odd) / sizeof(odd[0]))] : (double)test_random_below(random, 50);
}

/* Long healthy stretches, so that every state is reached often, and everything that can go wrong in between. */
static void next_inputs(struct test_random *random)
{
    inputs.now_ns += test_random_below(random, 2000000);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        if (test_random_chance(random, 600)) {
            uint64_t jitter_ns = test_random_chance(random, 5) ? 20000000 : 0;
            inputs_sample(&inputs, i, random_value(random), inputs.now_ns + jitter_ns);
            inputs.channel[i].fault =
                test_random_chance(random, 4) ? CAUSE_FRAME + (uint32_t)test_random_below(random, 2) : CAUSE_NONE;
        }
        if (test_random_chance(random, 2)) {
            inputs.channel[i].tai_ns -= TEST_STALE_NS;
        }
    }
    inputs.deadline_missed = test_random_chance(random, 5);
    inputs.output_fault = test_random_chance(random, 5);
    inputs.self_test_bad = test_random_below(random, 20000) == 0;
    inputs.command = test_random_chance(random, 600) ? 0 : 1u << test_random_below(random, 2);
    if (test_random_chance(random, 10)) {
        inputs.command = (uint32_t)test_random_below(random, 8);
    }
    if (test_random_below(random, 20000) == 0) {
        inputs.now_ns -= 5000000;
    }
}

static const uint32_t codes[] = {ENGINE_INIT,   ENGINE_TRIPPED, ENGINE_READY,
                                 ENGINE_ARMING, ENGINE_ARMED,   ENGINE_FAULT};

static void compare(uint32_t step, const struct engine_outputs *outputs)
{
    bool permit = model.state == M_ARMING || model.state == M_ARMED;
    cr_assert_eq(state.code, codes[model.state], "step %u: %s", step, engine_state_name(state.code));
    cr_assert_eq(outputs->energised, permit ? 3 : 0, "step %u", step);
    cr_assert_eq(outputs->tripped, model.tripped, "step %u", step);
    cr_assert_eq(outputs->answer, model.answer, "step %u: answer %u, not %u", step, outputs->answer, model.answer);
    cr_assert_eq(state.trips, model.trips, "step %u", step);
    cr_assert_eq(state.cause_count, model.causes, "step %u", step);
    for (uint32_t i = 0; i < model.causes; i++) {
        cr_assert_eq(state.cause[i].kind, model.kinds[i], "step %u cause %u", step, i);
        cr_assert_eq(state.cause[i].channel, model.channels[i], "step %u cause %u", step, i);
    }
    if (model.trips > 0) {
        cr_assert_eq(state.first_out[0].kind, model.first_kind, "step %u", step);
    }
}

static void restart(void)
{
    engine_init(&state);
    memset(&model, 0, sizeof(model));
    memset(&inputs.channel, 0, sizeof(inputs.channel));
}

Test(engine_model, two_million_random_steps)
{
    struct test_random random = {20261122};
    uint64_t visits[6] = {0};
    uint64_t trips = 0;
    make_table();
    inputs.now_ns = TEST_NOW_NS;
    restart();
    for (uint32_t step = 0; step < STEPS; step++) {
        struct engine_outputs outputs;
        next_inputs(&random);
        engine_step(&table, &state, &inputs, &outputs);
        model_step(&model);
        compare(step, &outputs);
        visits[model.state]++;
        trips += model.tripped;
        if (model.state == M_FAULT && test_random_chance(&random, 20)) {
            restart();
        }
    }
    for (uint32_t i = M_TRIPPED; i <= M_FAULT; i++) {
        cr_assert_gt(visits[i], STEPS / 1000, "state %u was hardly visited: %lu", i, visits[i]);
    }
    cr_assert_gt(trips, STEPS / 1000);
}
