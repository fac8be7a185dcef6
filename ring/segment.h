/* Where shared memory comes from: sealed memfds, on huge pages when they are to be had. Cold code. */
#ifndef RING_SEGMENT_H
#define RING_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/error.h"

#define SEGMENT_PAGE_BYTES    ((size_t)4096)
#define SEGMENT_PAGE_2M_BYTES ((size_t)2 << 20)
#define SEGMENT_PAGE_1G_BYTES ((size_t)1 << 30)

/* page_bytes of the segment says what was obtained. */
enum segment_pages {
    SEGMENT_NORMAL = 0,            /* ordinary pages only */
    SEGMENT_HUGE = 1,              /* 2 MiB pages or failure */
    SEGMENT_HUGE_OR_NORMAL = 2,    /* 2 MiB pages, else ordinary ones */
    SEGMENT_HUGE_1G = 3,           /* 1 GiB pages or failure */
    SEGMENT_HUGE_1G_OR_SMALLER = 4 /* 1 GiB pages, else 2 MiB ones, else ordinary ones */
};

/* An owner's segment: descriptor and writable map. */
struct segment {
    int fd;            /* -1: none */
    void *base;        /* NULL: none */
    size_t bytes;      /* mapped, a multiple of page_bytes: on 1 GiB pages up to 1 GiB more than asked for */
    size_t page_bytes; /* 4 KiB, 2 MiB or 1 GiB */
    int numa_node;     /* its pages were bound to; -1: to none */
    int bind_error;    /* -errno: the kernel would not bind them; 0: it did, or was not asked */
};

/* Creates a memfd of at least `bytes`, allocates every page now (never a SIGBUS later), mode 0600, sealed against
 * growing, shrinking and further seals, mapped read-write. 0, or -ENOMEM / -errno with err; on failure nothing is
 * left behind. */
int segment_create(struct segment *segment, const char *name, size_t bytes, enum segment_pages pages,
                   struct error *err);

/* The same with every page on one NUMA node (ring/numa.h), or nothing; NUMA_ANY: wherever. A kernel that does not
 * let us bind at all is no failure: bind_error says so, and the owner looks where the pages lie. */
int segment_create_on(struct segment *segment, const char *name, size_t bytes, enum segment_pages pages, int node,
                      struct error *err);

/* The page size that these words ask for first. */
size_t segment_pages_bytes(enum segment_pages pages);

/* "4 KiB", "2 MiB", "1 GiB". */
const char *segment_page_name(size_t page_bytes);

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

/* Maps the segment whose descriptor was handed over as program argument `name=number` (ring/thread.h). *bytes may
 * be NULL. 0 or -errno. */
int segment_map_handover(int argc, char **argv, const char *name, bool writable, size_t min_bytes, void **base,
                         size_t *bytes, struct error *err);

#endif
