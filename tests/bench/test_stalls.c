#include <criterion/criterion.h>

#include "bench/stalls.h"

static struct stall_evidence quiet(void)
{
    return (struct stall_evidence){.own_us = 60, .steal_ticks = 0, .tick_hz = 100, .seconds = 0.3};
}

Test(stalls, a_quiet_round_is_none)
{
    struct stall_evidence e = quiet();
    cr_assert_not(stalls_fell_in(&e));
    e.own_us = STALLS_LIMIT_US;
    cr_assert_not(stalls_fell_in(&e), "only what is longer");
}

Test(stalls, the_measurements_own_record_decides)
{
    struct stall_evidence e = quiet();
    e.own_us = STALLS_LIMIT_US + 1;
    cr_assert(stalls_fell_in(&e));
    e.own_us = -1;
    cr_assert_not(stalls_fell_in(&e), "it keeps none");
}

/* A tick of 10 ms may have been collected over seconds; two are 10 ms at least. */
Test(stalls, one_tick_of_steal_is_not_enough)
{
    struct stall_evidence e = quiet();
    e.own_us = -1;
    e.seconds = 0.02;
    e.steal_ticks = 1;
    cr_assert_not(stalls_fell_in(&e));
    e.steal_ticks = 2;
    cr_assert(stalls_fell_in(&e));
}

Test(stalls, a_small_share_of_steal_is_the_hosts_everyday)
{
    struct stall_evidence e = quiet();
    e.seconds = 10;
    e.steal_ticks = 50;
    cr_assert_not(stalls_fell_in(&e), "5 %% and no more");
    e.steal_ticks = 51;
    cr_assert(stalls_fell_in(&e));
}

Test(stalls, rounds_are_counted_and_the_longest_is_kept)
{
    struct row_stalls stalls = {0};
    struct stall_evidence e = quiet();
    stalls_add(&stalls, &e);
    cr_assert_eq(stalls.rounds, 0);
    e.own_us = 2000;
    stalls_add(&stalls, &e);
    e.own_us = 1500;
    e.steal_ticks = 3;
    stalls_add(&stalls, &e);
    cr_assert_eq(stalls.rounds, 2);
    cr_assert_eq(stalls.longest_us, 2000);
    cr_assert_float_eq(stalls.stolen_s, 0.03, 1e-12);
}

Test(stalls, half_of_the_rounds_decide_a_median)
{
    struct row_stalls stalls = {.rounds = 2};
    cr_assert_not(stalls_decide(&stalls, 5));
    cr_assert(stalls_decide(&stalls, 4));
    stalls.rounds = 3;
    cr_assert(stalls_decide(&stalls, 5));
    stalls.excused = true;
    cr_assert_not(stalls_decide(&stalls, 5));
    cr_assert_not(stalls_decide(&(struct row_stalls){0}, 0));
}
