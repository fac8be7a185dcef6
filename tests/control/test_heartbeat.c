/* IL-057: the heartbeat's level. It toggles while permitted, once per period, in cycles that were in time, and
 * nowhere else. */
#include <criterion/criterion.h>

#include "control/heartbeat.h"

#define PERIOD_NS UINT64_C(1000000)

static struct control_table table;
static struct heartbeat heartbeat;

static void prepare(void)
{
    table.outputs = 3;
    table.heartbeat_ns = PERIOD_NS;
    table.output[1].heartbeat = 1;
}

TestSuite(heartbeat, .init = prepare);

/* The heartbeat's own level. */
static uint32_t step(uint32_t permitted, uint64_t now_ns, bool in_time)
{
    uint32_t levels = heartbeat_step(&table, &heartbeat, permitted, now_ns, in_time);
    cr_assert_eq(levels & ~UINT32_C(2), permitted & ~UINT32_C(2), "the others are as permitted");
    return levels >> 1 & 1;
}

Test(heartbeat, which_outputs_are_one)
{
    cr_assert_eq(heartbeat_outputs(&table), 2);
    table.outputs = 1;
    cr_assert_eq(heartbeat_outputs(&table), 0);
    table.outputs = CONTROL_OUTPUTS_MAX;
    table.output[31].heartbeat = 1;
    cr_assert_eq(heartbeat_outputs(&table), UINT32_C(0x80000002));
}

Test(heartbeat, it_is_low_while_not_permitted)
{
    for (uint64_t i = 0; i < 10; i++) {
        cr_assert_eq(step(i % 2 == 0 ? 0 : 5, i * PERIOD_NS, true), 0);
    }
    cr_assert_eq(heartbeat.toggles, 0);
}

Test(heartbeat, it_toggles_once_per_period)
{
    uint32_t level = 0;
    uint32_t edges = 0;
    for (uint64_t ns = PERIOD_NS; ns <= 10 * PERIOD_NS; ns += PERIOD_NS / 10) {
        uint32_t next = step(7, ns, true);
        edges += next != level;
        level = next;
    }
    cr_assert_eq(edges, 10);
    cr_assert_eq(heartbeat.toggles, 10);
}

Test(heartbeat, a_late_cycle_does_not_toggle)
{
    cr_assert_eq(step(7, PERIOD_NS, false), 0, "nor does it begin");
    cr_assert_eq(step(7, 2 * PERIOD_NS, true), 1);
    for (uint64_t i = 3; i < 20; i++) {
        cr_assert_eq(step(7, i * PERIOD_NS, false), 1, "stuck is what drops the pump");
    }
    cr_assert_eq(step(7, 20 * PERIOD_NS, true), 0);
    cr_assert_eq(step(7, 21 * PERIOD_NS - 1, true), 0);
    cr_assert_eq(step(7, 21 * PERIOD_NS, true), 1);
}

Test(heartbeat, the_permit_withdrawn_it_falls_at_once_in_any_cycle)
{
    cr_assert_eq(step(7, PERIOD_NS, true), 1);
    cr_assert_eq(step(5, PERIOD_NS + 1, false), 0);
    cr_assert_eq(step(7, PERIOD_NS + 2, true), 0, "the period goes on: no faster than ever");
    cr_assert_eq(step(7, 2 * PERIOD_NS, true), 1);
}

Test(heartbeat, a_clock_that_goes_back_toggles_nothing)
{
    cr_assert_eq(step(7, 5 * PERIOD_NS, true), 1);
    cr_assert_eq(step(7, 2 * PERIOD_NS, true), 1);
    cr_assert_eq(step(7, 5 * PERIOD_NS, true), 1);
    cr_assert_eq(step(7, 6 * PERIOD_NS, true), 0);
}
