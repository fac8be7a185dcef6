/* A recording as a source: what its reader (daq/recording_reader.h) has read ahead is put into the ring when it is
 * due, frame by frame as it was, gaps and losses included. It drops nothing: a gating reader that leaves it no slot
 * holds the recording up. One thread, no system call but a write to the reader's descriptor.
 */
#ifndef DAQ_RECORDING_SOURCE_H
#define DAQ_RECORDING_SOURCE_H

#include "daq/recording_reader.h"
#include "net/uring.h"
#include "ring/writer.h"

/* The recordings of one worker begin together, when each has something to play or nothing ever will. */
struct recording_start {
    uint32_t sources;
    uint32_t ready;
    uint64_t monotonic_ns; /* 0: not yet */
    uint64_t tai_ns;
};

struct recording_source {
    const struct source_plan *plan;
    struct ring_writer *writer;
    struct uring *uring;
    uint64_t user;
    struct recording_start *start;
    struct recording_reader reader;
    bool starts;   /* has a reader */
    bool ready;    /* counted in start->ready */
    bool waiting;  /* a read of the reader's descriptor is outstanding */
    bool finished; /* nothing more comes */
    double slower; /* 1 / speed; 0: as fast as can be */
    uint64_t woken;
    uint64_t wakes_ns; /* monotonic: when there is something to do though nothing completes */
    uint32_t next;     /* batch */
    uint32_t at;       /* byte in it */
};

/* Starts its reader; a plan without a ring's name stays silent. 0 or -errno; fini is fine after a failure. Cold. */
int recording_init(struct recording_source *source, const struct source_plan *plan, struct ring_writer *writer,
                   struct uring *uring, struct recording_start *start, uint64_t user, struct error *err);
void recording_fini(struct recording_source *source);

/* Once a loop: has itself woken when its reader has read on. */
void recording_arm(struct recording_source *source);
void recording_complete(struct recording_source *source);

/* Publishes what is due. Returns frames published; *more: there is more than a round should take. */
uint32_t recording_take(struct recording_source *source, uint64_t monotonic_ns, uint64_t tai_ns, bool *more);

/* When recording_take has something to do although nothing completes; UINT64_MAX: never. */
static inline uint64_t recording_wakes_at(const struct recording_source *source)
{
    return source->wakes_ns;
}

#endif
