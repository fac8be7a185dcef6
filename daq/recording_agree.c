#include "daq/recording_agree.h"

#include <errno.h>
#include <string.h>

#include "ring/channel.h"

#define ADVICE "play it with the configuration that it was recorded with, or correct --config"

/* -0 is not 0 here, and NaN is itself. */
static bool same_bits(double a, double b)
{
    uint64_t bits_a;
    uint64_t bits_b;
    memcpy(&bits_a, &a, sizeof(a));
    memcpy(&bits_b, &b, sizeof(b));
    return bits_a == bits_b;
}

static int differ(struct error *err, const char *ring, const struct ring_channel *channel, const char *what,
                  double recorded, double wanted)
{
    return error_set(err, -EINVAL,
                     "ring %s, channel %s: the recording has %s %.17g, the configuration %.17g; " ADVICE, ring,
                     channel->name, what, recorded, wanted);
}

static int check_numbers(const char *ring, const struct ring_channel *recorded, const double *recorded_number,
                         const struct ring_channel *channel, const double *number, struct error *err)
{
    if (recorded->numbers != channel->numbers) {
        return differ(err, ring, channel, "so many numbers in its calibration:", recorded->numbers,
                      channel->numbers);
    }
    for (uint32_t i = 0; i < channel->numbers; i++) {
        double a = recorded_number[recorded->first_number + i];
        double b = number[channel->first_number + i];
        if (!same_bits(a, b)) {
            return differ(err, ring, channel, "a number of its calibration that is", a, b);
        }
    }
    return 0;
}

int recording_channel_agrees(const char *ring, const struct ring_channel *recorded, const double *recorded_number,
                             const struct ring_channel *channel, const double *number, struct error *err)
{
    if (strcmp(recorded->name, channel->name) != 0) {
        return error_set(err, -EINVAL,
                         "ring %s: the recording has channel %s where the configuration has %s; " ADVICE, ring,
                         recorded->name, channel->name);
    }
    if (recorded->type != channel->type) {
        return error_set(err, -EINVAL, "ring %s, channel %s: the recording has %s, the configuration %s; " ADVICE,
                         ring, channel->name, ring_type_name(recorded->type), ring_type_name(channel->type));
    }
    if (strcmp(recorded->unit, channel->unit) != 0) {
        return error_set(err, -EINVAL,
                         "ring %s, channel %s: the recording has the unit '%s', the configuration '%s'; " ADVICE,
                         ring, channel->name, recorded->unit, channel->unit);
    }
    const struct {
        const char *what;
        double recorded;
        double wanted;
    } same[] = {
        {"at_byte", recorded->at_byte, channel->at_byte},
        {"byte order (1 little, 2 big)", recorded->byte_order, channel->byte_order},
        {"scale", recorded->scale, channel->scale},
        {"offset", recorded->offset, channel->offset},
        {"a calibration of kind", recorded->calibration, channel->calibration},
        {"a thermocouple of type", recorded->thermocouple, channel->thermocouple},
        {"as its cold junction channel number", recorded->reference, channel->reference},
        {"bits", recorded->bits, channel->bits},
        {"shift", recorded->shift, channel->shift},
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        if (!same_bits(same[i].recorded, same[i].wanted)) {
            return differ(err, ring, channel, same[i].what, same[i].recorded, same[i].wanted);
        }
    }
    return check_numbers(ring, recorded, recorded_number, channel, number, err);
}

int recording_agrees(const struct record_ring *recorded, const struct ring_channel *channel, uint32_t channels,
                     const double *number, uint32_t numbers, struct error *err)
{
    const char *ring = recorded->header.ring;
    if (recorded->header.streams > 1) {
        return error_set(err, -EINVAL, "ring %s: expected a recording of one stream, found %u", ring,
                         recorded->header.streams);
    }
    if (recorded->header.channels != channels) {
        return error_set(err, -EINVAL, "ring %s: the recording has %u channels, the configuration %u; " ADVICE,
                         ring, recorded->header.channels, channels);
    }
    for (uint32_t i = 0; i < channels; i++) {
        const struct ring_channel *a = &recorded->channel[i];
        if ((uint64_t)channel[i].first_number + channel[i].numbers > numbers ||
            (uint64_t)a->first_number + a->numbers > recorded->header.numbers) {
            return error_set(err, -EINVAL, "ring %s, channel %s: its calibration's numbers are not there", ring,
                             channel[i].name);
        }
        int code = recording_channel_agrees(ring, a, recorded->number, &channel[i], number, err);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}
