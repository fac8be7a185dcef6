/* A reader of a ring: an observer, which never slows the writer and knows what it lost, or a gating reader, which
 * the writer waits for within bounds (ring/gate.h). Hot (HOT_SOURCES). One thread at a time.
 *
 * What has been read of position p counts only if ring_reader_valid(p) says so *afterwards*: also for a gating
 * reader, because it may have been demoted meanwhile.
 */
#ifndef RING_READER_H
#define RING_READER_H

#include <stdbool.h>

#include "ring/order.h"
#include "ring/ring.h"
#include "ring/sluice.h"

#define RING_READER_AHEAD 24u /* slots; measured: 8 do nothing */
#define RING_READER_JUMPS 4   /* of one call, when the writer laps it again and again */

struct ring_reader {
    struct ring_view view;
    uint64_t position; /* next position to look at */
    uint64_t lost;     /* positions overwritten before they were read */
    uint64_t corrupt;  /* times the shared words could not be true (a scribbled header); a watcher trips on it */
    struct ring_lease *lease; /* ours to write, or NULL */
    uint64_t generation;      /* of our gate; 0: an observer */
    uint32_t gate;            /* its index */
    bool caught_up;           /* there was nothing at the last look */
};

/* Validates the segment and starts at the oldest whole frame or behind the newest one (enum sluice_start). */
int ring_reader_attach(struct ring_reader *reader, void *base, size_t bytes, int start, struct error *err);

/* 1 and a frame, or 0. Lapped: goes on at a safe place, adds to lost. The words it reads from shared memory are
 * bounded; what cannot be true counts in `corrupt` and yields nothing. */
int ring_reader_next(struct ring_reader *reader, struct sluice_frame *frame);

/* The slot at our position shows nothing new. False if there is indeed nothing; true after a jump: look again. Also
 * a reader that sees nothing must look here, else a lapped one waits for ever. */
bool ring_reader_jumped(struct ring_reader *reader);

static inline uint64_t ring_sequence_at(const struct ring_view *view, uint64_t position)
{
    return __atomic_load_n(&ring_descriptor_at(view, position)->sequence, __ATOMIC_ACQUIRE);
}

/* True while the slot of this position has not been claimed for a later one. Call after reading the payload. */
static inline bool ring_reader_valid(const struct ring_reader *reader, uint64_t position)
{
    ring_reads_before();
    return ring_claimed_now(reader->view.header) - position <= reader->view.slot_count;
}

/* A reader that is behind fetches the first slots of its next batch while the caller works on this one. */
static inline void ring_reader_fetch_ahead(const struct ring_reader *reader)
{
    for (uint32_t i = 0; i < RING_READER_AHEAD; i++) {
        const struct ring_descriptor *slot = ring_descriptor_at(&reader->view, reader->position + i);
        __builtin_prefetch(slot);
        __builtin_prefetch(slot + 2); /* the next line */
    }
}

/* Up to `max` published frames that adjoin in memory, gap records included, and passes them. 0: nothing new.
 * Nothing is copied and only the sequence words are read; check with ring_reader_overwritten after use. A frame
 * that has been waited for comes alone: the look at the next slot's line would keep it back. */
static inline uint32_t ring_reader_batch(struct ring_reader *reader, uint32_t max, struct sluice_batch *batch)
{
    const struct ring_view *view = &reader->view;
    for (int attempt = 0; attempt < RING_READER_JUMPS; attempt++) {
        uint64_t position = reader->position;
        uint64_t to_end = view->slot_count - (position & view->mask);
        uint32_t most = max < to_end ? max : (uint32_t)to_end;
        uint32_t count = 0;
        most = reader->caught_up && most > 1 ? 1 : most;
        while (count < most && ring_sequence_at(view, position + count) == position + count + 1) {
            count++;
        }
        if (count > 0 && __builtin_expect(ring_reader_valid(reader, position), 1)) {
            batch->first = (const uint8_t *)ring_descriptor_at(view, position);
            batch->position = position;
            batch->count = count;
            batch->slot_bytes = view->slot_bytes;
            batch->payload_offset = view->payload_offset;
            batch->payload_bytes = view->payload_bytes;
            reader->position = position + count;
            reader->caught_up = false;
            if (count == max && count > 1) {
                ring_reader_fetch_ahead(reader);
            }
            return count;
        }
        if (!ring_reader_jumped(reader)) {
            break;
        }
    }
    reader->caught_up = max > 0;
    return 0;
}

/* How many frames at the start of the batch the writer has taken back since: 0 if all are still what they were. */
static inline uint32_t ring_reader_overwritten(const struct ring_reader *reader, const struct sluice_batch *batch)
{
    ring_reads_before();
    uint64_t ahead = ring_claimed_now(reader->view.header) - batch->position;
    if (__builtin_expect(ahead <= reader->view.slot_count, 1)) {
        return 0;
    }
    uint64_t gone = ahead - reader->view.slot_count;
    return gone < batch->count ? (uint32_t)gone : batch->count;
}

/* True if a frame waits at the reader's position, or it has been lapped. Touches that slot only, not the writer's
 * cursors unless there is nothing. */
static inline bool ring_reader_has_new(const struct ring_reader *reader)
{
    uint64_t position = reader->position;
    return ring_sequence_at(&reader->view, position) == position + 1 || !ring_reader_valid(reader, position);
}

/* Stores position and lost in the lease: releases everything before `position` to the writer that waits for a
 * gating reader, and tells `sluice status`. Once per batch. */
static inline void ring_reader_release(struct ring_reader *reader)
{
    if (reader->lease != NULL) {
        __atomic_store_n(&reader->lease->lost, reader->lost, __ATOMIC_RELAXED);
        __atomic_store_n(&reader->lease->position, reader->position, __ATOMIC_RELEASE);
    }
}

/* enum ring_gate_state of our gate: RING_GATE_FREE for an observer, and once the server took the gate away. */
uint32_t ring_reader_gate(const struct ring_reader *reader);

/* Moves to the first frame that is not older than this time (TAI ns), or whose source sequence is not lower, or to
 * this position; to the end if there is none. By bisection over what is in the ring; frames must be in order of it,
 * as they are but for reordered ones. A gating reader only moves forward. Returns the position. ring/seek.c. */
uint64_t ring_reader_seek_time(struct ring_reader *reader, uint64_t tai_ns);
uint64_t ring_reader_seek_sequence(struct ring_reader *reader, uint64_t source_sequence);
uint64_t ring_reader_seek_position(struct ring_reader *reader, uint64_t position);

#endif
