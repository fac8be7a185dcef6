#include "control/readback.h"

#include "control/rules.h"
#include "ring/clock.h"

/*@ requires \valid_read(feedback);
    assigns \nothing; */
static uint32_t position_of_bits(const struct control_feedback *feedback, double value)
{
    uint64_t number;
    if (!rules_whole_number(value, &number)) {
        return POSITION_UNKNOWN;
    }
    bool energised = (number & feedback->energised_mask) != 0;
    bool safe = (number & feedback->safe_mask) != 0;
    if (feedback->safe_mask == 0) {
        safe = !energised;
    } else if (feedback->energised_mask == 0) {
        energised = !safe;
    }
    if (energised == safe) {
        return POSITION_UNKNOWN; /* between its ends, or a broken switch */
    }
    return energised ? POSITION_ENERGISED : POSITION_SAFE;
}

/*@ requires \valid_read(feedback);
    assigns \nothing; */
static uint32_t position_of_value(const struct control_feedback *feedback, double value)
{
    bool up = feedback->energised_at > feedback->safe_at;
    bool down = feedback->energised_at < feedback->safe_at;
    if ((up && value >= feedback->energised_at) || (down && value <= feedback->energised_at)) {
        return POSITION_ENERGISED;
    }
    return (up && value <= feedback->safe_at) || (down && value >= feedback->safe_at) ? POSITION_SAFE
                                                                                      : POSITION_UNKNOWN;
}

/*@ requires \valid_read(table) && \valid_read(state) && \valid_read(inputs) && \valid_read(feedback);
    assigns \nothing; */
static uint32_t position_of(const struct control_table *table, const struct engine_state *state,
                            const struct engine_inputs *inputs, const struct control_feedback *feedback,
                            uint32_t before)
{
    uint32_t channel = feedback->channel;
    if (channel >= table->channels || channel >= CONTROL_CHANNELS_MAX || state->why[channel] != CAUSE_NONE) {
        return POSITION_UNKNOWN;
    }
    double value = inputs->channel[channel].value;
    uint32_t position =
        feedback->form == FEEDBACK_BITS ? position_of_bits(feedback, value) : position_of_value(feedback, value);
    /* What came after a newer one may be from before the command: it proves no move. */
    return inputs->channel[channel].old != 0 && position != before ? POSITION_UNKNOWN : position;
}

/*@ requires \valid(output) && \valid_read(feedback) && \valid(outputs) && \valid(result);
    requires \separated(output, feedback, outputs, result);
    assigns output->position, output->followed, output->left_ns, outputs->changed;
    assigns result->astray, result->late, result->lost; */
static void judge_output(struct engine_output_state *output, uint32_t position, uint32_t wanted,
                         const struct control_feedback *feedback, uint64_t now_ns, uint32_t bit,
                         struct engine_outputs *outputs, struct readback *result)
{
    if (output->position != position) {
        output->position = position;
        outputs->changed = 1;
    }
    if (position == wanted) {
        if (output->followed == 0 || output->left_ns != 0) {
            output->followed = 1;
            output->left_ns = 0;
            outputs->changed = 1;
        }
        return;
    }
    if (output->left_ns == 0) {
        output->left_ns = now_ns;
        outputs->changed = 1;
    }
    uint64_t from_ns = output->changed_ns > output->left_ns ? output->changed_ns : output->left_ns;
    result->astray |= bit;
    if (clock_elapsed_ns(from_ns, now_ns) > feedback->time_ns) {
        result->late |= bit;
    }
    if (wanted == POSITION_ENERGISED && output->followed != 0 && position == POSITION_SAFE) {
        result->lost |= bit;
    }
}

void readback_judge(const struct control_table *table, struct engine_state *state,
                    const struct engine_inputs *inputs, struct engine_outputs *outputs, struct readback *result)
{
    result->astray = 0;
    result->late = 0;
    result->lost = 0;
    /*@ loop invariant 0 <= i <= CONTROL_OUTPUTS_MAX;
        loop
        assigns i, state->output[0 .. CONTROL_OUTPUTS_MAX - 1], outputs->changed;
        loop
        assigns result->astray, result->late, result->lost;
        loop variant CONTROL_OUTPUTS_MAX - i; */
    for (uint32_t i = 0; i < CONTROL_OUTPUTS_MAX && i < table->outputs; i++) {
        const struct control_feedback *feedback = &table->output[i].feedback;
        if (feedback->form != FEEDBACK_NONE) {
            uint32_t bit = UINT32_C(1) << i;
            uint32_t wanted = (state->energised & bit) != 0 ? POSITION_ENERGISED : POSITION_SAFE;
            uint32_t position = position_of(table, state, inputs, feedback, state->output[i].position);
            judge_output(&state->output[i], position, wanted, feedback, inputs->now_ns, bit, outputs, result);
        }
    }
}

void readback_command(const struct control_table *table, struct engine_state *state, uint32_t energised,
                      uint64_t now_ns)
{
    uint32_t changed = state->energised ^ energised;
    /*@ loop invariant 0 <= i <= CONTROL_OUTPUTS_MAX;
        loop
        assigns i, state->output[0 .. CONTROL_OUTPUTS_MAX - 1];
        loop variant CONTROL_OUTPUTS_MAX - i; */
    for (uint32_t i = 0; changed != 0 && i < CONTROL_OUTPUTS_MAX && i < table->outputs; i++) {
        if ((changed >> i & 1) != 0 && table->output[i].feedback.form != FEEDBACK_NONE) {
            state->output[i].changed_ns = now_ns;
            state->output[i].left_ns = now_ns;
            state->output[i].followed = 0;
        }
    }
    state->energised = energised;
}
