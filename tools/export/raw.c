/* Payload bytes one after the other; and the same where each must be a VDIF frame. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tools/export/export.h"
#include "tools/export/origin.h"

/* VDIF Release 1.1.1: the third word's low 24 bits are the frame's length, header included, in units of 8 bytes. */
#define VDIF_LENGTH_AT 8u
#define VDIF_BYTES_MIN 24u /* a legacy header of 16, and one unit */

struct raw {
    struct export_sink sink;
    struct output *output;
    const struct export_ring *ring;
    struct origin_config *config;
    uint32_t skip; /* bytes before the VDIF header */
    bool is_vdif;
};

static int open_as(struct export_sink **sink, const struct export_ops *ops, const struct export_plan *plan,
                   struct output *output, struct error *err)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    if (raw == NULL) {
        return error_set(err, -ENOMEM, "expected a little memory, got none");
    }
    *raw = (struct raw){.sink = {ops}, .output = output, .is_vdif = ops == &export_vdif};
    raw->config = raw->is_vdif ? origin_load(plan->set) : NULL;
    *sink = &raw->sink;
    return 0;
}

static int raw_open(struct export_sink **sink, const struct export_plan *plan, struct output *output,
                    struct error *err)
{
    return open_as(sink, &export_raw, plan, output, err);
}

static int vdif_open(struct export_sink **sink, const struct export_plan *plan, struct output *output,
                     struct error *err)
{
    return open_as(sink, &export_vdif, plan, output, err);
}

static int raw_ring_begin(struct export_sink *sink, const struct export_ring *ring, struct error *err)
{
    struct raw *raw = (struct raw *)(void *)sink;
    struct origin origin;
    (void)err;
    raw->ring = ring;
    if (raw->is_vdif && ring->is->header.streams > 0) {
        origin_find(raw->config, &ring->is->stream[ring->stream > 0 ? ring->stream : 0], &origin);
        raw->skip = origin.header_at_byte;
    }
    return 0;
}

static uint64_t vdif_bytes(const uint8_t *head)
{
    const uint8_t *at = head + VDIF_LENGTH_AT;
    return 8 * (uint64_t)((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16);
}

static int raw_frame(struct export_sink *sink, const struct sluice_frame *frame, struct error *err)
{
    struct raw *raw = (struct raw *)(void *)sink;
    if (raw->is_vdif) {
        uint64_t bytes = frame->length_bytes > raw->skip ? frame->length_bytes - raw->skip : 0;
        uint64_t told = bytes >= VDIF_BYTES_MIN ? vdif_bytes(frame->payload + raw->skip) : 0;
        if (told != bytes || bytes < VDIF_BYTES_MIN) {
            return error_set(err, -EINVAL,
                             "ring %s, position %" PRIu64 ": expected a VDIF frame whose header says %" PRIu64
                             " bytes (as many as were recorded), found one that says %" PRIu64
                             "; --format raw writes any frames",
                             raw->ring->name, frame->position, bytes, told);
        }
    }
    uint32_t skip = raw->is_vdif ? raw->skip : 0;
    return output_write(raw->output, frame->payload + skip, frame->length_bytes - skip, err);
}

/* Neither has a place for what is missing; the report counts it. */
static int raw_gap(struct export_sink *sink, const struct export_gap *gap, struct error *err)
{
    (void)sink;
    (void)gap;
    (void)err;
    return 0;
}

static void raw_close(struct export_sink *sink)
{
    origin_free(((struct raw *)(void *)sink)->config);
    free(sink);
}

const struct export_ops export_raw = {.name = "raw",
                                      .suffix = "raw",
                                      .suffix2 = "bin",
                                      .one_ring = true,
                                      .one_stream = true,
                                      .open = raw_open,
                                      .ring_begin = raw_ring_begin,
                                      .frame = raw_frame,
                                      .gap = raw_gap,
                                      .close = raw_close};

const struct export_ops export_vdif = {.name = "vdif",
                                       .suffix = "vdif",
                                       .one_ring = true,
                                       .one_stream = true,
                                       .open = vdif_open,
                                       .ring_begin = raw_ring_begin,
                                       .frame = raw_frame,
                                       .gap = raw_gap,
                                       .close = raw_close};
