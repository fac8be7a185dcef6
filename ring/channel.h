/* From raw bytes to a number in engineering units. Hot (HOT_SOURCES). */
#ifndef RING_CHANNEL_H
#define RING_CHANNEL_H

#include <stdbool.h>

#include "ring/layout.h"

/* Bytes of one raw value, 0 for no such type. */
uint32_t ring_type_bytes(uint32_t type);

/* The least and greatest raw value of an integer type: true; false for floats and no type. */
bool ring_type_reach(uint32_t type, double *low, double *high);

/* "i8" .. "f64", "none". Any thread. */
const char *ring_type_name(uint32_t type);

/* True for NaN and both infinities, by the exponent bits: it holds whatever the compiler believes about NaN. */
/*@ assigns \nothing; */
bool ring_is_not_finite(double value);

/* The channel's value in its unit: its calibration of raw * scale + offset. junction: the channel that is its cold
 * junction (NULL: it has none); numbers: those of all the ring's calibrations. All three have passed
 * ring_channel_check(). Returns false (value untouched) if the payload is too short or the type unknown. A raw NaN
 * or infinity comes through as such or as NaN; outside of what its calibration says, or with a cold junction that
 * is missing or outside its own range, it is NaN. Pure; any thread. */
bool ring_channel_decode(const struct ring_channel *channel, const struct ring_channel *junction,
                         const double *numbers, const uint8_t *payload, uint32_t length_bytes, double *value);

/* The same of channel `index` of a ring's table. */
static inline bool ring_channels_decode(const struct ring_channel *channels, uint32_t index, const double *numbers,
                                        const uint8_t *payload, uint32_t length_bytes, double *value)
{
    const struct ring_channel *channel = &channels[index];
    const struct ring_channel *junction = channel->reference != 0 ? &channels[channel->reference - 1] : NULL;
    return ring_channel_decode(channel, junction, numbers, payload, length_bytes, value);
}

#endif
