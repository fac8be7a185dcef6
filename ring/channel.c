#include "ring/channel.h"

#include <math.h>
#include <string.h>

#include "ring/calibration.h"

static const uint8_t type_bytes[RING_TYPES] = {0, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8};

uint32_t ring_type_bytes(uint32_t type)
{
    return type < RING_TYPES ? type_bytes[type] : 0;
}

bool ring_type_reach(uint32_t type, double *low, double *high)
{
    if (type == RING_TYPE_NONE || type >= RING_TYPE_F32) {
        return false;
    }
    bool is_signed = type % 2 == 1; /* i8 1, u8 2, i16 3 .. */
    uint32_t bits = 8 * ring_type_bytes(type) - (is_signed ? 1 : 0);
    double power = 1.0;
    for (uint32_t i = 0; i < bits; i++) {
        power *= 2.0;
    }
    *low = is_signed ? -power : 0.0;
    *high = power - 1.0;
    return true;
}

const char *ring_type_name(uint32_t type)
{
    static const char *const names[RING_TYPES] = {"none", "i8",  "u8",  "i16", "u16", "i32",
                                                  "u32",  "i64", "u64", "f32", "f64"};
    return names[type < RING_TYPES ? type : 0];
}

bool ring_is_not_finite(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (bits >> 52 & 0x7ff) == 0x7ff;
}

/* The raw value's bytes as one number in host order, low bytes first. */
static uint64_t load_raw(const uint8_t *p, uint32_t bytes, bool big_endian)
{
    uint64_t raw = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        raw |= (uint64_t)p[big_endian ? bytes - 1 - i : i] << (8 * i);
    }
    return raw;
}

static double to_number(uint32_t type, uint64_t raw)
{
    switch (type) {
    case RING_TYPE_I8:
        return (double)(int8_t)raw;
    case RING_TYPE_I16:
        return (double)(int16_t)raw;
    case RING_TYPE_I32:
        return (double)(int32_t)raw;
    case RING_TYPE_I64:
        return (double)(int64_t)raw;
    case RING_TYPE_F32: {
        uint32_t bits = (uint32_t)raw;
        float value;
        memcpy(&value, &bits, sizeof(value));
        return (double)value;
    }
    case RING_TYPE_F64: {
        double value;
        memcpy(&value, &raw, sizeof(value));
        return value;
    }
    default: /* the unsigned types */
        return (double)raw;
    }
}

/* Of a word the bits that are the number, with its sign carried to the top. */
static uint64_t take_bits(const struct ring_channel *channel, uint64_t raw)
{
    uint32_t above = 64 - (uint32_t)channel->bits;
    uint64_t top = raw >> channel->shift << above;
    bool is_signed = channel->type % 2 == 1; /* i8 1, u8 2, i16 3 .. */
    return is_signed ? (uint64_t)((int64_t)top >> above) : top >> above;
}

/* raw * scale + offset. */
static bool decode_linear(const struct ring_channel *channel, const uint8_t *payload, uint32_t length_bytes,
                          double *value)
{
    uint32_t bytes = ring_type_bytes(channel->type);
    if (bytes == 0 || channel->at_byte > length_bytes || length_bytes - channel->at_byte < bytes) {
        return false;
    }
    uint64_t raw = load_raw(payload + channel->at_byte, bytes, channel->byte_order == RING_BIG_ENDIAN);
    if (channel->bits != 0) {
        raw = take_bits(channel, raw);
    }
    *value = to_number(channel->type, raw) * channel->scale + channel->offset;
    return true;
}

/* The cold junction's temperature, NaN unless it is a good one. It has no cold junction of its own. */
static double decode_junction(const struct ring_channel *junction, const double *numbers, const uint8_t *payload,
                              uint32_t length_bytes)
{
    double x;
    if (!decode_linear(junction, payload, length_bytes, &x)) {
        return (double)NAN;
    }
    double degc = calibration_apply(junction, numbers + junction->first_number, x, (double)NAN);
    return degc >= junction->range_low && degc <= junction->range_high ? degc : (double)NAN;
}

bool ring_channel_decode(const struct ring_channel *channel, const struct ring_channel *junction,
                         const double *numbers, const uint8_t *payload, uint32_t length_bytes, double *value)
{
    double x;
    if (!decode_linear(channel, payload, length_bytes, &x)) {
        return false;
    }
    if (channel->calibration != RING_CALIBRATION_LINEAR) {
        double junction_degc = channel->reference != 0 && junction != NULL
                                   ? decode_junction(junction, numbers, payload, length_bytes)
                                   : (double)NAN;
        x = calibration_apply(channel, numbers + channel->first_number, x, junction_degc);
    }
    *value = x;
    return true;
}
