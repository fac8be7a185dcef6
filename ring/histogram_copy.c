/* A histogram that is written to meanwhile, taken as it is now. Cold. */
#include <string.h>

#include "ring/histogram.h"
#include "ring/ledger.h"

uint64_t hist_bucket_low_ns(uint32_t bucket)
{
    return bucket > 0 ? hist_bucket_high_ns(bucket - 1) + 1 : 0;
}

void hist_copy(const struct histogram *live, struct histogram *copy)
{
    uint32_t top = 0;
    memset(copy, 0, sizeof(*copy));
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        copy->buckets[i] = ring_count_read(&live->buckets[i]);
        copy->count += copy->buckets[i];
        top = copy->buckets[i] > 0 ? i : top;
    }
    copy->max_ns = ring_count_read(&live->max_ns);
    copy->sum_ns = ring_count_read(&live->sum_ns);
    copy->late = ring_count_read(&live->late);
    copy->limit_ns = ring_count_read(&live->limit_ns);
    if (copy->max_ns < hist_bucket_low_ns(top)) {
        copy->max_ns =
            hist_bucket_high_ns(top); /* the writer counts a value before it looks whether it is the most */
    }
}
