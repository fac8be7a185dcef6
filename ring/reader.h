/* A reader of a ring: an observer, which never slows the writer and knows what it lost, or a gating reader, which
 * the writer waits for within bounds (ring/gate.h). Hot (HOT_SOURCES). One thread at a time.
 *
 * What has been read of position p counts only if ring_reader_valid(p) says so *afterwards*: also for a gating
 * reader, because it may have been demoted meanwhile.
 */
#ifndef RING_READER_H
#define RING_READER_H

#include <stdbool.h>

#include "ring/ring.h"
#include "ring/sluice.h"

struct ring_reader {
    struct ring_view view;
    uint64_t position; /* next position to look at */
    uint64_t lost;     /* positions overwritten before they were read */
    uint64_t corrupt;  /* times the shared words could not be true (a scribbled header); a watcher trips on it */
    struct ring_lease *lease; /* ours to write, or NULL */
    uint64_t generation;      /* of our gate; 0: an observer */
    uint32_t gate;            /* its index */
};

/* Validates the segment and starts at the oldest whole frame or behind the newest one (enum sluice_start). */
int ring_reader_attach(struct ring_reader *reader, void *base, size_t bytes, int start, struct error *err);

/* 1 and a frame, or 0. Lapped: goes on at a safe place, adds to lost. The words it reads from shared memory are
 * bounded; what cannot be true counts in `corrupt` and yields nothing. */
int ring_reader_next(struct ring_reader *reader, struct sluice_frame *frame);

/* Up to `max` published frames that adjoin in memory, gap records included, and passes them. 0: nothing new.
 * Nothing is copied and only the sequence words are read; check with ring_reader_overwritten after use. */
uint32_t ring_reader_batch(struct ring_reader *reader, uint32_t max, struct sluice_batch *batch);

/* How many frames at the start of the batch the writer has taken back since: 0 if all are still what they were. */
uint32_t ring_reader_overwritten(const struct ring_reader *reader, const struct sluice_batch *batch);

/* True while the slot of this position has not been claimed for a later one. Call after reading the payload. */
bool ring_reader_valid(const struct ring_reader *reader, uint64_t position);

/* True if a frame waits at the reader's position, or it has been lapped. Touches that slot only, not the writer's
 * cursors unless there is nothing. */
bool ring_reader_has_new(const struct ring_reader *reader);

/* Stores position and lost in the lease: releases everything before `position` to the writer that waits for a
 * gating reader, and tells `sluice status`. Once per batch. */
void ring_reader_release(struct ring_reader *reader);

/* enum ring_gate_state of our gate: RING_GATE_FREE for an observer, and once the server took the gate away. */
uint32_t ring_reader_gate(const struct ring_reader *reader);

/* Moves to the first frame that is not older than this time (TAI ns), or whose source sequence is not lower, or to
 * this position; to the end if there is none. By bisection over what is in the ring; frames must be in order of it,
 * as they are but for reordered ones. A gating reader only moves forward. Returns the position. ring/seek.c. */
uint64_t ring_reader_seek_time(struct ring_reader *reader, uint64_t tai_ns);
uint64_t ring_reader_seek_sequence(struct ring_reader *reader, uint64_t source_sequence);
uint64_t ring_reader_seek_position(struct ring_reader *reader, uint64_t position);

#endif
