#include "control/engine.h"

#include <string.h>

#include "ring/channel.h"

void engine_init(struct engine_state *state)
{
    memset(state, 0, sizeof(*state));
    state->code = ENGINE_INIT;
    state->start_cause = CAUSE_STARTUP;
}

static void add_cause(struct engine_state *state, const struct engine_cause *cause)
{
    if (state->cause_count < ENGINE_CAUSES_MAX) {
        state->cause[state->cause_count] = *cause;
        state->cause_count++;
    }
}

static void add_own_cause(struct engine_state *state, uint32_t kind, uint64_t now_ns)
{
    struct engine_cause cause = {.kind = kind, .rule = ENGINE_NO_RULE, .channel = ENGINE_NO_RULE, .tai_ns = now_ns};
    add_cause(state, &cause);
}

/* Why a sample is not GOOD, CAUSE_NONE if it is. Whatever is unknown is not good. */
static uint32_t judge(const struct control_table *table, const struct control_channel *channel,
                      const struct engine_sample *sample, uint64_t now_ns)
{
    if (sample->samples == 0) {
        return CAUSE_STALE;
    }
    if (sample->fault != CAUSE_NONE) {
        return sample->fault;
    }
    if (sample->tai_ns > now_ns) {
        if (sample->tai_ns - now_ns > table->future_ns) {
            return CAUSE_FRAME;
        }
    } else if (now_ns - sample->tai_ns > channel->stale_ns) {
        return CAUSE_STALE;
    }
    if (ring_is_not_finite(sample->value)) {
        return CAUSE_NOT_FINITE;
    }
    /* Written so that an unordered comparison would be BAD as well. */
    if (!(sample->value >= channel->decode.range_low && sample->value <= channel->decode.range_high)) {
        return CAUSE_RANGE;
    }
    return CAUSE_NONE;
}

static void judge_channels(const struct control_table *table, struct engine_state *state,
                           const struct engine_inputs *inputs)
{
    for (uint32_t i = 0; i < table->channels && i < CONTROL_CHANNELS_MAX; i++) {
        const struct engine_sample *sample = &inputs->channel[i];
        uint32_t why = judge(table, &table->channel[i], sample, inputs->now_ns);
        state->quality[i] = why == CAUSE_NONE ? ENGINE_GOOD : why == CAUSE_STALE ? ENGINE_STALE : ENGINE_BAD;
        if (why != CAUSE_NONE && table->channel[i].guarded != 0) {
            struct engine_cause cause = {.kind = why,
                                         .rule = ENGINE_NO_RULE,
                                         .channel = i,
                                         .value = sample->value,
                                         .tai_ns = sample->tai_ns,
                                         .source_sequence = sample->source_sequence,
                                         .position = sample->position};
            add_cause(state, &cause);
        }
    }
}

static bool beyond(const struct control_rule *rule, double value, struct engine_cause *cause)
{
    if (rule->has_high != 0 && !(value <= rule->high)) {
        cause->kind = CAUSE_HIGH;
        cause->limit = rule->high;
        return true;
    }
    if (rule->has_low != 0 && !(value >= rule->low)) {
        cause->kind = CAUSE_LOW;
        cause->limit = rule->low;
        return true;
    }
    return false;
}

/* Counts each sample once; a demand ends with the first sample that is back inside. */
static void judge_rule(const struct control_rule *rule, struct engine_rule_state *memory,
                       const struct engine_sample *sample, bool good, struct engine_cause *cause)
{
    bool is_beyond = good && beyond(rule, sample->value, cause);
    if (sample->samples != memory->seen_samples) {
        memory->seen_samples = sample->samples;
        if (!is_beyond) {
            memory->beyond_samples = sample->old != 0 ? memory->beyond_samples : 0;
        } else {
            if (memory->beyond_samples == 0) {
                memory->beyond_since_ns = sample->tai_ns;
            }
            memory->beyond_samples++;
        }
    }
    memory->demand = is_beyond && memory->beyond_samples >= rule->delay_samples &&
                     sample->tai_ns - memory->beyond_since_ns >= rule->delay_ns;
}

static void judge_rules(const struct control_table *table, struct engine_state *state,
                        const struct engine_inputs *inputs)
{
    for (uint32_t i = 0; i < table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct control_rule *rule = &table->rule[i];
        if (rule->channel >= CONTROL_CHANNELS_MAX) {
            add_own_cause(state, CAUSE_SELF_TEST, inputs->now_ns);
            continue;
        }
        const struct engine_sample *sample = &inputs->channel[rule->channel];
        struct engine_cause cause = {.rule = i,
                                     .channel = rule->channel,
                                     .value = sample->value,
                                     .tai_ns = sample->tai_ns,
                                     .source_sequence = sample->source_sequence,
                                     .position = sample->position};
        judge_rule(rule, &state->rule[i], sample, state->quality[rule->channel] == ENGINE_GOOD, &cause);
        if (state->rule[i].demand != 0) {
            add_cause(state, &cause);
        }
    }
}

/* The order is the priority of simultaneous causes. */
static void find_causes(const struct control_table *table, struct engine_state *state,
                        const struct engine_inputs *inputs, uint32_t edges)
{
    state->cause_count = 0;
    if (inputs->deadline_missed != 0) {
        add_own_cause(state, CAUSE_DEADLINE, inputs->now_ns);
    }
    if ((edges & COMMAND_TRIP) != 0) {
        add_own_cause(state, CAUSE_MANUAL, inputs->now_ns);
    }
    if (inputs->output_fault != 0) {
        add_own_cause(state, CAUSE_OUTPUT, inputs->now_ns);
    }
    judge_channels(table, state, inputs);
    judge_rules(table, state, inputs);
}

static void trip(struct engine_state *state, struct engine_outputs *outputs)
{
    if (state->code == ENGINE_ARMING || state->code == ENGINE_ARMED) {
        state->trips++;
        outputs->tripped = 1;
        for (uint32_t i = 0; i < ENGINE_CAUSES_MAX; i++) {
            state->first_out[i] = state->cause[i];
        }
        state->first_out_count = state->cause_count;
    }
    state->code = ENGINE_TRIPPED;
}

/* Absorbing. The first-out of a standing trip is kept: it is evidence. */
static void enter_fault(struct engine_state *state, struct engine_outputs *outputs, uint64_t now_ns)
{
    bool permitted = state->code == ENGINE_ARMING || state->code == ENGINE_ARMED;
    if (permitted) {
        state->trips++;
        outputs->tripped = 1;
    }
    if (permitted || state->first_out_count == 0) {
        state->first_out[0] = (struct engine_cause){
            .kind = CAUSE_SELF_TEST, .rule = ENGINE_NO_RULE, .channel = ENGINE_NO_RULE, .tai_ns = now_ns};
        state->first_out_count = 1;
    }
    state->code = ENGINE_FAULT;
}

static uint32_t answer_in_tripped(struct engine_state *state, uint32_t edges)
{
    if ((edges & COMMAND_RESET) != 0) {
        if (state->cause_count > 0) {
            return ANSWER_CAUSE_STANDS;
        }
        state->code = ENGINE_READY;
        return ANSWER_DONE;
    }
    if ((edges & COMMAND_ARM) != 0) {
        return state->cause_count > 0 ? ANSWER_CAUSE_STANDS : ANSWER_RESET_FIRST;
    }
    return edges != 0 ? ANSWER_ALREADY : ANSWER_NONE;
}

static void start_up(struct engine_state *state, uint64_t now_ns)
{
    state->code = ENGINE_TRIPPED;
    state->first_out[0] = (struct engine_cause){
        .kind = state->start_cause, .rule = ENGINE_NO_RULE, .channel = ENGINE_NO_RULE, .tai_ns = now_ns};
    state->first_out_count = 1;
}

static uint32_t next_state(struct engine_state *state, struct engine_outputs *outputs, uint32_t edges,
                           uint64_t now_ns)
{
    switch (state->code) {
    case ENGINE_INIT:
        start_up(state, now_ns);
        return edges != 0 ? ANSWER_CAUSE_STANDS : ANSWER_NONE;
    case ENGINE_TRIPPED:
        return answer_in_tripped(state, edges);
    case ENGINE_READY:
        if (state->cause_count > 0) {
            trip(state, outputs);
            return (edges & COMMAND_TRIP) != 0 ? ANSWER_DONE : edges != 0 ? ANSWER_CAUSE_STANDS : ANSWER_NONE;
        }
        if ((edges & COMMAND_ARM) != 0) {
            state->code = ENGINE_ARMING;
            return ANSWER_DONE;
        }
        return edges != 0 ? ANSWER_ALREADY : ANSWER_NONE;
    case ENGINE_ARMING:
    case ENGINE_ARMED:
        if (state->cause_count > 0) {
            trip(state, outputs);
            return (edges & COMMAND_TRIP) != 0 ? ANSWER_DONE : edges != 0 ? ANSWER_CAUSE_STANDS : ANSWER_NONE;
        }
        state->code = ENGINE_ARMED;
        return edges != 0 ? ANSWER_ALREADY : ANSWER_NONE;
    default:
        enter_fault(state, outputs, now_ns);
        return edges != 0 ? ANSWER_FAULT : ANSWER_NONE;
    }
}

void engine_step(const struct control_table *table, struct engine_state *state, const struct engine_inputs *inputs,
                 struct engine_outputs *outputs)
{
    *outputs = (struct engine_outputs){0};
    uint32_t edges = inputs->command & ~state->previous_command;
    uint64_t now_ns = inputs->now_ns;
    find_causes(table, state, inputs, edges);
    if (inputs->self_test_bad != 0 || now_ns < state->last_now_ns) {
        enter_fault(state, outputs, now_ns);
    }
    outputs->answer = next_state(state, outputs, edges, now_ns);
    state->previous_command = inputs->command;
    state->last_now_ns = now_ns;
    state->steps++;
    /* The one place where an output is energised. */
    if (state->code == ENGINE_ARMING || state->code == ENGINE_ARMED) {
        outputs->energised =
            table->outputs >= CONTROL_OUTPUTS_MAX ? UINT32_MAX : (UINT32_C(1) << table->outputs) - 1;
    }
}

const char *engine_state_name(uint32_t code)
{
    switch (code) {
    case ENGINE_INIT:
        return "init";
    case ENGINE_TRIPPED:
        return "tripped";
    case ENGINE_READY:
        return "ready";
    case ENGINE_ARMING:
        return "arming";
    case ENGINE_ARMED:
        return "armed";
    case ENGINE_FAULT:
        return "fault";
    default:
        return "illegal";
    }
}

const char *engine_cause_name(uint32_t kind)
{
    static const char *const names[CAUSES] = {"none",   "startup", "self_test", "deadline",    "manual",
                                              "output", "high",    "low",       "stale",       "not_finite",
                                              "range",  "frame",   "overrun",   "control_died"};
    return kind < CAUSES ? names[kind] : "unknown";
}

const char *engine_quality_name(uint32_t quality)
{
    return quality == ENGINE_GOOD ? "good" : quality == ENGINE_BAD ? "bad" : "stale";
}
