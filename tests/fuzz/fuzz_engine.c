/* Any bytes as table, state and inputs: no trap, outputs energised only in ARMING or ARMED, and FAULT absorbs. */
#include <assert.h>
#include <string.h>

#include "control/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static struct control_table table;
static struct engine_state state;
static struct engine_inputs inputs;

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

static void take_table(const uint8_t **data, size_t *size)
{
    uint8_t counts[4];
    memset(&table, 0, sizeof(table));
    take(data, size, counts, sizeof(counts));
    table.channels = counts[0] < 250 ? counts[0] % 5 : UINT32_MAX - counts[0];
    table.rules = counts[1] < 250 ? counts[1] % 5 : UINT32_MAX - counts[1];
    table.outputs = counts[2];
    table.future_ns = (uint64_t)counts[3] << counts[3] % 64;
    for (uint32_t i = 0; i < 4; i++) {
        take(data, size, &table.channel[i].decode.range_low, 2 * sizeof(double));
        take(data, size, &table.channel[i].stale_ns, sizeof(uint64_t));
        table.channel[i].guarded = counts[3] >> i & 1;
        take(data, size, &table.rule[i], sizeof(table.rule[i]));
        table.rule[i].channel = counts[3] < 250 ? table.rule[i].channel % 5 : table.rule[i].channel;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t codes[] = {ENGINE_INIT,   ENGINE_TRIPPED, ENGINE_READY,
                                     ENGINE_ARMING, ENGINE_ARMED,   ENGINE_FAULT};
    take_table(&data, &size);
    engine_init(&state);
    uint8_t pick = 0;
    take(&data, &size, &pick, 1);
    state.code = pick < 250 ? codes[pick % 6] : pick;
    memset(&inputs, 0, sizeof(inputs));
    while (size > 0) {
        struct engine_outputs outputs;
        uint8_t step[4];
        take(&data, &size, step, sizeof(step));
        take(&data, &size, &inputs.channel[step[0] % 5], sizeof(inputs.channel[0]));
        inputs.command = step[1] & 7;
        inputs.deadline_missed = step[1] == 255;
        inputs.self_test_bad = step[2] == 255;
        inputs.output_fault = step[1] == 254;
        inputs.now_ns += (uint64_t)step[3] << step[2] % 40;
        uint32_t before = state.code;
        engine_step(&table, &state, &inputs, &outputs);
        bool permit = state.code == ENGINE_ARMING || state.code == ENGINE_ARMED;
        assert(outputs.energised == 0 || permit);
        assert(!permit || state.cause_count == 0);
        assert(!permit || before == ENGINE_READY || before == ENGINE_ARMING || before == ENGINE_ARMED);
        assert(before != ENGINE_FAULT || state.code == ENGINE_FAULT);
        assert(state.cause_count <= ENGINE_CAUSES_MAX && state.first_out_count <= ENGINE_CAUSES_MAX);
    }
    return 0;
}
