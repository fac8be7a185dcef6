/* Recordings whose every frame follows from its position, for tests of what reads them. */
#ifndef TESTS_SUPPORT_RECORDED_H
#define TESTS_SUPPORT_RECORDED_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/record_writer.h"

#define RECORDED_PAYLOAD_MAX 96u
#define RECORDED_SLOT_BYTES  128u
#define RECORDED_TAI_NS      UINT64_C(1790000000000000000)
#define RECORDED_PERIOD_NS   UINT64_C(1000000)

static const struct ring_channel recorded_channel[2] = {{.name = "count",
                                                         .unit = "1",
                                                         .at_byte = 0,
                                                         .type = RING_TYPE_U32,
                                                         .byte_order = RING_LITTLE_ENDIAN,
                                                         .scale = 1.0,
                                                         .range_high = 4e9},
                                                        {.name = "pressure",
                                                         .unit = "kPa",
                                                         .at_byte = 4,
                                                         .type = RING_TYPE_I16,
                                                         .byte_order = RING_BIG_ENDIAN,
                                                         .calibration = RING_CALIBRATION_POLYNOMIAL,
                                                         .numbers = 2,
                                                         .scale = 0.5,
                                                         .range_low = -1e6,
                                                         .range_high = 1e6}};
static const double recorded_number[2] = {10.0, 2.0};
static const struct ring_stream recorded_stream[1] = {{.name = "one", .source = "udp", .stamp = RING_STAMP_TAKEN}};
static const char recorded_json[] = "{\"operator\": \"me\", \"test_id\": \"T-7\"}";
static const char recorded_config[] = "instance: rig\n";

/* The head of segment 0, whole recordings of `stripes`. The run is all `run`. */
static inline void recorded_source(struct record_source *source, const char *ring, uint8_t run, uint32_t stripe,
                                   uint32_t stripes)
{
    *source = (struct record_source){.channel = recorded_channel,
                                     .number = recorded_number,
                                     .stream = recorded_stream,
                                     .json = recorded_json,
                                     .config = recorded_config};
    struct record_file_header *h = &source->header;
    h->channels = 2;
    h->numbers = 2;
    h->streams = 1;
    h->stripe = stripe;
    h->stripes = stripes;
    h->json_bytes = sizeof(recorded_json) - 1;
    h->config_bytes = sizeof(recorded_config) - 1;
    h->stamp = RING_STAMP_TAKEN;
    h->utc_offset_s = 37;
    h->slot_bytes = RECORDED_SLOT_BYTES;
    h->payload_offset = RING_DESCRIPTOR_BYTES;
    h->payload_bytes = RECORDED_PAYLOAD_MAX;
    h->slots = 1024;
    snprintf(h->instance, sizeof(h->instance), "rig");
    snprintf(h->ring, sizeof(h->ring), "%s", ring);
    snprintf(h->recorder, sizeof(h->recorder), "all");
    memset(h->run, run, sizeof(h->run));
}

/* The frame at `position`; every hundredth is a gap record. */
static inline void recorded_frame(uint64_t position, struct ring_descriptor *descriptor,
                                  uint8_t payload[RECORDED_PAYLOAD_MAX])
{
    uint16_t length = (uint16_t)(8 + position * 7 % (RECORDED_PAYLOAD_MAX - 8));
    uint16_t flags = 0;
    for (uint32_t i = 0; i < RECORDED_PAYLOAD_MAX; i++) {
        payload[i] = (uint8_t)(position * 31 + i);
    }
    uint32_t count = (uint32_t)position;
    memcpy(payload, &count, sizeof(count));
    payload[4] = (uint8_t)(position >> 8 & 0x7f);
    payload[5] = (uint8_t)position;
    if (position % 100 == 99) {
        struct ring_gap gap = {.cause = RING_LOSS_KERNEL, .count = 5, .from_tai_ns = RECORDED_TAI_NS};
        memcpy(payload, &gap, sizeof(gap));
        length = sizeof(gap);
        flags = RING_FLAG_GAP | RING_LOSS_KERNEL << RING_FLAG_CAUSE_SHIFT;
    }
    *descriptor = (struct ring_descriptor){.sequence = position + 1,
                                           .tai_ns = RECORDED_TAI_NS + position * RECORDED_PERIOD_NS,
                                           .source_sequence = 1000 + position};
    descriptor->rest = ring_pack_rest(length, flags, 0, flags != 0 ? 5 : 0);
}

static inline int recorded_write(struct record_writer *writer, uint64_t from, uint64_t to, struct error *err)
{
    int code = 0;
    for (uint64_t p = from; code == 0 && p < to; p++) {
        struct ring_descriptor descriptor;
        uint8_t payload[RECORDED_PAYLOAD_MAX];
        recorded_frame(p, &descriptor, payload);
        code = record_writer_frame(writer, &descriptor, payload, err);
    }
    return code;
}

/* A file of whole slots, made block by block as the recorder does it. */
struct recorded_file {
    struct record_source source;
    struct record_account account; /* one file's; of several stripes the totals are to be shared */
    uint8_t *bytes;
    uint64_t room;
};

static inline void recorded_file_begin(struct recorded_file *file, const struct record_source *source)
{
    file->source = *source;
    file->room = UINT64_C(4) << 20;
    file->bytes = calloc(1, file->room);
    file->account = (struct record_account){.room = 1024};
    file->account.index = calloc(1024, sizeof(struct record_index));
    file->account.totals.first_position = source->header.first_position;
    file->account.totals.next_position = source->header.first_position;
    record_head_build(source, file->bytes);
    file->account.offset = record_head_bytes(source);
}

/* Block `number`, positions [from, to), in front of which `gap` (NULL: none) is missing. */
static inline void recorded_file_block(struct recorded_file *file, uint64_t number, uint64_t from, uint64_t to,
                                       const struct record_gap *gap)
{
    uint8_t *at = file->bytes + file->account.offset;
    struct record_block *lead = (struct record_block *)(void *)at;
    for (uint64_t p = from; p < to; p++) {
        uint8_t *slot = at + RECORD_LEAD_BYTES + (p - from) * RECORDED_SLOT_BYTES;
        recorded_frame(p, (struct ring_descriptor *)(void *)slot, slot + RING_DESCRIPTOR_BYTES);
    }
    lead->number = number;
    record_slots_lead(lead, &file->source.header, at + RECORD_LEAD_BYTES, from, (uint32_t)(to - from));
    if (gap != NULL) {
        (void)record_lead_gap(lead, gap);
    }
    record_block_finish(lead, at + RECORD_LEAD_BYTES, NULL, RECORDED_TAI_NS);
    (void)record_account_block(&file->account, file->account.offset, lead);
    file->account.offset += lead->bytes;
}

static inline void recorded_file_end(struct recorded_file *file, enum record_close why)
{
    uint64_t bytes = record_end_bytes(&file->account);
    record_end_build(&file->account, &file->source.header, why, NULL, RECORDED_TAI_NS,
                     file->bytes + file->account.offset);
    file->account.offset += bytes;
}

/* Writes what there is so far as DIRECTORY/its name, and frees. 0 or -1. */
static inline int recorded_file_write(struct recorded_file *file, const char *directory)
{
    char name[RECORD_FILE_NAME_BYTES];
    char path[512];
    const struct record_file_header *h = &file->source.header;
    record_file_name(name, h->ring, h->segment, h->stripe, h->stripes);
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool done = fd >= 0 && write(fd, file->bytes, file->account.offset) == (ssize_t)file->account.offset;
    if (fd >= 0) {
        close(fd);
    }
    free(file->bytes);
    free(file->account.index);
    return done ? 0 : -1;
}

#endif
