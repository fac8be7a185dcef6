/* The stall record of a thread that never waits: each time its loop took longer than STALL_NS to come round again.
 * The core was taken away (another process, the kernel, the hypervisor), or there was so much to do; in both cases
 * nobody fetched what came meanwhile, and a loss of that moment is explained. One writer; others read single words,
 * which may be of different moments.
 */
#ifndef RING_STALL_H
#define RING_STALL_H

#include <stdint.h>

#include "ring/clock.h"

#define STALL_NS     (250 * CLOCK_NS_PER_US)
#define STALLS_KEPT  8u /* the latest ones, each by itself */
#define STALLS_INDEX (STALLS_KEPT - 1)

struct stall {
    uint64_t from_ns; /* CLOCK_MONOTONIC of the last round before it */
    uint64_t ns;
};

struct stall_record {
    uint64_t count;
    uint64_t total_ns;
    uint64_t longest_ns;
    struct stall latest[STALLS_KEPT]; /* stall i (from 0) at i % STALLS_KEPT */
};

/* A round ended at from_ns, the next one now. from_ns 0: there was none before. */
static inline void stall_look(struct stall_record *record, uint64_t from_ns, uint64_t now_ns)
{
    if (__builtin_expect(now_ns <= from_ns + STALL_NS || from_ns == 0, 1)) {
        return;
    }
    uint64_t ns = now_ns - from_ns;
    record->latest[record->count & STALLS_INDEX] = (struct stall){.from_ns = from_ns, .ns = ns};
    __atomic_store_n(&record->total_ns, record->total_ns + ns, __ATOMIC_RELAXED);
    if (ns > record->longest_ns) {
        __atomic_store_n(&record->longest_ns, ns, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&record->count, record->count + 1, __ATOMIC_RELEASE);
}

/* The longest of those that were noted since the copy `before` was made; of the latest STALLS_KEPT if there were
 * more. */
static inline uint64_t stall_longest_since(const struct stall_record *record, const struct stall_record *before)
{
    uint64_t longest_ns = 0;
    uint64_t count = __atomic_load_n(&record->count, __ATOMIC_ACQUIRE);
    uint64_t from = count > before->count + STALLS_KEPT ? count - STALLS_KEPT : before->count;
    for (uint64_t i = from; i < count; i++) {
        uint64_t ns = record->latest[i & STALLS_INDEX].ns;
        longest_ns = ns > longest_ns ? ns : longest_ns;
    }
    return longest_ns;
}

#endif
