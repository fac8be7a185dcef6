/* The histogram's promise: at most 1/32 too high, the maximum exact. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ring/histogram.h"
#include "tests/support/random.h"

#define LIMIT_NS (UINT64_C(1) << HISTOGRAM_VALUE_BITS)
#define VALUES   50000u

static struct histogram histogram;
static uint64_t values[VALUES];

static void check_round_trip(uint64_t value)
{
    uint32_t bucket = hist_bucket(value);
    uint64_t high = hist_bucket_high_ns(bucket);
    cr_assert_lt(bucket, HISTOGRAM_BUCKETS);
    cr_assert_geq(high, value);
    cr_assert_leq((high - value) * HISTOGRAM_STEPS, value, "%lu reported as %lu", value, high);
    cr_assert_eq(hist_bucket(high), bucket, "the highest value lies in its own bucket");
    if (high + 1 < LIMIT_NS) {
        cr_assert_eq(hist_bucket(high + 1), bucket + 1, "and the next value in the next");
    }
}

Test(histogram, round_trip_over_powers_of_two)
{
    for (uint32_t bit = 0; bit < HISTOGRAM_VALUE_BITS; bit++) {
        uint64_t power = UINT64_C(1) << bit;
        check_round_trip(power);
        check_round_trip(power - 1);
        check_round_trip(power + power / 3);
    }
    check_round_trip(LIMIT_NS - 1);
}

Test(histogram, round_trip_over_random_values)
{
    struct test_random random = {1};
    for (int i = 0; i < 200000; i++) {
        check_round_trip(test_random_next(&random) >> (64 - HISTOGRAM_VALUE_BITS + test_random_below(&random, 40)));
    }
}

Test(histogram, buckets_tile_the_range)
{
    uint64_t next = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        cr_assert_eq(hist_bucket(next), i);
        next = hist_bucket_high_ns(i) + 1;
    }
    cr_assert_eq(next, LIMIT_NS);
}

Test(histogram, longer_than_the_range_goes_into_the_last_bucket)
{
    cr_assert_eq(hist_bucket(LIMIT_NS), HISTOGRAM_BUCKETS - 1);
    cr_assert_eq(hist_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    hist_record(&histogram, UINT64_MAX / 4);
    cr_assert_eq(histogram.max_ns, UINT64_MAX / 4, "the maximum is exact all the same");
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

Test(histogram, quantiles_against_the_sorted_values)
{
    static const double quantiles[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    struct test_random random = {2};
    uint64_t sum = 0;
    for (uint32_t i = 0; i < VALUES; i++) {
        values[i] = test_random_next(&random) >> (24 + test_random_below(&random, 38));
        sum += values[i];
        hist_record(&histogram, values[i]);
    }
    qsort(values, VALUES, sizeof(values[0]), by_value);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        uint64_t rank = (uint64_t)(quantiles[i] * VALUES + 0.5);
        uint64_t exact = values[rank < 1 ? 0 : rank - 1];
        uint64_t told = hist_quantile_ns(&histogram, quantiles[i]);
        cr_assert_geq(told, exact, "q %g", quantiles[i]);
        cr_assert_leq((told - exact) * HISTOGRAM_STEPS, exact, "q %g: %lu for %lu", quantiles[i], told, exact);
    }
    cr_assert_eq(hist_quantile_ns(&histogram, 1), values[VALUES - 1], "never above the exact maximum");
    cr_assert_eq(histogram.max_ns, values[VALUES - 1]);
    cr_assert_eq(histogram.count, VALUES);
    cr_assert_eq(histogram.sum_ns, sum);
}

Test(histogram, late_values_are_counted)
{
    histogram.limit_ns = 1000;
    hist_record(&histogram, 999);
    hist_record(&histogram, 1000);
    hist_record(&histogram, 1001);
    hist_record(&histogram, 1u << 30);
    cr_assert_eq(histogram.late, 2);
    histogram.limit_ns = 0;
    hist_record(&histogram, 1u << 30);
    cr_assert_eq(histogram.late, 2, "no limit, none late");
}

Test(histogram, a_batch_counts_as_often_as_it_has_frames)
{
    static struct histogram one_by_one;
    struct test_random random = {3};
    histogram.limit_ns = one_by_one.limit_ns = 1000000;
    for (int i = 0; i < 2000; i++) {
        uint64_t value = test_random_next(&random) >> (30 + test_random_below(&random, 30));
        uint64_t n = test_random_below(&random, 40); /* none at all changes nothing */
        hist_record_n(&histogram, value, n);
        for (uint64_t k = 0; k < n; k++) {
            hist_record(&one_by_one, value);
        }
    }
    cr_assert_gt(histogram.count, 0);
    cr_assert_gt(histogram.late, 0);
    cr_assert_eq(memcmp(&histogram, &one_by_one, sizeof(histogram)), 0);
}

Test(histogram, an_empty_one_says_zero)
{
    cr_assert_eq(hist_quantile_ns(&histogram, 0.5), 0);
    cr_assert_eq(hist_quantile_ns(&histogram, 1), 0);
}
