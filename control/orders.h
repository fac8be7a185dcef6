/* What an operator asks of single rules and alarms: bypass, acknowledge, shelve. Part of the engine
 * (control/engine.h), pure, hot. */
#ifndef CONTROL_ORDERS_H
#define CONTROL_ORDERS_H

#include "control/engine.h"

/* Carries out BYPASS, UNBYPASS, ACKNOWLEDGE, SHELVE or UNSHELVE; the answer. ANSWER_NONE: none of these. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns state->rule[0 .. CONTROL_RULES_MAX - 1], state->bypasses, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
uint32_t orders_carry_out(const struct control_table *table, struct engine_state *state,
                          const struct engine_inputs *inputs, uint32_t pressed, struct engine_outputs *outputs);

/* Ends every bypass: a trip leaves none behind. */
/*@ requires \valid_read(table) && \valid(state) && \valid(outputs) && \separated(table, state, outputs);
    assigns state->rule[0 .. CONTROL_RULES_MAX - 1], state->bypasses, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
    ensures none_left: \forall integer i; 0 <= i < CONTROL_RULES_MAX && i < table->rules ==>
            state->rule[i].bypass_until_ns == 0; */
void orders_end_bypasses(const struct control_table *table, struct engine_state *state, uint64_t now_ns,
                         struct engine_outputs *outputs);

#endif
