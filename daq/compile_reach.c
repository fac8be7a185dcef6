/* What a channel can come to at all: a range or a limit beyond that is a decoration. */
#include <math.h>

#include "daq/compile.h"
#include "ring/calibration.h"
#include "ring/channel.h"
#include "ring/thermocouple.h"

/* What x = raw * scale + offset can be. */
static bool linear_reach(const struct ring_channel *channel, double *low, double *high)
{
    double a;
    double b;
    if (!ring_type_reach(channel->type, &a, &b)) {
        return false;
    }
    if (channel->bits != 0) { /* of fewer bits the same: one more bit doubles it */
        double fewer = ldexp(1, (int)channel->bits - (int)(8 * ring_type_bytes(channel->type)));
        a *= fewer;
        b = (b + 1) * fewer - 1;
    }
    a = a * channel->scale + channel->offset;
    b = b * channel->scale + channel->offset;
    *low = fmin(a, b);
    *high = fmax(a, b);
    return true;
}

bool compile_channel_reach(const struct ring_channel *channel, const double *numbers, double *low, double *high)
{
    double a;
    double b;
    if (channel->calibration == RING_CALIBRATION_LINEAR) {
        return linear_reach(channel, low, high);
    }
    const double *own = numbers + channel->first_number;
    switch (channel->calibration) {
    case RING_CALIBRATION_POINTS:
        *low = *high = own[1];
        for (uint32_t i = 3; i < channel->numbers; i += 2) {
            *low = fmin(*low, own[i]);
            *high = fmax(*high, own[i]);
        }
        return true;
    case RING_CALIBRATION_THERMOCOUPLE:
        return thermocouple_reach(channel->thermocouple, low, high);
    case RING_CALIBRATION_LOGARITHMIC: /* it rises or falls all the way: its ends are those of x */
        if (!linear_reach(channel, &a, &b)) {
            return false;
        }
        a = calibration_apply(channel, own, a, 0);
        b = calibration_apply(channel, own, b, 0);
        *low = fmin(a, b);
        *high = fmax(a, b);
        return !ring_is_not_finite(a) && !ring_is_not_finite(b);
    default: /* a polynomial may have its extremes anywhere */
        return false;
    }
}

void compile_overlap(struct compile *c, uint32_t i, uint32_t j, const struct ring_plan *ring)
{
    const struct ring_channel *channel = &ring->channel[j];
    char where[COMPILE_PATH_BYTES];
    double low;
    double high;
    if (!compile_channel_reach(channel, &c->plan->table.number[ring->first_number], &low, &high)) {
        return;
    }
    if (!(channel->range_low <= high && channel->range_high >= low)) {
        config_complain(
            c->file, c->errors, compile_path(where, "sources[%u].channels[%u]", i, j),
            "this channel comes to values from %g to %g %s only, all of them outside its range, %g to %g", low,
            high, channel->unit, channel->range_low, channel->range_high);
    }
}
