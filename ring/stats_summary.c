/* Mean, spread, extremes. Hot (HOT_SOURCES). */
#include "ring/stats.h"

#include <float.h>

#include "ring/stats_block.h"

/* Sum, least and greatest of values that are all taken for finite; the sum is not if one of them is not: what is
 * infinite or not a number stays so in a sum. */
static void scan_finite(struct stats_block *block, const double *values, size_t count)
{
    stats_pair shift = {block->shift, block->shift};
    stats_pair sum0 = {0, 0};
    stats_pair sum1 = {0, 0};
    stats_pair min0 = {DBL_MAX, DBL_MAX};
    stats_pair min1 = min0;
    stats_pair max0 = {-DBL_MAX, -DBL_MAX};
    stats_pair max1 = max0;
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        stats_pair a = stats_load(values + i);
        stats_pair b = stats_load(values + i + 2);
        sum0 += a - shift;
        sum1 += b - shift;
        min0 = stats_min(a, min0);
        min1 = stats_min(b, min1);
        max0 = stats_max(a, max0);
        max1 = stats_max(b, max1);
    }
    sum0 += sum1;
    min0 = stats_min(min0, min1);
    max0 = stats_max(max0, max1);
    block->sum = sum0[0] + sum0[1];
    block->min = min0[0] < min0[1] ? min0[0] : min0[1];
    block->max = max0[0] > max0[1] ? max0[0] : max0[1];
    for (; i < count; i++) {
        block->sum += values[i] - block->shift;
        block->min = values[i] < block->min ? values[i] : block->min;
        block->max = values[i] > block->max ? values[i] : block->max;
    }
}

void stats_block_scan(struct stats_block *block, const double *values, size_t count, const double *shift)
{
    block->finite = values;
    block->count = count;
    block->not_finite = 0;
    block->shift = shift != NULL ? *shift : values[0];
    scan_finite(block, values, count);
    if (stats_is_finite(block->sum)) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        block->kept[kept] = values[i];
        kept += stats_is_finite(values[i]) ? 1 : 0;
    }
    block->finite = block->kept;
    block->count = kept;
    block->not_finite = count - kept;
    block->shift = shift != NULL || kept == 0 ? block->shift : block->kept[0];
    scan_finite(block, block->kept, kept);
}

/* Sum of (value - mean)^2, less what the mean is off by. */
static double squares(const struct stats_block *block, double mean)
{
    const double *values = block->finite;
    stats_pair middle = {mean, mean};
    stats_pair sum0 = {0, 0};
    stats_pair sum1 = {0, 0};
    stats_pair square0 = {0, 0};
    stats_pair square1 = {0, 0};
    size_t i = 0;
    for (; i + 4 <= block->count; i += 4) {
        stats_pair a = stats_load(values + i) - middle;
        stats_pair b = stats_load(values + i + 2) - middle;
        sum0 += a;
        sum1 += b;
        square0 += a * a;
        square1 += b * b;
    }
    sum0 += sum1;
    square0 += square1;
    double sum = sum0[0] + sum0[1];
    double square = square0[0] + square0[1];
    for (; i < block->count; i++) {
        double d = values[i] - mean;
        sum += d;
        square += d * d;
    }
    double m2 = square - sum * sum / (double)block->count;
    return m2 < 0 ? 0 : m2;
}

/* mean + mean_low = a + b, exactly (Knuth's two-sum): of 1e9 + small the differences between means are small, too,
 * and m2 grows by their squares. */
static void set_mean(struct sluice_summary *s, double a, double b)
{
    double sum = a + b;
    double of_b = sum - a;
    double low = (a - (sum - of_b)) + (b - of_b);
    s->mean = sum;
    s->mean_low = stats_is_finite(low) ? low : 0;
}

void sluice_summary_add(struct sluice_summary *summary, const double *values, size_t count)
{
    struct stats_block block;
    while (count > 0) {
        size_t n = count < STATS_BLOCK_VALUES ? count : STATS_BLOCK_VALUES;
        stats_block_scan(&block, values, n, NULL);
        struct sluice_summary part = {.not_finite = block.not_finite};
        if (block.count > 0) {
            part.count = block.count;
            set_mean(&part, block.shift, block.sum / (double)block.count);
            part.m2 = squares(&block, part.mean);
            part.min = block.min;
            part.max = block.max;
        }
        sluice_summary_merge(summary, &part);
        values += n;
        count -= n;
    }
}

void sluice_summary_merge(struct sluice_summary *into, const struct sluice_summary *from)
{
    into->not_finite += from->not_finite;
    if (from->count == 0) {
        return;
    }
    if (into->count == 0) {
        uint64_t not_finite = into->not_finite;
        *into = *from;
        into->not_finite = not_finite;
        return;
    }
    double a = (double)into->count;
    double b = (double)from->count;
    double delta = (from->mean - into->mean) + (from->mean_low - into->mean_low);
    set_mean(into, into->mean, delta * (b / (a + b)) + into->mean_low);
    into->m2 += from->m2 + delta * delta * (a * (b / (a + b)));
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
    into->count += from->count;
}
