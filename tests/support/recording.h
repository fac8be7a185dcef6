/* A recording as the black box leaves it, made in memory by an engine that really decides: what a replay must come
 * to again, bit for bit. Two channels, a trip limit and an alarm on the first, a rate on the second. */
#ifndef SUPPORT_RECORDING_H
#define SUPPORT_RECORDING_H

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "control/board.h"
#include "control/watch.h"
#include "daq/blackbox_read.h"

#define RECORDING_ENTRIES_MAX 512u
#define RECORDING_RING_MAX    65536u
#define RECORDING_FROM_NS     UINT64_C(1000000000000)
#define RECORDING_STEP_NS     UINT64_C(10000000)

struct test_recording {
    _Alignas(8) uint8_t ring[RECORDING_RING_MAX];
    size_t ring_bytes;
    uint64_t frames;
    struct control_table table;
    struct control_checkpoint checkpoint[4];
    uint32_t checkpoints;
    struct journal_entry entry[RECORDING_ENTRIES_MAX];
    uint32_t entries;
    uint64_t first_entry;
    struct engine_inputs inputs;
    struct engine_state state;
    struct engine_outputs outputs;
};

static inline void recording_add_channel(struct control_table *table, const char *name, const char *unit)
{
    struct control_channel *channel = &table->channel[table->channels];
    *channel = (struct control_channel){.decode = {.at_byte = 8 * table->channels,
                                                   .type = RING_TYPE_F64,
                                                   .byte_order = RING_LITTLE_ENDIAN,
                                                   .scale = 1,
                                                   .range_low = -1000,
                                                   .range_high = 1000},
                                        .stale_ns = 100 * RECORDING_STEP_NS};
    snprintf(channel->decode.name, sizeof(channel->decode.name), "%s", name);
    snprintf(channel->decode.unit, sizeof(channel->decode.unit), "%s", unit);
    table->channels++;
}

static inline struct control_rule *recording_add_rule(struct control_table *table, const char *name, uint32_t form,
                                                      uint32_t role, uint32_t channel, double high)
{
    struct control_rule *rule = &table->rule[table->rules++];
    *rule = (struct control_rule){.form = form,
                                  .role = role,
                                  .channel = channel,
                                  .has_high = 1,
                                  .high = high,
                                  .high_clear = high,
                                  .window_ns = 5 * RECORDING_STEP_NS,
                                  .on_samples = 1,
                                  .off_samples = 1,
                                  .severity = 2};
    snprintf(rule->name, sizeof(rule->name), "%s", name);
    return rule;
}

static inline void recording_make_table(struct control_table *table)
{
    memset(table, 0, sizeof(*table));
    table->magic = CONTROL_TABLE_MAGIC;
    table->version = CONTROL_TABLE_VERSION;
    table->bytes = sizeof(*table);
    table->future_ns = RECORDING_STEP_NS;
    table->rings = 1;
    table->outputs = 2;
    table->devices = 1;
    table->output[1].line = 1;
    table->device[0].lines = 3;
    snprintf(table->instance, sizeof(table->instance), "test");
    snprintf(table->output[0].name, sizeof(table->output[0].name), "relief");
    snprintf(table->output[1].name, sizeof(table->output[1].name), "supply");
    snprintf(table->ring[0].name, sizeof(table->ring[0].name), "sensors");
    recording_add_channel(table, "pressure", "kPa");
    recording_add_channel(table, "flow", "l/min");
    table->ring[0].channels = table->channels;
    /* A calibration that changes nothing, not even a bit: so that frames are decoded through one. */
    table->channel[0].decode.calibration = RING_CALIBRATION_POLYNOMIAL;
    table->channel[0].decode.numbers = 2;
    table->number[1] = 1;
    table->numbers = table->ring[0].numbers = 2;
    recording_add_rule(table, "near", FORM_LIMIT, ROLE_ALARM, 0, 90);
    recording_add_rule(table, "overpressure", FORM_LIMIT, ROLE_PROTECT, 0, 100);
    recording_add_rule(table, "surge", FORM_RATE, ROLE_PROTECT, 1, 500);
    table->hash = control_table_hash(table);
}

static inline void recording_put(struct test_recording *r, const void *data, size_t bytes)
{
    assert(r->ring_bytes + bytes <= RECORDING_RING_MAX);
    memcpy(r->ring + r->ring_bytes, data, bytes);
    r->ring_bytes += bytes;
}

static inline void recording_put_header(struct test_recording *r)
{
    struct ring_channel channel[2] = {r->table.channel[0].decode, r->table.channel[1].decode};
    struct ring_stream stream = {.name = "stream", .source = "test"};
    struct blackbox_ring_header header = {.magic = BLACKBOX_RING_MAGIC,
                                          .version = BLACKBOX_VERSION,
                                          .header_bytes = sizeof(header),
                                          .channels = 2,
                                          .streams = 1,
                                          .slots = 64,
                                          .payload_bytes = 96};
    snprintf(header.instance, sizeof(header.instance), "test");
    snprintf(header.name, sizeof(header.name), "sensors");
    uint64_t sum =
        blackbox_checksum(BLACKBOX_CHECKSUM_START, &header, offsetof(struct blackbox_ring_header, checksum));
    sum = blackbox_checksum(sum, channel, sizeof(channel));
    header.checksum = blackbox_checksum(sum, &stream, sizeof(stream));
    recording_put(r, &header, sizeof(header));
    recording_put(r, channel, sizeof(channel));
    recording_put(r, &stream, sizeof(stream));
}

static inline void recording_begin(struct test_recording *r)
{
    memset(r, 0, sizeof(*r));
    recording_make_table(&r->table);
    recording_put_header(r);
    engine_init(&r->state);
    r->inputs.gate_passed = GATE_ALL;
    r->inputs.now_ns = RECORDING_FROM_NS;
    r->first_entry = 1000; /* the journal has gone on for a while */
}

static inline void recording_step(struct test_recording *r, enum journal_kind kind, uint64_t position,
                                  uint32_t cause)
{
    engine_step(&r->table, &r->state, &r->inputs, &r->outputs);
    assert(r->entries < RECORDING_ENTRIES_MAX);
    r->entry[r->entries++] = (struct journal_entry){.now_ns = r->inputs.now_ns,
                                                    .position = position,
                                                    .command = r->inputs.command,
                                                    .command_index = r->inputs.command_index,
                                                    .command_ns = r->inputs.command_ns,
                                                    .kind = (uint16_t)kind,
                                                    .cause = (uint16_t)cause,
                                                    .gate_passed = (uint16_t)r->inputs.gate_passed,
                                                    .energised = r->outputs.energised,
                                                    .code = r->state.code,
                                                    .trips = (uint32_t)r->state.trips};
}

/* A frame arrives and is decided upon. */
static inline void recording_frame(struct test_recording *r, double pressure, double flow)
{
    double values[2] = {pressure, flow};
    struct engine_sample decoded[CONTROL_CHANNELS_MAX];
    r->inputs.now_ns += RECORDING_STEP_NS;
    struct blackbox_record record = {.kind = BLACKBOX_FRAME,
                                     .length_bytes = sizeof(values),
                                     .position = r->frames,
                                     .tai_ns = r->inputs.now_ns - 1000,
                                     .source_sequence = 500 + r->frames};
    uint64_t sum = blackbox_checksum(BLACKBOX_CHECKSUM_START, &record, offsetof(struct blackbox_record, checksum));
    record.checksum = blackbox_checksum(sum, values, sizeof(values));
    recording_put(r, &record, sizeof(record));
    recording_put(r, values, sizeof(values));
    struct sluice_frame frame = {.payload = (const uint8_t *)values,
                                 .position = record.position,
                                 .tai_ns = record.tai_ns,
                                 .source_sequence = record.source_sequence,
                                 .length_bytes = sizeof(values)};
    watch_decode(&r->table, 0, &frame, false, &r->inputs, decoded);
    watch_take(&r->table.ring[0], &r->inputs, decoded);
    r->frames++;
    recording_step(r, JOURNAL_FRAME, record.position, 0);
}

static inline void recording_command(struct test_recording *r, uint32_t command)
{
    r->inputs.command = command;
    recording_step(r, JOURNAL_COMMAND, 0, 0);
    r->inputs.command = COMMAND_NONE;
    recording_step(r, JOURNAL_IDLE, 0, 0);
}

static inline void recording_checkpoint(struct test_recording *r)
{
    r->checkpoint[r->checkpoints] = (struct control_checkpoint){.number = 2 + 2 * r->checkpoints,
                                                                .journal = r->first_entry + r->entries,
                                                                .tai_ns = r->inputs.now_ns,
                                                                .inputs = r->inputs,
                                                                .state = r->state};
    r->checkpoints++;
}

static inline void recording_end(struct test_recording *r)
{
    struct blackbox_record record = {.kind = BLACKBOX_END, .position = r->frames};
    record.checksum =
        blackbox_checksum(BLACKBOX_CHECKSUM_START, &record, offsetof(struct blackbox_record, checksum));
    recording_put(r, &record, sizeof(record));
}

/* Armed, a scare, a trip by pressure, reset and armed again, a trip by the rate of the flow: 2 trips. */
static inline void recording_story(struct test_recording *r)
{
    recording_begin(r);
    recording_checkpoint(r);
    for (int i = 0; i < 20; i++) {
        recording_frame(r, 50 + i, 10);
    }
    recording_command(r, COMMAND_RESET);
    recording_command(r, COMMAND_ARM);
    recording_frame(r, 95, 11);
    recording_frame(r, 60, 12);
    recording_checkpoint(r);
    recording_frame(r, 101, 12);
    recording_frame(r, 80, 13);
    recording_command(r, COMMAND_RESET);
    recording_command(r, COMMAND_ARM);
    for (int i = 0; i < 10; i++) {
        recording_frame(r, 70, 13);
    }
    recording_frame(r, 70, 200);
    for (int i = 0; i < 10; i++) {
        recording_frame(r, 70, 200);
    }
    recording_end(r);
}

static inline int recording_open(const struct test_recording *r, struct blackbox_recording *to, struct error *err)
{
    struct blackbox_bytes table = {.data = &r->table, .bytes = sizeof(r->table)};
    struct blackbox_bytes checkpoints = {.data = r->checkpoint,
                                         .bytes = r->checkpoints * sizeof(struct control_checkpoint)};
    struct blackbox_bytes journal = {.data = r->entry, .bytes = r->entries * sizeof(struct journal_entry)};
    struct blackbox_bytes ring = {.data = r->ring, .bytes = r->ring_bytes};
    return blackbox_open(to, &table, &checkpoints, &journal, r->first_entry, &ring, 1, err);
}

#endif
