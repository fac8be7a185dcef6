/* HDF5, arranged as NeXus has it: sluice-export in sluice(1) draws the tree. Ring after ring; of a ring each
 * dataset has one chunk in memory. */
#include "tools/export/hdf5_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/channel.h"
#include "tools/export/hdf5_tree.h"
#include "tools/export/number.h"

#define CHUNK_BYTES   (1u << 20)
#define BUDGET_BYTES  (24u << 20) /* of all chunks under way */
#define GAPS_OF_CHUNK 256u
#define ROWS_MIN      64u

static struct hdf5 *hdf5_of(struct export_sink *sink)
{
    return (struct hdf5 *)(void *)sink;
}

static int told(const struct hdf5 *h, struct error *err)
{
    const struct hdf5_file *f = &h->file;
    int code = f->code != 0 ? f->code : EIO;
    return f->failed == NULL ? 0
                             : error_set(err, -code, "cannot write HDF5: %s%s (%s); nothing was left of it",
                                         strerror(code), code == ENOSPC ? " (the disk is full)" : "", f->failed);
}

static int hdf5_open(struct export_sink **sink, const struct export_plan *plan, struct output *output,
                     struct error *err)
{
    struct hdf5 *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return error_set(err, -ENOMEM, "expected 20 kB of memory, got none");
    }
    *h = (struct hdf5){.sink = {&export_hdf5}, .plan = plan, .entry = -1, .ring_group = -1};
    *sink = &h->sink;
    int code = hdf5_create(&h->file, output->made, plan->options->deflate, err);
    if (code != 0) {
        return code;
    }
    hdf5_tree_begin(h);
    return told(h, err);
}

/* Of a ring's frames so many make a chunk of each dataset: a MiB of the widest, less where there are many, and no
 * more than there are frames. */
static uint64_t rows_of(const struct export_ring *ring, uint64_t frame_bytes, uint64_t widest)
{
    uint64_t rows = CHUNK_BYTES / widest;
    uint64_t fit = BUDGET_BYTES / frame_bytes;
    uint64_t frames = ring->is->frames < ROWS_MIN ? ROWS_MIN : ring->is->frames;
    rows = rows < fit ? rows : fit;
    rows = rows < frames ? rows : frames;
    return rows > 0 ? rows : 1;
}

static void begin_channels(struct hdf5 *h)
{
    uint64_t frame_bytes = 3 * sizeof(uint64_t) + sizeof(uint16_t);
    for (uint32_t i = 0; i < h->ring->channels; i++) {
        frame_bytes += sizeof(double) + ring_type_bytes(h->ring->is->channel[h->ring->channel[i].index].type);
    }
    uint64_t rows = rows_of(h->ring, frame_bytes, sizeof(uint64_t));
    hdf5_tree_axes(h, rows);
    for (uint32_t i = 0; i < h->ring->channels; i++) {
        hdf5_tree_channel(h, i, rows);
    }
}

/* Bytes of every frame, 0: they vary. */
static uint32_t fixed_bytes(const struct export_ring *ring)
{
    const struct record_ring *is = ring->is;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < is->header.streams; i++) {
        if (ring->stream >= 0 && ring->stream != (int)i) {
            continue;
        }
        if (is->stream[i].frame_bytes == 0 || (bytes != 0 && is->stream[i].frame_bytes != bytes)) {
            return 0;
        }
        bytes = is->stream[i].frame_bytes;
    }
    return bytes <= UINT16_MAX ? bytes : 0;
}

static void begin_frames(struct hdf5 *h)
{
    h->row_bytes = fixed_bytes(h->ring);
    uint64_t others = 3 * sizeof(uint64_t) + 2 * sizeof(uint32_t) + sizeof(uint64_t);
    hdf5_tree_axes(h, rows_of(h->ring, others, sizeof(uint64_t)));
    uint64_t rows = h->row_bytes != 0 ? rows_of(h->ring, h->row_bytes, h->row_bytes) : CHUNK_BYTES;
    if (h->row_bytes == 0 && h->ring->is->payload_bytes < rows) {
        rows = h->ring->is->payload_bytes < ROWS_MIN ? ROWS_MIN : h->ring->is->payload_bytes;
    }
    hdf5_tree_frames(h, rows, rows_of(h->ring, others, sizeof(uint64_t)));
}

static int hdf5_ring_begin(struct export_sink *sink, const struct export_ring *ring, struct error *err)
{
    struct hdf5 *h = hdf5_of(sink);
    h->ring = ring;
    h->row_bytes = 0;
    h->data_bytes = 0;
    h->cut = 0;
    h->has_stream = ring->is->header.streams > 1;
    hdf5_tree_ring(h);
    if (ring->channels > 0) {
        begin_channels(h);
    } else {
        begin_frames(h);
    }
    hdf5_tree_gaps(h, GAPS_OF_CHUNK);
    return told(h, err);
}

/* The raw value's bytes as they lie in the frame; zeros where the frame is too short. */
static void add_channels(struct hdf5 *h, const struct sluice_frame *frame)
{
    static const uint8_t nothing[8];
    for (uint32_t i = 0; i < h->ring->channels; i++) {
        uint32_t index = h->ring->channel[i].index;
        const struct ring_channel *channel = &h->ring->is->channel[index];
        uint32_t bytes = ring_type_bytes(channel->type);
        bool there = frame->length_bytes >= bytes && channel->at_byte <= frame->length_bytes - bytes;
        double value = record_value(h->ring->is, index, frame);
        hdf5_add(&h->file, &h->value[i], &value);
        hdf5_add(&h->file, &h->raw[i], there ? frame->payload + channel->at_byte : nothing);
    }
}

static void add_payload(struct hdf5 *h, const struct sluice_frame *frame)
{
    uint32_t length = frame->length_bytes;
    if (h->row_bytes == 0) {
        hdf5_add(&h->file, &h->offset, &h->data_bytes);
        hdf5_add(&h->file, &h->length, &length);
        hdf5_add_bytes(&h->file, &h->data, frame->payload, length);
        h->data_bytes += length;
        return;
    }
    const uint8_t *row = frame->payload;
    if (length < h->row_bytes) {
        memset(h->padded, 0, h->row_bytes);
        memcpy(h->padded, frame->payload, length);
        row = h->padded;
    } else if (length > h->row_bytes) {
        length = h->row_bytes;
        h->cut++;
    }
    hdf5_add(&h->file, &h->length, &length);
    hdf5_add(&h->file, &h->data, row);
}

static int hdf5_frame(struct export_sink *sink, const struct sluice_frame *frame, struct error *err)
{
    struct hdf5 *h = hdf5_of(sink);
    hdf5_add(&h->file, &h->time, &frame->tai_ns);
    hdf5_add(&h->file, &h->position, &frame->position);
    hdf5_add(&h->file, &h->sequence, &frame->source_sequence);
    if (h->has_stream) {
        hdf5_add(&h->file, &h->stream, &frame->stream);
    }
    if (h->ring->channels > 0) {
        add_channels(h, frame);
    } else {
        add_payload(h, frame);
    }
    return told(h, err);
}

static int hdf5_gap(struct export_sink *sink, const struct export_gap *gap, struct error *err)
{
    struct hdf5 *h = hdf5_of(sink);
    struct hdf5_gap row = {.from_position = gap->from_position,
                           .to_position = gap->to_position,
                           .count = gap->count,
                           .tai_ns = gap->tai_ns};
    snprintf(row.cause, sizeof(row.cause), "%s", gap->cause);
    snprintf(row.told_by, sizeof(row.told_by), "%s", gap->told_by);
    hdf5_add(&h->file, &h->gaps, &row);
    return told(h, err);
}

static int hdf5_ring_end(struct export_sink *sink, struct export_counts *counts, struct error *err)
{
    struct hdf5 *h = hdf5_of(sink);
    counts->not_kept = h->cut;
    hdf5_tree_ring_end(h);
    return told(h, err);
}

static int hdf5_finish(struct export_sink *sink, const struct export_counts *all, struct error *err)
{
    struct hdf5 *h = hdf5_of(sink);
    hdf5_tree_end(h, all);
    int code = hdf5_close(&h->file, err);
    h->finished = true;
    return code;
}

static void hdf5_close_sink(struct export_sink *sink)
{
    struct hdf5 *h = hdf5_of(sink);
    if (!h->finished) {
        struct error err;
        h->file.failed = h->file.failed != NULL ? h->file.failed : "given up"; /* nothing more is written */
        hdf5_tree_ring_end(h);
        hdf5_close_object(&h->file, h->entry);
        hdf5_close(&h->file, &err);
    }
    free(h);
}

const struct export_ops export_hdf5 = {.name = "hdf5",
                                       .suffix = "h5",
                                       .suffix2 = "hdf5",
                                       .suffix3 = "nxs",
                                       .channels = true,
                                       .open = hdf5_open,
                                       .ring_begin = hdf5_ring_begin,
                                       .frame = hdf5_frame,
                                       .gap = hdf5_gap,
                                       .ring_end = hdf5_ring_end,
                                       .finish = hdf5_finish,
                                       .close = hdf5_close_sink};
