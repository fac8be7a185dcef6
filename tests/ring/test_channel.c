/* From raw bytes to numbers: every type in both byte orders, and what is not a number. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "ring/channel.h"

#define AT_BYTE 3u

struct sample {
    uint32_t type;
    uint64_t raw; /* low bytes first, as a little-endian sender lays it out */
    double value;
};

static const struct sample samples[] = {
    {RING_TYPE_I8, 0x80, -128},
    {RING_TYPE_I8, 0x7f, 127},
    {RING_TYPE_U8, 0xff, 255},
    {RING_TYPE_I16, 0x8000, -32768},
    {RING_TYPE_I16, 0x1234, 0x1234},
    {RING_TYPE_U16, 0xfffe, 65534},
    {RING_TYPE_I32, 0x80000000, -2147483648.0},
    {RING_TYPE_I32, 0x12345678, 0x12345678},
    {RING_TYPE_U32, 0xffffffff, 4294967295.0},
    {RING_TYPE_I64, UINT64_C(0xffffffffffffffff), -1},
    {RING_TYPE_I64, UINT64_C(0x0102030405060708), 72623859790382856.0},
    {RING_TYPE_U64, UINT64_C(0x8000000000000000), 9223372036854775808.0},
    {RING_TYPE_F32, 0x3fc00000, 1.5},
    {RING_TYPE_F32, 0xc2f60000, -123.0},
    {RING_TYPE_F64, UINT64_C(0x3ff8000000000000), 1.5},
    {RING_TYPE_F64, UINT64_C(0xc05ec00000000000), -123.0},
};

static struct ring_channel channel_of(uint32_t type, uint32_t byte_order)
{
    return (struct ring_channel){.at_byte = AT_BYTE, .type = type, .byte_order = byte_order, .scale = 1.0};
}

/* Lays the raw value out at AT_BYTE; the bytes around it must not matter. */
static void lay_out(uint8_t payload[16], const struct sample *sample, uint32_t byte_order)
{
    uint32_t bytes = ring_type_bytes(sample->type);
    memset(payload, 0xa5, 16);
    for (uint32_t i = 0; i < bytes; i++) {
        uint32_t to = byte_order == RING_BIG_ENDIAN ? bytes - 1 - i : i;
        payload[AT_BYTE + to] = (uint8_t)(sample->raw >> (8 * i));
    }
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

Test(channel, every_type_in_both_byte_orders)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        for (uint32_t order = RING_LITTLE_ENDIAN; order <= RING_BIG_ENDIAN; order++) {
            struct ring_channel channel = channel_of(samples[i].type, order);
            uint8_t payload[16];
            double value = -7;
            lay_out(payload, &samples[i], order);
            uint32_t exact_bytes = AT_BYTE + ring_type_bytes(channel.type);
            cr_assert(ring_channel_decode(&channel, NULL, NULL, payload, exact_bytes, &value));
            cr_assert(bits_of(value) == bits_of(samples[i].value), "sample %zu order %u: %g", i, order, value);
        }
    }
}

Test(channel, too_short_a_frame_leaves_the_value_alone)
{
    for (uint32_t type = RING_TYPE_I8; type < RING_TYPES; type++) {
        struct ring_channel channel = channel_of(type, RING_BIG_ENDIAN);
        uint8_t payload[16] = {0};
        for (uint32_t length = 0; length < AT_BYTE + ring_type_bytes(type); length++) {
            double value = 42;
            cr_assert_not(ring_channel_decode(&channel, NULL, NULL, payload, length, &value));
            cr_assert(value >= 42 && value <= 42);
        }
    }
}

Test(channel, no_such_type_and_a_place_far_outside)
{
    uint8_t payload[16] = {0};
    double value = 42;
    struct ring_channel channel = channel_of(RING_TYPE_NONE, RING_LITTLE_ENDIAN);
    cr_assert_not(ring_channel_decode(&channel, NULL, NULL, payload, 16, &value));
    channel.type = RING_TYPES;
    cr_assert_not(ring_channel_decode(&channel, NULL, NULL, payload, 16, &value));
    channel.type = UINT32_MAX;
    cr_assert_not(ring_channel_decode(&channel, NULL, NULL, payload, 16, &value));
    channel = channel_of(RING_TYPE_F64, RING_LITTLE_ENDIAN);
    channel.at_byte = UINT32_MAX - 3;
    cr_assert_not(ring_channel_decode(&channel, NULL, NULL, payload, 16, &value), "at_byte + 8 wraps");
}

Test(channel, scale_then_offset)
{
    struct ring_channel channel = channel_of(RING_TYPE_I16, RING_BIG_ENDIAN);
    uint8_t payload[8] = {0, 0, 0, 0xff, 0x38}; /* -200 */
    double value = 0;
    channel.scale = 0.25;
    channel.offset = 1000;
    cr_assert(ring_channel_decode(&channel, NULL, NULL, payload, 5, &value));
    cr_assert(bits_of(value) == bits_of(950.0));
}

Test(channel, nan_and_infinity_come_through)
{
    static const uint64_t specials[] = {UINT64_C(0x7ff8000000000000), UINT64_C(0xfff8000000000001),
                                        UINT64_C(0x7ff0000000000001), UINT64_C(0x7ff0000000000000),
                                        UINT64_C(0xfff0000000000000)};
    struct ring_channel channel = channel_of(RING_TYPE_F64, RING_LITTLE_ENDIAN);
    channel.at_byte = 0;
    channel.scale = 2;
    channel.offset = 1;
    for (size_t i = 0; i < 5; i++) {
        double value = 0;
        cr_assert(ring_channel_decode(&channel, NULL, NULL, (const uint8_t *)&specials[i], 8, &value));
        cr_assert(ring_is_not_finite(value), "special %zu", i);
    }
    uint32_t float_nan = 0x7fc00000;
    double value = 0;
    channel.type = RING_TYPE_F32;
    cr_assert(ring_channel_decode(&channel, NULL, NULL, (const uint8_t *)&float_nan, 4, &value));
    cr_assert(ring_is_not_finite(value));
}

Test(channel, not_finite_is_decided_by_the_exponent)
{
    const double finite[] = {0.0,
                             -0.0,
                             1.0,
                             -1.0,
                             DBL_MAX,
                             -DBL_MAX,
                             DBL_MIN,
                             -DBL_MIN,
                             DBL_TRUE_MIN,
                             -DBL_TRUE_MIN,
                             DBL_MIN / 2,
                             from_bits(UINT64_C(0x000fffffffffffff)),
                             from_bits(UINT64_C(0x7fefffffffffffff))};
    for (size_t i = 0; i < sizeof(finite) / sizeof(finite[0]); i++) {
        cr_assert_not(ring_is_not_finite(finite[i]), "%g", finite[i]);
    }
    static const uint64_t not_finite[] = {UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000),
                                          UINT64_C(0x7ff0000000000001), UINT64_C(0x7ff7ffffffffffff),
                                          UINT64_C(0x7ff8000000000000), UINT64_C(0xffffffffffffffff)};
    for (size_t i = 0; i < sizeof(not_finite) / sizeof(not_finite[0]); i++) {
        cr_assert(ring_is_not_finite(from_bits(not_finite[i])), "special %zu", i);
    }
}

Test(channel, names_of_types)
{
    cr_assert_str_eq(ring_type_name(RING_TYPE_I8), "i8");
    cr_assert_str_eq(ring_type_name(RING_TYPE_F64), "f64");
    cr_assert_str_eq(ring_type_name(RING_TYPES), "none");
    cr_assert_str_eq(ring_type_name(UINT32_MAX), "none");
    cr_assert_eq(ring_type_bytes(UINT32_MAX), 0);
}
