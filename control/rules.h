/* What a rule makes of its samples: delays, hysteresis, votes. Part of the engine (control/engine.h), pure, hot. */
#ifndef CONTROL_RULES_H
#define CONTROL_RULES_H

#include "control/engine.h"

/* Judges every channel into state->quality and state->why. */
void rules_judge_channels(const struct control_table *table, struct engine_state *state,
                          const struct engine_inputs *inputs, struct engine_outputs *outputs);

/* Judges every rule into state->rule, in table order; ends bypasses and shelvings whose time is over; alarms. */
void rules_judge(const struct control_table *table, struct engine_state *state, const struct engine_inputs *inputs,
                 struct engine_outputs *outputs);

/* True if the rule acts now: not clear, not bypassed, no shadow, and a role that acts. Asked of every rule in every
 * step, and usually answered by the first comparison. */
static inline bool rules_acts(const struct control_rule *rule, const struct engine_rule_state *memory)
{
    return memory->truth != TRUTH_CLEAR && rule->role != ROLE_CONDITION && rule->role != ROLE_ALARM &&
           rule->shadow == 0 && memory->bypass_until_ns == 0;
}

/* The outputs that a PROTECT or HOLD rule makes safe: what it names, all if it names none of the table's. */
static inline uint32_t rules_outputs(const struct control_table *table, const struct control_rule *rule)
{
    uint32_t all = control_all_outputs(table);
    bool named = rule->role == ROLE_PROTECT || rule->role == ROLE_HOLD;
    uint32_t outputs = named ? rule->outputs & all : all;
    return outputs != 0 ? outputs : all;
}

/* A value as a whole number 0 .. 2^53. False: it is none. */
bool rules_whole_number(double value, uint64_t *number);

#endif
