/* The proof test of one output under permit: it is told to be safe, must be read back as safe in its time, and is
 * told to come back. Part of the engine (control/engine.h), pure, hot. */
#ifndef CONTROL_PROOF_TEST_H
#define CONTROL_PROOF_TEST_H

#include "control/engine.h"

/* True if `output` can be tested in this state. */
/*@ requires \valid_read(table) && \valid_read(state);
    assigns \nothing;
    ensures \result != 0 ==> output < CONTROL_OUTPUTS_MAX && state->code == ENGINE_ARMED; */
bool proof_test_possible(const struct control_table *table, const struct engine_state *state, uint32_t output);

/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs);
    assigns state->test, outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 ..
            ENGINE_EVENTS_MAX - 1]; */
void proof_test_begin(struct engine_state *state, uint32_t output, uint64_t now_ns, struct engine_outputs *outputs);

/* After the readback: true if the test under way is over, passed or, because its output is latched or held now,
 * aborted. */
/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs);
    assigns state->test, outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 ..
            ENGINE_EVENTS_MAX - 1]; */
bool proof_test_done(struct engine_state *state, uint32_t kept_safe, uint64_t now_ns,
                     struct engine_outputs *outputs);

/* A trip ends it; failed: the tested output did not follow. */
/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs);
    assigns state->test, outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 ..
            ENGINE_EVENTS_MAX - 1]; */
void proof_test_trip(struct engine_state *state, bool failed, uint64_t now_ns, struct engine_outputs *outputs);

/* The output that the test keeps safe now, as a bit; 0: none. */
/*@ requires \valid_read(state);
    assigns \nothing; */
uint32_t proof_test_mask(const struct engine_state *state);

#endif
