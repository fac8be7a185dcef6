/* An engine on a healthy plant, a step of a millisecond at a time. Every Test() runs in a process of its own. */
#ifndef CONTROL_ENGINE_RIG_H
#define CONTROL_ENGINE_RIG_H

#include <criterion/criterion.h>

#include "control/engine.h"
#include "tests/support/table.h"

#define MS UINT64_C(1000000)

static struct control_table table;
static struct engine_state state;
static struct engine_inputs inputs;
static struct engine_outputs outputs;

/* A fresh engine on the table as it is. */
static inline void rig_start(void)
{
    memset(&inputs, 0, sizeof(inputs));
    inputs.now_ns = TEST_NOW_NS;
    inputs.gate_passed = GATE_ALL;
    engine_init(&state);
}

static inline void rig_make(void)
{
    table_make(&table);
    rig_start();
}

static inline void sample_all(double value)
{
    for (uint32_t i = 0; i < table.channels; i++) {
        inputs_sample(&inputs, i, value, inputs.now_ns);
    }
}

/* One step, one millisecond later; nobody commands anything unless told so. */
static inline uint32_t step(uint32_t command)
{
    inputs.now_ns += MS;
    inputs.command = command;
    engine_step(&table, &state, &inputs, &outputs);
    return state.code;
}

/* A new sample on channel 0, stamped with the time of the step that looks at it. */
static inline void feed(double value)
{
    inputs_sample(&inputs, 0, value, inputs.now_ns + MS);
    step(COMMAND_NONE);
}

/* A command, and the key released again. Returns its answer. */
static inline uint32_t press(uint32_t command, uint32_t index, uint64_t ns)
{
    inputs.command_index = index;
    inputs.command_ns = ns;
    step(command);
    uint32_t answer = outputs.answer;
    step(COMMAND_NONE);
    return answer;
}

static inline void expect(uint32_t code, const char *when)
{
    cr_assert_eq(state.code, code, "%s: %s instead of %s", when, engine_state_name(state.code),
                 engine_state_name(code));
    cr_assert(machine_permits(code) || outputs.energised == 0, "%s: outputs %#x", when, outputs.energised);
}

/* On a table without feedback, whose rules are clear now. */
static inline void arm(void)
{
    step(COMMAND_NONE);
    step(COMMAND_RESET);
    step(COMMAND_ARM);
    step(COMMAND_NONE);
    expect(ENGINE_ARMED, "arm()");
    cr_assert_eq(outputs.energised, control_all_outputs(&table));
}

#endif
