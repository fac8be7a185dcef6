#include "tools/hist_read.h"

#include <string.h>

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool hist_subtract(const struct histogram *now, const struct histogram *before, struct histogram *difference,
                   bool *exact)
{
    bool whole = now->late >= before->late && now->sum_ns >= before->sum_ns;
    uint32_t top = 0;
    memset(difference, 0, sizeof(*difference));
    for (uint32_t i = 0; whole && i < HISTOGRAM_BUCKETS; i++) {
        whole = now->buckets[i] >= before->buckets[i];
        difference->buckets[i] = now->buckets[i] - before->buckets[i];
        difference->count += difference->buckets[i];
        top = difference->buckets[i] > 0 ? i : top;
    }
    *exact = !whole || now->max_ns > before->max_ns;
    if (!whole) {
        *difference = *now;
        return false;
    }
    if (difference->count > 0) {
        difference->max_ns = *exact ? now->max_ns : lesser(hist_bucket_high_ns(top), now->max_ns);
    }
    difference->sum_ns = now->sum_ns - before->sum_ns;
    difference->late = now->late - before->late;
    difference->limit_ns = now->limit_ns;
    return true;
}

/* How many k of 1 .. most have low <= value - k * period <= high. */
static uint64_t steps_in(uint64_t value, uint64_t period, uint64_t most, uint64_t low, uint64_t high)
{
    if (value < low) {
        return 0;
    }
    uint64_t last = lesser((value - low) / period, most);
    uint64_t first = value > high ? (value - high + period - 1) / period : 1;
    first = first > 0 ? first : 1;
    return last >= first ? last - first + 1 : 0;
}

static void add_missing(struct histogram *to, uint64_t value, uint64_t count, uint64_t period)
{
    uint64_t most = value / period - 1; /* that leaves a period or more */
    for (uint32_t i = hist_bucket(period); i <= hist_bucket(value); i++) {
        uint64_t n = steps_in(value, period, most, hist_bucket_low_ns(i), hist_bucket_high_ns(i));
        to->buckets[i] += n * count;
    }
    to->count += most * count;
    /* value * most - period * (1 + 2 .. + most): its middle, `most` times */
    to->sum_ns += count * (uint64_t)((double)most * ((double)value - (double)period * (double)(most + 1) / 2));
    if (to->limit_ns != 0) {
        to->late += count * steps_in(value, period, most, to->limit_ns + 1, UINT64_MAX);
    }
}

void hist_correct(const struct histogram *from, uint64_t period_ns, struct histogram *corrected)
{
    *corrected = *from;
    for (uint32_t i = 0; period_ns > 0 && i < HISTOGRAM_BUCKETS; i++) {
        uint64_t value = lesser(hist_bucket_high_ns(i), from->max_ns);
        if (from->buckets[i] > 0 && value / period_ns >= 2) {
            add_missing(corrected, value, from->buckets[i], period_ns);
        }
    }
}
