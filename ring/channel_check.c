#include "ring/channel_check.h"

#include <errno.h>
#include <string.h>

#include "ring/calibration.h"
#include "ring/channel.h"

static const struct ring_channel *channel_at(const struct ring_channel *first, size_t stride, uint32_t index)
{
    return (const struct ring_channel *)(const void *)((const uint8_t *)first + index * stride);
}

/* What a table says of a channel's place; the name may be printed behind this. */
static int check_plain(const struct ring_channel *c, uint32_t index, struct error *err)
{
    if (memchr(c->name, 0, RING_NAME_BYTES) == NULL || memchr(c->unit, 0, RING_UNIT_BYTES) == NULL) {
        return error_set(err, -EPROTO, "channel %u of the ring has an unterminated name or unit: it is corrupt",
                         index);
    }
    uint32_t all_bits = 8 * ring_type_bytes(c->type);
    if (all_bits == 0 || c->at_byte > RING_SLOT_BYTES_MAX) {
        return error_set(err, -EPROTO, "channel %s: an impossible type (%u) or place (%u): the table is corrupt",
                         c->name, c->type, c->at_byte);
    }
    bool whole = c->bits == 0 && c->shift == 0;
    bool of_integer = c->type < RING_TYPE_F32 && c->bits > 0 && (uint32_t)c->bits + c->shift <= all_bits;
    if (!whole && !of_integer) {
        return error_set(err, -EPROTO, "channel %s: %u bits from bit %u on do not lie in its type, %s", c->name,
                         c->bits, c->shift, ring_type_name(c->type));
    }
    return 0;
}

static bool count_ok(const struct ring_channel *c)
{
    switch (c->calibration) {
    case RING_CALIBRATION_LINEAR:
        return c->numbers == 0;
    case RING_CALIBRATION_POLYNOMIAL:
        return c->numbers >= 1 && c->numbers <= RING_POLYNOMIAL_MAX;
    case RING_CALIBRATION_POINTS:
        return c->numbers >= 4 && c->numbers % 2 == 0;
    case RING_CALIBRATION_THERMOCOUPLE:
        return c->numbers == (c->reference != 0 ? 0 : 1);
    case RING_CALIBRATION_LOGARITHMIC:
        return c->numbers == 2;
    default:
        return false;
    }
}

/* By a finite step: divided by an infinite one every x between would pass for the first of them. */
static bool rising(const double *points, uint32_t numbers)
{
    for (uint32_t i = 2; i < numbers; i += 2) {
        double step = points[i] - points[i - 2];
        if (!(step > 0) || ring_is_not_finite(step)) {
            return false;
        }
    }
    return true;
}

static int check_numbers(const struct ring_channel *c, const double *numbers, uint32_t number_count,
                         struct error *err)
{
    if (!count_ok(c)) {
        return error_set(err, -EPROTO, "channel %s: a %s calibration of %u numbers: the table is corrupt", c->name,
                         calibration_name(c->calibration), c->numbers);
    }
    if (c->first_number > number_count || c->numbers > number_count - c->first_number) {
        return error_set(err, -EPROTO, "channel %s: its calibration's numbers %u to %u are none of the ring's %u",
                         c->name, c->first_number, c->first_number + c->numbers, number_count);
    }
    const double *own = numbers + c->first_number;
    for (uint32_t i = 0; i < c->numbers; i++) {
        if (ring_is_not_finite(own[i])) {
            return error_set(err, -EPROTO, "channel %s: number %u of its calibration is not finite", c->name, i);
        }
    }
    if (c->calibration == RING_CALIBRATION_POINTS && !rising(own, c->numbers)) {
        return error_set(err, -EPROTO, "channel %s: the x of its calibration's points do not rise by finite steps",
                         c->name);
    }
    return 0;
}

/* A cold junction has none of its own: so decoding never goes on from one to the next. */
static int check_reference(const struct ring_channel *first, uint32_t count, size_t stride,
                           const struct ring_channel *c, struct error *err)
{
    bool couple = c->calibration == RING_CALIBRATION_THERMOCOUPLE;
    bool type_ok = couple ? c->thermocouple > RING_THERMOCOUPLE_NONE && c->thermocouple < RING_THERMOCOUPLES
                          : c->thermocouple == RING_THERMOCOUPLE_NONE;
    if (!type_ok || (!couple && c->reference != 0)) {
        return error_set(err, -EPROTO, "channel %s: thermocouple type %u and reference %u with a %s calibration",
                         c->name, c->thermocouple, c->reference, calibration_name(c->calibration));
    }
    if (c->reference > count ||
        (c->reference != 0 && channel_at(first, stride, c->reference - 1)->reference != 0)) {
        return error_set(err, -EPROTO, "channel %s: its cold junction, channel %u of %u, is none", c->name,
                         c->reference, count);
    }
    return 0;
}

int ring_channel_check(const struct ring_channel *first, uint32_t count, size_t stride, uint32_t index,
                       const double *numbers, uint32_t number_count, struct error *err)
{
    const struct ring_channel *channel = channel_at(first, stride, index);
    int code = check_plain(channel, index, err);
    if (code == 0) {
        code = check_numbers(channel, numbers, number_count, err);
    }
    return code == 0 ? check_reference(first, count, stride, channel, err) : code;
}
