#include "control/orders.h"

#include "control/events.h"

#define NS_PER_S 1e9

/*@ requires \valid_read(table);
    assigns \nothing;
    ensures \result != 0 ==> index < CONTROL_RULES_MAX && index < table->rules; */
static bool is_alarm(const struct control_table *table, uint32_t index)
{
    return index < table->rules && index < CONTROL_RULES_MAX && table->rule[index].role == ROLE_ALARM;
}

/* A time that would wrap is longer than any that is allowed. */
/*@ assigns \nothing;
    ensures \result != 0 <==> 0 < wanted_ns <= longest_ns && now_ns + wanted_ns <= UINT64_MAX; */
static bool allowed(uint64_t now_ns, uint64_t wanted_ns, uint64_t longest_ns)
{
    return wanted_ns != 0 && wanted_ns <= longest_ns && wanted_ns <= UINT64_MAX - now_ns;
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns state->rule[0 .. CONTROL_RULES_MAX - 1], state->bypasses, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
    ensures bounded: \forall integer i; 0 <= i < CONTROL_RULES_MAX ==> state->rule[i].bypass_until_ns ==
            \old(state->rule[i].bypass_until_ns) || (\old(state->rule[i].bypass_until_ns) == 0 &&
            state->rule[i].bypass_until_ns <= inputs->now_ns + table->rule[i].bypass_max_ns);
    ensures counted: \result == ANSWER_DONE ==> \old(state->bypasses) < table->bypasses_max; */
static uint32_t bypass(const struct control_table *table, struct engine_state *state,
                       const struct engine_inputs *inputs, struct engine_outputs *outputs)
{
    uint32_t index = inputs->command_index;
    if (index >= table->rules || index >= CONTROL_RULES_MAX || table->rule[index].role == ROLE_ALARM) {
        return ANSWER_NO_SUCH;
    }
    struct engine_rule_state *memory = &state->rule[index];
    uint64_t longest_ns = table->rule[index].bypass_max_ns;
    if (longest_ns == 0) {
        return ANSWER_NOT_ALLOWED;
    }
    if (!allowed(inputs->now_ns, inputs->command_ns, longest_ns)) {
        return ANSWER_TOO_LONG;
    }
    if (memory->bypass_until_ns != 0) {
        return ANSWER_ALREADY; /* it cannot be extended */
    }
    if (state->bypasses >= table->bypasses_max) {
        return ANSWER_TOO_MANY;
    }
    memory->bypass_until_ns = inputs->now_ns + inputs->command_ns;
    state->bypasses++;
    engine_emit(outputs, inputs->now_ns, EVENT_BYPASS_ON, index, (double)inputs->command_ns / NS_PER_S);
    return ANSWER_DONE;
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns state->rule[0 .. CONTROL_RULES_MAX - 1], state->bypasses, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
static uint32_t unbypass(const struct control_table *table, struct engine_state *state,
                         const struct engine_inputs *inputs, struct engine_outputs *outputs)
{
    uint32_t index = inputs->command_index;
    if (index >= table->rules || index >= CONTROL_RULES_MAX || table->rule[index].role == ROLE_ALARM) {
        return ANSWER_NO_SUCH;
    }
    if (state->rule[index].bypass_until_ns == 0) {
        return ANSWER_ALREADY;
    }
    state->rule[index].bypass_until_ns = 0;
    state->bypasses -= state->bypasses > 0 ? 1 : 0;
    engine_emit(outputs, inputs->now_ns, EVENT_BYPASS_OFF, index, 0.0);
    return ANSWER_DONE;
}

/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs) && index < CONTROL_RULES_MAX;
    assigns state->rule[index].alarm, outputs->changed, outputs->events, outputs->events_lost, outputs->event[0
            .. ENGINE_EVENTS_MAX - 1]; */
static bool acknowledge_one(struct engine_state *state, uint32_t index, uint64_t now_ns,
                            struct engine_outputs *outputs)
{
    uint32_t alarm = state->rule[index].alarm;
    if (alarm != ALARM_UNACKNOWLEDGED && alarm != ALARM_RETURNED) {
        return false;
    }
    state->rule[index].alarm = alarm == ALARM_UNACKNOWLEDGED ? ALARM_ACKNOWLEDGED : ALARM_NORMAL;
    engine_emit(outputs, now_ns, EVENT_ALARM, index, (double)state->rule[index].alarm);
    return true;
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns state->rule[0 .. CONTROL_RULES_MAX - 1], state->bypasses, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
static uint32_t acknowledge(const struct control_table *table, struct engine_state *state,
                            const struct engine_inputs *inputs, struct engine_outputs *outputs)
{
    bool any = false;
    if (inputs->command_index != ENGINE_NONE) {
        if (!is_alarm(table, inputs->command_index)) {
            return ANSWER_NO_SUCH;
        }
        any = acknowledge_one(state, inputs->command_index, inputs->now_ns, outputs);
        return any ? ANSWER_DONE : ANSWER_ALREADY;
    }
    /*@ loop invariant 0 <= i <= CONTROL_RULES_MAX;
        loop
        assigns i, any, state->rule[0 .. CONTROL_RULES_MAX - 1], outputs->changed, outputs->events,
                outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
        loop variant CONTROL_RULES_MAX - i; */
    for (uint32_t i = 0; i < CONTROL_RULES_MAX && i < table->rules; i++) {
        if (is_alarm(table, i) && acknowledge_one(state, i, inputs->now_ns, outputs)) {
            any = true;
        }
    }
    return any ? ANSWER_DONE : ANSWER_ALREADY;
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns state->rule[0 .. CONTROL_RULES_MAX - 1], state->bypasses, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
static uint32_t shelve(const struct control_table *table, struct engine_state *state,
                       const struct engine_inputs *inputs, bool on, struct engine_outputs *outputs)
{
    uint32_t index = inputs->command_index;
    if (!is_alarm(table, index)) {
        return ANSWER_NO_SUCH;
    }
    struct engine_rule_state *memory = &state->rule[index];
    if (on && !allowed(inputs->now_ns, inputs->command_ns, table->shelve_max_ns)) {
        return ANSWER_TOO_LONG;
    }
    if (on == (memory->shelved_until_ns != 0)) {
        return ANSWER_ALREADY;
    }
    memory->shelved_until_ns = on ? inputs->now_ns + inputs->command_ns : 0;
    engine_emit(outputs, inputs->now_ns, EVENT_SHELVED, index, on ? (double)inputs->command_ns / NS_PER_S : 0.0);
    return ANSWER_DONE;
}

uint32_t orders_carry_out(const struct control_table *table, struct engine_state *state,
                          const struct engine_inputs *inputs, uint32_t pressed, struct engine_outputs *outputs)
{
    switch (pressed) {
    case COMMAND_BYPASS:
        return bypass(table, state, inputs, outputs);
    case COMMAND_UNBYPASS:
        return unbypass(table, state, inputs, outputs);
    case COMMAND_ACKNOWLEDGE:
        return acknowledge(table, state, inputs, outputs);
    case COMMAND_SHELVE:
        return shelve(table, state, inputs, true, outputs);
    case COMMAND_UNSHELVE:
        return shelve(table, state, inputs, false, outputs);
    default:
        return ANSWER_NONE;
    }
}

void orders_end_bypasses(const struct control_table *table, struct engine_state *state, uint64_t now_ns,
                         struct engine_outputs *outputs)
{
    /*@ loop invariant 0 <= i <= CONTROL_RULES_MAX;
        loop invariant \forall integer k; 0 <= k < i ==> state->rule[k].bypass_until_ns == 0;
        loop
        assigns i, state->rule[0 .. CONTROL_RULES_MAX - 1], outputs->changed, outputs->events,
                outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
        loop variant CONTROL_RULES_MAX - i; */
    for (uint32_t i = 0; i < CONTROL_RULES_MAX && i < table->rules; i++) {
        if (state->rule[i].bypass_until_ns != 0) {
            state->rule[i].bypass_until_ns = 0;
            engine_emit(outputs, now_ns, EVENT_BYPASS_OFF, i, 2.0);
        }
    }
    state->bypasses = 0;
}
