#include <string.h>

#include "control/table.h"
#include "daq/arming_gate.h"
#include "ring/clock.h"

#define STEP_MAX_NS (100 * (int64_t)CLOCK_NS_PER_MS)

bool gate_clock_source_ok(const char *name)
{
    static const char *const good[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (strcmp(name, good[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool gate_unthrottled(const char *runtime_us)
{
    return strcmp(runtime_us, "-1") == 0;
}

uint32_t gate_judge(const struct gate_seen *seen)
{
    uint32_t passed = 0;
    if (seen->alive) {
        passed |= seen->core_planned >= 0 && seen->core == seen->core_planned ? GATE_PINNED : 0;
        passed |= seen->locked ? GATE_LOCKED : 0;
        /* An ordinary thread is not throttled, but anybody may have its core: that is no real time either. */
        passed |= seen->fifo && (!seen->busy || seen->no_throttle) ? GATE_UNTHROTTLED : 0;
    }
    passed |= seen->pages ? GATE_PAGES : 0;
    passed |=
        seen->clock_ok && seen->clock_step_ns < STEP_MAX_NS && seen->clock_step_ns > -STEP_MAX_NS ? GATE_CLOCK : 0;
    passed |= seen->config_acknowledged ? GATE_CONFIG : 0;
    passed |= seen->black_box ? GATE_BLACK_BOX : 0;
    passed |= seen->certified ? GATE_DOCTOR : 0;
    return passed;
}
