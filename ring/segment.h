/* Where shared memory comes from: sealed memfds, on huge pages when they are to be had. Cold code. */
#ifndef RING_SEGMENT_H
#define RING_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/error.h"

enum segment_pages {
    SEGMENT_NORMAL = 0,        /* ordinary pages only */
    SEGMENT_HUGE = 1,          /* 2 MiB pages or failure */
    SEGMENT_HUGE_OR_NORMAL = 2 /* 2 MiB pages, else ordinary ones: page_bytes says which */
};

/* An owner's segment: descriptor and writable map. */
struct segment {
    int fd;            /* -1: none */
    void *base;        /* NULL: none */
    size_t bytes;      /* mapped, a multiple of page_bytes */
    size_t page_bytes; /* 4096 or 2 MiB */
};

/* Creates a memfd of at least `bytes`, allocates every page now (never a SIGBUS later), mode 0600, sealed against
 * growing, shrinking and further seals, mapped read-write. 0, or -ENOMEM / -errno with err; on failure nothing is
 * left behind. */
int segment_create(struct segment *segment, const char *name, size_t bytes, enum segment_pages pages,
                   struct error *err);

/* The same for bytes that never change: filled with `content` and sealed against writing as well, by anyone, ever;
 * mapped read-only. Ordinary pages. */
int segment_create_constant(struct segment *segment, const char *name, const void *content, size_t bytes,
                            struct error *err);

/* Unmaps and closes; a zeroed struct with fd -1 or a second call is fine. */
void segment_destroy(struct segment *segment);

/* A descriptor for the same memory that cannot be mapped writable, by anyone it is passed to. >= 0 or -errno. */
int segment_reopen_read_only(int fd, struct error *err);

/* Maps a received descriptor. Refuses one that is not a memfd sealed against shrinking (its sender could make every
 * access a SIGBUS) or smaller than min_bytes. *base and *bytes are set on success. 0 or -errno. */
int segment_map(int fd, bool writable, size_t min_bytes, void **base, size_t *bytes, struct error *err);

/* Maps the segment whose descriptor was handed over as program argument `name=number` (ring/thread.h). 0 or -errno.
 */
int segment_map_handover(int argc, char **argv, const char *name, bool writable, size_t min_bytes, void **base,
                         struct error *err);

#endif
