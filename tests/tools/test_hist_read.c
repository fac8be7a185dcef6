/* Copies, differences and corrections of histograms, against what is counted one by one. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"
#include "tools/hist_read.h"

static struct histogram live, before, now, difference, corrected, expected;

static void record(struct histogram *h, struct test_random *random, uint32_t values, uint64_t below)
{
    for (uint32_t i = 0; i < values; i++) {
        uint64_t most = UINT64_C(1) << test_random_below(random, 36);
        hist_record(h, test_random_below(random, most < below ? most : below));
    }
}

Test(hist_read, a_copy_counts_what_it_has)
{
    hist_record(&live, 5000);
    hist_record(&live, 7000);
    live.count = 9;     /* the writer is further */
    live.max_ns = 5000; /* or not so far */
    hist_copy(&live, &now);
    cr_assert_eq(now.count, 2);
    cr_assert_geq(now.max_ns, 7000);
    cr_assert_eq(now.max_ns, hist_bucket_high_ns(hist_bucket(7000)));
    cr_assert_eq(hist_quantile_ns(&now, 1), now.max_ns);
}

Test(hist_read, a_difference_is_what_came_between)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_random random = {seed};
        struct test_random again;
        bool exact;
        memset(&live, 0, sizeof(live));
        memset(&expected, 0, sizeof(expected));
        live.limit_ns = expected.limit_ns = 300000;
        record(&live, &random, 500, UINT64_MAX);
        hist_copy(&live, &before);
        again = random;
        record(&live, &random, 300, UINT64_MAX);
        record(&expected, &again, 300, UINT64_MAX);
        hist_copy(&live, &now);
        cr_assert(hist_subtract(&now, &before, &difference, &exact));
        cr_assert_arr_eq(difference.buckets, expected.buckets, sizeof(expected.buckets));
        cr_assert_eq(difference.count, 300);
        cr_assert_eq(difference.sum_ns, expected.sum_ns);
        cr_assert_eq(difference.late, expected.late);
        cr_assert_eq(difference.limit_ns, expected.limit_ns);
        cr_assert_eq(exact, now.max_ns > before.max_ns);
        cr_assert_geq(difference.max_ns, expected.max_ns);
        cr_assert_leq(difference.max_ns - expected.max_ns, exact ? 0 : expected.max_ns / 32);
    }
}

Test(hist_read, nothing_between_is_nothing)
{
    struct test_random random = {3};
    bool exact;
    record(&live, &random, 100, UINT64_MAX);
    hist_copy(&live, &now);
    cr_assert(hist_subtract(&now, &now, &difference, &exact));
    cr_assert_eq(difference.count, 0);
    cr_assert_eq(difference.max_ns, 0);
    cr_assert_not(exact);
}

Test(hist_read, counts_that_go_back_begin_anew)
{
    bool exact;
    hist_record(&before, 5000);
    hist_record(&before, 6000);
    hist_record(&now, 6000);
    cr_assert_not(hist_subtract(&now, &before, &difference, &exact));
    cr_assert_eq(difference.count, 1);
    cr_assert_eq(difference.max_ns, 6000);
    cr_assert(exact);
}

static void correct_one_by_one(const struct histogram *from, uint64_t period)
{
    expected = *from;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t high = hist_bucket_high_ns(i);
        uint64_t value = high < from->max_ns ? high : from->max_ns;
        for (uint64_t left = value; from->buckets[i] > 0 && left >= 2 * period;) {
            left -= period;
            expected.buckets[hist_bucket(left)] += from->buckets[i];
            expected.count += from->buckets[i];
            expected.sum_ns += from->buckets[i] * left;
            expected.late += left > from->limit_ns ? from->buckets[i] : 0;
        }
    }
}

Test(hist_read, a_correction_is_that_of_every_round_that_was_left_out)
{
    static const uint64_t periods[] = {1, 2, 31, 32, 33, 100, 999, 1000, 50000, 1000000, 7777777, 2000000000};
    for (uint32_t n = 0; n < sizeof(periods) / sizeof(periods[0]); n++) {
        struct test_random random = {n + 1};
        uint64_t period = periods[n];
        memset(&live, 0, sizeof(live));
        live.limit_ns = 3 * period;
        record(&live, &random, 200, 20000 * period);
        hist_copy(&live, &now);
        correct_one_by_one(&now, period);
        hist_correct(&now, period, &corrected);
        for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
            cr_assert_eq(corrected.buckets[i], expected.buckets[i], "period %lu, bucket %u: %lu, not %lu",
                         (unsigned long)period, i, (unsigned long)corrected.buckets[i],
                         (unsigned long)expected.buckets[i]);
        }
        cr_assert_eq(corrected.count, expected.count);
        cr_assert_eq(corrected.late, expected.late);
        cr_assert_eq(corrected.max_ns, now.max_ns);
        cr_assert_float_eq((double)corrected.sum_ns, (double)expected.sum_ns, 1e-6 * (double)expected.sum_ns + 500);
    }
}

Test(hist_read, a_stall_in_a_thousand_rounds)
{
    for (uint32_t i = 0; i < 999; i++) {
        hist_record(&live, 1000000);
    }
    hist_record(&live, 1000000000); /* 1 s instead of 1 ms: 998 others waited */
    hist_copy(&live, &now);
    cr_assert_eq(hist_bucket(hist_quantile_ns(&now, 0.99)), hist_bucket(1000000));
    hist_correct(&now, 1000000, &corrected);
    cr_assert_eq(corrected.count, 1000 + 999);
    cr_assert_gt(hist_quantile_ns(&corrected, 0.75), 450000000);
    hist_correct(&now, 0, &corrected);
    cr_assert_arr_eq(&corrected, &now, sizeof(now));
}
