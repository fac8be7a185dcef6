#include "bench/spread.h"

#include <math.h>

/* The k-th smallest of the coarse part, k from 1. */
static uint64_t coarse_ns(const struct spread *spread, uint64_t k)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += spread->coarse.buckets[i];
        if (seen >= k) {
            uint64_t ns = hist_bucket_high_ns(i);
            return ns < spread->max_ns ? ns : spread->max_ns;
        }
    }
    return spread->max_ns;
}

uint64_t spread_quantile_ns(const struct spread *spread, double q)
{
    uint64_t k = (uint64_t)ceil(q * (double)spread->count);
    uint64_t seen = 0;
    if (spread->count == 0) {
        return 0;
    }
    k = k < 1 ? 1 : k > spread->count ? spread->count : k;
    for (uint32_t ns = 0; ns < SPREAD_FINE_NS; ns++) {
        seen += spread->fine[ns];
        if (seen >= k) {
            return ns;
        }
    }
    return coarse_ns(spread, k - seen);
}

void spread_merge(struct spread *to, const struct spread *from)
{
    to->count += from->count;
    to->max_ns = from->max_ns > to->max_ns ? from->max_ns : to->max_ns;
    for (uint32_t ns = 0; ns < SPREAD_FINE_NS; ns++) {
        to->fine[ns] += from->fine[ns];
    }
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        to->coarse.buckets[i] += from->coarse.buckets[i];
    }
}
