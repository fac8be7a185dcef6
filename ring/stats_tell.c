/* What is asked of statistics once they are gathered, and where they begin. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ring/stats.h"
#include "ring/stats_block.h"
#include "ring/stats_buckets.h"

static_assert(SLUICE_QUANTILES_BUCKETS == 2 * 2047 * SLUICE_QUANTILES_STEPS, "every finite value has its bucket");

double sluice_summary_std(const struct sluice_summary *summary, uint32_t ddof)
{
    return summary->count > ddof ? sqrt(summary->m2 / (double)(summary->count - ddof)) : (double)NAN;
}

struct sluice_quantiles *sluice_quantiles_open(void)
{
    return calloc(1, sizeof(struct sluice_quantiles));
}

void sluice_quantiles_close(struct sluice_quantiles *quantiles)
{
    free(quantiles);
}

double sluice_quantiles_at(const struct sluice_quantiles *quantiles, double q)
{
    if (quantiles->count == 0 || !(q >= 0 && q <= 1) || !stats_is_finite(quantiles->min) ||
        !stats_is_finite(quantiles->max)) {
        return (double)NAN;
    }
    double exact = q * (double)quantiles->count;
    uint64_t rank = (uint64_t)exact;
    rank += (double)rank < exact ? 1 : 0;
    if (rank <= 1 || rank >= quantiles->count) { /* the first and the last value are known exactly */
        return rank <= 1 ? quantiles->min : quantiles->max;
    }
    uint32_t last = stats_bucket(quantiles->max);
    uint32_t i = stats_bucket(quantiles->min);
    uint64_t sum = quantiles->buckets[i];
    while (sum < rank && i < last) {
        sum += quantiles->buckets[++i];
    }
    double value = stats_bucket_value(i);
    value = value < quantiles->min ? quantiles->min : value;
    return value > quantiles->max ? quantiles->max : value;
}

int sluice_bins_init(struct sluice_bins *bins, double low, double high, uint64_t *counts, uint64_t count)
{
    double width = high - low;
    if (!stats_is_finite(low) || !stats_is_finite(high) || !(low < high) || !stats_is_finite(width) || count == 0 ||
        count > UINT64_C(1) << 31 || counts == NULL) {
        return -EINVAL;
    }
    double step = width / (double)count;
    double scale = (double)count / width;
    if (!(low + step > low && high - step < high) || !stats_is_finite(scale)) {
        return -EINVAL; /* bins that no double lies in */
    }
    memset(counts, 0, count * sizeof(counts[0]));
    *bins = (struct sluice_bins){
        .low = low, .high = high, .bins = count, .counts = counts, .step = step, .scale = scale};
    return 0;
}

int sluice_bins_merge(struct sluice_bins *into, const struct sluice_bins *from)
{
    if (into->bins != from->bins || stats_bits(into->low) != stats_bits(from->low) ||
        stats_bits(into->high) != stats_bits(from->high)) {
        return -EINVAL;
    }
    for (uint64_t i = 0; i < into->bins; i++) {
        into->counts[i] += from->counts[i];
    }
    into->count += from->count;
    into->below += from->below;
    into->above += from->above;
    into->not_finite += from->not_finite;
    return 0;
}

int sluice_envelope_init(struct sluice_envelope *envelope, uint64_t every_values, uint64_t every_ns)
{
    if ((every_values == 0) == (every_ns == 0)) {
        return -EINVAL;
    }
    *envelope = (struct sluice_envelope){.every_values = every_values, .every_ns = every_ns, .is_after_gap = 1};
    return 0;
}

int sluice_edges_init(struct sluice_edges *edges, double low, double high)
{
    if (!stats_is_finite(low) || !stats_is_finite(high) || !(low <= high)) {
        return -EINVAL;
    }
    *edges = (struct sluice_edges){.low = low, .high = high, .is_broken = 1};
    return 0;
}
