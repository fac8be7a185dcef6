/* From x = raw * scale + offset to the value in the channel's unit. Whatever lies outside of what a calibration
 * says is NaN, which the interlock takes for BAD: nothing is clamped, nothing is extrapolated. Hot (HOT_SOURCES).
 */
#ifndef RING_CALIBRATION_H
#define RING_CALIBRATION_H

#include "ring/layout.h"

/* f(x) of a channel that ring_channel_check() has passed. numbers: the channel's own, in the ring's order;
 * junction_degc: of the cold junction, where the channel has a reference, else ignored. The same on every
 * processor: no libm. Pure, bounded; any thread. */
double calibration_apply(const struct ring_channel *channel, const double *numbers, double x, double junction_degc);

/* "linear", "polynomial", "points", "thermocouple", "logarithmic"; else "unknown". */
const char *calibration_name(uint32_t calibration);

#endif
