#include "control/causes.h"

#include "control/rules.h"

#define NS_PER_S 1e9

/*@ requires \valid(state) && \valid_read(cause) && \separated(state, cause);
    requires state->cause_count <= ENGINE_CAUSES_MAX;
    assigns state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count;
    ensures state->cause_count <= ENGINE_CAUSES_MAX && state->cause_count >= \old(state->cause_count);
    ensures \old(state->cause_count) < ENGINE_CAUSES_MAX ==> state->cause_count == \old(state->cause_count) + 1; */
static void add(struct engine_state *state, const struct engine_cause *cause)
{
    if (state->cause_count < ENGINE_CAUSES_MAX) {
        state->cause[state->cause_count] = *cause;
        state->cause_count++;
    }
}

/*@ requires \valid(state) && state->cause_count <= ENGINE_CAUSES_MAX;
    assigns state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count;
    ensures state->cause_count <= ENGINE_CAUSES_MAX && state->cause_count >= \old(state->cause_count);
    ensures \old(state->cause_count) < ENGINE_CAUSES_MAX ==> state->cause_count == \old(state->cause_count) + 1; */
static void add_own(struct engine_state *state, uint32_t kind, uint64_t now_ns, double value)
{
    struct engine_cause cause = {.kind = kind,
                                 .rule = ENGINE_NONE,
                                 .channel = ENGINE_NONE,
                                 .output = ENGINE_NONE,
                                 .value = value,
                                 .tai_ns = now_ns};
    add(state, &cause);
}

/*@ requires \valid(cause) && \valid_read(inputs) && channel < CONTROL_CHANNELS_MAX && \separated(cause, inputs);
    assigns cause->channel, cause->value, cause->tai_ns, cause->source_sequence, cause->position; */
static void take_sample(struct engine_cause *cause, const struct engine_inputs *inputs, uint32_t channel)
{
    const struct engine_sample *sample = &inputs->channel[channel];
    cause->channel = channel;
    cause->value = sample->value;
    cause->tai_ns = sample->tai_ns;
    cause->source_sequence = sample->source_sequence;
    cause->position = sample->position;
}

/*@ requires \valid(cause) && \valid_read(table) && \valid_read(inputs) && output < CONTROL_OUTPUTS_MAX;
    requires \separated(cause, table, inputs);
    assigns *cause; */
static void fill_readback(struct engine_cause *cause, const struct control_table *table,
                          const struct engine_inputs *inputs, uint32_t output)
{
    uint32_t channel = table->output[output].feedback.channel;
    *cause = (struct engine_cause){.kind = CAUSE_READBACK,
                                   .rule = ENGINE_NONE,
                                   .channel = ENGINE_NONE,
                                   .output = output,
                                   .tai_ns = inputs->now_ns};
    if (channel < CONTROL_CHANNELS_MAX) {
        take_sample(cause, inputs, channel);
    }
}

uint32_t causes_readback(const struct control_table *table, const struct engine_inputs *inputs, uint32_t mask,
                         struct engine_cause *to)
{
    uint32_t n = 0;
    /*@ loop invariant 0 <= i <= CONTROL_OUTPUTS_MAX && n <= ENGINE_CAUSES_MAX;
        loop
        assigns i, n, to[0 .. ENGINE_CAUSES_MAX - 1];
        loop variant CONTROL_OUTPUTS_MAX - i; */
    for (uint32_t i = 0; mask != 0 && i < CONTROL_OUTPUTS_MAX && n < ENGINE_CAUSES_MAX; i++) {
        if ((mask >> i & 1) != 0) {
            fill_readback(&to[n], table, inputs, i);
            n++;
        }
    }
    return n;
}

/*@ assigns \nothing; */
static bool is_channels(uint32_t why)
{
    return why == CAUSE_STALE || why == CAUSE_FRAME || why == CAUSE_RANGE || why == CAUSE_NOT_FINITE ||
           why == CAUSE_OVERRUN;
}

/*@ requires \valid_read(rule);
    assigns \nothing; */
static double limit_of(const struct control_rule *rule, uint32_t why, double measure)
{
    bool above = rule->has_high != 0 && !(measure <= rule->high);
    bool below = rule->has_low != 0 && !(measure >= rule->low);
    switch (why) {
    case CAUSE_HIGH:
        return rule->high;
    case CAUSE_LOW:
        return rule->low;
    case CAUSE_RATE:
    case CAUSE_DEVIATION:
        return above || (!below && rule->has_high != 0) ? rule->high : rule->low;
    case CAUSE_STUCK:
    case CAUSE_HEARTBEAT:
        return (double)rule->window_ns / NS_PER_S;
    case CAUSE_VOTE:
        return (double)rule->needed;
    default:
        return 0.0;
    }
}

/* A bad channel is one cause, however many rules look at it: its index, or where it is to stand. */
/*@ requires \valid_read(state);
    assigns \nothing; */
static uint32_t find_cause(const struct engine_state *state, uint32_t from, uint32_t kind, uint32_t channel)
{
    /*@ loop invariant from <= i;
        loop
        assigns i;
        loop variant UINT32_MAX - i; */
    for (uint32_t i = from; i < state->cause_count && i < ENGINE_CAUSES_MAX; i++) {
        if (state->cause[i].kind == kind && state->cause[i].channel == channel &&
            state->cause[i].rule == ENGINE_NONE) {
            return i;
        }
    }
    return state->cause_count;
}

/*@ requires \valid(state) && \valid_read(rule) && \valid_read(inputs) && \separated(state, rule, inputs);
    requires \valid_read(memory) && \separated(memory, &state->cause[0 .. ENGINE_CAUSES_MAX - 1],
            &state->cause_count);
    requires state->cause_count <= ENGINE_CAUSES_MAX;
    assigns state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count;
    ensures state->cause_count <= ENGINE_CAUSES_MAX && state->cause_count >= \old(state->cause_count); */
static uint32_t add_channel(struct engine_state *state, const struct control_rule *rule,
                            const struct engine_rule_state *memory, const struct engine_inputs *inputs,
                            uint32_t from)
{
    struct engine_cause cause = {.kind = memory->why, .rule = ENGINE_NONE, .output = ENGINE_NONE};
    uint32_t channel = rule->channel;
    if (rule->form == FORM_DEVIATION && memory->bad_second != 0) {
        channel = rule->other;
    }
    uint32_t at = find_cause(state, from, memory->why, channel);
    if (channel < CONTROL_CHANNELS_MAX && at == state->cause_count) {
        take_sample(&cause, inputs, channel);
        add(state, &cause);
    }
    return at;
}

/* `from`: the first cause of the part of the list that it belongs to. Returns where the rule's own stands. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \separated(table, state, inputs);
    requires state->cause_count <= ENGINE_CAUSES_MAX;
    requires index < CONTROL_RULES_MAX;
    assigns state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count;
    ensures state->cause_count <= ENGINE_CAUSES_MAX && state->cause_count >= \old(state->cause_count); */
static uint32_t add_rule(const struct control_table *table, struct engine_state *state,
                         const struct engine_inputs *inputs, uint32_t index, uint32_t from)
{
    const struct control_rule *rule = &table->rule[index];
    const struct engine_rule_state *memory = &state->rule[index];
    if (memory->truth == TRUTH_UNKNOWN && is_channels(memory->why)) {
        return add_channel(state, rule, memory, inputs, from);
    }
    struct engine_cause cause = {.kind = memory->why,
                                 .rule = index,
                                 .channel = ENGINE_NONE,
                                 .output = ENGINE_NONE,
                                 .value = memory->measure,
                                 .limit = limit_of(rule, memory->why, memory->measure),
                                 .tai_ns = inputs->now_ns,
                                 .members = memory->members,
                                 .unknown = memory->unknown};
    if (rule->form >= FORM_LIMIT && rule->form <= FORM_HEARTBEAT && rule->channel < CONTROL_CHANNELS_MAX) {
        take_sample(&cause, inputs, rule->channel);
        cause.value = memory->measure;
    }
    uint32_t at = state->cause_count;
    add(state, &cause);
    return at;
}

/*@ assigns \nothing; */
static bool permits_block(uint32_t code)
{
    return code != ENGINE_ARMED && code != ENGINE_TEST;
}

/* What acts at all, so that the usual step, in which nothing does, is over soon. */
struct acting {
    uint32_t full; /* rules */
    uint32_t partial;
    uint32_t blocking;
    uint32_t partial_outputs;
    uint32_t held_outputs;
};

/*@ requires \valid_read(rule);
    assigns \nothing;
    ensures \result != 0 <==> rule->role != ROLE_HOLD && rule->role != ROLE_PERMIT; */
static bool is_protect(const struct control_rule *rule)
{
    return rule->role != ROLE_HOLD && rule->role != ROLE_PERMIT;
}

/*@ requires \valid_read(table) && \valid_read(state) && \valid(acting) && \separated(table, state, acting);
    assigns *acting;
    ensures found: \forall integer i; 0 <= i < CONTROL_RULES_MAX && i < table->rules && acts(&table->rule[i],
            &state->rule[i]) && table->rule[i].role == ROLE_PROTECT ==> acting->full + acting->partial > 0;
    ensures outputs_of_some: acting->partial_outputs != 0 ==> acting->partial > 0; */
static void find_acting(const struct control_table *table, const struct engine_state *state, struct acting *acting)
{
    uint32_t all = control_all_outputs(table);
    acting->full = 0;
    acting->partial = 0;
    acting->blocking = 0;
    acting->partial_outputs = 0;
    acting->held_outputs = 0;
    /*@ loop invariant 0 <= i <= CONTROL_RULES_MAX;
        loop invariant acting->full <= i && acting->partial <= i && acting->blocking <= i;
        loop invariant acting->partial_outputs != 0 ==> acting->partial > 0;
        loop invariant \forall integer k; 0 <= k < i && acts(&table->rule[k], &state->rule[k]) &&
                table->rule[k].role == ROLE_PROTECT ==> acting->full + acting->partial > 0;
        loop
        assigns i, *acting;
        loop variant CONTROL_RULES_MAX - i; */
    for (uint32_t i = 0; i < CONTROL_RULES_MAX && i < table->rules; i++) {
        const struct control_rule *rule = &table->rule[i];
        if (!rules_acts(rule, &state->rule[i])) {
            continue;
        }
        uint32_t outputs = rules_outputs(table, rule);
        if (rule->role == ROLE_HOLD) {
            acting->blocking++;
            acting->held_outputs |= outputs;
        } else if (rule->role == ROLE_PERMIT) {
            acting->blocking += permits_block(state->code) ? 1 : 0;
        } else if (outputs == all) {
            acting->full++;
        } else {
            acting->partial++;
            acting->partial_outputs |= outputs;
        }
    }
}

/* One part of the list: full PROTECT rules, partial ones, or those that only block. */
enum part { PART_FULL, PART_PARTIAL, PART_BLOCKING };

/*@ requires \valid_read(table) && \valid_read(state) && \valid_read(rule);
    assigns \nothing; */
static bool belongs(const struct control_table *table, const struct engine_state *state,
                    const struct control_rule *rule, enum part part, bool all_are_full)
{
    if (!is_protect(rule)) {
        return part == PART_BLOCKING && (rule->role == ROLE_HOLD || permits_block(state->code));
    }
    bool full = all_are_full || rules_outputs(table, rule) == control_all_outputs(table);
    return part == (full ? PART_FULL : PART_PARTIAL);
}

/* Returns where the first cause stands that trips an output which was not latched before. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \separated(table, state, inputs);
    requires state->cause_count <= ENGINE_CAUSES_MAX;
    assigns state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count;
    ensures state->cause_count <= ENGINE_CAUSES_MAX && state->cause_count >= \old(state->cause_count); */
static uint32_t add_part(const struct control_table *table, struct engine_state *state,
                         const struct engine_inputs *inputs, enum part part, bool all_are_full, uint32_t from)
{
    uint32_t news = ENGINE_NONE;
    /*@ loop invariant 0 <= i <= CONTROL_RULES_MAX;
        loop invariant state->cause_count <= ENGINE_CAUSES_MAX;
        loop invariant state->cause_count >= \at(state->cause_count, LoopEntry);
        loop
        assigns i, news, state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count;
        loop variant CONTROL_RULES_MAX - i; */
    for (uint32_t i = 0; i < CONTROL_RULES_MAX && i < table->rules; i++) {
        /* A full list stays as it is, whatever else acts: only the news may still be looked for. */
        if (state->cause_count >= ENGINE_CAUSES_MAX && (part != PART_PARTIAL || news != ENGINE_NONE)) {
            break;
        }
        if (rules_acts(&table->rule[i], &state->rule[i]) &&
            belongs(table, state, &table->rule[i], part, all_are_full)) {
            uint32_t at = add_rule(table, state, inputs, i, from);
            bool more = (rules_outputs(table, &table->rule[i]) & ~state->latched) != 0;
            news = more && news == ENGINE_NONE ? at : news;
        }
    }
    return news;
}

/*@ requires \valid_read(readback);
    assigns \nothing; */
static uint32_t readback_mask(uint32_t code, const struct readback *readback)
{
    if (!machine_permits(code)) {
        return readback->astray;
    }
    return readback->lost | (code != ENGINE_ARMING ? readback->late : 0);
}

/* The interlock's own troubles, in the order of their priority. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \separated(table, state, inputs);
    requires state->cause_count <= ENGINE_CAUSES_MAX;
    requires \valid_read(readback) && \separated(state, readback) && state->cause_count == 0;
    assigns state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count;
    ensures state->cause_count <= ENGINE_CAUSES_MAX;
    ensures own: self_test_bad != 0 || inputs->deadline_missed != 0 || inputs->supervisor_silent != 0 || trip_edge
            != 0 || inputs->output_fault != 0 ==> state->cause_count > 0; */
static void add_owns(const struct control_table *table, struct engine_state *state,
                     const struct engine_inputs *inputs, const struct readback *readback, bool self_test_bad,
                     bool trip_edge)
{
    bool permitted = machine_permits(state->code);
    if (self_test_bad) {
        add_own(state, CAUSE_SELF_TEST, inputs->now_ns, 0.0);
    }
    if (inputs->deadline_missed != 0) {
        add_own(state, CAUSE_DEADLINE, inputs->now_ns, 0.0);
    }
    if (trip_edge) {
        add_own(state, CAUSE_MANUAL, inputs->now_ns, 0.0);
    }
    if (inputs->supervisor_silent != 0) {
        add_own(state, CAUSE_SUPERVISOR, inputs->now_ns, 0.0);
    }
    if (permitted && state->gate_missing != 0 && (table->gate_trips != 0 || state->code == ENGINE_ARMING)) {
        add_own(state, CAUSE_GATE, inputs->now_ns, (double)state->gate_missing);
    }
    if (inputs->output_fault != 0) {
        add_own(state, CAUSE_OUTPUT, inputs->now_ns, 0.0);
    }
    uint32_t mask = readback_mask(state->code, readback);
    /*@ loop invariant 0 <= i <= CONTROL_OUTPUTS_MAX;
        loop invariant state->cause_count <= ENGINE_CAUSES_MAX;
        loop invariant state->cause_count >= \at(state->cause_count, LoopEntry);
        loop
        assigns i, state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count;
        loop variant CONTROL_OUTPUTS_MAX - i; */
    for (uint32_t i = 0; mask != 0 && i < CONTROL_OUTPUTS_MAX; i++) {
        if ((mask >> i & 1) != 0) {
            struct engine_cause cause;
            fill_readback(&cause, table, inputs, i);
            add(state, &cause);
        }
    }
}

void causes_collect(const struct control_table *table, struct engine_state *state,
                    const struct engine_inputs *inputs, const struct readback *readback, bool self_test_bad,
                    bool trip_edge, struct causes *causes)
{
    struct acting acting;
    uint32_t news = 0;
    uint32_t all = control_all_outputs(table);
    find_acting(table, state, &acting);
    bool permitted = machine_permits(state->code);
    bool all_are_full = permitted && acting.partial > 0 && (state->latched | acting.partial_outputs) == all;
    bool any_full = acting.full > 0 || all_are_full;
    state->cause_count = 0;
    add_owns(table, state, inputs, readback, self_test_bad, trip_edge);
    causes->demand = state->cause_count > 0 || any_full;
    if (any_full) {
        (void)add_part(table, state, inputs, PART_FULL, all_are_full, 0);
    }
    state->demand_count = state->cause_count;
    if (acting.partial > 0 && !all_are_full) {
        news = add_part(table, state, inputs, PART_PARTIAL, false, state->demand_count);
    }
    causes->partial_from = state->demand_count;
    causes->partial_to = state->cause_count;
    causes->partial_news = news;
    if (acting.blocking > 0) {
        (void)add_part(table, state, inputs, PART_BLOCKING, all_are_full, state->demand_count);
    }
    causes->blocked = causes->demand || acting.partial > 0 || acting.blocking > 0;
    causes->partial = acting.partial_outputs;
    causes->held = acting.held_outputs;
}
