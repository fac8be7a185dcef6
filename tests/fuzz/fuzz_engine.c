/* Any bytes as table, state and inputs: no trap; outputs energised only if the state permits it, and only of those
 * that there are; a permit comes only from READY; FAULT absorbs; a step that says it has changed nothing has not.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "control/engine.h"
#include "tests/support/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static struct control_table table;
static struct engine_state state;
static struct engine_inputs inputs;
static struct engine_state before;

#define CHANNELS 5u
#define RULES    6u

/* Takes the next bytes of the input, zeros when there are no more. */
static void take(const uint8_t **data, size_t *size, void *to, size_t bytes)
{
    size_t n = *size < bytes ? *size : bytes;
    memset(to, 0, bytes);
    if (n > 0) {
        memcpy(to, *data, n);
    }
    *data += n;
    *size -= n;
}

/* Small counts that make sense, or ones far beyond all bounds. */
static uint32_t some(uint8_t byte, uint32_t limit)
{
    return byte < 250 ? byte % limit : UINT32_MAX - byte;
}

/* Raw bytes, with forms, roles and indices mostly among those that there are. */
static void take_rule(const uint8_t **data, size_t *size, struct control_rule *rule, bool wild)
{
    take(data, size, &rule->form, sizeof(*rule) - offsetof(struct control_rule, form));
    if (wild) {
        return;
    }
    rule->form %= FORM_NOT + 2;
    rule->role %= ROLE_PROTECT + 2;
    rule->shadow &= 1;
    rule->channel %= CHANNELS + 1;
    rule->other %= CHANNELS + 1;
    rule->members %= CONTROL_MEMBERS_MAX + 2;
    for (uint32_t i = 0; i < CONTROL_MEMBERS_MAX; i++) {
        rule->member[i] %= RULES + 1;
    }
    rule->on_samples %= 4;
    rule->off_samples %= 4;
}

static void take_table(const uint8_t **data, size_t *size)
{
    uint8_t counts[8];
    memset(&table, 0, sizeof(table));
    take(data, size, counts, sizeof(counts));
    table.channels = some(counts[0], CHANNELS + 1);
    table.rules = some(counts[1], RULES + 1);
    table.outputs = some(counts[2], 34);
    table.future_ns = (uint64_t)counts[3] << counts[3] % 64;
    table.gate_required = counts[4] | (uint32_t)(counts[4] & 1) << 8; /* there are nine checks */
    table.gate_trips = counts[5] & 1;
    table.bypasses_max = counts[5] >> 1 & 3;
    table.shelve_max_ns = (uint64_t)counts[6] << counts[6] % 64;
    bool wild = counts[7] >= 240;
    for (uint32_t i = 0; i < CHANNELS; i++) {
        take(data, size, &table.channel[i].decode.range_low, 2 * sizeof(double));
        take(data, size, &table.channel[i].stale_ns, sizeof(uint64_t));
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct control_feedback *feedback = &table.output[i].feedback;
        take(data, size, feedback, sizeof(*feedback));
        feedback->form %= wild ? UINT32_MAX : 4;
        feedback->channel %= wild ? UINT32_MAX : CHANNELS + 1;
    }
    for (uint32_t i = 0; i < RULES; i++) {
        take_rule(data, size, &table.rule[i], wild);
    }
}

static void check(const struct engine_outputs *outputs)
{
    bool permit = machine_permits(state.code);
    assert(outputs->energised == 0 || permit);
    assert((outputs->energised & ~control_all_outputs(&table)) == 0);
    assert(outputs->energised == state.energised);
    assert(!permit || machine_permits(before.code) || (before.code == ENGINE_READY && state.code == ENGINE_ARMING));
    assert(before.code != ENGINE_FAULT || state.code == ENGINE_FAULT);
    assert(state.cause_count <= ENGINE_CAUSES_MAX);
    assert(state.first_out_count <= ENGINE_CAUSES_MAX || state.first_out_count == before.first_out_count);
    assert(state.demand_count <= state.cause_count);
    assert(!permit || state.demand_count == 0);
    assert(outputs->events <= ENGINE_EVENTS_MAX);
    if (outputs->changed == 0) {
        before.steps = state.steps;
        before.last_now_ns = state.last_now_ns;
        before.cause_count = state.cause_count; /* causes are found anew in every step */
        before.demand_count = state.demand_count;
        memcpy(before.cause, state.cause, sizeof(state.cause));
        assert(same_bytes(&before, &state, sizeof(state)));
    }
}

static void take_inputs(const uint8_t **data, size_t *size)
{
    uint8_t step[6];
    take(data, size, step, sizeof(step));
    take(data, size, &inputs.channel[step[0] % CHANNELS], sizeof(inputs.channel[0]));
    inputs.command = step[1] < 200 ? UINT32_C(1) << step[1] % 10 : step[1];
    inputs.command_index = step[4] == 255 ? ENGINE_NONE : step[4];
    inputs.command_ns = (uint64_t)step[5] << step[5] % 60;
    inputs.deadline_missed = step[1] == 255;
    inputs.self_test_bad = step[2] == 255;
    inputs.output_fault = step[1] == 254;
    inputs.gate_passed = step[4] < 200 ? GATE_ALL : step[4] | (uint32_t)(step[5] & 1) << 8;
    inputs.now_ns += (uint64_t)step[3] << step[2] % 40;
}

/* A state that no engine has left behind, if the input has bytes for one: only the rules' part of it, and the code.
 */
static void take_state(const uint8_t **data, size_t *size)
{
    static const uint32_t codes[] = {ENGINE_INIT,  ENGINE_TRIPPED, ENGINE_READY, ENGINE_ARMING,
                                     ENGINE_ARMED, ENGINE_TEST,    ENGINE_FAULT};
    uint8_t pick[2];
    take(data, size, pick, sizeof(pick));
    if (pick[1] >= 128) {
        take(data, size, &state, offsetof(struct engine_state, first_out));
        take(data, size, state.output, 3 * sizeof(state.output[0]));
        take(data, size, state.rule, RULES * sizeof(state.rule[0]));
    }
    state.code = pick[0] < 250 ? codes[pick[0] % 7] : pick[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    take_table(&data, &size);
    engine_init(&state);
    take_state(&data, &size);
    memset(&inputs, 0, sizeof(inputs));
    while (size > 0) {
        struct engine_outputs outputs;
        take_inputs(&data, &size);
        before = state;
        engine_step(&table, &state, &inputs, &outputs);
        check(&outputs);
    }
    return 0;
}
