/* Stamps of devices whose clocks do everything that a clock should not: none is later than its frame's arrival, and
 * nothing that is old looks fresh. */
#include <criterion/criterion.h>
#include <string.h>

#include "daq/stamper.h"
#include "ring/clock.h"
#include "tests/support/random.h"

#define MS       CLOCK_NS_PER_MS
#define S        CLOCK_NS_PER_S
#define ARRIVAL  (UINT64_C(1790000000) * S)
#define STALE_NS (100 * MS)

static struct rate_plan plan;
static struct ring_rate counts;
static struct stamper stamper;
static uint64_t arrival_ns;

static void use(uint32_t clock, uint32_t width_bytes, double unit_ns)
{
    plan = (struct rate_plan){
        .stamp = RING_STAMP_DEVICE,
        .clock = clock,
        .field = {.width_bytes = width_bytes, .at_byte = 2, .byte_order = RING_BIG_ENDIAN, .unit_ns = unit_ns},
        .lag_max_ns = S,
        .ahead_max_ns = 10 * MS};
    memset(&counts, 0, sizeof(counts));
    arrival_ns = ARRIVAL;
    stamper_init(&stamper, &plan, &counts, (int64_t)(1000 * S), 37);
}

static void use_reconstructed(double nominal_hz, uint64_t lag_max_ns)
{
    plan = (struct rate_plan){.stamp = RING_STAMP_RECONSTRUCTED,
                              .clock = STAMP_CLOCK_FREE,
                              .nominal_hz = nominal_hz,
                              .lag_max_ns = lag_max_ns};
    memset(&counts, 0, sizeof(counts));
    arrival_ns = ARRIVAL;
    stamper_init(&stamper, &plan, &counts, 0, 0);
}

/* Every stamp of every test goes through here. */
static struct stamp checked(struct stamp stamp)
{
    cr_assert_leq(stamp.tai_ns, arrival_ns, "a stamp from the future");
    cr_assert_geq(stamp.tai_ns + plan.lag_max_ns, arrival_ns, "a stamp older than lag_max");
    return stamp;
}

static struct stamp take(uint64_t counter)
{
    uint8_t frame[16] = {0};
    uint32_t width = plan.field.width_bytes;
    for (uint64_t i = 0; i < width; i++) {
        frame[2 + i] = (uint8_t)(counter >> (8 * (width - 1 - i)));
    }
    return checked(stamper_take(&stamper, frame, 0, arrival_ns));
}

static struct stamp take_number(uint64_t number)
{
    return checked(stamper_take(&stamper, NULL, number, arrival_ns));
}

static uint64_t age(struct stamp stamp)
{
    return arrival_ns - stamp.tai_ns;
}

/* The kernel's stamps and those of a device that knows the time. */
Test(stamper, clocks_that_say_what_time_it_is)
{
    use(STAMP_CLOCK_TAI, 8, 1);
    cr_assert_eq(age(take(ARRIVAL - 3 * MS)), 3 * MS);
    use(STAMP_CLOCK_UTC, 4, 1e9);
    cr_assert_eq(age(take(1790000000 - 37)), 0);
    use(STAMP_CLOCK_MONOTONIC, 8, 1);
    cr_assert_eq(age(take(ARRIVAL - 1000 * S - 7)), 7);
    cr_assert_eq(counts.ahead + counts.too_old + counts.backwards + counts.relocks, 0);
}

Test(stamper, a_clock_a_little_ahead_is_now)
{
    use(STAMP_CLOCK_TAI, 8, 1);
    struct stamp stamp = take(ARRIVAL + 10 * MS);
    cr_assert_eq(age(stamp), 0);
    cr_assert_not(stamp.old);
    cr_assert_eq(counts.ahead, 1);
}

/* Far ahead it says nothing of an age: as old as can be, and marked. */
Test(stamper, a_clock_far_ahead_refreshes_nothing)
{
    use(STAMP_CLOCK_TAI, 8, 1);
    struct stamp stamp = take(ARRIVAL + 11 * MS);
    cr_assert_eq(age(stamp), S);
    cr_assert(stamp.old);
    arrival_ns += MS;
    stamp = take(ARRIVAL); /* set right: good at once */
    cr_assert_eq(age(stamp), MS);
    cr_assert_not(stamp.old);
    arrival_ns += MS;
    stamp = take(UINT64_MAX);
    cr_assert(stamp.old);
    cr_assert_eq(stamp.tai_ns, ARRIVAL, "the last good stamp at most");
    cr_assert_eq(counts.ahead, 2);
}

Test(stamper, a_clock_that_stands_still_grows_old)
{
    use(STAMP_CLOCK_TAI, 8, 1);
    for (uint64_t i = 0; i < 3000; i++, arrival_ns += 10 * MS) {
        struct stamp stamp = take(ARRIVAL);
        uint64_t expected_ns = i * 10 * MS;
        cr_assert_eq(age(stamp), expected_ns < S ? expected_ns : S, "after %lu", i);
    }
    cr_assert_gt(counts.too_old, 0);
}

Test(stamper, a_step_back_refreshes_nothing_until_it_is_over)
{
    use(STAMP_CLOCK_TAI, 8, 1);
    for (uint64_t i = 0; i < 100; i++, arrival_ns += MS) {
        cr_assert_not(take(arrival_ns).old);
    }
    uint64_t last_ns = arrival_ns - MS;
    for (uint64_t i = 1; i < 50; i++, arrival_ns += MS) {
        struct stamp stamp = take(arrival_ns - 50 * MS);
        cr_assert(stamp.old);
        cr_assert_eq(stamp.tai_ns, last_ns, "never back, never fresher");
    }
    arrival_ns += MS;
    cr_assert_not(take(arrival_ns - 50 * MS).old);
    cr_assert_eq(counts.backwards, 49);
}

Test(stamper, nonsense_in_a_line_of_text)
{
    static const double wrong[] = {-1, 1e300, __builtin_nan(""), __builtin_inf()};
    use(STAMP_CLOCK_TAI, 8, 1e9);
    plan.field = (struct clock_field){.width_bytes = 8, .is_real = 1, .unit_ns = 1e9};
    stamper_init(&stamper, &plan, &counts, 0, 0);
    double good = 1789999999.5;
    cr_assert_eq(age(checked(stamper_take(&stamper, (const uint8_t *)&good, 0, arrival_ns))), 500 * MS);
    stamper_init(&stamper, &plan, &counts, 0, 0);
    for (uint64_t i = 0; i < 4; i++) {
        struct stamp stamp = checked(stamper_take(&stamper, (const uint8_t *)&wrong[i], 0, arrival_ns));
        cr_assert(stamp.old);
        cr_assert_eq(age(stamp), S);
    }
    cr_assert_eq(counts.too_old, 4);
}

/* A counter of microseconds from anywhere, with delays of 0 to 20 ms: the stamps are the times of sampling, but for
 * the least delay. */
Test(stamper, a_free_clock_is_set_against_the_least_delay)
{
    struct test_random random = {7};
    use(STAMP_CLOCK_FREE, 8, 1000);
    uint64_t least_ns = UINT64_MAX;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t delay_ns = test_random_below(&random, 20) * MS;
        arrival_ns = ARRIVAL + i * 20 * MS + delay_ns;
        struct stamp stamp = take(123456789 + i * 20000);
        least_ns = delay_ns < least_ns ? delay_ns : least_ns;
        cr_assert(i < 200 || age(stamp) == delay_ns, "frame %lu: %lu instead of %lu", i, age(stamp), delay_ns);
        cr_assert_not(stamp.old);
    }
    cr_assert_eq(least_ns, 0);
}

/* 32 bits of nanoseconds: once round in 4.3 s. */
Test(stamper, a_counter_that_comes_round)
{
    use(STAMP_CLOCK_FREE, 4, 1);
    for (uint64_t i = 0; i < 10000; i++, arrival_ns += 10 * MS) {
        struct stamp stamp = take(UINT32_MAX - 5 * MS + i * 10 * MS);
        cr_assert_eq(age(stamp), 0, "frame %lu", i);
        cr_assert_not(stamp.old);
    }
    cr_assert_eq(counts.relocks + counts.backwards + counts.too_old, 0);
    /* Silence of seven and a half turns, and what comes then is half a second late. */
    uint64_t silence_ns = 32 * S;
    uint64_t counter = UINT32_MAX - 5 * MS + 100000 * MS + silence_ns;
    arrival_ns += silence_ns + 500 * MS;
    cr_assert_eq(age(take(counter)), 500 * MS);
    arrival_ns += 10 * MS;
    cr_assert_eq(age(take(counter + 510 * MS)), 0);
}

/* The same in fractions: 2^-32 s, of which an integer number of ns is none. */
Test(stamper, a_unit_that_is_no_whole_number)
{
    use(STAMP_CLOCK_FREE, 8, 1e9 / 4294967296.0);
    for (uint64_t i = 0; i < 1000; i++, arrival_ns += S) {
        cr_assert_leq(age(take((uint64_t)i << 32)), 1);
    }
}

static void expect_old_for(bool narrow, uint64_t counter, uint64_t for_ns)
{
    uint64_t until_ns = arrival_ns + for_ns;
    for (; arrival_ns < until_ns; arrival_ns += 10 * MS) {
        struct stamp stamp = take(counter);
        cr_assert(age(stamp) > STALE_NS || arrival_ns < until_ns - for_ns + 2 * STALE_NS, "fresh with %s bytes",
                  narrow ? "4" : "8");
    }
}

/* Whatever the window forgets: a free clock that stands still never looks fresh again. */
Test(stamper, a_free_clock_that_stands_still_stays_old)
{
    for (uint32_t width = 4; width <= 8; width += 4) {
        use(STAMP_CLOCK_FREE, width, 1);
        for (uint64_t i = 0; i < 100; i++, arrival_ns += 10 * MS) {
            cr_assert_eq(age(take(1000 + i * 10 * MS)), 0);
        }
        expect_old_for(width == 4, 1000 + 1000 * MS, 300 * S);
        cr_assert_gt(counts.too_old, 0);
    }
}

/* A recording that is sent again and again, as fast as it was made: times go back at each begin. */
Test(stamper, what_is_sent_again_refreshes_nothing)
{
    use(STAMP_CLOCK_FREE, 8, 1);
    uint64_t newest_ns = 0;
    for (uint64_t i = 0; i < 2000; i++, arrival_ns += MS) {
        newest_ns = take(i * MS).tai_ns;
    }
    for (uint32_t round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 1900; i++, arrival_ns += MS) {
            struct stamp stamp = take(i * MS);
            cr_assert(stamp.old, "round %u, frame %lu", round, i);
            cr_assert(stamp.tai_ns == newest_ns || age(stamp) == S);
        }
    }
    cr_assert_eq(counts.backwards, 3800);
}

/* A device that was switched off and on counts from 0: old for up to two halves of the window, then good. */
Test(stamper, a_free_clock_that_starts_again_is_believed_after_the_window)
{
    use(STAMP_CLOCK_FREE, 8, 1);
    for (uint64_t i = 0; i < 1000; i++, arrival_ns += 10 * MS) {
        cr_assert_eq(age(take(1000 * S + i * 10 * MS)), 0);
    }
    uint64_t restart_ns = arrival_ns;
    struct stamp stamp = take(0);
    cr_assert(stamp.old);
    while (stamp.old || age(stamp) > 0) {
        cr_assert_lt(arrival_ns - restart_ns, 2 * STAMPER_HALF_NS + S, "never believed");
        arrival_ns += 10 * MS;
        stamp = take(arrival_ns - restart_ns);
    }
    cr_assert_geq(arrival_ns - restart_ns, STAMPER_HALF_NS / 2);
    cr_assert_gt(counts.relocks, 0);
}

Test(stamper, a_free_clock_that_jumps_ahead_is_now)
{
    use(STAMP_CLOCK_FREE, 8, 1);
    cr_assert_eq(age(take(0)), 0);
    arrival_ns += 10 * MS;
    cr_assert_eq(age(take(3600 * S)), 0);
    cr_assert_eq(counts.relocks, 1);
    arrival_ns += 10 * MS;
    struct stamp stamp = take(20 * MS); /* it was a lie: what is true now looks old */
    cr_assert(stamp.old);
    cr_assert_eq(age(stamp), 10 * MS, "the stamp of the frame before");
}

/* What a device has kept while nobody read it is as old as it is, also behind a new connection. */
Test(stamper, what_was_kept_is_old)
{
    use(STAMP_CLOCK_FREE, 8, 1);
    for (uint64_t i = 0; i < 100; i++, arrival_ns += 10 * MS) {
        (void)take(i * 10 * MS);
    }
    arrival_ns += 800 * MS;
    stamper_reopened(&stamper);
    cr_assert_eq(age(take(1000 * MS)), 800 * MS);
    cr_assert_eq(age(take(1700 * MS)), 100 * MS);
    cr_assert_eq(age(take(1800 * MS)), 0);
}

Test(stamper, stamps_never_go_back)
{
    struct test_random random = {3};
    for (uint32_t clock = STAMP_CLOCK_FREE; clock <= STAMP_CLOCK_UTC; clock++) {
        for (uint32_t width = 4; width <= 8; width += 4) {
            use(clock, width, 1000);
            uint64_t last_ns = 0;
            for (uint64_t i = 0; i < 100000; i++) {
                arrival_ns += test_random_below(&random, 20) == 0 ? test_random_below(&random, 9000) * MS
                                                                  : test_random_below(&random, 3 * MS);
                uint64_t counter = test_random_below(&random, 3) == 0
                                       ? test_random_next(&random)
                                       : arrival_ns / 1000 - test_random_below(&random, 900);
                struct stamp stamp = take(counter);
                cr_assert_geq(stamp.tai_ns, last_ns);
                last_ns = stamp.tai_ns;
            }
        }
    }
}

/* ---- Reconstructed. */

Test(stamper, the_rate_takes_the_jitter_out)
{
    struct test_random random = {5};
    use_reconstructed(100, 50 * MS);
    uint64_t last_ns = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        arrival_ns = ARRIVAL + i * 10 * MS + test_random_below(&random, 9) * MS;
        struct stamp stamp = take_number(77 + i);
        cr_assert(i < 300 || stamp.tai_ns - last_ns == 10 * MS, "frame %lu: %lu", i, stamp.tai_ns - last_ns);
        last_ns = stamp.tai_ns;
    }
    cr_assert_eq(counts.relocks, 0);
}

/* Numbers that are missing are times that have passed. */
Test(stamper, lost_frames_leave_their_time)
{
    use_reconstructed(1000, 50 * MS);
    uint64_t first_ns = take_number(0).tai_ns;
    arrival_ns += 10 * MS;
    cr_assert_eq(take_number(10).tai_ns - first_ns, 10 * MS);
    cr_assert_eq(counts.relocks, 0);
}

/* A burst behind a pause has the times at which it was sampled. */
Test(stamper, a_burst_is_spread_over_its_time)
{
    use_reconstructed(1000, 50 * MS);
    for (uint64_t i = 0; i < 100; i++, arrival_ns += MS) {
        (void)take_number(i);
    }
    arrival_ns += 40 * MS;
    for (uint64_t i = 100; i <= 140; i++) {
        cr_assert_eq(age(take_number(i)), (140 - i) * MS);
    }
}

/* A rate that is declared 5 % too high or too low makes nothing STALE; it is set anew, and told. */
Test(stamper, a_wrong_rate_makes_nothing_stale)
{
    for (uint32_t hz = 950; hz <= 1050; hz += 100) {
        use_reconstructed(1000, 50 * MS);
        for (uint64_t i = 0; i < 60000; i++) {
            arrival_ns = ARRIVAL + i * S / hz;
            cr_assert_leq(age(take_number(i)), 50 * MS);
        }
        cr_assert(hz > 1000 || counts.relocks > 50, "%lu", counts.relocks);
    }
}

/* A sender that starts again, ahead or from 0: the arrival, at once. */
Test(stamper, numbers_that_jump_are_the_arrival)
{
    use_reconstructed(1000, 50 * MS);
    (void)take_number(1000000);
    arrival_ns += MS;
    cr_assert_eq(age(take_number(0)), 0);
    cr_assert_eq(counts.relocks, 1);
    arrival_ns += MS;
    cr_assert_eq(age(take_number(5000000)), 0);
    cr_assert_eq(counts.relocks, 2);
    arrival_ns += S;
    cr_assert_eq(age(take_number(5000001)), 0, "a pause without numbers");
    cr_assert_eq(counts.relocks, 3);
}

/* What is told of the way from the device to here is what it says, whatever the frame is given. */
Test(stamper, the_lag_is_the_device_s_word)
{
    use(STAMP_CLOCK_TAI, 8, 1);
    struct stamp stamp = take(ARRIVAL - 3 * MS);
    cr_assert(stamp.is_dated);
    cr_assert_eq(stamp.lag_ns, (int64_t)(3 * MS));
    cr_assert_eq(take(ARRIVAL - 5 * S).lag_ns, (int64_t)(5 * S), "older than the frame may be");
    cr_assert_eq(take(ARRIVAL + 10 * MS).lag_ns, -(int64_t)(10 * MS), "a little ahead");
    stamp = take(ARRIVAL + 11 * MS);
    cr_assert(stamp.is_dated && stamp.old);
    cr_assert_eq(stamp.lag_ns, -(int64_t)(11 * MS), "and far");
    use(STAMP_CLOCK_FREE, 8, 1);
    cr_assert_eq(take(1000).lag_ns, 0, "nothing is known of a free clock's first frame");
    arrival_ns += 5 * MS;
    cr_assert_eq(take(1000 + 3 * MS).lag_ns, (int64_t)(2 * MS));
    use_reconstructed(1000, 50 * MS);
    cr_assert_not(take_number(0).is_dated, "nobody has told when");
}
