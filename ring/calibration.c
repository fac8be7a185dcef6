#include "ring/calibration.h"

#include <math.h>

#include "ring/channel.h"
#include "ring/exponential.h"
#include "ring/thermocouple.h"

#define LN_10 2.30258509299404568402

static double polynomial(const double *c, uint32_t count, double x)
{
    double sum = 0;
    for (uint32_t i = count; i > 0; i--) {
        sum = sum * x + c[i - 1];
    }
    return sum;
}

/* Between the two points that x lies between, by halving. Each point gives exactly its own y. */
static double interpolate(const double *points, size_t count, double x)
{
    size_t low = 0;
    size_t high = count - 1;
    if (!(x >= points[0] && x <= points[2 * high])) {
        return (double)NAN;
    }
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (points[2 * middle] <= x) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const double *from = &points[2 * low];
    const double *to = &points[2 * high];
    if (x >= to[0]) {
        return to[1];
    }
    return from[1] + (to[1] - from[1]) * ((x - from[0]) / (to[0] - from[0]));
}

/* What the thermocouple would show with its cold junction at 0 degC, back to a temperature. */
static double thermocouple(uint32_t type, double mv, double junction_degc)
{
    return thermocouple_degc(type, mv + thermocouple_mv(type, junction_degc));
}

double calibration_apply(const struct ring_channel *channel, const double *numbers, double x, double junction_degc)
{
    switch (channel->calibration) {
    case RING_CALIBRATION_LINEAR:
        return x;
    case RING_CALIBRATION_POLYNOMIAL:
        return polynomial(numbers, channel->numbers, x);
    case RING_CALIBRATION_POINTS:
        return interpolate(numbers, channel->numbers / 2, x);
    case RING_CALIBRATION_THERMOCOUPLE:
        return thermocouple(channel->thermocouple, x, channel->reference != 0 ? junction_degc : numbers[0]);
    case RING_CALIBRATION_LOGARITHMIC:
        return ring_exponential(LN_10 * (numbers[0] * x + numbers[1]));
    default:
        return (double)NAN;
    }
}

const char *calibration_name(uint32_t calibration)
{
    static const char *const names[RING_CALIBRATIONS] = {"linear", "polynomial", "points", "thermocouple",
                                                         "logarithmic"};
    return calibration < RING_CALIBRATIONS ? names[calibration] : "unknown";
}
