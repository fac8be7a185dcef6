/* The supervisor's half of the arming gate: each check alone makes the difference. */
#include <criterion/criterion.h>

#include "control/table.h"
#include "daq/arming_gate.h"

static const struct gate_seen fine = {.alive = true,
                                      .core = 3,
                                      .core_planned = 3,
                                      .fifo = true,
                                      .locked = true,
                                      .pages = true,
                                      .clock_ok = true,
                                      .config_acknowledged = true,
                                      .black_box = true,
                                      .certified = true};

#define ALL (GATE_ALL & ~(uint32_t)GATE_LATENCY) /* which is control's own */

static void without(struct gate_seen seen, uint32_t missing)
{
    cr_assert_eq(gate_judge(&seen), ALL & ~missing, "expected %x missing, found %x", missing,
                 ALL & ~gate_judge(&seen));
}

Test(arming_gate, everything_passes)
{
    without(fine, 0);
}

Test(arming_gate, each_check)
{
    struct gate_seen seen = fine;
    seen.core = 2;
    without(seen, GATE_PINNED);
    seen.core = seen.core_planned = -1; /* none planned is none had */
    without(seen, GATE_PINNED);
    seen = fine;
    seen.locked = false;
    without(seen, GATE_LOCKED);
    seen = fine;
    seen.pages = false;
    without(seen, GATE_PAGES);
    seen = fine;
    seen.config_acknowledged = false;
    without(seen, GATE_CONFIG);
    seen = fine;
    seen.black_box = false;
    without(seen, GATE_BLACK_BOX);
    seen = fine;
    seen.certified = false;
    without(seen, GATE_DOCTOR);
    seen = fine;
    seen.alive = false; /* what its board says is of an earlier life */
    without(seen, GATE_PINNED | GATE_LOCKED | GATE_UNTHROTTLED);
}

Test(arming_gate, throttling)
{
    struct gate_seen seen = fine;
    seen.busy = true;
    without(seen, GATE_UNTHROTTLED);
    seen.no_throttle = true;
    without(seen, 0);
    seen.fifo = false; /* an ordinary thread is no real-time one */
    without(seen, GATE_UNTHROTTLED);
    seen.busy = false;
    without(seen, GATE_UNTHROTTLED);
}

Test(arming_gate, the_clock)
{
    struct gate_seen seen = fine;
    seen.clock_ok = false;
    without(seen, GATE_CLOCK);
    seen.clock_ok = true;
    seen.clock_step_ns = 99999999;
    without(seen, 0);
    seen.clock_step_ns = 100000000;
    without(seen, GATE_CLOCK);
    seen.clock_step_ns = -100000000;
    without(seen, GATE_CLOCK);
    seen.clock_step_ns = INT64_MIN;
    without(seen, GATE_CLOCK);
    cr_assert(gate_clock_source_ok("tsc"));
    cr_assert(gate_clock_source_ok("kvm-clock"));
    cr_assert(!gate_clock_source_ok("hpet"));
    cr_assert(!gate_clock_source_ok(""));
    cr_assert(!gate_clock_source_ok("tsc2"));
}
