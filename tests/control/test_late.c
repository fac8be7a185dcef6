/* The log of what was late: all beyond the limit, the worst of every second, and nothing else. */
#include <criterion/criterion.h>

#include "control/late.h"
#include "ring/clock.h"

#define LIMIT_NS UINT64_C(500)

static struct late_log record;
static struct late_watch watch;

static void begin(void)
{
    late_init(&watch, &record, LIMIT_NS, 2 * LIMIT_NS);
}

TestSuite(late, .init = begin);

static const struct late_entry *entry(uint64_t n)
{
    return &record.entry[n % LATE_ENTRIES];
}

Test(late, beyond_the_limit_is_logged_at_once)
{
    late_look(&watch, LATE_DECISION, 1000, 1000 + LIMIT_NS + 1, 7, 3, 17);
    cr_assert_eq(record.count, 1);
    cr_assert_eq(entry(0)->from_ns, 1000);
    cr_assert_eq(entry(0)->to_ns, 1501);
    cr_assert_eq(entry(0)->ring, 3);
    cr_assert_eq(entry(0)->position, 17);
    cr_assert_eq(entry(0)->frames, 7);
    cr_assert_eq(entry(0)->limit_ns, LIMIT_NS);
    cr_assert_eq(entry(0)->over, 1);
    cr_assert_eq(entry(0)->kind, LATE_DECISION);
    late_look(&watch, LATE_DECISION, 2000, 2000 + LIMIT_NS + 1, 7, 3, 18);
    cr_assert_eq(record.count, 2, "also one that is no worse than one before");
}

Test(late, each_kind_has_a_limit_of_its_own)
{
    late_look(&watch, LATE_LOOP, 0, 2 * LIMIT_NS, 7, 0, 0);
    cr_assert_eq(record.count, 0);
    late_look(&watch, LATE_LOOP, 0, 2 * LIMIT_NS + 1, 7, 0, 0);
    cr_assert_eq(record.count, 1);
}

Test(late, of_a_quiet_second_the_worst_is_logged)
{
    for (uint64_t i = 0; i < 100; i++) {
        late_look(&watch, LATE_DECISION, i * 1000, i * 1000 + (i * 37) % 101, 7, 0, i);
    }
    cr_assert_eq(record.count, 0);
    late_turn(&watch, CLOCK_NS_PER_S - 1);
    cr_assert_eq(record.count, 0, "the second is not over");
    late_turn(&watch, CLOCK_NS_PER_S);
    cr_assert_eq(record.count, 1);
    cr_assert_eq(entry(0)->to_ns - entry(0)->from_ns, 100);
    cr_assert_eq(entry(0)->over, 0);
    late_turn(&watch, 3 * CLOCK_NS_PER_S);
    cr_assert_eq(record.count, 1, "nothing has happened in it");
    late_look(&watch, LATE_DECISION, 0, 5, 7, 0, 1);
    late_turn(&watch, 5 * CLOCK_NS_PER_S);
    cr_assert_eq(record.count, 2, "a second begins anew");
}

Test(late, what_was_logged_is_not_logged_again_as_the_worst)
{
    late_look(&watch, LATE_DECISION, 0, 10 * LIMIT_NS, 7, 0, 0);
    late_look(&watch, LATE_DECISION, 0, 10, 7, 0, 0);
    late_turn(&watch, 2 * CLOCK_NS_PER_S);
    cr_assert_eq(record.count, 1);
}

Test(late, time_that_goes_back_is_no_entry)
{
    late_look(&watch, LATE_DECISION, 1000, 999, 7, 0, 0);
    late_look(&watch, LATE_DECISION, 1000, 1000, 7, 0, 0);
    late_turn(&watch, 2 * CLOCK_NS_PER_S);
    cr_assert_eq(record.count, 0);
}

Test(late, it_goes_round)
{
    for (uint64_t i = 0; i < UINT64_C(3) * LATE_ENTRIES; i++) {
        late_look(&watch, LATE_DECISION, i, i + LIMIT_NS + 1, 7, 0, i);
    }
    cr_assert_eq(record.count, UINT64_C(3) * LATE_ENTRIES);
    cr_assert_eq(entry(record.count - 1)->position, UINT64_C(3) * LATE_ENTRIES - 1);
}

Test(late, without_a_log_nothing_happens)
{
    late_init(&watch, NULL, LIMIT_NS, LIMIT_NS);
    late_look(&watch, LATE_DECISION, 0, 1000 * LIMIT_NS, 7, 0, 0);
    late_turn(&watch, 100 * CLOCK_NS_PER_S);
    cr_assert_eq(record.count, 0);
}
