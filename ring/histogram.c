#include "ring/histogram.h"

#include "ring/ledger.h"

uint32_t hist_bucket(uint64_t value_ns)
{
    if (value_ns < HISTOGRAM_STEPS) {
        return (uint32_t)value_ns;
    }
    if (value_ns >> HISTOGRAM_VALUE_BITS != 0) {
        return HISTOGRAM_BUCKETS - 1;
    }
    uint32_t top = 63u - (uint32_t)__builtin_clzll(value_ns);
    uint32_t shift = top - HISTOGRAM_STEPS_LOG2;
    return (shift + 1) * HISTOGRAM_STEPS + (uint32_t)(value_ns >> shift) - HISTOGRAM_STEPS;
}

uint64_t hist_bucket_high_ns(uint32_t bucket)
{
    if (bucket < HISTOGRAM_STEPS) {
        return bucket;
    }
    uint32_t shift = bucket / HISTOGRAM_STEPS - 1;
    uint64_t low = (uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << shift;
    return low + (UINT64_C(1) << shift) - 1;
}

void hist_record_n(struct histogram *histogram, uint64_t value_ns, uint64_t n)
{
    ring_count_add(&histogram->buckets[hist_bucket(value_ns)], n);
    ring_count_add(&histogram->count, n);
    ring_count_add(&histogram->sum_ns, value_ns * n);
    if (value_ns > ring_count_read(&histogram->max_ns) && n > 0) {
        ring_count_set(&histogram->max_ns, value_ns);
    }
    if (histogram->limit_ns != 0 && value_ns > histogram->limit_ns) {
        ring_count_add(&histogram->late, n);
    }
}

uint64_t hist_quantile_ns(const struct histogram *histogram, double q)
{
    uint64_t count = ring_count_read(&histogram->count);
    uint64_t max_ns = ring_count_read(&histogram->max_ns);
    if (count == 0) {
        return 0;
    }
    uint64_t rank = (uint64_t)(q * (double)count + 0.5);
    rank = rank < 1 ? 1 : rank > count ? count : rank;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += ring_count_read(&histogram->buckets[i]);
        if (seen >= rank) {
            uint64_t high = hist_bucket_high_ns(i);
            return high < max_ns ? high : max_ns;
        }
    }
    return max_ns;
}
