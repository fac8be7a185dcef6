#include "daq/replay_pace.h"

#include "daq/clock_field.h"

void replay_pace_init(struct replay_pace *pace, const struct file_plan *plan, struct ring_rate *counts)
{
    *pace = (struct replay_pace){.plan = plan, .counts = counts, .unit_q32 = clock_field_unit_q32(&plan->timing)};
}

/* From the frame before to this one; false: back, or too far. A counter of 32 bits may come round. */
static bool step(struct replay_pace *p, uint64_t counts, uint64_t *step_ns)
{
    uint64_t onwards = counts - p->seen;
    if (p->plan->timing.width_bytes == 4) {
        onwards = (uint32_t)onwards;
    }
    bool back = p->plan->timing.width_bytes == 4 ? onwards > INT32_MAX : onwards > INT64_MAX;
    if (back || (p->unit_q32 != 0 && onwards > ((unsigned __int128)p->plan->gap_max_ns << 32) / p->unit_q32)) {
        return false;
    }
    *step_ns = clock_field_ns(onwards, p->unit_q32);
    return true;
}

static uint64_t due_at(struct replay_pace *p, const uint8_t *frame, uint64_t monotonic_ns)
{
    uint64_t counts;
    uint64_t step_ns;
    bool readable = clock_field_read(&p->plan->timing, frame, &counts);
    if (readable && p->started && step(p, counts, &step_ns)) {
        p->passed_ns += step_ns;
    } else {
        if (p->started) {
            ring_count_add(&p->counts->replay_jumps, 1);
        }
        p->anchor_ns = monotonic_ns;
        p->passed_ns = 0;
    }
    p->started = true;
    p->seen = readable ? counts : p->seen;
    return p->anchor_ns + (uint64_t)((double)p->passed_ns / p->plan->speed);
}

bool replay_pace_is_due(struct replay_pace *pace, const uint8_t *frame, uint64_t monotonic_ns)
{
    if (!pace->asked) {
        pace->due_ns = due_at(pace, frame, monotonic_ns);
        pace->asked = true;
    }
    pace->asked = monotonic_ns < pace->due_ns;
    return !pace->asked;
}
