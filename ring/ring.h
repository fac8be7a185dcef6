/* Creating a ring in a segment, and checking one that came from elsewhere. Cold code. */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/error.h"
#include "ring/layout.h"

#define RING_PAYLOAD_OFFSET_MAX 512u /* AF_XDP wants 320 */

struct ring_spec {
    const char *instance;
    const char *name;
    const struct ring_stream *streams; /* stream_count of them, 1 .. RING_STREAMS_MAX */
    uint32_t stream_count;
    uint64_t slots;          /* power of two, RING_SLOTS_MIN .. RING_SLOTS_MAX */
    uint32_t slot_bytes;     /* multiple of 64, RING_SLOT_BYTES_MIN .. RING_SLOT_BYTES_MAX */
    uint32_t payload_offset; /* 32, or a multiple of 64 up to RING_PAYLOAD_OFFSET_MAX */
    const struct ring_channel *channels;
    uint32_t channel_count; /* 0 .. RING_CHANNELS_MAX */
    uint32_t number_count;  /* 0 .. RING_NUMBERS_MAX */
    const double *numbers;  /* of the channels' calibrations */
    uint64_t page_bytes;    /* what the segment got */
    int32_t numa_node;      /* that it was asked to lie on; -1: any */
    int64_t tai_minus_monotonic_ns;
};

/* Bytes a segment needs for this spec, or 0 if the spec is out of bounds. */
uint64_t ring_segment_bytes(const struct ring_spec *spec);

/* Lays a ring out in base[0 .. bytes). The memory must be zero. 0 or -EINVAL. */
int ring_create(void *base, size_t bytes, const struct ring_spec *spec, struct error *err);

/* What attachers copy out of the header once and never read again. */
struct ring_view {
    struct ring_header *header;
    uint8_t *slots;
    uint64_t slot_count;
    uint64_t mask;
    uint32_t slot_bytes;
    uint32_t payload_offset;
    uint32_t payload_bytes; /* capacity of one slot */
    uint32_t channel_count;
    uint32_t number_count;
    int64_t tai_minus_monotonic_ns;
};

/* Validates every size and offset of a mapped segment (hostile bytes included) and fills the view. The view may be
 * of a read-only map; then only readers may use it. 0 or -EPROTO with the field that is wrong. */
int ring_attach(struct ring_view *view, void *base, size_t bytes, struct error *err);

/* Whether a writer can have left the ring so: published up to here, its sequence words up to `position`, claimed up
 * to there. 0, or -EPROTO: the memory was overwritten. */
int ring_check_progress(const struct ring_view *view, uint64_t published, uint64_t position, uint64_t claimed,
                        struct error *err);

static inline const struct ring_channel *ring_channels(const struct ring_view *view)
{
    return (const struct ring_channel *)((const uint8_t *)view->header + RING_HEADER_BYTES);
}

/* Of all the channels' calibrations. */
static inline const double *ring_numbers(const struct ring_view *view)
{
    return (const double *)(const void *)(ring_channels(view) + view->channel_count);
}

/* A page of orders for a ring's writer, all zero but who it is. */
void ring_orders_create(void *base, uint32_t gates);

/* Checks a page of orders or a lease that came from elsewhere. 0 or -EPROTO. */
int ring_orders_check(const void *base, size_t bytes, struct error *err);
int ring_lease_check(const void *base, size_t bytes, struct error *err);

static inline uint64_t ring_published_now(const struct ring_header *header)
{
    return __atomic_load_n(&header->progress.published, __ATOMIC_ACQUIRE);
}

#define RING_NEWEST_BITS 16u /* of the position; the time has the other 48: 78 hours of ns */

/* progress.newest: up to where was published, and when, in one word that cannot be torn. */
static inline uint64_t ring_newest_word(uint64_t published, uint64_t monotonic_ns)
{
    return monotonic_ns << RING_NEWEST_BITS | (published & ((UINT64_C(1) << RING_NEWEST_BITS) - 1));
}

/* When this position was published (monotonic), if it is the newest and its writer has told; else 0. A word of 0:
 * it has not. now_ns: about now, at most 39 hours before or after it. */
static inline uint64_t ring_newest_ns(const struct ring_header *header, uint64_t position, uint64_t now_ns)
{
    uint64_t published = ring_published_now(header);
    uint64_t word = __atomic_load_n(&header->progress.newest, __ATOMIC_RELAXED);
    if (word == 0 || published != position + 1 || ring_newest_word(published, word >> RING_NEWEST_BITS) != word) {
        return 0;
    }
    int64_t ago = (int64_t)((now_ns << RING_NEWEST_BITS) - (word & ~((UINT64_C(1) << RING_NEWEST_BITS) - 1)));
    return now_ns - (uint64_t)(ago / (INT64_C(1) << RING_NEWEST_BITS));
}

static inline uint64_t ring_claimed_now(const struct ring_header *header)
{
    return __atomic_load_n(&header->progress.claimed, __ATOMIC_ACQUIRE);
}

/* The oldest position that is whole while the writer has claimed up to `claimed`. */
static inline uint64_t ring_oldest(uint64_t claimed, uint64_t slots)
{
    return claimed > slots ? claimed - slots : 0;
}

static inline struct ring_descriptor *ring_descriptor_at(const struct ring_view *view, uint64_t position)
{
    return (struct ring_descriptor *)(view->slots + (position & view->mask) * view->slot_bytes);
}

static inline uint8_t *ring_payload_at(const struct ring_view *view, uint64_t position)
{
    return view->slots + (position & view->mask) * view->slot_bytes + view->payload_offset;
}

#endif
