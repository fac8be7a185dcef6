/* An observer of a ring: never slows the writer, knows what it lost. Hot (HOT_SOURCES). One thread at a time. */
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
};

/* Validates the segment and starts at the oldest whole frame or behind the newest one (enum sluice_start). */
int ring_reader_attach(struct ring_reader *reader, void *base, size_t bytes, int start, struct error *err);

/* 1 and a frame, or 0. Lapped: goes on at a safe place, adds to lost. The words it reads from shared memory are
 * bounded; what cannot be true counts in `corrupt` and yields nothing. */
int ring_reader_next(struct ring_reader *reader, struct sluice_frame *frame);

/* True while the slot of this position has not been claimed for a later one. Call after reading the payload. */
bool ring_reader_valid(const struct ring_reader *reader, uint64_t position);

/* Stores position and lost in the lease for `sluice status`. Once per batch. */
void ring_reader_report(struct ring_reader *reader);

#endif
