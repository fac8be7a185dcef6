#include "bench/compare.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

int compare_direction(const char *unit)
{
    static const struct {
        const char *unit;
        int direction;
    } units[] = {{"million/s", 1},    {"GB/s", 1},   {"MB/s", 1},   {"s/GB", -1},         {"KiB", -1},
                 {"frames", -1},      {"kHz", 1},    {"ns", -1},    {"us", -1},           {"ms", -1},
                 {"% of a core", -1}, {"calls", -1}, {"ppm", -1},   {"instructions", -1}, {"decisions", -1},
                 {"cycles", -1},      {"Gbit/s", 1}, {"of none", 1}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i].unit, unit) == 0) {
            return units[i].direction;
        }
    }
    return 0;
}

/* Rows that the machine's stalls make, or the search that looked for others. */
static bool tells_of_machine(const char *name)
{
    static const char *const names[] = {
        "stalls_5us",   "stalls_50us", "stalls_500us",   "stall_share",      "stall_max",      "wake_max",
        "preempted",    "misses",      "trips",          "late_per_million", "decision_p9999", "decision_p99999",
        "decision_max", "late_max",    "durable_ms_max", "trials",           "repeated",       "offered_max"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static double half_spread(const struct compare_side *side)
{
    return (side->max - side->min) / 2;
}

static bool is_beyond_share(double change, double old)
{
    return fabs(change) > COMPARE_SHARE * fabs(old);
}

static const char *find_reason(const struct compare_row *row)
{
    const struct compare_side *old = &row->old;
    const struct compare_side *now = &row->now;
    if (strcmp(old->unit, now->unit) != 0) {
        return "its unit is another";
    }
    if (strcmp(row->kind, "ours") != 0) {
        return "a floor or a peer, not ours";
    }
    if (tells_of_machine(row->name)) {
        return "it tells of the machine's stalls, or of the search";
    }
    if (compare_direction(now->unit) == 0) {
        return "which way is better is not known of its unit";
    }
    if (old->capped || now->capped) {
        return "the measurement was ended: the true value is worse";
    }
    if (old->stalled || now->stalled) {
        return "the machine stalled in half of its rounds or more";
    }
    return old->runs < COMPARE_RUNS_MIN || now->runs < COMPARE_RUNS_MIN
               ? "fewer than 3 runs: how much it varies is not known"
               : NULL;
}

/* The machine got slower or faster, and the row with it. */
static bool floor_went_along(const struct compare_row *row, double sign)
{
    double old = row->old.floor_ratio;
    double now = row->now.floor_ratio;
    return isfinite(old) && isfinite(now) && ((now - old) * sign <= 0 || !is_beyond_share(now - old, old));
}

struct compare_judgement compare_judge(const struct compare_row *row)
{
    const struct compare_side *old = &row->old;
    const struct compare_side *now = &row->now;
    struct compare_judgement j = {.change = now->median - old->median,
                                  .noise = fmax(half_spread(old), half_spread(now)),
                                  .reason = find_reason(row)};
    if (!isfinite(j.change) || !isfinite(j.noise)) {
        j.reason = "one of the two has no value";
    } else {
        j.beyond = fabs(j.change) > j.noise && is_beyond_share(j.change, old->median);
    }
    double sign = j.change > 0 ? 1 : -1;
    if (j.reason == NULL && j.beyond && floor_went_along(row, sign)) {
        j.reason = "its floor moved as well: the machine's doing";
    }
    if (j.reason != NULL) {
        j.verdict = COMPARE_NOT_JUDGED;
    } else if (j.beyond) {
        j.verdict = sign * compare_direction(now->unit) > 0 ? COMPARE_BETTER : COMPARE_WORSE;
    }
    return j;
}
