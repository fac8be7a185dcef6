#include "tools/hgrm.h"

#include <inttypes.h>
#include <math.h>

static uint64_t all_of(const struct histogram *h)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += h->buckets[i];
    }
    return count;
}

static double middle_ns(uint32_t bucket)
{
    double high = (double)hist_bucket_high_ns(bucket);
    double low = bucket > 0 ? (double)hist_bucket_high_ns(bucket - 1) + 1 : 0;
    return (low + high) / 2;
}

static double mean_ns(const struct histogram *h)
{
    return h->count > 0 ? (double)h->sum_ns / (double)h->count : 0;
}

double hgrm_deviation_ns(const struct histogram *h)
{
    double mean = mean_ns(h);
    double sum = 0;
    uint64_t count = all_of(h);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double off = middle_ns(i) - mean;
        sum += (double)h->buckets[i] * off * off;
    }
    return count > 0 ? sqrt(sum / (double)count) : 0;
}

static void print_line(double value, double share, uint64_t count, FILE *to)
{
    fprintf(to, "%12.3f %2.12f %10" PRIu64, value, share, count);
    if (share < 1) {
        fprintf(to, " %14.2f", 1 / (1 - share));
    }
    fputc('\n', to);
}

/* How far to the next share: a part of the half of what is left to 1 that this one lies in. */
static double step(double share, uint32_t ticks)
{
    double halves = floor(log2(1 / (1 - share))) + 1;
    return 1 / (exp2(halves) * ticks);
}

void hgrm_print(const struct histogram *h, double unit_ns, uint32_t ticks, FILE *to)
{
    uint64_t count = all_of(h);
    uint64_t seen = 0;
    double share = 0;
    fprintf(to, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && seen < count; i++) {
        if (h->buckets[i] == 0) {
            continue;
        }
        seen += h->buckets[i];
        uint64_t high_ns = hist_bucket_high_ns(i);
        double value = (double)(high_ns < h->max_ns ? high_ns : h->max_ns) / unit_ns;
        double reached = (double)seen / (double)count;
        while (share <= reached && share < 1) {
            print_line(value, share, seen, to);
            share = seen == count ? 1 : share + step(share, ticks);
        }
    }
    if (count > 0) {
        print_line((double)h->max_ns / unit_ns, 1, count, to);
    }
    fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean_ns(h) / unit_ns,
            hgrm_deviation_ns(h) / unit_ns);
    fprintf(to, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n", (double)h->max_ns / unit_ns, count);
    fprintf(to, "#[Buckets = %12u, SubBuckets     = %12u]\n", HISTOGRAM_BUCKETS / HISTOGRAM_STEPS, HISTOGRAM_STEPS);
}
