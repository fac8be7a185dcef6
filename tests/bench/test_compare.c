#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "bench/compare.h"

static struct compare_side side(double min, double median, double max, const char *unit)
{
    return (struct compare_side){
        .min = min, .median = median, .max = max, .floor_ratio = NAN, .runs = 5, .unit = unit};
}

/* From 100 (95 .. 105) to what is asked for, as narrow. */
static struct compare_row change_to(double median, const char *unit)
{
    return (struct compare_row){.name = "throughput",
                                .kind = "ours",
                                .old = side(95, 100, 105, unit),
                                .now = side(median - 5, median, median + 5, unit)};
}

static enum compare_verdict verdict(const struct compare_row *row)
{
    return compare_judge(row).verdict;
}

Test(compare, within_the_noise_nothing_has_changed)
{
    struct compare_row row = change_to(105, "million/s");
    cr_assert_eq(verdict(&row), COMPARE_SAME, "not more than half of the spread");
    row.now.max = 130;
    row.now.median = 110;
    cr_assert_eq(verdict(&row), COMPARE_SAME, "the wider of the two");
    row = change_to(95, "million/s");
    cr_assert_eq(verdict(&row), COMPARE_SAME);
}

Test(compare, a_small_share_is_nothing_however_narrow)
{
    struct compare_row row = {.name = "latency_p50",
                              .kind = "ours",
                              .old = side(100, 100, 100, "ns"),
                              .now = side(104.9, 104.9, 104.9, "ns")};
    cr_assert_eq(verdict(&row), COMPARE_SAME);
    row.now = side(105.1, 105.1, 105.1, "ns");
    cr_assert_eq(verdict(&row), COMPARE_WORSE);
}

Test(compare, which_way_is_better_is_the_units)
{
    struct compare_row row = change_to(80, "million/s");
    cr_assert_eq(verdict(&row), COMPARE_WORSE);
    row = change_to(120, "GB/s");
    cr_assert_eq(verdict(&row), COMPARE_BETTER);
    row = change_to(80, "ns");
    cr_assert_eq(verdict(&row), COMPARE_BETTER);
    row = change_to(120, "% of a core");
    cr_assert_eq(verdict(&row), COMPARE_WORSE);
    row = change_to(120, "furlongs");
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED);
}

Test(compare, from_nothing_to_something)
{
    struct compare_row row = {.name = "unexplained",
                              .kind = "ours",
                              .old = side(0, 0, 0, "decisions"),
                              .now = side(1, 1, 1, "decisions")};
    cr_assert_eq(verdict(&row), COMPARE_WORSE);
    row.now = row.old;
    cr_assert_eq(verdict(&row), COMPARE_SAME);
}

Test(compare, what_a_stall_touched_is_not_judged)
{
    struct compare_row row = change_to(50, "million/s");
    row.now.stalled = true;
    struct compare_judgement j = compare_judge(&row);
    cr_assert_eq(j.verdict, COMPARE_NOT_JUDGED);
    cr_assert(j.beyond, "but it is told of");
    cr_assert_neq(strstr(j.reason, "stalled"), NULL);
    row.now.stalled = false;
    row.old.stalled = true;
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED);
}

Test(compare, what_cannot_be_judged_is_not)
{
    struct compare_row row = change_to(50, "million/s");
    row.kind = "peer";
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED, "not ours");
    row = change_to(50, "million/s");
    row.name = "offered_max";
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED, "of the search");
    row = change_to(50, "million/s");
    row.now.runs = 2;
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED, "no spread");
    row = change_to(50, "million/s");
    row.now.unit = "GB/s";
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED, "apples and pears");
    row = change_to(50, "ms");
    row.old.capped = true;
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED, "ended");
    row = change_to(NAN, "million/s");
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED, "no value");
    cr_assert_not(compare_judge(&row).beyond);
}

/* The machine is half as fast today: all are, and nobody broke anything. */
Test(compare, where_the_floor_went_along_it_is_the_machine)
{
    struct compare_row row = change_to(50, "million/s");
    row.old.floor_ratio = 4;
    row.now.floor_ratio = 3.9;
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED);
    row.now.floor_ratio = 4.5;
    cr_assert_eq(verdict(&row), COMPARE_NOT_JUDGED, "slower than before, but nearer to the floor than it was");
    row.now.floor_ratio = 2;
    cr_assert_eq(verdict(&row), COMPARE_WORSE);
    row = change_to(200, "ns");
    row.old.floor_ratio = 1;
    row.now.floor_ratio = 2;
    cr_assert_eq(verdict(&row), COMPARE_WORSE);
    row.now.floor_ratio = NAN;
    cr_assert_eq(verdict(&row), COMPARE_WORSE, "no floor, no excuse");
}
