#include "bench/mixed_table.h"

#include <stdio.h>

#define VOTERS 3u

static void add_channel(struct control_table *table)
{
    uint32_t i = table->channels++;
    struct control_channel *channel = &table->channel[i];
    *channel = (struct control_channel){.decode = {.unit = "kPa",
                                                   .at_byte = 8 * i,
                                                   .type = RING_TYPE_F64,
                                                   .byte_order = RING_LITTLE_ENDIAN,
                                                   .scale = 1,
                                                   .range_low = -MIXED_RANGE,
                                                   .range_high = MIXED_RANGE},
                                        .stale_ns = MIXED_NEVER_NS};
    snprintf(channel->decode.name, sizeof(channel->decode.name), "channel_%u", i);
    table->ring[0].channels = table->channels;
}

void mixed_table_begin(struct control_table *table, uint32_t channels)
{
    memset(table, 0, sizeof(*table));
    table->magic = CONTROL_TABLE_MAGIC;
    table->version = CONTROL_TABLE_VERSION;
    table->bytes = sizeof(*table);
    table->rings = 1;
    table->outputs = 2;
    table->output[1].line = 1;
    table->device[0].lines = 3;
    table->cycle_budget_ns = MIXED_NEVER_NS;
    table->stall_trip_ns = MIXED_NEVER_NS;
    table->refresh_ns = MIXED_NEVER_NS;
    table->heartbeat_ns = MIXED_NEVER_NS;
    table->acknowledge_ns = MIXED_NEVER_NS;
    table->output_fault_ns = MIXED_NEVER_NS;
    table->late_ns = MIXED_NEVER_NS;
    table->future_ns = MIXED_NEVER_NS;
    table->shelve_max_ns = MIXED_NEVER_NS;
    table->bypasses_max = CONTROL_RULES_MAX;
    for (uint32_t i = 0; i < channels; i++) {
        add_channel(table);
    }
}

static void add_members(struct control_rule *rule, uint32_t index)
{
    uint32_t most = rule->form == FORM_NOT ? 1 : VOTERS;
    rule->members = index < most ? index : most;
    rule->needed = rule->members > 1 ? 2 : 1;
    for (uint32_t i = 0; i < rule->members; i++) {
        rule->member[i] = (uint16_t)(index - 1 - i);
    }
}

struct control_rule *mixed_table_add(struct control_table *table, uint32_t form, uint32_t role, uint32_t channel)
{
    uint32_t index = table->rules++;
    struct control_rule *rule = &table->rule[index];
    double limit = form == FORM_RATE ? 1e7 : 100; /* 1 in a window is 1000 per second */
    *rule = (struct control_rule){.form = form,
                                  .role = role,
                                  .channel = channel,
                                  .other = (channel + 1) % table->channels,
                                  .has_high = 1,
                                  .has_low = form != FORM_LIMIT,
                                  .high = limit,
                                  .low = -limit,
                                  .high_clear = limit,
                                  .low_clear = -limit,
                                  .demand_when = 1,
                                  .mask = 64,
                                  .band = 0.5,
                                  .window_ns = form == FORM_RATE ? MIXED_WINDOW_NS : MIXED_NEVER_NS,
                                  .on_samples = 1,
                                  .off_samples = 1,
                                  .severity = 1,
                                  .bypass_max_ns = MIXED_NEVER_NS};
    snprintf(rule->name, sizeof(rule->name), "rule_%u", index);
    if (form == FORM_VOTE || form == FORM_NOT) {
        add_members(rule, index);
    }
    return rule;
}

void mixed_table_fill(struct control_table *table, uint32_t rules)
{
    static const struct {
        uint32_t form, role;
    } turn[] = {{FORM_LIMIT, ROLE_CONDITION}, {FORM_LIMIT, ROLE_CONDITION},   {FORM_LIMIT, ROLE_CONDITION},
                {FORM_VOTE, ROLE_PROTECT},    {FORM_RATE, ROLE_PROTECT},      {FORM_DEVIATION, ROLE_ALARM},
                {FORM_BIT, ROLE_PROTECT},     {FORM_HEARTBEAT, ROLE_PROTECT}, {FORM_LIMIT, ROLE_PROTECT},
                {FORM_STUCK, ROLE_PROTECT},   {FORM_DEVIATION, ROLE_PROTECT}};
    uint32_t turns = sizeof(turn) / sizeof(turn[0]);
    uint32_t others = table->channels > 1 ? table->channels - 1 : 1;
    for (uint32_t i = 0; i + 1 < rules; i++) {
        /* Channel 0 is the one that goes beyond its limit. */
        uint32_t channel = 1 + i % others;
        struct control_rule *rule = mixed_table_add(table, turn[i % turns].form, turn[i % turns].role, channel);
        rule->other = 1 + (i + 1) % others;
    }
    mixed_table_add(table, FORM_LIMIT, ROLE_HOLD, 0)->outputs = 1;
}
