/* The buckets of struct sluice_quantiles. Not installed; of ring/stats*.c only. */
#ifndef RING_STATS_BUCKETS_H
#define RING_STATS_BUCKETS_H

#include "ring/stats.h"
#include "ring/stats_block.h"

#define STATS_MANTISSA_SHIFT 43u /* 52 bits less the 9 of SLUICE_QUANTILES_STEPS */
#define STATS_BUCKETS_HALF   (SLUICE_QUANTILES_BUCKETS / 2u)

/* Of a finite value. In ascending order: those below 0 count down from the middle, and -0 is 0. */
static inline uint32_t stats_bucket(double value)
{
    uint64_t bits = stats_bits(value + 0.0); /* -0 + 0 is +0 */
    uint32_t magnitude = (uint32_t)((bits & ~(UINT64_C(1) << 63)) >> STATS_MANTISSA_SHIFT);
    return bits >> 63 != 0 ? STATS_BUCKETS_HALF - 1 - magnitude : STATS_BUCKETS_HALF + magnitude;
}

/* Its middle; of the two at 0, 0 itself. */
static inline double stats_bucket_value(uint32_t bucket)
{
    uint64_t magnitude =
        bucket < STATS_BUCKETS_HALF ? STATS_BUCKETS_HALF - 1 - bucket : bucket - STATS_BUCKETS_HALF;
    uint64_t bits =
        magnitude == 0 ? 0 : magnitude << STATS_MANTISSA_SHIFT | UINT64_C(1) << (STATS_MANTISSA_SHIFT - 1);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return bucket < STATS_BUCKETS_HALF ? -value : value;
}

#endif
