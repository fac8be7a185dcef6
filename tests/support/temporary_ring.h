/* A ring in a segment of its own with a writer on it, and frames whose content tells their position. */
#ifndef SUPPORT_TEMPORARY_RING_H
#define SUPPORT_TEMPORARY_RING_H

#include <assert.h>
#include <string.h>

#include "ring/ring.h"
#include "ring/segment.h"
#include "ring/writer.h"

struct temporary_ring {
    struct segment segment;
    struct ring_writer writer;
};

static const struct ring_stream temporary_stream = {.name = "stream", .source = "test"};

static inline struct ring_spec temporary_spec(uint64_t slots, uint32_t slot_bytes, uint32_t payload_offset)
{
    return (struct ring_spec){.instance = "test",
                              .name = "ring",
                              .streams = &temporary_stream,
                              .stream_count = 1,
                              .numa_node = -1,
                              .slots = slots,
                              .slot_bytes = slot_bytes,
                              .payload_offset = payload_offset,
                              .page_bytes = 4096};
}

static inline void temporary_ring_create(struct temporary_ring *t, const struct ring_spec *spec)
{
    struct error err = {{0}};
    int code = segment_create(&t->segment, "test", ring_segment_bytes(spec), SEGMENT_NORMAL, &err);
    assert(code == 0);
    code = ring_create(t->segment.base, t->segment.bytes, spec, &err);
    assert(code == 0);
    code = ring_writer_attach(&t->writer, t->segment.base, t->segment.bytes, 1, NULL, &err);
    assert(code == 0);
    (void)code;
}

static inline void temporary_ring_destroy(struct temporary_ring *t)
{
    segment_destroy(&t->segment);
}

static inline struct ring_header *temporary_header(struct temporary_ring *t)
{
    return t->segment.base;
}

/* Word i of the content of a position under a seed: no two frames share it. */
static inline uint64_t pattern_word(uint64_t seed, uint64_t position, uint32_t i)
{
    uint64_t z = seed * UINT64_C(0x9e3779b97f4a7c15) + position * UINT64_C(0xd1342543de82ef95) + i;
    z = (z ^ z >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ z >> 32;
}

/* Words are stored and loaded as relaxed atomics, so that the thread sanitizer sees no race in what is a race by
 * design, settled by ring_reader_valid(). */
static inline void pattern_store(uint8_t *payload, uint64_t seed, uint64_t position, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        __atomic_store_n((uint64_t *)(void *)payload + i, pattern_word(seed, position, i), __ATOMIC_RELAXED);
    }
}

static inline bool pattern_matches(const uint8_t *payload, uint64_t seed, uint64_t position, uint32_t words)
{
    bool same = true;
    for (uint32_t i = 0; i < words; i++) {
        same = same && __atomic_load_n((const uint64_t *)(const void *)payload + i, __ATOMIC_RELAXED) ==
                           pattern_word(seed, position, i);
    }
    return same;
}

/* Reserves, fills and commits one frame of `words` 64-bit words; its position is also its source sequence. */
static inline void temporary_commit(struct ring_writer *writer, uint64_t seed, uint32_t words)
{
    uint64_t position = writer->next;
    pattern_store(ring_writer_reserve(writer), seed, position, words);
    ring_writer_commit(writer, words * 8, position + 1000, position, 0, 0);
}

static inline void temporary_publish(struct ring_writer *writer, uint64_t seed, uint32_t words, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        temporary_commit(writer, seed, words);
        ring_writer_publish(writer);
    }
}

#endif
