#include "bench/engine_paths.h"

#include <string.h>

#include "bench/mixed_table.h"

#define CHANNELS       CONTROL_CHANNELS_MAX
#define STEP_NS        UINT64_C(10000)
#define JUMP_NS        (2 * MIXED_WINDOW_NS)
#define FLAP_WINDOW_NS (STEP_NS / 2) /* of stuck and heartbeat: one step without a change is too long */
#define NOW_NS         UINT64_C(1000000000000000)
#define VOTERS         CONTROL_MEMBERS_MAX
#define WARM_STEPS     120u

// clang-format off
#define STATES(name, form) \
    {name "-clear", form, ROLE_PROTECT, PATH_CLEAR, 0}, {name "-idle", form, ROLE_PROTECT, PATH_IDLE, 0}, \
    {name "-demand", form, ROLE_PROTECT, PATH_DEMAND, 0}, {name "-unknown", form, ROLE_PROTECT, PATH_UNKNOWN, 0}, \
    {name "-flap", form, ROLE_ALARM, PATH_FLAP, 0}, {name "-flap_hold", form, ROLE_HOLD, PATH_FLAP, 1}, \
    {name "-trip", form, ROLE_PROTECT, PATH_TRIP, 0}, {name "-trip_one", form, ROLE_PROTECT, PATH_TRIP, 1}, \
    {name "-blind", form, ROLE_PROTECT, PATH_BLIND, 0}, {name "-bypass", form, ROLE_PROTECT, PATH_BYPASS, 0}
#define DELAYS(name, form) \
    {name "-delay", form, ROLE_PROTECT, PATH_DELAY, 0}, {name "-return", form, ROLE_PROTECT, PATH_RETURN, 0}

static const struct engine_path paths[] = {
    {"mixed-frame", 0, 0, PATH_CLEAR, 0},
    {"mixed-idle", 0, 0, PATH_IDLE, 0},
    {"mixed-blind", 0, 0, PATH_BLIND, 0},
    {"mixed-trip", 0, 0, PATH_TRIP, 0},
    {"mixed-readback", 0, 0, PATH_READBACK, 0},
    STATES("limit", FORM_LIMIT), DELAYS("limit", FORM_LIMIT),
    STATES("rate", FORM_RATE), DELAYS("rate", FORM_RATE),
    STATES("deviation", FORM_DEVIATION), DELAYS("deviation", FORM_DEVIATION),
    STATES("bit", FORM_BIT), DELAYS("bit", FORM_BIT),
    STATES("stuck", FORM_STUCK), DELAYS("stuck", FORM_STUCK),
    STATES("vote", FORM_VOTE), DELAYS("vote", FORM_VOTE), /* of its members */
    STATES("heartbeat", FORM_HEARTBEAT),
    STATES("not", FORM_NOT),
};
// clang-format on

uint32_t engine_path_count(void)
{
    return sizeof(paths) / sizeof(paths[0]);
}

const struct engine_path *engine_path_at(uint32_t index)
{
    return &paths[index];
}

static void adapt(struct control_rule *rule, const struct engine_path *path)
{
    bool still = rule->form == FORM_STUCK || rule->form == FORM_HEARTBEAT;
    rule->outputs = path->outputs;
    if (still) {
        rule->window_ns = path->state == PATH_FLAP ? FLAP_WINDOW_NS : MIXED_WINDOW_NS;
    }
    if (path->state == PATH_DELAY) {
        rule->on_samples = UINT32_MAX;
        rule->on_ns = MIXED_NEVER_NS;
    }
    if (path->state == PATH_RETURN) {
        rule->off_samples = UINT32_MAX;
        rule->off_ns = MIXED_NEVER_NS;
    }
}

/* Votes of sixteen over sixteen conditions; of each other form `rules` of the same. */
static void add_rules(struct control_table *table, const struct engine_path *path, uint32_t rules)
{
    bool group = path->form == FORM_VOTE || path->form == FORM_NOT;
    uint32_t leaves = !group ? 0 : rules > VOTERS ? VOTERS : rules > 1 ? rules - 1 : 1;
    for (uint32_t i = 0; i < leaves; i++) {
        struct control_rule *rule = mixed_table_add(table, FORM_LIMIT, ROLE_CONDITION, i % CHANNELS);
        if (path->form == FORM_VOTE) { /* a NOT is clear while its member demands: that must not be delayed */
            adapt(rule, path);
        }
    }
    for (uint32_t i = leaves; i < rules; i++) {
        struct control_rule *rule = mixed_table_add(table, path->form, path->role, i % CHANNELS);
        adapt(rule, path);
        if (group) {
            rule->members = path->form == FORM_NOT ? 1 : leaves;
            rule->needed = (leaves + 1) / 2;
        }
        for (uint32_t m = 0; group && m < rule->members; m++) {
            rule->member[m] = (uint16_t)(path->form == FORM_NOT ? i % leaves : m);
        }
    }
}

static void add_feedbacks(struct control_table *table)
{
    table->outputs = CONTROL_OUTPUTS_MAX;
    for (uint32_t i = 0; i < CONTROL_OUTPUTS_MAX; i++) {
        table->output[i] = (struct control_output){.line = i,
                                                   .feedback = {.form = FEEDBACK_VALUE,
                                                                .channel = CHANNELS - 1 - i,
                                                                .energised_at = 40,
                                                                .safe_at = 20,
                                                                .time_ns = MIXED_NEVER_NS}};
    }
    table->device[0].lines = UINT32_MAX;
}

/* Beyond the limit (of the path's form) or inside it. A NOT demands while its member does not. */
static double value_of(const struct engine_path *path, uint32_t channel, uint64_t number, bool out)
{
    switch (path->form) {
    case FORM_RATE:
        return out ? (double)(number % 10000) * 1e5 : 50;
    case FORM_DEVIATION:
        return out && channel % 2 == 0 ? 250 : 50;
    case FORM_BIT:
        return out ? 114 : 50;
    case FORM_STUCK:
    case FORM_HEARTBEAT:
        return out ? 50 : 50 + (double)(number & 1);
    case FORM_NOT:
        return out ? 50 : 150;
    case FORM_LIMIT:
    case FORM_VOTE:
        return out ? 150 : 50;
    default:
        return out ? 150 : 50 + (double)(number & 1);
    }
}

/* A new sample in every channel. */
static void sample_all(struct engine_bed *bed, bool out, uint32_t fault)
{
    for (uint32_t i = 0; i < CHANNELS; i++) {
        struct engine_sample *sample = &bed->inputs.channel[i];
        *sample = (struct engine_sample){.value = value_of(bed->path, i, bed->number, out),
                                         .tai_ns = bed->inputs.now_ns,
                                         .samples = sample->samples + 1,
                                         .source_sequence = bed->number,
                                         .position = bed->number,
                                         .fault = fault};
    }
}

static void warm_step(struct engine_bed *bed, bool out, uint32_t command)
{
    bed->number++;
    bed->inputs.now_ns += STEP_NS;
    bed->inputs.command = command;
    sample_all(bed, out, 0);
    engine_bed_step(bed);
    bed->inputs.command = COMMAND_NONE;
}

/* As the outputs of `bed` are commanded, so are they read back. */
static void follow(struct engine_bed *bed, bool safe)
{
    for (uint32_t i = 0; i < CONTROL_OUTPUTS_MAX && bed->path->state == PATH_READBACK; i++) {
        bed->inputs.channel[CHANNELS - 1 - i].value = safe ? 10 : 50;
    }
}

static void arm(struct engine_bed *bed)
{
    static const uint32_t commands[] = {COMMAND_NONE, COMMAND_RESET, COMMAND_NONE, COMMAND_ARM};
    for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        bed->number++;
        bed->inputs.now_ns += STEP_NS;
        bed->inputs.command = commands[i];
        sample_all(bed, false, 0);
        follow(bed, true);
        engine_bed_step(bed);
    }
    bed->inputs.command = COMMAND_NONE;
    for (uint32_t i = 0; i < 2; i++) {
        bed->number++;
        bed->inputs.now_ns += STEP_NS;
        sample_all(bed, false, 0);
        engine_bed_step(bed);
    }
    bed->armed = bed->state.code == ENGINE_ARMED;
}

static void bypass_all(struct engine_bed *bed)
{
    for (uint32_t i = 0; i < bed->table.rules; i++) {
        bed->state.rule[i].bypass_until_ns = bed->inputs.now_ns + JUMP_NS / 2;
        bed->state.rule[i].shelved_until_ns = bed->inputs.now_ns + JUMP_NS / 2;
    }
    bed->state.bypasses = bed->table.rules;
}

void engine_bed_make(struct engine_bed *bed, const struct engine_path *path, uint32_t rules)
{
    memset(bed, 0, sizeof(*bed));
    bed->path = path;
    bed->inputs.now_ns = NOW_NS;
    bed->inputs.gate_passed = GATE_ALL;
    mixed_table_begin(&bed->table, CHANNELS);
    if (path->form == 0) {
        mixed_table_fill(&bed->table, rules);
    } else {
        add_rules(&bed->table, path, rules);
    }
    if (path->state == PATH_READBACK) {
        add_feedbacks(&bed->table);
    }
    engine_init(&bed->state);
    for (uint32_t i = 0; i < WARM_STEPS; i++) {
        warm_step(bed, false, COMMAND_NONE);
    }
    arm(bed);
    for (uint32_t i = 0; i < WARM_STEPS && (path->state == PATH_DEMAND || path->state == PATH_RETURN); i++) {
        warm_step(bed, true, COMMAND_NONE);
    }
    if (path->state == PATH_BYPASS) {
        bypass_all(bed);
    }
    bed->fresh = bed->state;
    bed->fresh_inputs = bed->inputs;
}

/* Armed again, and some time later. */
static void start_again(struct engine_bed *bed)
{
    bed->state = bed->fresh;
    bed->inputs = bed->fresh_inputs;
    bed->inputs.now_ns += JUMP_NS;
}

void engine_bed_next(struct engine_bed *bed)
{
    enum path_state state = bed->path->state;
    bool moves = bed->path->form == FORM_STUCK || bed->path->form == FORM_HEARTBEAT;
    bed->number++;
    bed->inputs.now_ns += STEP_NS;
    switch (state) {
    case PATH_IDLE:
        return;
    case PATH_DELAY:
    case PATH_DEMAND:
        sample_all(bed, true, 0);
        return;
    case PATH_UNKNOWN:
        sample_all(bed, false, CAUSE_OVERRUN);
        return;
    case PATH_FLAP:
        /* What moves is clear in the step with the change. */
        sample_all(bed, (bed->number & 1) != 0, 0);
        for (uint32_t i = 0; moves && i < CHANNELS; i++) {
            bed->inputs.channel[i].value = 50 + (double)(bed->number >> 1 & 1);
        }
        return;
    case PATH_TRIP:
        start_again(bed);
        sample_all(bed, true, 0);
        return;
    case PATH_BLIND:
        start_again(bed);
        sample_all(bed, false, CAUSE_OVERRUN);
        return;
    case PATH_BYPASS:
        start_again(bed);
        sample_all(bed, false, 0);
        return;
    case PATH_READBACK:
        start_again(bed);
        sample_all(bed, false, 0);
        follow(bed, true);
        return;
    default:
        sample_all(bed, false, 0);
    }
}
