/* What all statistics do with a few hundred values that lie in the cache: two a step, by vectors that every x86-64
 * and every 64-bit ARM has. Not installed; of ring/stats*.c only. Hot (HOT_SOURCES).
 */
#ifndef RING_STATS_BLOCK_H
#define RING_STATS_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define STATS_BLOCK_VALUES 256u /* 2 KiB */

typedef double stats_pair __attribute__((vector_size(16)));
typedef long long stats_mask __attribute__((vector_size(16)));

static inline stats_pair stats_load(const double *from)
{
    stats_pair pair;
    memcpy(&pair, from, sizeof(pair));
    return pair;
}

/* gcc does not see a minimum in a choice by mask, hence its name. Where a number is not one they give the second.
 */
static inline stats_pair stats_min(stats_pair a, stats_pair b)
{
#if defined(__SSE2__)
    return (stats_pair)_mm_min_pd((__m128d)a, (__m128d)b);
#else
    stats_mask less = (stats_mask)(a < b);
    return (stats_pair)((less & (stats_mask)a) | (~less & (stats_mask)b));
#endif
}

static inline stats_pair stats_max(stats_pair a, stats_pair b)
{
#if defined(__SSE2__)
    return (stats_pair)_mm_max_pd((__m128d)a, (__m128d)b);
#else
    stats_mask more = (stats_mask)(a > b);
    return (stats_pair)((more & (stats_mask)a) | (~more & (stats_mask)b));
#endif
}

static inline uint64_t stats_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* By the exponent bits, as ring_is_not_finite(). */
static inline bool stats_is_finite(double value)
{
    return (stats_bits(value) >> 52 & 0x7ff) != 0x7ff;
}

struct stats_block {
    const double *finite; /* the finite values: the caller's own, or `kept` where there were others among them */
    size_t count;
    size_t not_finite;
    double shift;
    double sum; /* of value - shift */
    double min; /* nothing if count is 0 */
    double max;
    double kept[STATS_BLOCK_VALUES];
};

/* Of 1 .. STATS_BLOCK_VALUES values. shift: a value near the others; NULL: the first finite one. */
void stats_block_scan(struct stats_block *block, const double *values, size_t count, const double *shift);

#endif
