/* Histograms of bins that are given. Hot (HOT_SOURCES). */
#include "ring/stats.h"
#include "ring/stats_block.h"

/* Bin of low <= value <= high. What the multiplication is off by at an edge the edges themselves put right; they
 * are those of NumPy's linspace(). */
static inline uint64_t bin_of(const struct sluice_bins *bins, double value)
{
    uint64_t last = bins->bins - 1;
    uint64_t i = (uint64_t)(int64_t)((value - bins->low) * bins->scale); /* far below 2^63 */
    i = i < last ? i : last;
    if (value < (double)i * bins->step + bins->low) {
        return i - (i > 0 ? 1 : 0);
    }
    return i + (i < last && value >= (double)(i + 1) * bins->step + bins->low ? 1 : 0);
}

void sluice_bins_add(struct sluice_bins *bins, const double *values, size_t count)
{
    const struct sluice_bins of = *bins; /* what is counted is not taken for what it counts by */
    uint64_t inside = 0;
    for (size_t i = 0; i < count; i++) {
        double value = values[i];
        if (__builtin_expect(value >= of.low && value <= of.high, 1)) {
            of.counts[bin_of(&of, value)]++;
            inside++;
        } else if (!stats_is_finite(value)) {
            bins->not_finite++;
        } else if (value < of.low) {
            bins->below++;
        } else {
            bins->above++;
        }
    }
    bins->count += inside;
}
