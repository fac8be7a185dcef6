/* An interlock table small enough to see through, and inputs for it. */
#ifndef SUPPORT_TABLE_H
#define SUPPORT_TABLE_H

#include <stdio.h>
#include <string.h>

#include "control/engine.h"

#define TEST_NOW_NS   UINT64_C(1000000000000)
#define TEST_STALE_NS UINT64_C(100000000)

/* Adds a channel of ring 0: an f64 of the host's order at 8 * index, valid from -1000 to 1000. Returns its index.
 */
static inline uint32_t table_add_channel(struct control_table *table)
{
    uint32_t i = table->channels++;
    struct control_channel *channel = &table->channel[i];
    *channel = (struct control_channel){.decode = {.unit = "kPa",
                                                   .at_byte = 8 * i,
                                                   .type = RING_TYPE_F64,
                                                   .byte_order = RING_LITTLE_ENDIAN,
                                                   .scale = 1,
                                                   .range_low = -1000,
                                                   .range_high = 1000},
                                        .stale_ns = TEST_STALE_NS};
    snprintf(channel->decode.name, sizeof(channel->decode.name), "channel_%u", i);
    table->rings = 1;
    table->ring[0].channels = table->channels;
    return i;
}

/* Adds a rule of role PROTECT on all outputs, without delays; the form's own fields are for the caller. */
static inline struct control_rule *table_add_rule(struct control_table *table, uint32_t form, uint32_t channel)
{
    struct control_rule *rule = &table->rule[table->rules++];
    *rule = (struct control_rule){
        .form = form, .role = ROLE_PROTECT, .channel = channel, .on_samples = 1, .off_samples = 1, .severity = 2};
    snprintf(rule->name, sizeof(rule->name), "rule_%u", table->rules - 1);
    return rule;
}

/* Limits on both sides, and how far inside a demand ends. */
static inline void rule_limits(struct control_rule *rule, double low, double high, double hysteresis)
{
    rule->has_low = 1;
    rule->has_high = 1;
    rule->low = low;
    rule->high = high;
    rule->low_clear = low + hysteresis;
    rule->high_clear = high - hysteresis;
}

/* The channel must not be above `high`. */
static inline struct control_rule *table_add_high(struct control_table *table, uint32_t channel, double high)
{
    struct control_rule *rule = table_add_rule(table, FORM_LIMIT, channel);
    rule->has_high = 1;
    rule->high = high;
    rule->high_clear = high;
    return rule;
}

/* `needed` of the rules first .. first + members - 1. */
static inline struct control_rule *table_add_vote(struct control_table *table, uint32_t needed, uint32_t first,
                                                  uint32_t members)
{
    struct control_rule *rule = table_add_rule(table, FORM_VOTE, ENGINE_NONE);
    rule->needed = needed;
    rule->members = members;
    for (uint32_t i = 0; i < members; i++) {
        rule->member[i] = (uint16_t)(first + i);
    }
    return rule;
}

static inline struct control_rule *table_add_not(struct control_table *table, uint32_t member)
{
    struct control_rule *rule = table_add_rule(table, FORM_NOT, ENGINE_NONE);
    rule->members = 1;
    rule->member[0] = (uint16_t)member;
    return rule;
}

/* Nothing watched yet; two outputs on one device, no feedback, an empty gate. */
static inline void table_make_bare(struct control_table *table)
{
    memset(table, 0, sizeof(*table));
    table->magic = CONTROL_TABLE_MAGIC;
    table->version = CONTROL_TABLE_VERSION;
    table->bytes = sizeof(*table);
    table->future_ns = 10000000;
    table->bypasses_max = 2;
    table->shelve_max_ns = UINT64_C(3600000000000);
    table->outputs = 2;
    table->devices = 1;
    table->output[1].line = 1;
    table->device[0].lines = 3;
}

/* Two channels with a high rule each (above 100), and two outputs on one device. */
static inline void table_make(struct control_table *table)
{
    table_make_bare(table);
    for (int i = 0; i < 2; i++) {
        table_add_high(table, table_add_channel(table), 100);
    }
}

/* A new sample with the stamp `tai_ns`. */
static inline void inputs_sample(struct engine_inputs *inputs, uint32_t channel, double value, uint64_t tai_ns)
{
    struct engine_sample *sample = &inputs->channel[channel];
    *sample = (struct engine_sample){.value = value,
                                     .tai_ns = tai_ns,
                                     .samples = sample->samples + 1,
                                     .source_sequence = sample->samples + 1,
                                     .position = sample->samples};
}

#endif
