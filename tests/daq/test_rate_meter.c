/* The measured rate, its deviations and what is missed, by a clock that is handed in. */
#include <criterion/criterion.h>
#include <string.h>

#include "daq/rate_meter.h"
#include "ring/clock.h"

#define MS    CLOCK_NS_PER_MS
#define BEGIN (UINT64_C(1790000000) * CLOCK_NS_PER_S)

static struct ring_rate shared;
static struct ring_rate copy;
static struct rate_meter meter;
static uint64_t now_ns;

static void begin(double nominal_hz, bool unnumbered)
{
    memset(&shared, 0, sizeof(shared));
    rate_meter_init(&meter, &shared, nominal_hz, unnumbered);
    now_ns = BEGIN;
    rate_meter_start(&meter, now_ns);
}

static void frame_after(uint64_t ns)
{
    now_ns += ns;
    rate_meter_look(&meter, now_ns);
    rate_meter_take(&meter, now_ns, now_ns, 0);
}

static void end_window(void)
{
    now_ns = meter.since_ns + meter.window_ns;
    rate_meter_look(&meter, now_ns);
    ring_rate_read(&shared, &copy);
}

static bool is_near(double a, double b)
{
    return a > b - 1e-6 && a < b + 1e-6;
}

Test(rate_meter, a_steady_rate)
{
    begin(100, true);
    for (uint32_t i = 0; i < 100; i++) {
        frame_after(10 * MS);
    }
    end_window();
    cr_assert_eq(copy.windows, 4, "the empty one at the start, and this");
    cr_assert_eq(copy.frames, 100);
    cr_assert_eq(copy.interval_ns_min, 10 * MS);
    cr_assert_eq(copy.interval_ns_max, 10 * MS);
    cr_assert_eq(copy.deviation_ns, 0);
    cr_assert_eq(copy.missed, 0);
    cr_assert(is_near(ring_rate_measured_hz(&copy), 100), "%g", ring_rate_measured_hz(&copy));
    cr_assert_not(ring_rate_is_off(&copy, 100, 0.05));
}

Test(rate_meter, deviations_from_the_nominal_interval)
{
    begin(100, true);
    for (uint32_t i = 0; i < 100; i++) {
        frame_after((i % 2 == 0 ? 8 : 12) * MS);
    }
    end_window();
    cr_assert_eq(copy.interval_ns_min, 8 * MS);
    cr_assert_eq(copy.interval_ns_max, 12 * MS);
    cr_assert_eq(copy.deviation_ns, copy.deviations * 2 * MS);
    cr_assert_eq(copy.missed, 0);
}

Test(rate_meter, deviations_from_the_mean_where_no_rate_is_declared)
{
    begin(0, true);
    for (uint32_t i = 0; i < 100; i++) {
        frame_after(10 * MS);
    }
    end_window();
    cr_assert_eq(copy.deviations, 0, "no mean yet");
    for (uint32_t i = 0; i < 50; i++) {
        frame_after(30 * MS);
    }
    end_window();
    cr_assert_gt(copy.deviations, 40);
    cr_assert_eq(copy.missed, 0, "nothing was declared, nothing is missed");
}

/* A frame in five does not come: 80 Hz instead of 100. */
Test(rate_meter, frames_that_do_not_come_are_missed_and_told)
{
    begin(100, true);
    for (uint32_t i = 0; i < 150; i++) {
        frame_after((i % 4 == 3 ? 20 : 10) * MS);
    }
    end_window();
    cr_assert_eq(copy.missed, 37);
    cr_assert(is_near(ring_rate_measured_hz(&copy), 149 / (149 + 37.0) * 100), "%g", ring_rate_measured_hz(&copy));
    cr_assert(ring_rate_is_off(&copy, 100, 0.05));
    cr_assert_not(ring_rate_is_off(&copy, 100, 0.25));
    cr_assert_not(ring_rate_is_off(&copy, 100, 0), "not judged");
}

/* The same behind numbers: the ledger counts those. */
Test(rate_meter, numbers_tell_what_is_missing)
{
    begin(100, false);
    for (uint32_t i = 0; i < 50; i++) {
        frame_after(20 * MS);
    }
    end_window();
    cr_assert_eq(copy.missed, 0);
    cr_assert(ring_rate_is_off(&copy, 100, 0.05));
}

/* A stall, and then all at once: late, not missing. */
Test(rate_meter, a_burst_pays_what_was_owed)
{
    begin(1000, true);
    for (uint32_t i = 0; i < 500; i++) {
        frame_after(MS);
    }
    frame_after(100 * MS);
    for (uint32_t i = 0; i < 99; i++) {
        frame_after(0);
    }
    for (uint32_t i = 0; i < 500; i++) {
        frame_after(MS);
    }
    end_window();
    cr_assert_eq(copy.missed, 0);
    cr_assert_eq(copy.interval_ns_min, 0);
    cr_assert_eq(copy.interval_ns_max, 100 * MS);
}

/* The same of datagrams, which are taken in batches. */
Test(rate_meter, batches_are_their_frames)
{
    begin(1000, true);
    for (uint32_t i = 0; i < 100; i++) {
        now_ns += 10 * MS;
        rate_meter_take_batch(&meter, 10, now_ns);
        rate_meter_take_batch(&meter, 0, now_ns);
    }
    end_window();
    cr_assert_eq(copy.frames, 1000);
    cr_assert_eq(copy.intervals, 999);
    cr_assert_eq(copy.missed, 0);
    cr_assert_eq(copy.interval_ns_min, 0);
    cr_assert_eq(copy.interval_ns_max, 10 * MS);
    cr_assert_eq(copy.deviation_ns, (uint64_t)99 * 9 * MS + (uint64_t)900 * MS);
    cr_assert_not(ring_rate_is_off(&copy, 1000, 0.05));
}

Test(rate_meter, silence_is_a_rate_of_0)
{
    begin(100, true);
    frame_after(10 * MS);
    end_window();
    end_window();
    cr_assert_eq(copy.frames, 0);
    cr_assert(is_near(ring_rate_measured_hz(&copy), 0));
    cr_assert(ring_rate_is_off(&copy, 100, 0.05));
    rate_meter_stop(&meter);
    ring_rate_read(&shared, &copy);
    cr_assert_eq(copy.window_ns, 0, "closed: the last window is shown no longer");
    uint64_t windows = copy.windows;
    end_window();
    cr_assert_eq(copy.windows, windows, "closed: nothing is measured");
}

/* The time while the device was away is no interval, and no window is told until a whole one is over. */
Test(rate_meter, a_new_connection_is_a_new_measurement)
{
    begin(100, true);
    frame_after(10 * MS);
    end_window();
    rate_meter_stop(&meter);
    now_ns += 1000 * MS;
    rate_meter_start(&meter, now_ns);
    ring_rate_read(&shared, &copy);
    cr_assert_eq(copy.window_ns, 0);
    cr_assert_not(ring_rate_is_off(&copy, 100, 0.05));
    frame_after(10 * MS);
    frame_after(10 * MS);
    end_window();
    cr_assert_eq(copy.intervals, 1);
    cr_assert_eq(copy.missed, 0);
}

Test(rate_meter, a_slow_source_has_a_long_window)
{
    begin(0.5, true);
    cr_assert_eq(meter.window_ns, 32 * CLOCK_NS_PER_S);
}

Test(rate_meter, polls_have_their_lateness)
{
    begin(10, false);
    rate_meter_asked(&meter, 100, 2000);
    rate_meter_asked(&meter, 300, 1000);
    end_window();
    cr_assert_eq(copy.polls, 2);
    cr_assert_eq(copy.late_ns, 400);
    cr_assert_eq(copy.late_ns_max, 300);
    cr_assert_eq(copy.took_ns, 3000);
    cr_assert_eq(copy.took_ns_max, 2000);
}

/* A clock of a device that goes back, and one whose time is not known. */
Test(rate_meter, times_that_are_no_intervals)
{
    begin(100, true);
    rate_meter_take(&meter, 1000 * MS, now_ns, 0);
    rate_meter_take(&meter, 900 * MS, now_ns + 10 * MS, 5);
    rate_meter_take(&meter, 0, now_ns + 20 * MS, 7);
    rate_meter_take(&meter, 910 * MS, now_ns + 30 * MS, 6);
    end_window();
    cr_assert_eq(copy.intervals, 3);
    cr_assert_eq(copy.deviations, 0);
    cr_assert_eq(copy.interval_ns_min, 0);
    cr_assert_eq(copy.lag_ns_max, 7);
}

/* A writer that died while it wrote: no window, and the next one repairs it. */
Test(rate_meter, half_a_window_is_none)
{
    begin(100, true);
    for (uint32_t i = 0; i < 100; i++) {
        frame_after(10 * MS);
    }
    end_window();
    shared.windows |= 1;
    ring_rate_read(&shared, &copy);
    cr_assert_eq(copy.window_ns, 0);
    cr_assert_eq(copy.frames, 0);
    end_window();
    cr_assert_neq(copy.window_ns, 0);
    cr_assert_eq(copy.windows % 2, 0);
}
