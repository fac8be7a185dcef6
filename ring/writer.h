/* The one writer of a ring. Wait-free, no system call; hot (HOT_SOURCES).
 *
 *   claim     before any byte of a slot may change, `claimed` is published beyond it
 *   fill      the kernel, the device or the caller writes the payload in the slot
 *   commit    the descriptor, all but its sequence word
 *   publish   the sequence words (release) in order, then `published`
 *
 * An observer accepts what it has read of position p only if claimed - p <= slots *afterwards*. A gating reader
 * bounds the claim (ring/gate.h); the bound is cached and looked up again only when it is reached. One thread at a
 * time; the storage is the caller's.
 */
#ifndef RING_WRITER_H
#define RING_WRITER_H

#include "ring/clock.h"
#include "ring/gate.h"
#include "ring/hops.h"
#include "ring/ring.h"

#define RING_WRITER_AHEAD 16u /* slots; on far cores this doubles the rate of small batches (sluice-bench ring) */

struct ring_writer {
    struct ring_view view;
    uint64_t next;        /* position of the next commit */
    uint64_t published;   /* positions below are published */
    uint64_t claimed;     /* our copy of progress.claimed */
    uint64_t limit;       /* positions below may be claimed; UINT64_MAX: nobody gates */
    uint64_t claim_chunk; /* slots claimed at a time: one locked instruction per chunk */
    uint64_t handed;      /* positions below are or were in a device's hands (ring_writer_hand_out) */
    uint64_t visible;     /* positions below have their sequence word: published, or posted since */
    uint64_t settle_at;   /* published position from which the ledger is settled again */
    uint64_t epoch;
    uint64_t monotonic_ns;    /* as of the last ring_writer_look */
    struct ring_gates *gates; /* NULL: observers only */
    uint32_t restarted;       /* 1: positions were published before this writer attached */
    uint32_t owed_cause;      /* enum ring_loss of a gap record for which there was no room yet */
    uint64_t owed_count;
    uint64_t owed_from_tai_ns;
    bool owes;
    /* What is measured of its frames. */
    struct ring_hops *hops;  /* NULL: nothing */
    bool is_dated;           /* and hops->sent_to_arrival is there */
    bool sent_by_batch;      /* .. for publish_timed to fill from sent_tai_ns; else ring_writer_sent does */
    uint64_t told;           /* up to here the time of the publish has been told */
    uint64_t hops_delivered; /* frames of the ledger that have been counted there */
    uint64_t sent_tai_ns;    /* stamp of the first frame of this batch that has one; 0: none yet */
};

/* The ring's slots as memory for a device: io_uring provided buffers, an AF_XDP UMEM, a DPDK pool. Slot i begins at
 * first_slot + i * slot_bytes; a device may write from 32 bytes behind a slot's start (the descriptor is ours) to
 * its end, and must put the payload at payload_offset. */
struct ring_memory {
    uint8_t *base; /* the whole segment, aligned to page_bytes: what is registered */
    size_t bytes;
    size_t page_bytes;
    uint8_t *first_slot; /* aligned to 4096 */
    uint64_t slots;
    uint32_t slot_bytes;     /* a multiple of 64: the stride */
    uint32_t payload_offset; /* from the slot's start; the payload is aligned to it, at most to 64 */
    uint32_t headroom_bytes; /* in front of the payload, behind the descriptor */
    uint32_t payload_bytes;  /* room for the payload */
};

/* Attaches to a mapped, writable ring and continues where the last writer stopped, killed at any instruction or
 * not: positions that it published stay, what it had only claimed is written anew. Bumps the epoch. `gates` may be
 * NULL, then no order is obeyed. 0; -EPROTO: no ring, or one whose position or claims no writer can have reached.
 * Cold. */
int ring_writer_attach(struct ring_writer *writer, void *base, size_t bytes, uint64_t pid, struct ring_gates *gates,
                       struct error *err);

/* Once a round, with the time: takes up orders, lets demotions fall due. */
void ring_writer_look(struct ring_writer *writer, uint64_t monotonic_ns);

/* Claims positions up to (not including) `end` as far as gating readers allow; returns the end reached, at least
 * what was claimed before. `end` - published must not exceed half the slots. */
uint64_t ring_writer_claim(struct ring_writer *writer, uint64_t end);

/* Claims one chunk more, at least `count` positions from next. The number of positions from next that are claimed.
 */
uint64_t ring_writer_claim_more(struct ring_writer *writer, uint64_t count);

/* The payload area of the next position, claimed; NULL if a gating reader has not released it yet. Without gating
 * readers it never fails: observers do not hold a writer up. */
static inline uint8_t *ring_writer_reserve(struct ring_writer *writer)
{
    if (__builtin_expect(writer->next >= writer->claimed, 0) && ring_writer_claim_more(writer, 1) == 0) {
        return NULL;
    }
    return ring_payload_at(&writer->view, writer->next);
}

/* Up to `count` positions from next on, claimed; returns how many. Position next + i has its payload at
 * ring_payload_at(&writer->view, writer->next + i); commit them in order. count at most half the slots. */
static inline uint32_t ring_writer_reserve_many(struct ring_writer *writer, uint32_t count)
{
    uint64_t ready = writer->claimed - writer->next;
    if (__builtin_expect(ready < count, 0)) {
        ready = ring_writer_claim_more(writer, count);
    }
    return ready < count ? (uint32_t)ready : count;
}

/* Positions for a device, claimed, in ring order: *first .. *first + result - 1, so that at most `ahead` positions
 * from next on are in its hands. Each is handed out once; the device must fill them in this order. */
uint32_t ring_writer_hand_out(struct ring_writer *writer, uint32_t ahead, uint64_t *first);

/* What hand_out gave and the device does not have any more (it was closed) is the writer's again. */
void ring_writer_take_back(struct ring_writer *writer);

void ring_writer_memory(const struct ring_writer *writer, struct ring_memory *memory);

/* Fills the descriptor of the next position and advances. length_bytes at most view.payload_bytes. The words are
 * relaxed atomics: an observer may read them while they change, and throws them away then. */
static inline void ring_writer_commit(struct ring_writer *writer, uint32_t length_bytes, uint64_t tai_ns,
                                      uint64_t source_sequence, uint32_t flags, uint64_t lost_before)
{
    struct ring_descriptor *d = ring_descriptor_at(&writer->view, writer->next);
    uint32_t capacity = writer->view.payload_bytes;
    uint64_t rest = ring_pack_rest(length_bytes < capacity ? length_bytes : capacity, flags, 0, lost_before);
    __atomic_store_n(&d->tai_ns, tai_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&d->source_sequence, source_sequence, __ATOMIC_RELAXED);
    __atomic_store_n(&d->rest, rest, __ATOMIC_RELAXED);
    /* The lines of a slot still to come, which readers may have: more of them under way than the stores alone have.
     */
    const struct ring_descriptor *later = ring_descriptor_at(&writer->view, writer->next + RING_WRITER_AHEAD);
    __builtin_prefetch(later, 1);
    __builtin_prefetch((const uint8_t *)later + writer->view.payload_offset, 1);
    writer->next++;
}

/* Leaves a mark in the ledger from which a next writer can set it right. Now and then: publish does it. */
void ring_writer_settle(struct ring_writer *writer);

/* Makes everything committed visible, in order. */
static inline void ring_writer_publish(struct ring_writer *writer)
{
    for (uint64_t p = writer->visible; p < writer->next; p++) {
        __atomic_store_n(&ring_descriptor_at(&writer->view, p)->sequence, p + 1, __ATOMIC_RELEASE);
    }
    if (writer->published != writer->next) {
        writer->visible = writer->next;
        writer->published = writer->next;
        if (writer->told !=
            writer->next) { /* else an older word, of the same low bits, could pass for this one's */
            __atomic_store_n(&writer->view.header->progress.newest, 0, __ATOMIC_RELAXED);
        }
        __atomic_store_n(&writer->view.header->progress.published, writer->next, __ATOMIC_RELEASE);
        if (__builtin_expect(writer->next >= writer->settle_at, 0)) {
            ring_writer_settle(writer);
        }
    }
}

/* From here on its frames are measured, into memory of ring_hops_bytes(is_dated). Cold. */
void ring_writer_measure(struct ring_writer *writer, struct ring_hops *hops, bool is_dated, bool sent_by_batch);

/* Before ring_writer_publish, if nothing that it will publish is visible yet: tells when that was. */
static inline void ring_writer_tell_time(struct ring_writer *writer, uint64_t monotonic_ns)
{
    writer->told = writer->next;
    __atomic_store_n(&writer->view.header->progress.newest, ring_newest_word(writer->next, monotonic_ns),
                     __ATOMIC_RELAXED);
}

/* A batch has been published at monotonic_ns; its frames arrived at arrival_tai_ns. Counts all that have been
 * delivered since the last time. */
void ring_writer_account(struct ring_writer *writer, uint64_t arrival_tai_ns, uint64_t monotonic_ns);

/* Publishes as ring_writer_publish does and, if the writer is measured, puts down when, and how long it took: one
 * look at the clock for all of it. */
void ring_writer_publish_timed(struct ring_writer *writer, uint64_t arrival_tai_ns);

/* Nothing more has come: what was published without a look at the clock is counted now. */
static inline void ring_writer_account_rest(struct ring_writer *writer, uint64_t arrival_tai_ns)
{
    if (writer->hops != NULL && writer->hops_delivered != ring_count_read(&writer->view.header->ledger.delivered)) {
        ring_writer_account(writer, arrival_tai_ns, clock_monotonic_ns());
    }
}

/* One frame's time from its sender's or device's stamp to its arrival, if that is known. */
static inline void ring_writer_sent(struct ring_writer *writer, bool is_known, int64_t lag_ns)
{
    struct ring_hops *hops = writer->hops;
    if (hops == NULL || !writer->is_dated) {
        return;
    }
    if (!is_known) {
        ring_count_add(&hops->undated, 1);
    } else if (lag_ns < 0) {
        ring_count_add(&hops->ahead, 1);
    } else {
        hist_record(&hops->sent_to_arrival, (uint64_t)lag_ns);
    }
}

/* Commits and makes the frame visible at once, while its line is still ours: readers that stand at the ring's end
 * see it now. The cursor `published` (seeks, sleepers, status) follows with the next ring_writer_publish, which
 * must not be later than the end of the round. In a batch several times cheaper than commit: a reader's prefetcher
 * takes lines away that are written twice. */
static inline void ring_writer_post(struct ring_writer *writer, uint32_t length_bytes, uint64_t tai_ns,
                                    uint64_t source_sequence, uint32_t flags, uint64_t lost_before)
{
    uint64_t position = writer->next;
    ring_writer_commit(writer, length_bytes, tai_ns, source_sequence, flags, lost_before);
    if (__builtin_expect(writer->visible == position, 1)) {
        __atomic_store_n(&ring_descriptor_at(&writer->view, position)->sequence, position + 1, __ATOMIC_RELEASE);
        writer->visible = position + 1;
    }
}

/* Commits a gap record at the next position (the slot must be the writer's own to fill) and counts it in the
 * ledger. False, and nothing done, if there is no room. */
bool ring_writer_commit_gap(struct ring_writer *writer, enum ring_loss cause, uint64_t count, uint64_t from_tai_ns,
                            uint64_t tai_ns);

/* The same for when there may be no room: the record is owed, and further ones are added to it. Causes that differ
 * become the newer one, but a restart stays a restart. */
void ring_writer_owe_gap(struct ring_writer *writer, enum ring_loss cause, uint64_t count, uint64_t from_tai_ns);

/* Commits what is owed and publishes it, with all that was committed before, if there is room and no slot in a
 * device's hands. True if nothing is owed any more. */
bool ring_writer_pay_gap(struct ring_writer *writer, uint64_t tai_ns);

#endif
