#include "ring/rate.h"

#include "ring/layout.h"
#include "ring/ledger.h"

#define TRIES 1000u /* a window is written within a microsecond */

static_assert(sizeof(struct ring_rate) % sizeof(uint64_t) == 0, "words");

void ring_rate_read(const struct ring_rate *rate, struct ring_rate *copy)
{
    const uint64_t *from = &rate->windows;
    uint64_t *to = &copy->windows;
    for (uint32_t t = 0; t < TRIES; t++) {
        uint64_t before = __atomic_load_n(&rate->windows, __ATOMIC_ACQUIRE);
        for (uint32_t i = 0; i < sizeof(*rate) / sizeof(*from); i++) {
            to[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
        }
        if (before % 2 == 0 && copy->windows == before && ring_count_read(&rate->windows) == before) {
            return;
        }
    }
    copy->window_ns = 0;
    copy->frames = 0;
    copy->intervals = 0;
    copy->deviations = 0;
    copy->polls = 0;
}

double ring_rate_measured_hz(const struct ring_rate *copy)
{
    return copy->window_ns == 0 || copy->arrived_ns == 0 ? 0
                                                         : (double)copy->intervals * 1e9 / (double)copy->arrived_ns;
}

bool ring_rate_is_off(const struct ring_rate *copy, double nominal_hz, double tolerance)
{
    if (copy->window_ns == 0 || !(nominal_hz > 0) || !(tolerance > 0)) {
        return false;
    }
    double off_hz = ring_rate_measured_hz(copy) - nominal_hz;
    return !((off_hz < 0 ? -off_hz : off_hz) <= tolerance * nominal_hz);
}

const char *ring_stamp_name(uint32_t stamp)
{
    static const char *const names[] = {"unknown", "arrival", "device", "reconstructed", "asked"};
    return stamp < sizeof(names) / sizeof(names[0]) ? names[stamp] : names[0];
}
