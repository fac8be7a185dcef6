/* Statistics against slow and obvious ones over seeded data: what is not finite, borders of chunks, merges. */
#include <criterion/criterion.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/layout.h"
#include "ring/stats.h"
#include "tests/support/bytes.h"
#include "tests/support/random.h"

#define VALUES 5000u

/* -1 .. 1. */
static double uniform(struct test_random *random)
{
    return (double)(int64_t)test_random_next(random) / 0x1p63;
}

/* Every per_mille-th or so is NaN or infinite. */
static void fill(double *values, size_t count, uint64_t seed, double offset, double width, unsigned per_mille)
{
    struct test_random random = {seed};
    for (size_t i = 0; i < count; i++) {
        values[i] = offset + width * uniform(&random);
        if (test_random_chance(&random, per_mille)) {
            const double odd[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -(double)NAN};
            values[i] = odd[test_random_below(&random, 4)];
        }
    }
}

/* ---- Summary. */

struct reference {
    uint64_t count;
    uint64_t not_finite;
    long double mean;
    long double m2;
    double min;
    double max;
};

static struct reference reference_of(const double *values, size_t count)
{
    struct reference r = {.min = (double)INFINITY, .max = -(double)INFINITY};
    long double sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) {
            r.not_finite++;
            continue;
        }
        r.count++;
        sum += (long double)values[i];
        r.min = fmin(r.min, values[i]);
        r.max = fmax(r.max, values[i]);
    }
    r.mean = r.count > 0 ? sum / (long double)r.count : 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            r.m2 += ((long double)values[i] - r.mean) * ((long double)values[i] - r.mean);
        }
    }
    return r;
}

static void check_summary(const struct sluice_summary *s, const double *values, size_t count, const char *what)
{
    struct reference r = reference_of(values, count);
    cr_assert_eq(s->count, r.count, "%s", what);
    cr_assert_eq(s->not_finite, r.not_finite, "%s", what);
    if (r.count == 0) {
        return;
    }
    double spread = r.count > 1 ? (double)sqrtl(r.m2 / (long double)r.count) : 0;
    /* The mean is a double: it cannot be nearer than half its own last bit. */
    double mean_step = fabs((double)r.mean) * DBL_EPSILON + spread * 1e-12;
    cr_assert_leq(fabs(s->mean - (double)r.mean), mean_step, "%s: mean %.17g, not %.17Lg", what, s->mean, r.mean);
    double m2_step = (double)r.m2 * 1e-10 + (double)r.count * mean_step * mean_step * 4;
    cr_assert_leq(fabs(s->m2 - (double)r.m2), m2_step, "%s: m2 %.17g, not %.17Lg", what, s->m2, r.m2);
    cr_assert_eq(s->min, r.min, "%s", what);
    cr_assert_eq(s->max, r.max, "%s", what);
}

Test(stats, summary_of_sizes_and_kinds)
{
    static double values[VALUES];
    const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 511, 512, 513, 1024, VALUES};
    const struct {
        double offset, width;
        unsigned per_mille;
    } kinds[] = {{0, 1, 0},     {0, 1, 100},         {1e9, 1e-3, 0}, {-1e12, 1e-2, 50},
                 {0, 1e140, 3}, {1e-300, 1e-301, 0}, {5, 0, 0},      {0, 1, 1000}};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
            struct sluice_summary s = {0};
            char what[64];
            snprintf(what, sizeof(what), "kind %zu, %zu values", k, sizes[n]);
            fill(values, sizes[n], 100 * k + n, kinds[k].offset, kinds[k].width, kinds[k].per_mille);
            sluice_summary_add(&s, values, sizes[n]);
            check_summary(&s, values, sizes[n], what);
        }
    }
}

Test(stats, summary_in_pieces_and_merged_is_the_whole)
{
    static double values[VALUES];
    struct test_random random = {7};
    fill(values, VALUES, 8, 1e9, 1, 20);
    for (int round = 0; round < 50; round++) {
        struct sluice_summary whole = {0};
        struct sluice_summary pieces = {0};
        struct sluice_summary merged = {0};
        sluice_summary_add(&whole, values, VALUES);
        for (size_t at = 0; at < VALUES;) {
            size_t n = test_random_below(&random, 700);
            n = n < VALUES - at ? n : VALUES - at;
            struct sluice_summary part = {0};
            sluice_summary_add(&pieces, values + at, n);
            sluice_summary_add(&part, values + at, n);
            sluice_summary_merge(&merged, &part);
            at += n;
        }
        check_summary(&whole, values, VALUES, "whole");
        check_summary(&pieces, values, VALUES, "pieces");
        check_summary(&merged, values, VALUES, "merged");
    }
}

Test(stats, summary_of_one_after_another)
{
    static double values[VALUES];
    struct sluice_summary s = {0};
    fill(values, VALUES, 9, -3e8, 1e-2, 5);
    for (size_t i = 0; i < VALUES; i++) {
        sluice_summary_add(&s, values + i, 1);
    }
    check_summary(&s, values, VALUES, "one by one");
}

/* Squares that overflow are seen to: no finite number comes out that is wrong. */
Test(stats, summary_that_overflows_says_so)
{
    const double values[] = {1e300, -1e300, 1e308, -1e308, 1e308, 1.7e308};
    struct sluice_summary s = {0};
    sluice_summary_add(&s, values, 6);
    cr_assert_eq(s.count, 6);
    cr_assert_eq(s.not_finite, 0, "large ones are finite");
    cr_assert(!isfinite(s.m2) && !isfinite(sluice_summary_std(&s, 0)));
    cr_assert(s.min == -1e308 && s.max == 1.7e308);
    double one = 1;
    sluice_summary_add(&s, &one, 1);
    cr_assert(!isfinite(s.m2), "and stays so");
}

Test(stats, standard_deviation)
{
    const double values[] = {2, 4, 4, 4, 5, 5, 7, 9};
    struct sluice_summary s = {0};
    cr_assert(isnan(sluice_summary_std(&s, 0)) && isnan(sluice_summary_std(&s, 1)), "of nothing");
    sluice_summary_add(&s, values, 1);
    cr_assert(sluice_summary_std(&s, 0) == 0 && isnan(sluice_summary_std(&s, 1)), "of one");
    sluice_summary_add(&s, values + 1, 7);
    cr_assert_float_eq(sluice_summary_std(&s, 0), 2.0, 1e-15);
    cr_assert_float_eq(sluice_summary_std(&s, 1), sqrt(32.0 / 7), 1e-15);
}

/* ---- Quantiles. */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value of a sorted array that at least the fraction q are not above. */
static double sorted_quantile(const double *sorted, size_t count, double q)
{
    size_t rank = (size_t)ceil(q * (double)count);
    rank = rank < 1 ? 1 : rank;
    return sorted[(rank < count ? rank : count) - 1];
}

static void check_quantiles(const struct sluice_quantiles *s, double *values, size_t count, const char *what)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        values[kept] = values[i];
        kept += isfinite(values[i]) ? 1 : 0;
    }
    qsort(values, kept, sizeof(double), by_value);
    cr_assert_eq(s->count, kept, "%s", what);
    cr_assert_eq(s->not_finite, count - kept, "%s", what);
    for (int i = 0; i <= 1000 && kept > 0; i++) {
        double q = i / 1000.0;
        double is = sluice_quantiles_at(s, q);
        double should = sorted_quantile(values, kept, q);
        double step = fabs(should) < DBL_MIN ? 0x1p-1031 : fabs(should) / 1024;
        cr_assert_leq(fabs(is - should), step, "%s: q %g is %.17g, not %.17g", what, q, is, should);
    }
    cr_assert(kept == 0 ||
              (sluice_quantiles_at(s, 0) == values[0] && sluice_quantiles_at(s, 1) == values[kept - 1]));
}

Test(stats, quantiles_over_all_doubles)
{
    static double values[VALUES];
    for (int kind = 0; kind < 6; kind++) {
        struct sluice_quantiles *s = sluice_quantiles_open();
        struct test_random random = {(uint64_t)kind + 20};
        char what[32];
        cr_assert_not_null(s);
        for (size_t i = 0; i < VALUES; i++) {
            uint64_t bits = test_random_next(&random);
            double x = uniform(&random);
            memcpy(&values[i], &bits, sizeof(bits)); /* 0: any bits at all */
            values[i] = kind == 1 ? 1e9 + x : values[i];
            values[i] = kind == 2 ? x : values[i];
            values[i] = kind == 3 ? x * DBL_MIN : values[i]; /* denormals of both signs */
            values[i] = kind == 4 ? (double)(i % 7) - 3 : values[i];
            values[i] = kind == 5 ? (i % 2 == 0 ? -0.0 : 0.0) : values[i];
        }
        snprintf(what, sizeof(what), "kind %d", kind);
        sluice_quantiles_add(s, values, 0);
        sluice_quantiles_add(s, values, 1);
        sluice_quantiles_add(s, values + 1, VALUES - 1);
        check_quantiles(s, values, VALUES, what);
        sluice_quantiles_close(s);
    }
    sluice_quantiles_close(NULL);
}

Test(stats, quantiles_of_little)
{
    struct sluice_quantiles *s = sluice_quantiles_open();
    const double odd[] = {(double)NAN, (double)INFINITY};
    cr_assert(isnan(sluice_quantiles_at(s, 0.5)), "of nothing");
    sluice_quantiles_add(s, odd, 2);
    cr_assert(isnan(sluice_quantiles_at(s, 0.5)) && s->not_finite == 2 && s->count == 0, "of nothing finite");
    const double one = -12.345;
    sluice_quantiles_add(s, &one, 1);
    for (int i = 0; i <= 4; i++) {
        cr_assert(sluice_quantiles_at(s, i / 4.0) == one, "of one value it is that one");
    }
    cr_assert(isnan(sluice_quantiles_at(s, -0.1)) && isnan(sluice_quantiles_at(s, 1.1)) &&
              isnan(sluice_quantiles_at(s, (double)NAN)));
    const double ends[] = {DBL_MAX, -DBL_MAX, DBL_TRUE_MIN, -DBL_TRUE_MIN, 0.0, -0.0};
    sluice_quantiles_add(s, ends, 6);
    cr_assert(sluice_quantiles_at(s, 0) == -DBL_MAX && sluice_quantiles_at(s, 1) == DBL_MAX && s->count == 7);
    cr_assert(fabs(sluice_quantiles_at(s, 0.5)) <= 0x1p-1031, "the middle one is next to 0");
    sluice_quantiles_close(s);
}

Test(stats, quantiles_merged_are_the_whole)
{
    static double values[VALUES];
    struct sluice_quantiles *whole = sluice_quantiles_open();
    struct sluice_quantiles *merged = sluice_quantiles_open();
    fill(values, VALUES, 31, -2, 50, 30);
    sluice_quantiles_add(whole, values, VALUES);
    for (size_t at = 0; at < VALUES; at += VALUES / 4) {
        struct sluice_quantiles *part = sluice_quantiles_open();
        sluice_quantiles_merge(merged, part); /* an empty one changes nothing */
        sluice_quantiles_add(part, values + at, VALUES / 4);
        sluice_quantiles_merge(merged, part);
        sluice_quantiles_close(part);
    }
    cr_assert(same_bytes(whole, merged, sizeof(*whole)));
    sluice_quantiles_close(whole);
    sluice_quantiles_close(merged);
}

/* ---- Bins. */

Test(stats, bins_count_as_edges_say)
{
    static double values[VALUES];
    static uint64_t counts[1000];
    static uint64_t should[1000];
    const size_t sizes[] = {1, 2, 3, 10, 64, 999, 1000};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        size_t n = sizes[k];
        double low = -0.7;
        double high = 0.9;
        double step = (high - low) / (double)n;
        struct sluice_bins bins;
        uint64_t below = 0;
        uint64_t above = 0;
        uint64_t odd = 0;
        fill(values, VALUES, k + 40, 0, 1.2, 30);
        for (size_t i = 0; i <= n; i++) { /* the edges themselves */
            values[i] = i < n ? (double)i * step + low : high;
        }
        memset(should, 0, sizeof(should));
        for (size_t i = 0; i < VALUES; i++) {
            size_t bin = n - 1; /* the last one whose edge is not above the value: from the top down */
            while (bin > 0 && values[i] < (double)bin * step + low) {
                bin--;
            }
            odd += isfinite(values[i]) ? 0 : 1;
            below += isfinite(values[i]) && values[i] < low ? 1 : 0;
            above += isfinite(values[i]) && values[i] > high ? 1 : 0;
            should[bin] += values[i] >= low && values[i] <= high ? 1 : 0;
        }
        cr_assert_eq(sluice_bins_init(&bins, low, high, counts, n), 0);
        sluice_bins_add(&bins, values, 1234);
        sluice_bins_add(&bins, values + 1234, VALUES - 1234);
        for (size_t i = 0; i < n; i++) {
            cr_assert_eq(counts[i], should[i], "%zu bins: bin %zu has %lu, not %lu", n, i, counts[i], should[i]);
        }
        cr_assert(bins.below == below && bins.above == above && bins.not_finite == odd);
        cr_assert_eq(bins.count + below + above + odd, VALUES);
    }
}

Test(stats, bins_that_cannot_be)
{
    uint64_t counts[4] = {9, 9, 9, 9};
    struct sluice_bins bins;
    cr_assert_eq(sluice_bins_init(&bins, 1, 1, counts, 4), -EINVAL);
    cr_assert_eq(sluice_bins_init(&bins, 2, 1, counts, 4), -EINVAL);
    cr_assert_eq(sluice_bins_init(&bins, (double)NAN, 1, counts, 4), -EINVAL);
    cr_assert_eq(sluice_bins_init(&bins, 0, (double)INFINITY, counts, 4), -EINVAL);
    cr_assert_eq(sluice_bins_init(&bins, -DBL_MAX, DBL_MAX, counts, 4), -EINVAL, "the width is infinite");
    cr_assert_eq(sluice_bins_init(&bins, 1, 1 + DBL_EPSILON, counts, 4), -EINVAL, "bins without a double in them");
    cr_assert_eq(sluice_bins_init(&bins, 0, 1, counts, 0), -EINVAL);
    cr_assert_eq(counts[0], 9, "untouched");
}

Test(stats, bins_merged)
{
    uint64_t a_counts[3];
    uint64_t b_counts[3];
    struct sluice_bins a;
    struct sluice_bins b;
    const double values[] = {0, 1, 2, 3, 4, -1, (double)NAN};
    cr_assert_eq(sluice_bins_init(&a, 0, 3, a_counts, 3), 0);
    cr_assert_eq(sluice_bins_init(&b, 0, 3, b_counts, 3), 0);
    sluice_bins_add(&a, values, 7);
    sluice_bins_add(&b, values, 7);
    cr_assert_eq(sluice_bins_merge(&a, &b), 0);
    cr_assert(a_counts[0] == 2 && a_counts[1] == 2 && a_counts[2] == 4, "3 is in the last one");
    cr_assert(a.count == 8 && a.below == 2 && a.above == 2 && a.not_finite == 2);
    cr_assert_eq(sluice_bins_init(&b, 0, 4, b_counts, 3), 0);
    cr_assert_eq(sluice_bins_merge(&a, &b), -EINVAL);
}

/* ---- Values from bytes. */

Test(stats, values_of_every_type_and_stride)
{
    uint8_t bytes[4096];
    double out[64];
    struct test_random random = {50};
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)test_random_next(&random);
    }
    for (uint32_t type = 1; type < RING_TYPES; type++) {
        for (uint32_t big = 0; big <= 1; big++) {
            const ptrdiff_t size = (ptrdiff_t)ring_type_bytes(type);
            const ptrdiff_t strides[] = {size, size + 1, 32, 0, -size, -24};
            for (size_t k = 0; k < sizeof(strides) / sizeof(strides[0]); k++) {
                const uint8_t *first = bytes + 2049; /* not aligned */
                struct ring_channel c = {
                    .type = type, .byte_order = big != 0 ? RING_BIG_ENDIAN : RING_LITTLE_ENDIAN, .scale = 1};
                cr_assert_eq(sluice_values_from(first, type, big, strides[k], 60, out), 0);
                for (ptrdiff_t i = 0; i < 60; i++) {
                    double should;
                    cr_assert(ring_channel_decode(&c, NULL, NULL, first + i * strides[k], (uint32_t)size, &should));
                    should = type == RING_TYPE_F64 || type == RING_TYPE_F32 ? should : should + 0.0;
                    cr_assert(same_bytes(&out[i], &should, sizeof(should)) || (isnan(out[i]) && isnan(should)),
                              "type %u, big %u, stride %td, %td", type, big, strides[k], i);
                }
            }
        }
    }
    out[0] = 5;
    cr_assert_eq(sluice_values_from(bytes, 0, 0, 8, 1, out), -EINVAL);
    cr_assert_eq(sluice_values_from(bytes, RING_TYPES, 0, 8, 1, out), -EINVAL);
    cr_assert_eq(out[0], 5);
}
