/* Percentiles by the values' own bits. Hot (HOT_SOURCES). */
#include "ring/stats.h"
#include "ring/stats_block.h"
#include "ring/stats_buckets.h"

void sluice_quantiles_add(struct sluice_quantiles *quantiles, const double *values, size_t count)
{
    size_t i = 0;
    uint64_t not_finite = 0;
    for (; i < count && quantiles->count == 0; i++) { /* the first one, which is least and greatest */
        if (stats_is_finite(values[i])) {
            quantiles->min = values[i];
            quantiles->max = values[i];
            quantiles->count = 1;
            quantiles->buckets[stats_bucket(values[i])]++;
        } else {
            not_finite++;
        }
    }
    double min = quantiles->min;
    double max = quantiles->max;
    uint64_t rest = count - i;
    for (; i < count; i++) {
        double value = values[i];
        if (__builtin_expect(!stats_is_finite(value), 0)) {
            not_finite++;
            rest--;
            continue;
        }
        min = value < min ? value : min;
        max = value > max ? value : max;
        quantiles->buckets[stats_bucket(value)]++;
    }
    quantiles->min = min;
    quantiles->max = max;
    quantiles->count += rest;
    quantiles->not_finite += not_finite;
}

void sluice_quantiles_merge(struct sluice_quantiles *into, const struct sluice_quantiles *from)
{
    into->not_finite += from->not_finite;
    if (from->count == 0 || !stats_is_finite(from->min) || !stats_is_finite(from->max)) {
        return; /* nothing in it; or what was sent is none */
    }
    uint32_t last = stats_bucket(from->max);
    for (uint32_t i = stats_bucket(from->min); i <= last; i++) {
        into->buckets[i] += from->buckets[i];
    }
    into->min = into->count == 0 || from->min < into->min ? from->min : into->min;
    into->max = into->count == 0 || from->max > into->max ? from->max : into->max;
    into->count += from->count;
}
