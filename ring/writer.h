/* The one writer of a ring. Wait-free, no system call; hot (HOT_SOURCES).
 *
 *   claim     before any byte of a slot may change, `claimed` is published beyond it
 *   fill      the kernel, the device or the caller writes the payload in the slot
 *   commit    the descriptor, all but its sequence word
 *   publish   the sequence words (release) in order, then `published`
 *
 * An observer accepts what it has read of position p only if claimed - p <= slots *afterwards*.
 * One thread at a time; the storage is the caller's.
 */
#ifndef RING_WRITER_H
#define RING_WRITER_H

#include "ring/ring.h"

struct ring_writer {
    struct ring_view view;
    uint64_t next;        /* position of the next commit */
    uint64_t published;   /* positions below are published */
    uint64_t claimed;     /* our copy of progress.claimed */
    uint64_t claim_chunk; /* slots claimed at a time: one locked instruction per chunk */
    uint64_t epoch;
    uint32_t restarted; /* 1: positions were published before this writer attached */
};

/* Attaches to a mapped, writable ring and continues where the last writer stopped, killed at any instruction or
 * not: positions that it published stay, what it had only claimed is written anew. Bumps the epoch. 0 or -EPROTO.
 * Cold. */
int ring_writer_attach(struct ring_writer *writer, void *base, size_t bytes, uint64_t pid, struct error *err);

/* Publishes the claim of positions up to (not including) `end`. Callers that hand slots to the kernel ahead of time
 * call this first; `end` - published must not exceed half the slots. */
void ring_writer_claim(struct ring_writer *writer, uint64_t end);

/* The payload area of the next position, claimed. Never fails: observers do not hold a writer up. */
uint8_t *ring_writer_reserve(struct ring_writer *writer);

/* Fills the descriptor of the next position and advances. length_bytes at most view.payload_bytes. */
void ring_writer_commit(struct ring_writer *writer, uint32_t length_bytes, uint64_t tai_ns,
                        uint64_t source_sequence, uint32_t flags, uint64_t lost_before);

/* Makes everything committed visible, in order. */
void ring_writer_publish(struct ring_writer *writer);

/* Commits a gap record at the next position (the slot must be the writer's own to fill). Counts it in the ledger.
 */
void ring_writer_commit_gap(struct ring_writer *writer, enum ring_loss cause, uint64_t count, uint64_t from_tai_ns,
                            uint64_t tai_ns);

#endif
