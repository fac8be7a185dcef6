#include <criterion/criterion.h>

#include "bench/gaps.h"

#define LONG (UINT64_C(100) * GAPS_LONG)
#define MANY (UINT64_C(2) * GAPS_MAX)

static struct gaps a, b;

static void begin(struct gaps *gaps)
{
    gaps_begin(gaps, 1);
    gaps->limit = 100;
    gaps->last = 1000;
}

Test(gaps, only_what_is_longer_than_the_limit)
{
    begin(&a);
    gaps_look(&a, 1100);
    cr_assert_eq(a.count, 0);
    gaps_look(&a, 1201);
    gaps_look(&a, 1210);
    gaps_look(&a, 2210);
    cr_assert_eq(a.count, 2);
    cr_assert_eq(a.gap[0].from, 1100);
    cr_assert_eq(a.gap[0].to, 1201);
    cr_assert_eq(a.longest, 1000);
    cr_assert_eq(a.ticks, 1101);
}

Test(gaps, cover_is_cut_and_counts_what_overlaps_once)
{
    const struct gaps *both[] = {&a, &b};
    begin(&a);
    begin(&b);
    gaps_note(&a, 2000, 3000);
    gaps_note(&a, 5000, 6000);
    gaps_note(&b, 2500, 3500);
    gaps_note(&b, 5200, 5300);
    cr_assert_eq(gaps_cover(both, 2, 0, 10000), 1500 + 1000);
    cr_assert_eq(gaps_cover(both, 1, 0, 10000), 2000);
    cr_assert_eq(gaps_cover(both, 2, 2900, 5100), 600 + 100);
    cr_assert_eq(gaps_cover(both, 2, 3500, 5000), 0);
}

/* A run of minutes has more gaps than the record has places: the long ones, which make a decision late, are all
 * kept. */
Test(gaps, a_full_record_keeps_the_long_ones)
{
    const struct gaps *one[] = {&a};
    uint64_t at = 1000;
    begin(&a);
    for (uint64_t i = 0; i < MANY; i++, at += 10000) {
        gaps_note(&a, at, at + 101);
    }
    gaps_note(&a, at, at + LONG + 1);
    cr_assert_eq(a.count, MANY + 1);
    cr_assert_eq(gaps_cover(one, 1, at, at + 10000), LONG + 1);
    cr_assert_eq(gaps_cover(one, 1, 1000, 2000), 101);
    cr_assert_eq(gaps_longer(&a, 0), MANY + 1);
}
