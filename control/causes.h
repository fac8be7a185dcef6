/* Which causes stand, in the order of their priority. Part of the engine (control/engine.h), pure, hot. */
#ifndef CONTROL_CAUSES_H
#define CONTROL_CAUSES_H

#include "control/engine.h"
#include "control/readback.h"

struct causes {
    bool demand;           /* one trips an armed interlock */
    bool blocked;          /* any stands */
    uint32_t partial;      /* outputs that acting PROTECT rules trip alone */
    uint32_t partial_from; /* their causes in state->cause */
    uint32_t partial_to;
    uint32_t held; /* outputs that acting HOLD rules keep safe */
};

/* Fills state->cause; `self_test_bad`: so it is in this step; `trip_edge`: an operator trips now. */
void causes_collect(const struct control_table *table, struct engine_state *state,
                    const struct engine_inputs *inputs, const struct readback *readback, bool self_test_bad,
                    bool trip_edge, struct causes *causes);

/* The causes READBACK of the outputs in mask, alone, in to[]: how many. */
uint32_t causes_readback(const struct control_table *table, const struct engine_inputs *inputs, uint32_t mask,
                         struct engine_cause *to);

#endif
