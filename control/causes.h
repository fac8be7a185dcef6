/* Which causes stand, in the order of their priority. Part of the engine (control/engine.h), pure, hot. */
#ifndef CONTROL_CAUSES_H
#define CONTROL_CAUSES_H

#include "control/engine.h"
#include "control/readback.h"

struct causes {
    bool demand;           /* one trips an armed interlock */
    bool blocked;          /* any stands */
    uint32_t partial;      /* outputs that acting PROTECT rules trip alone */
    uint32_t partial_news; /* in state->cause: the first whose rule trips an output that was not tripped before */
    uint32_t partial_from; /* their causes in state->cause */
    uint32_t partial_to;
    uint32_t held; /* outputs that acting HOLD rules keep safe */
};

/* Fills state->cause; `self_test_bad`: so it is in this step; `trip_edge`: an operator trips now. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid_read(readback) && \valid(causes);
    requires \separated(table, state, inputs, readback, causes);
    assigns state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count, state->demand_count, *causes;
    ensures counts: state->demand_count <= state->cause_count <= ENGINE_CAUSES_MAX;
    ensures listed: state->demand_count > 0 ==> causes->demand != 0;
    ensures all_block: causes->demand != 0 || causes->partial != 0 ==> causes->blocked != 0;
    ensures own: self_test_bad != 0 || inputs->deadline_missed != 0 || inputs->supervisor_silent != 0 || trip_edge
            != 0 || inputs->output_fault != 0 ==> causes->demand != 0;
    ensures acting_blocks: \forall integer i; 0 <= i < CONTROL_RULES_MAX && i < table->rules &&
            acts(&table->rule[i], &state->rule[i]) && table->rule[i].role == ROLE_PROTECT ==> causes->blocked !=
            0; */
void causes_collect(const struct control_table *table, struct engine_state *state,
                    const struct engine_inputs *inputs, const struct readback *readback, bool self_test_bad,
                    bool trip_edge, struct causes *causes);

/* The causes READBACK of the outputs in mask, alone, in to[]: how many. */
/*@ requires \valid_read(table) && \valid_read(inputs) && \valid(to + (0 .. ENGINE_CAUSES_MAX - 1));
    requires \separated(table, inputs, to + (0 .. ENGINE_CAUSES_MAX - 1));
    assigns to[0 .. ENGINE_CAUSES_MAX - 1];
    ensures \result <= ENGINE_CAUSES_MAX; */
uint32_t causes_readback(const struct control_table *table, const struct engine_inputs *inputs, uint32_t mask,
                         struct engine_cause *to);

#endif
