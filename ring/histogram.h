/* A log-linear (HDR-style) histogram of nanoseconds in shared memory: one writer, read while written.
 * 32 linear steps in every power of two: a value is reported at most 1/32 (3.2 %) too high. Hot (HOT_SOURCES).
 * Idea and terms: Gil Tene's HdrHistogram.
 */
#ifndef RING_HISTOGRAM_H
#define RING_HISTOGRAM_H

#include <assert.h>
#include <stdint.h>

#define HISTOGRAM_STEPS_LOG2 5u
#define HISTOGRAM_STEPS      (1u << HISTOGRAM_STEPS_LOG2)
#define HISTOGRAM_VALUE_BITS 40u /* up to 2^40 ns = 18 min; longer ones are counted in the last bucket */
#define HISTOGRAM_BUCKETS    ((HISTOGRAM_VALUE_BITS - HISTOGRAM_STEPS_LOG2 + 1) * HISTOGRAM_STEPS)

struct histogram {
    uint64_t count;  /* all by the writer */
    uint64_t max_ns; /* exact */
    uint64_t sum_ns;
    uint64_t late;     /* values above limit_ns */
    uint64_t limit_ns; /* 0: none */
    uint64_t reserved[3];
    uint64_t buckets[HISTOGRAM_BUCKETS];
};
static_assert(sizeof(struct histogram) == 64 + 8 * HISTOGRAM_BUCKETS, "no padding");

/* Counts a value n times over: that of a batch, for each of its frames. Writer only. */
void hist_record_n(struct histogram *histogram, uint64_t value_ns, uint64_t n);

/* Counts one value. Writer only. */
static inline void hist_record(struct histogram *histogram, uint64_t value_ns)
{
    hist_record_n(histogram, value_ns, 1);
}

/* Highest value that is equivalent to the q-quantile (q in 0..1) at the histogram's resolution, never above max_ns;
 * 0 if empty. Any thread. */
uint64_t hist_quantile_ns(const struct histogram *histogram, double q);

/* Bucket of a value, and the highest value of a bucket. For export and tests. */
uint32_t hist_bucket(uint64_t value_ns);
uint64_t hist_bucket_high_ns(uint32_t bucket);

/* The lowest value of a bucket. */
uint64_t hist_bucket_low_ns(uint32_t bucket);

/* A copy of one that is written to meanwhile. Its `count` is the sum of the copied buckets, whatever the writer had
 * counted by then, so that every share is one of what is there. */
void hist_copy(const struct histogram *live, struct histogram *copy);

#endif
