#include "control/gate_words.h"

#include <stdio.h>

#include "control/engine.h"

const char *gate_advice(uint32_t check)
{
    switch (check) {
    case GATE_PINNED:
        return "the control thread has no core of its own (set control.core, and see that it could be had)";
    case GATE_LOCKED:
        return "its memory is not locked (memory.lock, and root or a higher RLIMIT_MEMLOCK)";
    case GATE_PAGES:
        return "a watched ring has smaller pages than asked for (free huge pages, or memory.pages: normal)";
    case GATE_UNTHROTTLED:
        return "it is not SCHED_FIFO, or spins and the kernel stops it for 50 ms a second (control.policy: fifo "
               "with "
               "idle: duty, or sched_rt_runtime_us = -1)";
    case GATE_LATENCY:
        return "a cycle went over control.cycle_budget_us lately (wait arming.latency_s, or look at sluice "
               "latency)";
    case GATE_CLOCK:
        return "the clock source is not the TSC, or the wall clock was stepped by 100 ms or more (restart the "
               "server "
               "once the clock is right)";
    case GATE_CONFIG:
        return "nobody has acknowledged this configuration (sluice check FILE, then sluice acknowledge CHECKSUM)";
    case GATE_BLACK_BOX:
        return "the black box does not run or has no room (black_box.directory)";
    case GATE_DOCTOR:
        return "sluice doctor has not found this host fit, since its boot, for this configuration (with the server "
               "stopped: sluice doctor --config FILE --certify, and do what its report says of danger and unknown)";
    default:
        return "unknown";
    }
}

/* Half a clause would be worse than none: what does not fit is said where there is room. */
static const char elsewhere[] = "; for the others: sluice status";

void gate_explain(uint32_t missing, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t check = 1; check < GATE_ALL; check <<= 1) {
        if ((missing & check) == 0) {
            continue;
        }
        size_t room = (missing & ~((check << 1) - 1)) != 0 ? sizeof(elsewhere) - 1 : 0;
        int one = snprintf(text + n, bytes - n, "%s%s: %s", n > 0 ? "; " : "", engine_gate_name(check),
                           gate_advice(check));
        if (one < 0 || n + (size_t)one + room >= bytes) {
            snprintf(text + n, bytes - n, "%s", n > 0 ? elsewhere : elsewhere + 2);
            return;
        }
        n += (size_t)one;
    }
}
