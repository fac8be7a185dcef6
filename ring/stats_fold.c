/* A reader's frames into statistics: what is read is put aside first, and folded only if it was whole. Hot
 * (HOT_SOURCES). */
#include "ring/stats.h"

#include <errno.h>
#include <stdbool.h>

#include "ring/channel.h"
#include "ring/layout.h"

#define FRAMES_MAX 1024u /* of a batch: what is put aside of them stays in the cache */

/* What is put aside of a batch beside its values. */
struct aside {
    uint64_t tai_ns[FRAMES_MAX];
    uint64_t rest[FRAMES_MAX]; /* of struct ring_descriptor */
};

static void put_aside(struct aside *aside, const struct sluice_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct ring_descriptor *d = (const void *)sluice_batch_descriptor(batch, i);
        aside->tai_ns[i] = __atomic_load_n(&d->tai_ns, __ATOMIC_RELAXED);
        aside->rest[i] = __atomic_load_n(&d->rest, __ATOMIC_RELAXED);
    }
}

static inline uint32_t flags_of(uint64_t rest)
{
    return (uint32_t)(rest >> 16) & 0xffff;
}

/* Frames that this record, or frame, says are missing before it: 65535 or more are told as that. */
static inline uint64_t missing_before(uint64_t rest)
{
    return (flags_of(rest) & (SLUICE_FRAME_GAP | SLUICE_FRAME_LOST_BEFORE)) != 0 ? rest >> 48 : 0;
}

/* A batch where the last one ended, or not. */
static void begin_batch(struct sluice_fold *fold, const struct sluice_batch *batch)
{
    if (fold->is_started == 0 || batch->position != fold->next_position) {
        fold->is_broken = 1;
    }
    fold->is_started = 1;
    fold->next_position = batch->position + batch->count;
}

static void tell_gone(struct sluice_fold *fold, uint32_t gone)
{
    fold->discarded += gone;
    fold->is_broken = gone > 0 ? 1 : fold->is_broken;
}

/* A frame that may be folded; false: a gap record. */
static bool is_frame(struct sluice_fold *fold, uint64_t rest)
{
    bool is_gap = (flags_of(rest) & SLUICE_FRAME_GAP) != 0;
    if ((flags_of(rest) & (SLUICE_FRAME_GAP | SLUICE_FRAME_LOST_BEFORE)) != 0) {
        fold->missing += missing_before(rest);
        fold->is_broken = 1;
    }
    fold->gaps += is_gap ? 1 : 0;
    return !is_gap;
}

/* From frame i on: how many follow each other with nothing missing between them. */
static uint32_t run_from(const struct aside *aside, uint32_t i, uint32_t count)
{
    uint32_t end = i + 1;
    while (end < count && (flags_of(aside->rest[end]) & (SLUICE_FRAME_GAP | SLUICE_FRAME_LOST_BEFORE)) == 0) {
        end++;
    }
    return end - i;
}

/* An item has a row of batch->count values in the buffer; one whose channel is that of the item before shares its.
 */
static inline double *row_of(const struct sluice_fold *fold, const struct sluice_batch *batch, uint32_t item)
{
    while (item > 0 && fold->items[item - 1].channel == fold->items[item].channel) {
        item--;
    }
    return fold->buffer + (size_t)item * batch->count;
}

/* Every item's channel of every frame into the buffer. */
static void convert(struct sluice_reader *reader, const struct sluice_fold *fold, const struct sluice_batch *batch)
{
    for (uint32_t item = 0; item < fold->item_count; item++) {
        if (item == 0 || fold->items[item - 1].channel != fold->items[item].channel) {
            double *row = fold->buffer + (size_t)item * batch->count;
            (void)sluice_batch_values(reader, fold->items[item].channel, batch, 0, batch->count, row);
        }
    }
}

static void fold_batch(struct sluice_reader *reader, struct sluice_fold *fold, struct aside *aside,
                       const struct sluice_batch *batch)
{
    begin_batch(fold, batch);
    put_aside(aside, batch);
    convert(reader, fold, batch);
    uint32_t i = sluice_reader_overwritten(reader, batch);
    tell_gone(fold, i);
    while (i < batch->count) {
        if (!is_frame(fold, aside->rest[i])) {
            i++;
            continue;
        }
        uint32_t run = run_from(aside, i, batch->count);
        struct sluice_chunk chunk = {.tai_ns = aside->tai_ns + i,
                                     .position = batch->position + i,
                                     .frame_tai_ns = aside->tai_ns[i],
                                     .count = run,
                                     .is_after_gap = fold->is_broken != 0 ? 1 : 0};
        for (uint32_t item = 0; item < fold->item_count; item++) {
            chunk.values = row_of(fold, batch, item) + i;
            fold->items[item].function(fold->items[item].context, &chunk);
        }
        fold->frames += run;
        fold->is_broken = 0;
        i += run;
    }
}

/* How many of the frames from i on have been overwritten; those before it were used while they were whole. */
static uint32_t gone_from(struct sluice_reader *reader, const struct sluice_batch *batch, uint32_t i)
{
    struct sluice_batch rest = *batch;
    rest.first += (size_t)i * rest.slot_bytes;
    rest.position += i;
    rest.count -= i;
    return sluice_reader_overwritten(reader, &rest);
}

/* Samples of frame i as far as it has them, in pieces that fit the buffer. How many frames from it on turned out to
 * be gone. */
static uint32_t fold_frame(struct sluice_reader *reader, const struct sluice_samples *samples,
                           struct sluice_fold *fold, const struct aside *aside, const struct sluice_batch *batch,
                           uint32_t i)
{
    uint32_t bytes = ring_type_bytes(samples->type);
    uint32_t stride = samples->stride_bytes != 0 ? samples->stride_bytes : bytes;
    uint32_t length = (uint32_t)(aside->rest[i] & 0xffff);
    length = length < batch->payload_bytes ? length : batch->payload_bytes;
    uint64_t room = length >= samples->at_byte ? length - samples->at_byte : 0;
    uint64_t count = room >= bytes ? (room - bytes) / stride + 1 : 0;
    count = samples->count != 0 && samples->count < count ? samples->count : count;
    const uint8_t *from = sluice_batch_payload(batch, i) + samples->at_byte;
    for (uint64_t done = 0; done < count;) {
        size_t n = count - done < fold->buffer_values ? (size_t)(count - done) : fold->buffer_values;
        (void)sluice_values_from(from + done * stride, samples->type, samples->big_endian, (ptrdiff_t)stride, n,
                                 fold->buffer);
        uint32_t gone = gone_from(reader, batch, i);
        if (gone > 0) {
            return gone;
        }
        struct sluice_chunk chunk = {.values = fold->buffer,
                                     .position = batch->position + i,
                                     .frame_tai_ns = aside->tai_ns[i],
                                     .first_sample = done,
                                     .count = n,
                                     .is_after_gap = fold->is_broken != 0 ? 1 : 0};
        for (uint32_t item = 0; item < fold->item_count; item++) {
            fold->items[item].function(fold->items[item].context, &chunk);
        }
        fold->is_broken = 0;
        done += n;
    }
    return 0;
}

static void fold_batch_samples(struct sluice_reader *reader, const struct sluice_samples *samples,
                               struct sluice_fold *fold, struct aside *aside, const struct sluice_batch *batch)
{
    begin_batch(fold, batch);
    put_aside(aside, batch);
    uint32_t i = gone_from(reader, batch, 0);
    tell_gone(fold, i);
    while (i < batch->count) {
        uint32_t gone = 0;
        if (is_frame(fold, aside->rest[i])) {
            gone = fold_frame(reader, samples, fold, aside, batch, i);
            tell_gone(fold, gone);
            fold->frames += gone == 0 ? 1 : 0;
        }
        i += gone > 0 ? gone : 1;
    }
}

/* Both of them: samples NULL: channels. */
static int64_t fold_all(struct sluice_reader *reader, const struct sluice_samples *samples,
                        struct sluice_fold *fold, uint32_t at_once, uint64_t max_frames)
{
    struct aside aside;
    struct sluice_batch batch;
    uint64_t done = 0;
    while (done < max_frames) {
        uint64_t left = max_frames - done;
        uint64_t next = sluice_reader_position(reader);
        uint32_t count = sluice_reader_batch(reader, left < at_once ? (uint32_t)left : at_once, &batch);
        fold->lost += sluice_reader_position(reader) - count - next; /* it was lapped, and jumped */
        if (count == 0) {
            break;
        }
        if (samples != NULL) {
            fold_batch_samples(reader, samples, fold, &aside, &batch);
        } else {
            fold_batch(reader, fold, &aside, &batch);
        }
        done += count;
    }
    sluice_reader_release(reader);
    return (int64_t)done;
}

static bool is_usable(const struct sluice_fold *fold)
{
    return fold->item_count > 0 && fold->buffer_values >= fold->item_count;
}

int64_t sluice_fold(struct sluice_reader *reader, struct sluice_fold *fold, uint64_t max_frames)
{
    if (!is_usable(fold)) {
        return -EINVAL;
    }
    size_t fit = fold->buffer_values / fold->item_count;
    return fold_all(reader, NULL, fold, fit < FRAMES_MAX ? (uint32_t)fit : FRAMES_MAX, max_frames);
}

int64_t sluice_fold_samples(struct sluice_reader *reader, const struct sluice_samples *samples,
                            struct sluice_fold *fold, uint64_t max_frames)
{
    if (!is_usable(fold) || ring_type_bytes(samples->type) == 0) {
        return -EINVAL;
    }
    return fold_all(reader, samples, fold, FRAMES_MAX, max_frames);
}

void sluice_fold_summary(void *context, const struct sluice_chunk *chunk)
{
    sluice_summary_add(context, chunk->values, chunk->count);
}

void sluice_fold_quantiles(void *context, const struct sluice_chunk *chunk)
{
    sluice_quantiles_add(context, chunk->values, chunk->count);
}

void sluice_fold_bins(void *context, const struct sluice_chunk *chunk)
{
    sluice_bins_add(context, chunk->values, chunk->count);
}

/* The times of a piece of a chunk: its own, or of samples their frame's over and over. */
#define PIECE_VALUES 256u
struct piece {
    uint64_t same[PIECE_VALUES];
    const uint64_t *tai_ns;
    size_t count;
};

static void piece_of(struct piece *piece, const struct sluice_chunk *chunk, size_t from)
{
    piece->count = chunk->count - from;
    piece->tai_ns = chunk->tai_ns != NULL ? chunk->tai_ns + from : piece->same;
    if (chunk->tai_ns == NULL) {
        piece->count = piece->count < PIECE_VALUES ? piece->count : PIECE_VALUES;
        for (size_t i = 0; i < piece->count; i++) {
            piece->same[i] = chunk->frame_tai_ns;
        }
    }
}

void sluice_fold_envelope(void *context, const struct sluice_chunk *chunk)
{
    struct sluice_fold_envelope_context *c = context;
    struct piece piece;
    if (chunk->is_after_gap != 0) {
        sluice_envelope_gap(c->envelope);
    }
    for (size_t i = 0; i < chunk->count;) {
        size_t written = 0;
        piece_of(&piece, chunk, i);
        size_t done = sluice_envelope_add(c->envelope, piece.tai_ns, chunk->values + i, piece.count,
                                          c->points + c->written, c->room - c->written, &written);
        c->written += written;
        i += done;
        if (done < piece.count) {
            c->dropped += chunk->count - i;
            sluice_envelope_gap(c->envelope);
            return;
        }
    }
}

void sluice_fold_edges(void *context, const struct sluice_chunk *chunk)
{
    struct sluice_fold_edges_context *c = context;
    struct piece piece;
    if (chunk->is_after_gap != 0) {
        sluice_edges_gap(c->edges);
    }
    for (size_t i = 0; i < chunk->count;) {
        size_t written = 0;
        piece_of(&piece, chunk, i);
        struct sluice_edge *out = c->out != NULL ? c->out + c->written : NULL;
        size_t done = sluice_edges_add(c->edges, chunk->position + i, piece.tai_ns, chunk->values + i, piece.count,
                                       out, c->room - c->written, &written);
        for (size_t k = 0; k < written && chunk->tai_ns == NULL; k++) {
            out[k].position = chunk->position;
        }
        c->written += written;
        i += done;
        if (done < piece.count) {
            c->dropped += chunk->count - i;
            sluice_edges_gap(c->edges);
            return;
        }
    }
}
