/* External device monitoring: where each output really is, and whether that is where it was told to be. Part of the
 * engine (control/engine.h), pure, hot. */
#ifndef CONTROL_READBACK_H
#define CONTROL_READBACK_H

#include "control/engine.h"

/* Bits per output index, of outputs with a feedback. */
struct readback {
    uint32_t astray; /* not where it was told to be */
    uint32_t late;   /* .. and its time to get there is over */
    uint32_t lost;   /* told to be energised, was, and says safe now */
};

/* Judges every output by its feedback channel and the command of the step before. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs) && \valid(result);
    requires \separated(table, state, inputs, outputs, result);
    assigns state->output[0 .. CONTROL_OUTPUTS_MAX - 1], outputs->changed;
    assigns result->astray, result->late, result->lost; */
void readback_judge(const struct control_table *table, struct engine_state *state,
                    const struct engine_inputs *inputs, struct engine_outputs *outputs, struct readback *result);

/* Takes the new command for the outputs: which have changed, and since when. */
/*@ requires \valid_read(table) && \valid(state) && \separated(table, state);
    assigns state->output[0 .. CONTROL_OUTPUTS_MAX - 1], state->energised;
    ensures state->energised == energised; */
void readback_command(const struct control_table *table, struct engine_state *state, uint32_t energised,
                      uint64_t now_ns);

#endif
