/* libsluice: statistics that stream over values as they come: mean and spread, percentiles, histograms, envelopes
 * for plots, crossings of a threshold.
 *
 *   struct sluice_summary s = {0};                    all zero is empty
 *   double buffer[1024];
 *   struct sluice_fold_item item = {0, 0, sluice_fold_summary, &s};        channel 0 into s
 *   struct sluice_fold fold = {&item, 1, 0, buffer, 1024};
 *   while (sluice_fold(r, &fold, 100000) > 0) {}      all that is there; fold.lost, .discarded tell what is not in
 * it printf("%g +- %g\n", s.mean, sluice_summary_std(&s, 1));
 *
 * Every state is plain data of the caller's that can be copied, sent to another process of the same kind of
 * machine, and (where there is a _merge) merged: the merged state is that of both data, in any order, to within
 * rounding; what is counted is exact. A state takes values in chunks of any size; only the last bits of means and
 * m2 depend on how they were cut.
 *
 * What is not a number, or infinite, is counted by itself (not_finite) and never folded into anything.
 *
 * Nothing here makes a system call or takes memory, but for sluice_quantiles_open(). Threads: a state may be used
 * by one thread at a time; functions of different states do not know of each other.
 */
#ifndef SLUICE_STATS_H
#define SLUICE_STATS_H

#include "sluice.h" /* beside this one, here and where they are installed */

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Numbers of any kind as doubles. */

/* `count` values of a type (as in struct sluice_channel: 1 i8, 2 u8, 3 i16, 4 u16, 5 i32, 6 u32, 7 i64, 8 u64, 9
 * f32, 10 f64) and byte order, the first of them at `first` and each stride_bytes (any, also 0 or negative) behind
 * the one before, as doubles into out[0 .. count). No alignment is asked for. i64 and u64 beyond 2^53 are rounded
 * to the nearest double. 0, or -EINVAL: no such type; out is untouched then. Any thread. */
SLUICE_API int sluice_values_from(const void *first, uint32_t type, uint32_t big_endian, ptrdiff_t stride_bytes,
                                  size_t count, double *out);

/* ---- Mean, spread, extremes. */

/* All zero is empty; min, max and mean mean nothing then. Welford's recurrence in its pairwise form (Chan, Golub
 * and LeVeque 1979): as exact for 1e9 + small as for small. Beyond 1e150 squares overflow: m2, then the mean,
 * become infinite or NaN, never a wrong number; deviations under 1e-154 have squares of 0. */
struct sluice_summary {
    uint64_t count;      /* finite values */
    uint64_t not_finite; /* NaN and infinities */
    double mean;
    double mean_low; /* what the mean's last bit leaves out of it; derived */
    double m2;       /* sum of (value - mean)^2 */
    double min;
    double max;
};

SLUICE_API void sluice_summary_add(struct sluice_summary *summary, const double *values, size_t count);
SLUICE_API void sluice_summary_merge(struct sluice_summary *into, const struct sluice_summary *from);

/* Standard deviation, sqrt(m2 / (count - ddof)): ddof 0 of all there is, 1 as estimated from a sample. NaN if there
 * are not more than ddof values. */
SLUICE_API double sluice_summary_std(const struct sluice_summary *summary, uint32_t ddof);

/* ---- Percentiles. */

/* A histogram by the values' own bits: sign, exponent and the top 9 bits of the mantissa, so that every power of
 * two has 512 steps (the idea of Gil Tene's HdrHistogram, here for doubles). A quantile is told to within 1/1024
 * (0.1 %) of itself; below 2.3e-308 (denormal) to within 2^-1031; 0 and 1 are the exact min and max. -0 is 0. 16
 * MiB of address space, of which only those pages are touched in which values lie: a power of two is 4 KiB. All
 * zero is empty. Too large for a stack: static, or sluice_quantiles_open(). */
#define SLUICE_QUANTILES_STEPS   512
#define SLUICE_QUANTILES_BUCKETS 2096128 /* 2 signs x 2047 exponents x 512 steps, in ascending order */
struct sluice_quantiles {
    uint64_t count;      /* finite values: the sum of the buckets */
    uint64_t not_finite; /* NaN and infinities */
    double min;          /* exact; nothing if count is 0 */
    double max;
    uint64_t buckets[SLUICE_QUANTILES_BUCKETS];
};

/* An empty one in memory of its own, or NULL: there is none. _close: NULL is fine. */
SLUICE_API struct sluice_quantiles *sluice_quantiles_open(void);
SLUICE_API void sluice_quantiles_close(struct sluice_quantiles *quantiles);

SLUICE_API void sluice_quantiles_add(struct sluice_quantiles *quantiles, const double *values, size_t count);
SLUICE_API void sluice_quantiles_merge(struct sluice_quantiles *into, const struct sluice_quantiles *from);

/* The lowest value that at least the fraction q (0 .. 1) of all are not above (NumPy's method "inverted_cdf"), as
 * exact as said above. NaN if there are no values, or q is not between 0 and 1. */
SLUICE_API double sluice_quantiles_at(const struct sluice_quantiles *quantiles, double q);

/* ---- Histograms of bins that are given. */

/* `bins` bins of equal width from low to high: bin i holds low + i * width <= value < low + (i + 1) * width, and
 * the last one also value == high, as NumPy's histogram() has it (edges are computed as it computes them, so that
 * the counts are equal to the last one). */
struct sluice_bins {
    double low;
    double high;
    uint64_t bins;
    uint64_t *counts; /* of the caller, [bins] */
    uint64_t count;   /* values in bins */
    uint64_t below;   /* finite values < low */
    uint64_t above;   /* finite values > high */
    uint64_t not_finite;
    double step;  /* derived: width of a bin */
    double scale; /* derived: bins per unit */
};

/* Sets all of it, counts[0 .. bins) to 0. 0 or -EINVAL: low and high are not finite numbers, low < high, whose
 * difference is finite and at least `bins` doubles wide, or bins is 0 or beyond 2^31. */
SLUICE_API int sluice_bins_init(struct sluice_bins *bins, double low, double high, uint64_t *counts,
                                uint64_t count);
SLUICE_API void sluice_bins_add(struct sluice_bins *bins, const double *values, size_t count);

/* 0, or -EINVAL: they are not of the same bins; into is untouched then. */
SLUICE_API int sluice_bins_merge(struct sluice_bins *into, const struct sluice_bins *from);

/* ---- Envelopes: what a plot needs of more values than it has pixels. */

/* One group of values that follow each other. */
struct sluice_envelope_point {
    uint64_t tai_ns;     /* of the group's first value */
    uint64_t count;      /* finite values */
    uint64_t not_finite; /* NaN and infinities: a group of nothing else has NaN as min, max and mean */
    double min;
    double max;
    double mean;
    uint64_t is_after_gap; /* 1: something is missing before this group, or it is the first: draw no line to it */
};

/* Groups of every_values values, or of steps of every_ns ns, which begin at multiples of that since 1970 TAI; a
 * step in which there is nothing has no point. A group ends early where something is missing
 * (sluice_envelope_gap()), so that none spans a gap. A value that is older than its step (a reordered frame) counts
 * in the step that is open. */
struct sluice_envelope {
    uint64_t every_values; /* one of these two is 0 */
    uint64_t every_ns;
    struct sluice_envelope_point
        open;              /* the group that goes on with the next call; count + not_finite is 0: none */
    double shift;          /* derived: the group's first finite value .. */
    double sum;            /* .. and the sum of differences from it */
    uint64_t end_ns;       /* derived: the step's end */
    uint64_t values;       /* taken so far */
    uint64_t is_after_gap; /* of the next group */
};

/* 0, or -EINVAL unless one of the two is 0 and the other is not. */
SLUICE_API int sluice_envelope_init(struct sluice_envelope *envelope, uint64_t every_values, uint64_t every_ns);

/* Takes values[0 .. count) with their times; tai_ns NULL: the n-th value since the start has time n. Groups that
 * are complete go to points[0 .. room); *written says how many. Returns how many values were taken: fewer than
 * count only if there was no room; come again with the rest and room. */
SLUICE_API size_t sluice_envelope_add(struct sluice_envelope *envelope, const uint64_t *tai_ns,
                                      const double *values, size_t count, struct sluice_envelope_point *points,
                                      size_t room, size_t *written);

/* Something is missing before the next value: the open group ends (its point comes with the next call of _add). */
SLUICE_API void sluice_envelope_gap(struct sluice_envelope *envelope);

/* The open group as it is: 1, or 0: there is none. It ends: what comes next begins a new one. */
SLUICE_API int sluice_envelope_flush(struct sluice_envelope *envelope, struct sluice_envelope_point *point);

/* ---- Crossings of a threshold, with hysteresis. */

enum sluice_level { SLUICE_LEVEL_UNKNOWN = 0, SLUICE_LEVEL_BELOW = 1, SLUICE_LEVEL_ABOVE = 2 };

enum sluice_edge_flag {
    SLUICE_EDGE_IN_GAP = 1,     /* something is missing just before it: it lies somewhere there, and may not be the
                                   only one */
    SLUICE_EDGE_HELD_UNSURE = 2 /* held_ns is not all true: the level before it began at a time that is not known,
                                   or something is missing in it */
};

struct sluice_edge {
    uint64_t position; /* of the first value beyond the threshold */
    uint64_t tai_ns;
    uint64_t held_ns; /* how long the level before it was held, as far as that was seen */
    uint32_t level;   /* enum sluice_level: ABOVE, it rises; BELOW, it falls */
    uint32_t flags;   /* enum sluice_edge_flag */
};

/* The level rises where a value is high or more, and falls where one is below low; between them it stays (a Schmitt
 * trigger; low == high: none). Until the first value says which it is unknown, and its first level is no edge.
 * Where something is missing (sluice_edges_gap()) or is not finite it is unknown until a value outside low .. high.
 * Time between two values counts as that of the level at the first; stamps that go back count as standing still. */
struct sluice_edges {
    double low;
    double high;
    uint32_t level;         /* enum sluice_level: the last known */
    uint32_t is_broken;     /* 1: something was missing since it was known */
    uint32_t is_since_sure; /* 1: it began at since_tai_ns and nothing was missing from there on */
    uint32_t has_last;
    uint64_t since_tai_ns; /* it is known to be held from here on */
    uint64_t last_tai_ns;  /* of the last value */
    uint64_t count;        /* finite values */
    uint64_t not_finite;
    uint64_t rising; /* edges, all of them */
    uint64_t falling;
    uint64_t above_ns; /* time that the level was seen to be held */
    uint64_t below_ns;
    uint64_t unknown_ns;
};

/* 0, or -EINVAL unless low <= high and both are finite. */
SLUICE_API int sluice_edges_init(struct sluice_edges *edges, double low, double high);

/* Takes values[0 .. count) at positions position, position + 1 .., with their times; tai_ns NULL: the position is
 * the time. Edges go to out[0 .. room); *written says how many. out may be NULL: they are only counted. Returns how
 * many values were taken: fewer than count only if there was no room; come again with the rest. */
SLUICE_API size_t sluice_edges_add(struct sluice_edges *edges, uint64_t position, const uint64_t *tai_ns,
                                   const double *values, size_t count, struct sluice_edge *out, size_t room,
                                   size_t *written);

/* Something is missing before the next value. */
SLUICE_API void sluice_edges_gap(struct sluice_edges *edges);

/* ---- A reader's frames into any of them. */

/* Values that follow each other with nothing missing between them, all of whole frames. */
struct sluice_chunk {
    const double *values;   /* [count]: a channel in its unit, calibrated, or samples as they are */
    const uint64_t *tai_ns; /* [count]; NULL: they are samples of one frame */
    uint64_t position;      /* of the first value's frame */
    uint64_t frame_tai_ns;  /* its time */
    uint64_t first_sample;  /* of samples: the number of the first one in its frame */
    size_t count;
    uint32_t is_after_gap; /* 1: something is missing before the first, or it is the first there was */
    uint32_t reserved;
};

typedef void sluice_fold_function(void *context, const struct sluice_chunk *chunk);

/* What is done with the values of one channel. Ready functions: below. */
struct sluice_fold_item {
    uint32_t channel; /* of the ring; sluice_fold_samples() does not look at it */
    uint32_t reserved;
    sluice_fold_function *function;
    void *context;
};

/* What is done with a ring's frames, and what became of them. Begin with all zero but the first five. */
struct sluice_fold {
    const struct sluice_fold_item *items;
    uint32_t item_count;
    uint32_t reserved;
    double *buffer;       /* of the caller; what is read is put here first: at least one value an item. Of 1024 an
                             item and all in the cache it is fastest */
    size_t buffer_values; /* how many fit */
    uint64_t frames;      /* folded */
    uint64_t discarded;   /* frames that were overwritten while they were read: nothing of them was folded */
    uint64_t lost;    /* frames overwritten before they were read. lost and discarded are in sluice_reader_lost() */
    uint64_t gaps;    /* gap records */
    uint64_t missing; /* frames that the ring says are missing, of gap records and lost_before (each
                             told up to 65535: the ledger has the exact sum) */
    uint64_t next_position;
    uint64_t is_started;
    uint64_t is_broken;
};

/* Reads up to max_frames frames that are there now, gap records included, and calls each item's function with its
 * channel's values, in the order of the items. What has been put into the buffer is folded only if its frames are
 * still whole after that, so that no result has a byte of another frame; all items see the same frames. Never
 * blocks. Returns how many frames were taken (0: nothing new), or -EINVAL: no item, or the buffer is too small.
 * What is read is released. */
SLUICE_API int64_t sluice_fold(struct sluice_reader *reader, struct sluice_fold *fold, uint64_t max_frames);

/* Where a payload has samples. */
struct sluice_samples {
    uint32_t type; /* as for sluice_values_from() */
    uint32_t big_endian;
    uint32_t at_byte;      /* the first one; from the start of the payload */
    uint32_t stride_bytes; /* from one to the next; 0: they adjoin */
    uint64_t count;        /* in a frame, at most; 0: as many as it is long */
};

/* The same of payloads that are arrays: every item sees every sample. Of a frame with more samples than the buffer
 * holds a part may have been folded when the rest is overwritten: it counts as discarded then. -EINVAL also: no
 * such type. A sample that is not whole in its frame is none. */
SLUICE_API int64_t sluice_fold_samples(struct sluice_reader *reader, const struct sluice_samples *samples,
                                       struct sluice_fold *fold, uint64_t max_frames);

/* sluice_fold_functions; context is a struct sluice_summary, _quantiles, _bins. */
SLUICE_API void sluice_fold_summary(void *context, const struct sluice_chunk *chunk);
SLUICE_API void sluice_fold_quantiles(void *context, const struct sluice_chunk *chunk);
SLUICE_API void sluice_fold_bins(void *context, const struct sluice_chunk *chunk);

/* The same with what comes out; context is one of these. Of what finds no room the last is dropped, and counted:
 * room for as many points or edges as frames are asked for (of samples: as they have samples) is always enough.
 * Gaps are told to the envelope or edges. Of samples all of a frame have its time, and its position. */
struct sluice_fold_envelope_context {
    struct sluice_envelope *envelope;
    struct sluice_envelope_point *points;
    size_t room;
    size_t written;   /* emptied by the caller, who sets it to 0 */
    uint64_t dropped; /* values that found no room */
};
SLUICE_API void sluice_fold_envelope(void *context, const struct sluice_chunk *chunk);

struct sluice_fold_edges_context {
    struct sluice_edges *edges;
    struct sluice_edge *out;
    size_t room;
    size_t written;
    uint64_t dropped; /* values that found no room */
};
SLUICE_API void sluice_fold_edges(void *context, const struct sluice_chunk *chunk);

#ifdef __cplusplus
}
#endif

#endif
