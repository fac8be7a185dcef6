/* What a rule makes of its samples: delays, hysteresis, votes. Part of the engine (control/engine.h), pure, hot. */
#ifndef CONTROL_RULES_H
#define CONTROL_RULES_H

#include "control/engine.h"

/* Judges every channel into state->quality and state->why. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns state->why[0 .. CONTROL_CHANNELS_MAX - 1], state->quality[0 .. CONTROL_CHANNELS_MAX - 1],
            outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
    ensures only_good_is_good: \forall integer i; 0 <= i < CONTROL_CHANNELS_MAX && i < table->channels ==>
            (state->quality[i] == ENGINE_GOOD <==> state->why[i] == CAUSE_NONE); */
void rules_judge_channels(const struct control_table *table, struct engine_state *state,
                          const struct engine_inputs *inputs, struct engine_outputs *outputs);

/* Judges every rule into state->rule, in table order; ends bypasses and shelvings whose time is over; alarms. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns state->rule[0 .. CONTROL_RULES_MAX - 1], state->bypasses, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
void rules_judge(const struct control_table *table, struct engine_state *state, const struct engine_inputs *inputs,
                 struct engine_outputs *outputs);

/* True if the rule acts now: not clear, not bypassed, no shadow, and a role that acts. Here, for it is asked of
 * every rule in every step, and mostly answered by the first comparison. */
/*@ requires \valid_read(rule) && \valid_read(memory);
    assigns \nothing;
    ensures \result != 0 <==> acts(rule, memory); */
static inline bool rules_acts(const struct control_rule *rule, const struct engine_rule_state *memory)
{
    return memory->truth != TRUTH_CLEAR && rule->role != ROLE_CONDITION && rule->role != ROLE_ALARM &&
           rule->shadow == 0 && memory->bypass_until_ns == 0;
}

/* The outputs that a PROTECT or HOLD rule makes safe: what it names, all if it names none of the table's. */
/*@ requires \valid_read(table) && \valid_read(rule);
    assigns \nothing; */
static inline uint32_t rules_outputs(const struct control_table *table, const struct control_rule *rule)
{
    uint32_t all = control_all_outputs(table);
    bool named = rule->role == ROLE_PROTECT || rule->role == ROLE_HOLD;
    uint32_t outputs = named ? rule->outputs & all : all;
    return outputs != 0 ? outputs : all;
}

/* A value as a whole number 0 .. 2^53. False: it is none. */
/*@ requires \valid(number);
    assigns *number;
    ensures \result != 0 ==> *number <= 9007199254740992; */
bool rules_whole_number(double value, uint64_t *number);

#endif
