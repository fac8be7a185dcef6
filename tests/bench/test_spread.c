#include <criterion/criterion.h>

#include "bench/spread.h"

Test(spread, exact_where_it_is_fine)
{
    static struct spread s;
    for (uint64_t ns = 1; ns <= 1000; ns++) {
        spread_add(&s, ns);
    }
    cr_assert_eq(spread_quantile_ns(&s, 0.5), 500);
    cr_assert_eq(spread_quantile_ns(&s, 0.99), 990);
    cr_assert_eq(spread_quantile_ns(&s, 1), 1000);
    cr_assert_eq(spread_quantile_ns(&s, 0), 1);
    cr_assert_eq(s.max_ns, 1000);
}

Test(spread, rare_long_ones_are_found_behind_the_fine_part)
{
    static struct spread s;
    for (int i = 0; i < 99990; i++) {
        spread_add(&s, 700);
    }
    for (int i = 0; i < 10; i++) {
        spread_add(&s, 50000000 + (uint64_t)i);
    }
    cr_assert_eq(spread_quantile_ns(&s, 0.9999), 700);
    uint64_t ns = spread_quantile_ns(&s, 0.99999);
    cr_assert(ns >= 50000000 && ns <= 50000009, "%lu", (unsigned long)ns);
    cr_assert_eq(s.max_ns, 50000009);
}

Test(spread, two_are_as_one)
{
    static struct spread a, b, both;
    for (uint64_t i = 1; i < 20000; i += 7) {
        spread_add(i % 2 == 0 ? &a : &b, i);
        spread_add(&both, i);
    }
    spread_merge(&a, &b);
    for (int q = 0; q <= 100; q++) {
        cr_assert_eq(spread_quantile_ns(&a, q / 100.0), spread_quantile_ns(&both, q / 100.0));
    }
    cr_assert_eq(a.count, both.count);
    cr_assert_eq(a.max_ns, both.max_ns);
}

Test(spread, nothing)
{
    static struct spread s;
    cr_assert_eq(spread_quantile_ns(&s, 0.5), 0);
}
