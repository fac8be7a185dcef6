/* What stands behind libsluice's handles. Not installed; of ring/sluice*.c only. */
#ifndef RING_HANDLE_H
#define RING_HANDLE_H

#include <stdbool.h>

#include "ring/reader.h"
#include "ring/sluice.h"

/* What a ring says of itself: copied and checked once, since its server could change its own. */
struct sluice_tables {
    struct ring_identity identity;
    struct ring_channel channel[RING_CHANNELS_MAX];
    double number[RING_NUMBERS_MAX];
    struct ring_stream stream[RING_STREAMS_MAX];
};

/* A ring's map; the reader keeps one, and whoever was handed views of it. */
struct sluice_memory {
    uint64_t kept; /* so many times; unmapped by who drops the last one */
    void *base;
    size_t bytes;
    struct ring_view view;
};

struct sluice_reader {
    struct ring_reader ring;
    struct sluice_tables tables;
    int socket_fd;
    bool waiting; /* the server has been asked to wake us, and has not yet */
    uint32_t spin_us;
    uint64_t counted; /* overwritten positions below have been added to lost */
    struct sluice_memory *memory;
    void *lease_base;
    size_t lease_bytes;
};

/* Fills the tables from a view that ring_attach() has checked. 0 or -EPROTO. */
int sluice_tables_copy(struct sluice_tables *tables, const struct ring_view *view, struct error *err);

/* A failure's sentence into a caller's error[0 .. bytes), which may be NULL. Returns code. */
int sluice_say(int code, const struct error *err, char *error, size_t bytes);

/* What the installed functions of a reader and of a server both tell. */
void sluice_tell_ring(const struct sluice_tables *tables, const struct ring_view *view, struct sluice_ring *ring);
int sluice_tell_stream(const struct sluice_tables *tables, uint32_t index, struct sluice_stream *stream);
int sluice_tell_channel(const struct sluice_tables *tables, uint32_t index, struct sluice_channel *channel);
void sluice_tell_progress(const struct ring_view *view, struct sluice_progress *progress);
void sluice_tell_ledger(const struct ring_view *view, struct sluice_ledger *ledger);
void sluice_tell_rate(const struct sluice_tables *tables, const struct ring_view *view, struct sluice_rate *rate);

/* Maps a ring that a server has passed, read-only. 0 or -errno; on failure *memory is NULL. */
int sluice_memory_map(struct sluice_memory **memory, int fd, struct error *err);

#define SLUICE_REPORT_FRAMES 64u /* an observer's lease is for show */

/* What was handed out before is given back: at once by a gating reader, now and then by an observer. */
static inline void sluice_give_back(struct sluice_reader *reader)
{
    struct ring_reader *ring = &reader->ring;
    uint64_t behind = ring->position - ring->lease->position;
    if (behind >= (ring->generation != 0 ? 1 : SLUICE_REPORT_FRAMES)) {
        ring_reader_release(ring);
    }
}

/* sluice_merge_next() at a time of the caller's, CLOCK_MONOTONIC. */
struct sluice_merge;
int sluice_merge_next_at(struct sluice_merge *merge, uint64_t now_ns, struct sluice_frame *frame, uint32_t *index);

#endif
