#include "tests/control/reference_world.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "tests/support/table.h"

#define MS           UINT64_C(1000000)
#define NUMBERS      2u
#define BITS         2u
#define BEAT         3u
#define POSITION     4u
#define VALUES       5u
#define HEALTHY_BITS UINT64_C(0x25) /* 0b100101 */

static uint64_t below(struct world *w, uint64_t limit)
{
    return test_random_below(&w->random, limit);
}

static bool chance(struct world *w, unsigned per_mille)
{
    return test_random_chance(&w->random, per_mille);
}

static void random_delays(struct world *w, struct control_rule *rule)
{
    rule->on_samples = chance(w, 500) ? 1 : (uint32_t)below(w, 4);
    rule->off_samples = chance(w, 500) ? 1 : (uint32_t)below(w, 4);
    rule->on_ns = chance(w, 700) ? 0 : below(w, 5 * MS);
    rule->off_ns = chance(w, 700) ? 0 : below(w, 5 * MS);
}

/* At least one side. */
static void random_limits(struct world *w, struct control_rule *rule, double reach)
{
    double hysteresis = chance(w, 500) ? 0 : reach * 0.05 * (double)below(w, 10);
    uint64_t sides = 1 + below(w, 3);
    rule_limits(rule, -reach, reach, hysteresis);
    rule->has_high = (uint32_t)(sides & 1);
    rule->has_low = (uint32_t)(sides >> 1);
}

static void make_leaf(struct world *w, struct control_rule *rule)
{
    rule->channel = (uint32_t)below(w, NUMBERS);
    random_delays(w, rule);
    switch (rule->form) {
    case FORM_LIMIT:
        random_limits(w, rule, 60 + (double)below(w, 40));
        break;
    case FORM_RATE:
        rule->window_ns = MS + below(w, 10 * MS);
        random_limits(w, rule, 20000 + (double)below(w, 40000));
        break;
    case FORM_DEVIATION:
        rule->other = 1 - rule->channel;
        random_limits(w, rule, 50 + (double)below(w, 30));
        break;
    case FORM_BIT:
        rule->channel = BITS;
        rule->demand_when = (uint32_t)below(w, 2);
        rule->mask = rule->demand_when != 0 ? 0x1a & (1 + below(w, 31)) : HEALTHY_BITS & (1 | below(w, 64));
        break;
    case FORM_STUCK:
        rule->band = chance(w, 500) ? 0 : 0.5;
        rule->window_ns = 8 * MS + below(w, 20 * MS);
        break;
    default:
        rule->channel = BEAT;
        rule->window_ns = 5 * MS + below(w, 20 * MS);
    }
}

/* A condition that demands on the healthy plant, for a NOT. */
static void turn_round(struct control_rule *rule)
{
    rule->form = FORM_LIMIT;
    rule->has_high = 1;
    rule->has_low = 0;
    rule->high = rule->high_clear = -300;
}

static uint32_t earlier(struct world *w, uint32_t index, uint32_t normal)
{
    for (int tries = 0; tries < 40; tries++) {
        uint32_t i = (uint32_t)below(w, index);
        if (w->normal[i] == normal || chance(w, 20)) {
            return i;
        }
    }
    return (uint32_t)below(w, index);
}

static void make_group(struct world *w, uint32_t index)
{
    struct control_rule *rule = &w->table.rule[index];
    rule->members = rule->form == FORM_NOT ? 1 : 1 + (uint32_t)below(w, index < 5 ? index : 5);
    rule->needed = (uint32_t)below(w, rule->members + 1); /* 0 acts like 1 */
    rule->unknown_trips = chance(w, 300);
    uint32_t demands = 0;
    for (uint32_t i = 0; i < rule->members; i++) {
        rule->member[i] = (uint16_t)earlier(w, index, rule->form == FORM_NOT ? TRUTH_DEMAND : TRUTH_CLEAR);
        demands += w->normal[rule->member[i]] == TRUTH_DEMAND;
    }
    bool demand = rule->form == FORM_NOT ? demands == 0 : demands >= (rule->needed == 0 ? 1 : rule->needed);
    w->normal[index] = demand ? TRUTH_DEMAND : TRUTH_CLEAR;
}

static uint32_t some_outputs(struct world *w)
{
    return 1 + (uint32_t)below(w, control_all_outputs(&w->table));
}

static void make_role(struct world *w, uint32_t index)
{
    struct control_rule *rule = &w->table.rule[index];
    static const uint32_t roles[] = {ROLE_CONDITION, ROLE_CONDITION, ROLE_ALARM,   ROLE_PERMIT,
                                     ROLE_HOLD,      ROLE_PROTECT,   ROLE_PROTECT, ROLE_PROTECT};
    rule->role = roles[below(w, sizeof(roles) / sizeof(roles[0]))];
    if (w->normal[index] == TRUTH_DEMAND && !chance(w, 10)) {
        rule->role = chance(w, 500) ? ROLE_CONDITION : ROLE_ALARM;
    } else if (chance(w, 5)) {
        rule->role = chance(w, 500) ? 0 : 6; /* acts as PROTECT */
    }
    rule->outputs = chance(w, 500) ? control_all_outputs(&w->table) : some_outputs(w);
    if (rule->role == ROLE_PROTECT && chance(w, 200)) {
        rule->outputs = 0;
    }
    rule->shadow = chance(w, 100);
    rule->bypass_max_ns = chance(w, 300) ? 0 : 20 * MS + below(w, 50 * MS);
}

/* What no compiler would let through: the engine must take it all the same. */
static void break_rule(struct world *w, uint32_t index)
{
    struct control_rule *rule = &w->table.rule[index];
    switch (below(w, 6)) {
    case 0:
        rule->channel = 63;
        break;
    case 1:
        rule->channel = UINT32_MAX;
        break;
    case 2:
        rule->form = 9;
        break;
    case 3:
        rule->high = (double)NAN;
        break;
    case 4:
        rule->members = rule->form == FORM_VOTE ? 17 : rule->members;
        break;
    default:
        rule->member[0] = (uint16_t)index;
    }
}

static void make_rules(struct world *w)
{
    uint32_t rules = 5 + (uint32_t)below(w, 6);
    for (uint32_t i = 0; i < rules; i++) {
        uint32_t form = 1 + (uint32_t)below(w, i < 2 ? FORM_HEARTBEAT : FORM_NOT);
        struct control_rule *rule = table_add_rule(&w->table, form, 0);
        w->normal[i] = TRUTH_CLEAR;
        if (form == FORM_VOTE || form == FORM_NOT) {
            make_group(w, i);
        } else {
            make_leaf(w, rule);
            if (chance(w, 150)) {
                turn_round(rule);
                w->normal[i] = TRUTH_DEMAND;
            }
        }
        make_role(w, i);
        if (chance(w, 3)) {
            break_rule(w, i);
        }
    }
}

static void make_feedback(struct world *w, uint32_t output)
{
    struct control_feedback *f = &w->table.output[output].feedback;
    uint64_t energised = UINT64_C(1) << (2 * output);
    f->form = (uint32_t)below(w, 3);
    f->time_ns = 5 * MS + below(w, 10 * MS);
    f->channel = f->form == FEEDBACK_BITS ? POSITION : VALUES + output;
    if (f->form == FEEDBACK_BITS) {
        uint64_t masks = below(w, 4);
        f->energised_mask = masks == 1 ? 0 : energised;
        f->safe_mask = masks == 2 ? 0 : energised << 1;
    } else {
        bool up = chance(w, 500);
        f->energised_at = up ? 90 : 10;
        f->safe_at = up ? 10 : 90;
    }
}

void world_restart(struct world *w)
{
    uint64_t now = w->inputs.now_ns;
    memset(&w->inputs, 0, sizeof(w->inputs));
    memset(w->at, 0, sizeof(w->at));
    memset(w->moving, 0, sizeof(w->moving));
    memset(w->welded, 0, sizeof(w->welded));
    w->inputs.now_ns = now;
    w->weather = 0;
    w->frozen = 0;
}

void world_make(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->random.state = seed;
    w->inputs.now_ns = TEST_NOW_NS;
    table_make_bare(&w->table);
    w->table.outputs = 1 + (uint32_t)below(w, 3);
    w->table.bypasses_max = (uint32_t)below(w, 4);
    w->table.shelve_max_ns = 40 * MS;
    w->table.gate_required = chance(w, 500) ? 0 : (uint32_t)below(w, 8);
    w->table.gate_trips = (uint32_t)below(w, 2);
    for (uint32_t i = 0; i < VALUES + w->table.outputs; i++) {
        struct control_channel *channel = &w->table.channel[table_add_channel(&w->table)];
        channel->stale_ns = 20 * MS;
        if (i == BITS || i == BEAT || i == POSITION) {
            channel->decode.range_low = -10;
            channel->decode.range_high = 1e17;
        }
    }
    for (uint32_t i = 0; i < w->table.outputs; i++) {
        make_feedback(w, i);
    }
    make_rules(w);
    w->want = 1;
    world_restart(w);
}

static double odd_number(struct world *w)
{
    static const double odd[] = {101,
                                 100,
                                 -95,
                                 81,
                                 999,
                                 1001,
                                 -1001,
                                 0.0,
                                 -0.0,
                                 4e-320,
                                 70,
                                 -85,
                                 60,
                                 -60,
                                 1e300,
                                 -DBL_MAX,
                                 2.5,
                                 -1,
                                 65,
                                 75,
                                 1000,
                                 -1000,
                                 DBL_MIN,
                                 88.5,
                                 9007199254740992.0,
                                 9007199254740994.0};
    uint64_t dice = below(w, 30);
    return dice == 0   ? (double)NAN
           : dice == 1 ? (double)INFINITY
           : dice == 2 ? -(double)INFINITY
                       : odd[dice % (sizeof(odd) / sizeof(odd[0]))];
}

/* Bits as the valves stand; one that moves shows neither. */
static double position_bits(const struct world *w)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < w->table.outputs; i++) {
        bits |= w->moving[i] != 0 ? 0 : UINT64_C(1) << (2 * i + (w->at[i] != 0 ? 0 : 1));
    }
    return (double)bits;
}

static double position_value(const struct world *w, uint32_t output)
{
    bool up = w->table.output[output].feedback.energised_at > w->table.output[output].feedback.safe_at;
    return w->moving[output] != 0 ? 50 : (w->at[output] != 0) == up ? 95 : 5;
}

static double healthy(struct world *w, uint32_t channel)
{
    if (channel < NUMBERS) {
        w->analog[channel] += (double)below(w, 2001) / 100 - 10;
        w->analog[channel] = fmin(fmax(w->analog[channel], 0), 45);
        return w->analog[channel];
    }
    if (channel == BITS) {
        return (double)HEALTHY_BITS;
    }
    if (channel == BEAT) {
        return (double)++w->count;
    }
    return channel == POSITION ? position_bits(w) : position_value(w, channel - VALUES);
}

static void one_fault(struct world *w, uint32_t channel)
{
    struct engine_sample *sample = &w->inputs.channel[channel];
    switch (below(w, 9)) {
    case 0:
        sample->fault = CAUSE_FRAME + (uint32_t)below(w, 2);
        break;
    case 1:
        sample->tai_ns += 11 * MS + below(w, MS);
        break;
    case 2:
        sample->tai_ns -= 15 * MS + below(w, 10 * MS);
        break;
    case 3:
        sample->old = 1;
        sample->tai_ns -= below(w, 3 * MS);
        break;
    case 4:
        w->frozen = 5 + (uint32_t)below(w, 40);
        w->frozen_channel = channel;
        break;
    case 5:
        sample->value = (double)below(w, 64);
        break;
    case 6:
        sample->old = 1;
        sample->value = odd_number(w);
        break;
    default:
        sample->value = odd_number(w);
    }
}

static void sample(struct world *w, uint32_t channel)
{
    bool frozen = w->frozen != 0 && w->frozen_channel == channel;
    if (frozen && (w->frozen & 1) != 0) {
        return; /* nothing at all; at the even ones the same value again */
    }
    if (chance(w, channel >= POSITION ? 900 : 800)) {
        double value = frozen ? w->inputs.channel[channel].value : healthy(w, channel);
        uint64_t jitter = below(w, MS / 2);
        inputs_sample(&w->inputs, channel, value, w->inputs.now_ns - jitter);
        if (chance(w, w->storm)) {
            one_fault(w, channel);
        }
    } else if (chance(w, w->storm)) {
        one_fault(w, channel); /* the same sample, spoiled afterwards */
    }
}

static void valves(struct world *w, uint32_t energised)
{
    for (uint32_t i = 0; i < w->table.outputs; i++) {
        if (w->welded[i] > 0) {
            w->welded[i]--;
        } else if (w->moving[i] > 0) {
            w->moving[i]--;
            w->at[i] = energised >> i & 1;
        } else if (w->at[i] != (energised >> i & 1)) {
            w->moving[i] = (uint32_t)below(w, 4);
            w->at[i] = energised >> i & 1;
        }
        if (chance(w, w->storm / 8)) {
            w->welded[i] = 2 + (uint32_t)below(w, 40);
            w->at[i] ^= chance(w, 300);
        }
    }
}

static uint32_t odd_command(struct world *w)
{
    static const uint32_t odd[] = {COMMAND_BYPASS,   COMMAND_BYPASS,      COMMAND_UNBYPASS,
                                   COMMAND_TEST,     COMMAND_ACKNOWLEDGE, COMMAND_SHELVE,
                                   COMMAND_UNSHELVE, COMMAND_RESET,       COMMAND_ARM};
    w->inputs.command_index = (uint32_t)below(w, w->table.rules + 1);
    w->inputs.command_ns = chance(w, 50) ? 0 : below(w, 80 * MS);
    uint32_t command = odd[below(w, sizeof(odd) / sizeof(odd[0]))];
    if (command == COMMAND_TEST && chance(w, 800)) {
        w->inputs.command_index = (uint32_t)below(w, w->table.outputs);
    }
    if (command == COMMAND_ACKNOWLEDGE && chance(w, 300)) {
        w->inputs.command_index = ENGINE_NONE;
    }
    return command;
}

static void operator(struct world *w, uint32_t code)
{
    uint32_t held = w->inputs.command;
    w->inputs.command = 0;
    if (chance(w, 100)) {
        w->inputs.command = held; /* keeps the finger on it */
    } else if (chance(w, 60)) {
        w->inputs.command = odd_command(w);
    } else if (chance(w, 400)) {
        w->inputs.command = code == ENGINE_TRIPPED ? COMMAND_RESET : code == ENGINE_READY ? COMMAND_ARM : 0;
    } else if (code == ENGINE_ARMED && chance(w, 15)) {
        w->inputs.command = COMMAND_TEST;
        w->inputs.command_index = (uint32_t)below(w, w->table.outputs);
    }
    if (chance(w, w->storm / 10)) {
        w->inputs.command |= (uint32_t)below(w, 512);
    }
}

static void weather(struct world *w)
{
    if (w->weather == 0) {
        static const uint32_t storms[] = {0, 0, 0, 3, 10, 200};
        w->storm = storms[below(w, sizeof(storms) / sizeof(storms[0]))];
        w->weather = 10 + (uint32_t)below(w, w->storm > 100 ? 10 : 80);
    }
    w->weather--;
    w->frozen -= w->frozen > 0;
}

void world_step(struct world *w, uint32_t energised, uint32_t code)
{
    weather(w);
    w->inputs.now_ns += chance(w, 20) ? 0 : below(w, 2 * MS);
    valves(w, energised);
    for (uint32_t i = 0; i < w->table.channels; i++) {
        sample(w, i);
    }
    operator(w, code);
    w->inputs.deadline_missed = chance(w, w->storm / 10);
    w->inputs.supervisor_silent = chance(w, w->storm / 10);
    w->inputs.output_fault = chance(w, w->storm / 10);
    w->inputs.gate_passed = chance(w, w->storm / 2) ? (uint32_t)below(w, GATE_ALL + 1) : GATE_ALL;
    w->inputs.self_test_bad = w->storm > 0 && below(w, 5000) == 0;
    if (w->storm > 0 && below(w, 5000) == 0) {
        w->inputs.now_ns -= 1 + below(w, 5 * MS);
    }
}
