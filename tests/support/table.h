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
static inline uint32_t table_add_channel(struct control_table *table, uint32_t guarded)
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
                                        .guarded = guarded,
                                        .stale_ns = TEST_STALE_NS};
    snprintf(channel->decode.name, sizeof(channel->decode.name), "channel_%u", i);
    table->rings = 1;
    table->ring[0].channels = table->channels;
    return i;
}

static inline struct control_rule *table_add_rule(struct control_table *table, uint32_t channel)
{
    struct control_rule *rule = &table->rule[table->rules++];
    *rule = (struct control_rule){.channel = channel, .delay_samples = 1};
    snprintf(rule->name, sizeof(rule->name), "rule_%u", table->rules - 1);
    return rule;
}

/* Two guarded channels with a high rule each (above 100), and two outputs on one device. */
static inline void table_make(struct control_table *table)
{
    memset(table, 0, sizeof(*table));
    table->magic = CONTROL_TABLE_MAGIC;
    table->version = CONTROL_TABLE_VERSION;
    table->bytes = sizeof(*table);
    table->future_ns = 10000000;
    table->outputs = 2;
    table->devices = 1;
    table->output[1].line = 1;
    table->device[0].lines = 3;
    for (int i = 0; i < 2; i++) {
        struct control_rule *rule = table_add_rule(table, table_add_channel(table, 1));
        rule->has_high = 1;
        rule->high = 100;
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
