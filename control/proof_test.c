#include "control/proof_test.h"

#include "control/events.h"
#include "ring/clock.h"

bool proof_test_possible(const struct control_table *table, const struct engine_state *state, uint32_t output)
{
    if (state->code != ENGINE_ARMED || output >= table->outputs || output >= CONTROL_OUTPUTS_MAX) {
        return false;
    }
    return table->output[output].feedback.form != FEEDBACK_NONE && (state->energised >> output & 1) != 0 &&
           state->output[output].position == POSITION_ENERGISED;
}

/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs);
    assigns state->test.result, state->test.phase, outputs->changed, outputs->events, outputs->events_lost,
            outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
static void end(struct engine_state *state, uint32_t result, uint64_t now_ns, struct engine_outputs *outputs)
{
    state->test.result = result;
    state->test.phase = 0;
    engine_emit(outputs, now_ns, EVENT_TEST, state->test.output, (double)result);
}

void proof_test_begin(struct engine_state *state, uint32_t output, uint64_t now_ns, struct engine_outputs *outputs)
{
    state->test = (struct engine_test){.output = output, .result = TEST_RUNNING, .phase = 1, .from_ns = now_ns};
    engine_emit(outputs, now_ns, EVENT_TEST, output, (double)TEST_RUNNING);
}

bool proof_test_done(struct engine_state *state, uint32_t kept_safe, uint64_t now_ns,
                     struct engine_outputs *outputs)
{
    uint32_t i = state->test.output;
    if (state->code != ENGINE_TEST || state->test.phase == 0 || i >= CONTROL_OUTPUTS_MAX) {
        return state->code == ENGINE_TEST; /* a test of nothing is over */
    }
    const struct engine_output_state *output = &state->output[i];
    if ((kept_safe >> i & 1) != 0) {
        end(state, TEST_ABORTED, now_ns, outputs);
        return true;
    }
    if (state->test.phase == 1 && output->followed != 0 && output->position == POSITION_SAFE) {
        state->test.safe_ns = clock_elapsed_ns(state->test.from_ns, now_ns);
        state->test.phase = 2;
        outputs->changed = 1;
    } else if (state->test.phase == 2 && output->position == POSITION_ENERGISED) {
        state->test.back_ns = clock_elapsed_ns(output->changed_ns, now_ns);
        end(state, TEST_PASSED, now_ns, outputs);
        return true;
    }
    return false;
}

void proof_test_trip(struct engine_state *state, bool failed, uint64_t now_ns, struct engine_outputs *outputs)
{
    if (state->test.phase != 0) {
        end(state, failed ? TEST_FAILED : TEST_ABORTED, now_ns, outputs);
    }
}

uint32_t proof_test_mask(const struct engine_state *state)
{
    bool told_safe = state->code == ENGINE_TEST && state->test.phase == 1;
    return told_safe && state->test.output < CONTROL_OUTPUTS_MAX ? UINT32_C(1) << state->test.output : 0;
}
