#include "daq/stamper.h"

#include "daq/clock_field.h"
#include "ring/clock.h"

#define TURN_COUNTS (UINT64_C(1) << 32)

void stamper_init(struct stamper *stamper, const struct rate_plan *plan, struct ring_rate *counts,
                  int64_t tai_minus_monotonic_ns, int32_t utc_offset_s)
{
    *stamper = (struct stamper){.plan = plan, .counts = counts};
    stamper->half_ns = plan->lag_max_ns > STAMPER_HALF_NS ? plan->lag_max_ns : STAMPER_HALF_NS;
    if (plan->stamp == RING_STAMP_DEVICE) {
        stamper->unit_q32 = clock_field_unit_q32(&plan->field);
    } else if (plan->stamp == RING_STAMP_RECONSTRUCTED) {
        stamper->unit_q32 = (uint64_t)((double)CLOCK_NS_PER_S / plan->nominal_hz * 4294967296.0 + 0.5);
    }
    if (plan->clock == STAMP_CLOCK_UTC) {
        stamper->fixed_offset_ns = (uint64_t)(utc_offset_s * (int64_t)CLOCK_NS_PER_S);
    } else if (plan->clock == STAMP_CLOCK_MONOTONIC) {
        stamper->fixed_offset_ns = (uint64_t)tai_minus_monotonic_ns;
    }
}

void stamper_reopened(struct stamper *stamper)
{
    stamper->stamped_ns = 0;
}

/* Differences of times that wrap at 2^64. */
static bool is_before(uint64_t a_ns, uint64_t b_ns)
{
    return (int64_t)(a_ns - b_ns) < 0;
}

/* Stamps are monotonic, and at most now. */
static uint64_t bound(struct stamper *s, uint64_t tai_ns, uint64_t arrival_ns)
{
    uint64_t stamp_ns = tai_ns < s->stamped_ns ? s->stamped_ns : tai_ns;
    s->stamped_ns = stamp_ns < arrival_ns ? stamp_ns : arrival_ns;
    return s->stamped_ns;
}

static uint64_t oldest(const struct stamper *s, uint64_t arrival_ns)
{
    return arrival_ns > s->plan->lag_max_ns ? arrival_ns - s->plan->lag_max_ns : 0;
}

/* Its age is not known: as old as can be, and it refreshes nothing. */
static struct stamp unknown(struct stamper *s, uint64_t arrival_ns)
{
    return (struct stamp){.tai_ns = bound(s, oldest(s, arrival_ns), arrival_ns), .old = true};
}

/* Whether this one lies before one that was seen in the window; else it is the newest now. */
static bool goes_back(struct stamper *s, uint64_t device_ns)
{
    bool back = is_before(device_ns, s->newest_ns[0]) || is_before(device_ns, s->newest_ns[1]);
    if (back) {
        ring_count_add(&s->counts->backwards, 1);
    } else {
        s->newest_ns[0] = device_ns;
    }
    return back;
}

static void start(struct stamper *s, uint64_t device_ns, uint64_t arrival_ns)
{
    s->started = true;
    s->half_since_ns = arrival_ns;
    for (uint32_t i = 0; i < 2; i++) {
        s->offset_ns[i] = arrival_ns - device_ns;
        s->newest_ns[i] = device_ns;
    }
}

static uint64_t least_offset(const struct stamper *s)
{
    return is_before(s->offset_ns[0], s->offset_ns[1]) ? s->offset_ns[0] : s->offset_ns[1];
}

/* The older half of the window is forgotten. After a silence the last one that there was remains. */
static void turn_window(struct stamper *s, uint64_t device_ns, uint64_t arrival_ns)
{
    if (arrival_ns - s->half_since_ns < s->half_ns) {
        return;
    }
    s->half_since_ns = arrival_ns;
    s->offset_ns[1] = s->offset_ns[0];
    s->offset_ns[0] = arrival_ns - device_ns;
    s->newest_ns[1] = s->newest_ns[0];
    s->newest_ns[0] = is_before(device_ns, s->newest_ns[0]) ? device_ns : s->newest_ns[0];
}

/* The counter of 32 bits, as if it had more. */
static uint64_t unwrap(struct stamper *s, uint32_t raw, uint64_t arrival_ns)
{
    uint64_t turn_ns = clock_field_ns(TURN_COUNTS, s->unit_q32);
    uint32_t onwards = raw - (uint32_t)s->counts_seen;
    if (!s->started) {
        return TURN_COUNTS + raw;
    }
    if (arrival_ns - s->arrived_ns < turn_ns / 4) {
        return s->counts_seen + (uint64_t)(int64_t)(int32_t)onwards; /* back by up to half a turn, or onwards */
    }
    uint64_t seen_ns = clock_field_ns(s->counts_seen, s->unit_q32) + least_offset(s);
    uint64_t passed_ns = arrival_ns - seen_ns + turn_ns / 8;
    uint64_t onwards_ns = clock_field_ns(onwards, s->unit_q32);
    if (onwards_ns > passed_ns) {
        return s->counts_seen + onwards - TURN_COUNTS;
    }
    return s->counts_seen + onwards + TURN_COUNTS * ((passed_ns - onwards_ns) / turn_ns);
}

/* A clock that counts from anywhere, the device's own or the number of the frame. */
static struct stamp take_free(struct stamper *s, uint64_t device_ns, uint64_t arrival_ns)
{
    bool is_device = s->plan->stamp == RING_STAMP_DEVICE;
    uint64_t jump_ns = is_device ? s->plan->ahead_max_ns : s->plan->lag_max_ns;
    struct stamp stamp = {.sampled_ns = is_device ? device_ns : arrival_ns};
    if (!s->started) {
        start(s, device_ns, arrival_ns);
    }
    uint64_t before_ns = least_offset(s);
    turn_window(s, device_ns, arrival_ns);
    uint64_t delay_ns = arrival_ns - device_ns;
    if (is_before(delay_ns, s->offset_ns[0])) {
        s->offset_ns[0] = delay_ns;
    }
    uint64_t offset_ns = least_offset(s);
    uint64_t moved_ns = is_before(offset_ns, before_ns) ? before_ns - offset_ns : offset_ns - before_ns;
    uint64_t lag_ns = delay_ns - offset_ns;
    bool relocks = moved_ns > jump_ns;
    stamp.is_dated = is_device;
    stamp.lag_ns = (int64_t)lag_ns;
    if (lag_ns > s->plan->lag_max_ns) {
        if (!is_device) {
            start(s, device_ns, arrival_ns);
            relocks = true;
            lag_ns = 0;
        } else {
            ring_count_add(&s->counts->too_old, 1);
            lag_ns = s->plan->lag_max_ns;
        }
    }
    ring_count_add(&s->counts->relocks, relocks);
    stamp.old = is_device && goes_back(s, device_ns);
    stamp.tai_ns = bound(s, arrival_ns > lag_ns ? arrival_ns - lag_ns : 0, arrival_ns);
    return stamp;
}

/* A clock that says what time it is. */
static struct stamp take_fixed(struct stamper *s, uint64_t device_ns, uint64_t arrival_ns)
{
    uint64_t tai_ns = device_ns + s->fixed_offset_ns;
    struct stamp stamp = {.sampled_ns = tai_ns, .is_dated = true, .lag_ns = (int64_t)(arrival_ns - tai_ns)};
    if (tai_ns > arrival_ns) {
        ring_count_add(&s->counts->ahead, 1);
        if (tai_ns - arrival_ns > s->plan->ahead_max_ns) {
            struct stamp far = unknown(s, arrival_ns);
            far.is_dated = true;
            far.lag_ns = stamp.lag_ns;
            return far;
        }
    }
    if (!s->started) {
        start(s, tai_ns, arrival_ns);
    }
    turn_window(s, tai_ns, arrival_ns);
    if (tai_ns < oldest(s, arrival_ns)) {
        ring_count_add(&s->counts->too_old, 1);
        tai_ns = oldest(s, arrival_ns);
    }
    stamp.old = goes_back(s, stamp.sampled_ns);
    stamp.tai_ns = bound(s, tai_ns, arrival_ns);
    return stamp;
}

struct stamp stamper_take(struct stamper *stamper, const uint8_t *frame, uint64_t number, uint64_t arrival_tai_ns)
{
    struct stamper *s = stamper;
    const struct rate_plan *plan = s->plan;
    uint64_t counts = number;
    if (plan->stamp != RING_STAMP_DEVICE && plan->stamp != RING_STAMP_RECONSTRUCTED) {
        return (struct stamp){.tai_ns = arrival_tai_ns, .sampled_ns = arrival_tai_ns};
    }
    if (plan->stamp == RING_STAMP_DEVICE && !clock_field_read(&plan->field, frame, &counts)) {
        ring_count_add(&s->counts->too_old, 1);
        return unknown(s, arrival_tai_ns);
    }
    bool is_free = plan->stamp == RING_STAMP_RECONSTRUCTED || plan->clock == STAMP_CLOCK_FREE;
    if (is_free && plan->field.width_bytes == 4) {
        counts = unwrap(s, (uint32_t)counts, arrival_tai_ns);
    }
    uint64_t device_ns = clock_field_ns(counts, s->unit_q32);
    struct stamp stamp =
        is_free ? take_free(s, device_ns, arrival_tai_ns) : take_fixed(s, device_ns, arrival_tai_ns);
    s->counts_seen = counts;
    s->arrived_ns = arrival_tai_ns;
    return stamp;
}
