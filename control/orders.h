/* What an operator asks of single rules and alarms: bypass, acknowledge, shelve. Part of the engine
 * (control/engine.h), pure, hot. */
#ifndef CONTROL_ORDERS_H
#define CONTROL_ORDERS_H

#include "control/engine.h"

/* Carries out BYPASS, UNBYPASS, ACKNOWLEDGE, SHELVE or UNSHELVE; the answer. ANSWER_NONE: none of these. */
uint32_t orders_carry_out(const struct control_table *table, struct engine_state *state,
                          const struct engine_inputs *inputs, uint32_t pressed, struct engine_outputs *outputs);

/* Ends every bypass: a trip leaves none behind. */
void orders_end_bypasses(const struct control_table *table, struct engine_state *state, uint64_t now_ns,
                         struct engine_outputs *outputs);

#endif
