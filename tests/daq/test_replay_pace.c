/* When the frames of a recording are due, and recordings whose times make no sense. */
#include <criterion/criterion.h>
#include <string.h>

#include "daq/replay_pace.h"
#include "ring/clock.h"

#define MS    CLOCK_NS_PER_MS
#define BEGIN (5000 * CLOCK_NS_PER_S)

static struct file_plan plan;
static struct ring_rate counts;
static struct replay_pace pace;

static void use(uint32_t width_bytes, double unit_ns, double speed)
{
    plan = (struct file_plan){
        .timing = {.width_bytes = width_bytes, .byte_order = RING_LITTLE_ENDIAN, .unit_ns = unit_ns},
        .speed = speed,
        .gap_max_ns = 10 * CLOCK_NS_PER_S};
    memset(&counts, 0, sizeof(counts));
    replay_pace_init(&pace, &plan, &counts);
}

/* When it is due, counted from BEGIN, asked at `now_ns` from there. */
static uint64_t due(uint64_t time, uint64_t now_ns)
{
    uint8_t frame[8];
    memcpy(frame, &time, sizeof(frame));
    bool is_due = replay_pace_is_due(&pace, frame, BEGIN + now_ns);
    cr_assert_eq(is_due, pace.due_ns <= BEGIN + now_ns);
    if (!is_due) {
        cr_assert_not(replay_pace_is_due(&pace, frame, pace.due_ns - 1));
        cr_assert(replay_pace_is_due(&pace, frame, pace.due_ns));
    }
    return pace.due_ns - BEGIN;
}

Test(replay_pace, original_timing)
{
    use(8, 1e6, 1);
    cr_assert_eq(due(700, 0), 0);
    cr_assert_eq(due(710, 0), 10 * MS);
    cr_assert_eq(due(710, 10 * MS), 10 * MS);
    cr_assert_eq(due(2000, 500 * MS), 1300 * MS);
    cr_assert_eq(counts.replay_jumps, 0);
}

Test(replay_pace, scaled)
{
    use(8, 1e6, 10);
    cr_assert_eq(due(700, 0), 0);
    cr_assert_eq(due(800, 0), 10 * MS);
    use(8, 1e6, 0.5);
    cr_assert_eq(due(700, 0), 0);
    cr_assert_eq(due(800, 0), 200 * MS);
}

/* Rounding does not add up: a million frames of a third of a millisecond. */
Test(replay_pace, no_drift)
{
    use(8, 1e9 / 3000, 1);
    uint64_t due_ns = 0;
    for (uint64_t i = 0; i <= 3000; i++) {
        due_ns = due(i, due_ns);
    }
    cr_assert(due_ns > CLOCK_NS_PER_S - 10000 && due_ns < CLOCK_NS_PER_S + 10000, "%lu", due_ns);
}

Test(replay_pace, a_time_that_goes_back_is_due_now)
{
    use(8, 1e6, 1);
    (void)due(700, 0);
    cr_assert_eq(due(100, 3 * MS), 3 * MS);
    cr_assert_eq(counts.replay_jumps, 1);
    cr_assert_eq(due(110, 3 * MS), 13 * MS, "and goes on from there");
}

Test(replay_pace, a_gap_that_is_too_long_is_not_waited_for)
{
    use(8, 1e6, 1);
    (void)due(0, 0);
    cr_assert_eq(due(10000, 0), 10000 * MS, "as long as may be");
    cr_assert_eq(due(20001, 10000 * MS), 10000 * MS);
    cr_assert_eq(due(UINT64_MAX, 10000 * MS), 10000 * MS);
    cr_assert_eq(counts.replay_jumps, 2);
}

Test(replay_pace, a_counter_of_4_bytes_comes_round)
{
    use(4, 1e6, 1);
    (void)due(UINT32_MAX - 4, 0);
    cr_assert_eq(due(5, 0), 10 * MS);
    cr_assert_eq(counts.replay_jumps, 0);
    cr_assert_eq(due(4, 10 * MS), 10 * MS);
    cr_assert_eq(counts.replay_jumps, 1);
}

Test(replay_pace, numbers_of_text)
{
    static const double times[] = {1583748873, 1583748874.5, __builtin_nan(""), 1583748875};
    static const uint64_t dues[] = {0, 1500 * MS, 1500 * MS, 2000 * MS};
    use(8, 1e9, 1);
    plan.timing.is_real = 1;
    replay_pace_init(&pace, &plan, &counts);
    uint64_t now_ns = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t bits;
        memcpy(&bits, &times[i], sizeof(bits));
        now_ns = due(bits, now_ns);
        cr_assert(now_ns > dues[i] - 1000 || dues[i] == 0);
        cr_assert_leq(now_ns, dues[i] + 1000, "%u: %lu", i, now_ns);
    }
    cr_assert_eq(counts.replay_jumps, 1);
}
