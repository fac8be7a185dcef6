/* Channels in their units: one frame, or many at once. Hot (HOT_SOURCES). */
#include <math.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/handle.h"
#include "ring/raw_loops.h"

double sluice_value(const struct sluice_reader *reader, uint32_t index, const struct sluice_frame *frame)
{
    double value = (double)NAN;
    if (index < reader->tables.identity.channels && (frame->flags & SLUICE_FRAME_GAP) == 0) {
        (void)ring_channels_decode(reader->tables.channel, index, reader->tables.number, frame->payload,
                                   frame->length_bytes, &value);
    }
    return value;
}

/* One run of frames, as decoding wants them. */
struct run {
    const uint8_t *slot;
    uint32_t count;
    uint32_t stride;
    uint32_t payload_offset;
    uint32_t payload_bytes;
};

static inline uint32_t length_at(const struct run *run, const uint8_t *slot)
{
    uint64_t rest = __atomic_load_n(&((const struct ring_descriptor *)(const void *)slot)->rest, __ATOMIC_RELAXED);
    uint32_t length_bytes = (uint32_t)(rest & 0xffff);
    if ((rest >> 16 & RING_FLAG_GAP) != 0) {
        return 0;
    }
    return length_bytes < run->payload_bytes ? length_bytes : run->payload_bytes;
}

/* Whatever the calibration. */
static void decode_each(const struct sluice_reader *reader, uint32_t index, const struct run *run, double *values)
{
    const uint8_t *slot = run->slot;
    for (uint32_t i = 0; i < run->count; i++, slot += run->stride) {
        values[i] = (double)NAN;
        (void)ring_channels_decode(reader->tables.channel, index, reader->tables.number, slot + run->payload_offset,
                                   length_at(run, slot), &values[i]);
    }
}

/* raw * scale + offset of one type and byte order. The same operations in the same order as ring_channel_decode(),
 * hence the same bits. */
#define LINEAR_LOOP(name, type, word, load)                                                                        \
    static void name(const struct ring_channel *c, const struct run *run, double *values)                          \
    {                                                                                                              \
        const uint8_t *slot = run->slot;                                                                           \
        uint32_t end = c->at_byte + (uint32_t)sizeof(word);                                                        \
        for (uint32_t i = 0; i < run->count; i++, slot += run->stride) {                                           \
            word w;                                                                                                \
            type raw;                                                                                              \
            memcpy(&w, slot + run->payload_offset + c->at_byte, sizeof(w));                                        \
            w = load(w);                                                                                           \
            memcpy(&raw, &w, sizeof(raw));                                                                         \
            double value = (double)raw * c->scale + c->offset;                                                     \
            values[i] = length_at(run, slot) >= end ? value : (double)NAN;                                         \
        }                                                                                                          \
    }

RAW_LOOPS(LINEAR_LOOP)

typedef void linear_loop(const struct ring_channel *channel, const struct run *run, double *values);
static linear_loop *const little[RING_TYPES] = RAW_LITTLE;
static linear_loop *const big[RING_TYPES] = RAW_BIG;

uint32_t sluice_batch_values(const struct sluice_reader *reader, uint32_t index, const struct sluice_batch *batch,
                             uint32_t first, uint32_t count, double *values)
{
    uint32_t have = first < batch->count ? batch->count - first : 0;
    struct run run = {.slot = batch->first + (size_t)first * batch->slot_bytes,
                      .count = count < have ? count : have,
                      .stride = batch->slot_bytes,
                      .payload_offset = batch->payload_offset,
                      .payload_bytes = batch->payload_bytes};
    if (run.count == 0) {
        return 0;
    }
    if (index >= reader->tables.identity.channels) {
        for (uint32_t i = 0; i < run.count; i++) {
            values[i] = (double)NAN;
        }
        return run.count;
    }
    const struct ring_channel *c = &reader->tables.channel[index];
    bool fits = (uint64_t)c->at_byte + ring_type_bytes(c->type) <= batch->payload_bytes;
    if (c->calibration == RING_CALIBRATION_LINEAR && c->bits == 0 && fits) {
        (c->byte_order == RING_BIG_ENDIAN ? big : little)[c->type](c, &run, values);
    } else {
        decode_each(reader, index, &run, values);
    }
    return run.count;
}
