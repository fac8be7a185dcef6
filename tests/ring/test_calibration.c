/* From raw bytes through each form of calibration; cold junctions; bits of a word; what is refused at attach. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "ring/calibration.h"
#include "ring/channel.h"
#include "ring/channel_check.h"
#include "ring/thermocouple.h"
#include "tests/support/temporary_ring.h"

static struct ring_channel f64_channel(const char *name, uint32_t at_byte, uint16_t calibration, uint32_t first,
                                       uint32_t numbers)
{
    struct ring_channel channel = {.unit = "u",
                                   .at_byte = at_byte,
                                   .type = RING_TYPE_F64,
                                   .byte_order = RING_LITTLE_ENDIAN,
                                   .calibration = calibration,
                                   .scale = 1,
                                   .range_low = -1e9,
                                   .range_high = 1e9,
                                   .first_number = first,
                                   .numbers = numbers};
    snprintf(channel.name, sizeof(channel.name), "%s", name);
    return channel;
}

static double decoded(const struct ring_channel *channel, const double *numbers, double raw)
{
    double value = -12345;
    cr_assert(ring_channel_decode(channel, NULL, numbers, (const uint8_t *)&raw, sizeof(raw), &value));
    return value;
}

static void near(double value, double expected, double tolerance)
{
    cr_assert(fabs(value - expected) <= tolerance, "%.17g, expected %.17g", value, expected);
}

Test(calibration, polynomial)
{
    const double numbers[] = {99, 1, -2, 0.5};
    struct ring_channel channel = f64_channel("p", 0, RING_CALIBRATION_POLYNOMIAL, 1, 3);
    near(decoded(&channel, numbers, 0), 1, 0);
    near(decoded(&channel, numbers, 4), 1 - 8 + 8, 1e-15);
    channel.scale = 0.5; /* x = raw * scale + offset comes first */
    channel.offset = 3;
    near(decoded(&channel, numbers, 2), 1 - 8 + 8, 1e-15);
    cr_assert(ring_is_not_finite(decoded(&channel, numbers, (double)NAN)));
    cr_assert(ring_is_not_finite(decoded(&channel, numbers, (double)INFINITY)));
}

/* Every point exactly, straight in between, nothing outside. */
Test(calibration, points)
{
    const double numbers[] = {-1, 10, 0, 20, 0.1, 20, 4, 0.7, 7, -33.3};
    struct ring_channel channel = f64_channel("p", 0, RING_CALIBRATION_POINTS, 0, 10);
    for (size_t i = 0; i < 5; i++) {
        near(decoded(&channel, numbers, numbers[2 * i]), numbers[2 * i + 1], 0);
    }
    near(decoded(&channel, numbers, -0.5), 15, 1e-12);
    near(decoded(&channel, numbers, 0.05), 20, 0);
    near(decoded(&channel, numbers, 5.5), (0.7 - 33.3) / 2, 1e-12);
    const double outside[] = {nextafter(-1, -2), nextafter(7, 8),  -1e300,           1e300,
                              (double)NAN,       (double)INFINITY, (double)-INFINITY};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        cr_assert(ring_is_not_finite(decoded(&channel, numbers, outside[i])), "%g", outside[i]);
    }
}

Test(calibration, two_points_and_very_many)
{
    static double numbers[RING_NUMBERS_MAX];
    struct ring_channel channel = f64_channel("p", 0, RING_CALIBRATION_POINTS, 0, 4);
    numbers[2] = 1;
    numbers[3] = 8;
    near(decoded(&channel, numbers, 0.25), 2, 0);
    channel.numbers = RING_NUMBERS_MAX;
    for (size_t i = 0; i < RING_NUMBERS_MAX / 2; i++) {
        numbers[2 * i] = (double)(i * i);
        numbers[2 * i + 1] = -(double)i;
    }
    for (size_t i = 0; i + 1 < RING_NUMBERS_MAX / 2; i++) {
        double x = numbers[2 * i];
        near(decoded(&channel, numbers, x), -(double)i, 0);
        near(decoded(&channel, numbers, x + (double)i + 0.5), -(double)i - 0.5, 1e-9);
    }
}

/* A Pirani gauge's 10^(1.667 U - 9.33) mbar (a common transmitter's data sheet). */
Test(calibration, logarithmic)
{
    const double numbers[] = {1.667, -9.33};
    struct ring_channel channel = f64_channel("p", 0, RING_CALIBRATION_LOGARITHMIC, 0, 2);
    for (int i = 12; i < 72; i++) {
        double u = i / 8.0;
        double expected = pow(10, 1.667 * u - 9.33);
        near(decoded(&channel, numbers, u), expected, expected * 1e-13);
    }
    cr_assert(ring_is_not_finite(decoded(&channel, numbers, (double)NAN)));
    cr_assert(ring_is_not_finite(decoded(&channel, numbers, 1e6)));
    cr_assert(ring_is_not_finite(decoded(&channel, numbers, -1e6)));
}

/* NIST: 100 degC of type K is 4.096 mV against 0 degC, 25 degC 1.000 mV. */
Test(calibration, thermocouple_with_a_fixed_junction)
{
    const double numbers[] = {0, 25};
    struct ring_channel channel = f64_channel("t", 0, RING_CALIBRATION_THERMOCOUPLE, 0, 1);
    channel.thermocouple = RING_THERMOCOUPLE_K;
    near(decoded(&channel, numbers, 4.096), 100, 0.02);
    channel.first_number = 1;
    near(decoded(&channel, numbers, 4.096 - 1.000), 100, 0.03);
    near(decoded(&channel, numbers, 0), 25, 1e-4);
    cr_assert(ring_is_not_finite(decoded(&channel, numbers, 54)), "beyond 1372 degC");
    cr_assert(ring_is_not_finite(decoded(&channel, numbers, -8)), "below -270 degC");
}

struct frame {
    double hot_mv;
    double junction;
};

/* Type T at `degc` with a junction at 18.5 degC, measured by the second channel through a polynomial. */
Test(calibration, thermocouple_with_a_measured_junction)
{
    const double numbers[] = {-50, 100};
    struct ring_channel channels[2] = {f64_channel("t", 0, RING_CALIBRATION_THERMOCOUPLE, 0, 0),
                                       f64_channel("cj", 8, RING_CALIBRATION_POLYNOMIAL, 0, 2)};
    channels[0].thermocouple = RING_THERMOCOUPLE_T;
    channels[0].reference = 2;
    channels[1].range_low = -20;
    channels[1].range_high = 60;
    struct frame frame = {.junction = 0.685};
    double value = 0;
    for (int i = -100; i <= 156; i++) {
        double degc = i * 2.5;
        frame.hot_mv = thermocouple_mv(RING_THERMOCOUPLE_T, degc) - thermocouple_mv(RING_THERMOCOUPLE_T, 18.5);
        cr_assert(ring_channels_decode(channels, 0, numbers, (const uint8_t *)&frame, sizeof(frame), &value));
        near(value, degc, 0.001);
    }
    const double bad[] = {0.2999, 1.1001, (double)NAN, (double)INFINITY}; /* -20.01, 60.01 degC .. */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        frame.junction = bad[i];
        cr_assert(ring_channels_decode(channels, 0, numbers, (const uint8_t *)&frame, sizeof(frame), &value));
        cr_assert(ring_is_not_finite(value), "junction %g", bad[i]);
    }
    value = 0;
    cr_assert(ring_channels_decode(channels, 0, numbers, (const uint8_t *)&frame, 15, &value));
    cr_assert(ring_is_not_finite(value), "the frame ends inside the junction");
    cr_assert_not(ring_channels_decode(channels, 0, numbers, (const uint8_t *)&frame, 7, &value));
}

static double bits_decoded(uint32_t type, uint8_t bits, uint8_t shift, uint64_t raw)
{
    struct ring_channel channel = {
        .type = type, .byte_order = RING_LITTLE_ENDIAN, .scale = 1, .bits = bits, .shift = shift};
    double value = -12345;
    cr_assert(ring_channel_decode(&channel, NULL, NULL, (const uint8_t *)&raw, sizeof(raw), &value));
    return value;
}

Test(calibration, bits_of_a_word)
{
    near(bits_decoded(RING_TYPE_U16, 12, 4, 0xabcd), 0xabc, 0);
    near(bits_decoded(RING_TYPE_U16, 12, 0, 0xabcd), 0xbcd, 0);
    near(bits_decoded(RING_TYPE_I16, 12, 4, 0x7ffa), 2047, 0);
    near(bits_decoded(RING_TYPE_I16, 12, 4, 0x800a), -2048, 0);
    near(bits_decoded(RING_TYPE_I16, 12, 0, 0x3fff), -1, 0);
    near(bits_decoded(RING_TYPE_U8, 1, 7, 0x80), 1, 0);
    near(bits_decoded(RING_TYPE_I8, 1, 7, 0x80), -1, 0);
    near(bits_decoded(RING_TYPE_U32, 24, 8, 0xffffff42), 16777215, 0);
    near(bits_decoded(RING_TYPE_I64, 63, 1, UINT64_C(0xfffffffffffffffd)), -2, 0);
    near(bits_decoded(RING_TYPE_U64, 64, 0, UINT64_C(1) << 63), 9223372036854775808.0, 0);
}

/* Three channels, each with a calibration, and what a hostile creator could make of them. */
static struct ring_channel table[3];
static double pool[8];

static void good_table(void)
{
    const double numbers[] = {0, 1, 2, 3, 4, 9, 1.667, -9.33};
    memcpy(pool, numbers, sizeof(pool));
    table[0] = f64_channel("points", 0, RING_CALIBRATION_POINTS, 0, 6);
    table[1] = f64_channel("hot", 8, RING_CALIBRATION_THERMOCOUPLE, 8, 0);
    table[1].thermocouple = RING_THERMOCOUPLE_N;
    table[1].reference = 1;
    table[2] = f64_channel("pirani", 16, RING_CALIBRATION_LOGARITHMIC, 6, 2);
    table[2].type = RING_TYPE_U16;
}

static void expect_refused(const char *piece)
{
    struct error err = {{0}};
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < 3; i++) {
        code = ring_channel_check(table, 3, sizeof(table[0]), i, pool, 8, &err);
    }
    cr_assert_eq(code, -EPROTO, "expected '%s'", piece);
    cr_assert_not_null(strstr(err.text, piece), "expected '%s' in '%s'", piece, err.text);
    good_table();
}

#define REFUSED(change, piece)                                                                                     \
    do {                                                                                                           \
        change;                                                                                                    \
        expect_refused(piece);                                                                                     \
    } while (0)

Test(calibration, a_hostile_table_is_refused)
{
    struct error err = {{0}};
    good_table();
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(ring_channel_check(table, 3, sizeof(table[0]), i, pool, 8, &err), 0, "%s", err.text);
    }
    REFUSED(table[0].calibration = RING_CALIBRATIONS, "unknown");
    REFUSED(table[0].calibration = UINT16_MAX, "unknown");
    REFUSED(table[0].numbers = 5, "points calibration of 5 numbers");
    REFUSED(table[0].numbers = 2, "points calibration of 2 numbers");
    REFUSED(table[0].numbers = UINT32_MAX - 1, "are none of the ring's 8");
    REFUSED(table[0].first_number = 3, "numbers 3 to 9 are none of the ring's 8");
    REFUSED(table[0].first_number = UINT32_MAX - 2, "are none of the ring's 8");
    REFUSED(pool[2] = 0, "do not rise");
    REFUSED(pool[4] = 1, "do not rise");
    REFUSED((pool[0] = -1e308, pool[2] = 1e308, pool[4] = 1.1e308), "do not rise");
    REFUSED(pool[3] = (double)NAN, "number 3 of its calibration is not finite");
    REFUSED(pool[0] = (double)-INFINITY, "not finite");
    REFUSED(table[0].reference = 2, "reference 2");
    REFUSED(table[0].thermocouple = RING_THERMOCOUPLE_K, "thermocouple type 2");
    REFUSED((table[0].calibration = RING_CALIBRATION_LINEAR), "linear calibration of 6");
    REFUSED((table[0].calibration = RING_CALIBRATION_POLYNOMIAL, table[0].numbers = 0), "of 0 numbers");
    REFUSED((table[0].calibration = RING_CALIBRATION_POLYNOMIAL, table[0].numbers = 17), "of 17 numbers");
    REFUSED(table[1].thermocouple = RING_THERMOCOUPLE_NONE, "thermocouple type 0");
    REFUSED(table[1].thermocouple = RING_THERMOCOUPLES, "thermocouple type 5");
    REFUSED(table[1].reference = 2, "is none");
    REFUSED(table[1].reference = 4, "channel 4 of 3, is none");
    REFUSED(table[1].reference = UINT32_MAX, "is none");
    REFUSED(table[1].reference = 0, "thermocouple calibration of 0 numbers");
    REFUSED(table[1].numbers = 1, "thermocouple calibration of 1 numbers");
    REFUSED(table[2].numbers = 1, "logarithmic calibration of 1");
    REFUSED(table[2].bits = 17, "17 bits from bit 0");
    REFUSED((table[2].bits = 12, table[2].shift = 5), "12 bits from bit 5");
    REFUSED(table[2].shift = 1, "0 bits from bit 1");
    REFUSED(table[1].bits = 64, "do not lie in its type, f64");
    REFUSED(table[1].type = RING_TYPES, "impossible type");
    REFUSED(memset(table[1].name, 'x', RING_NAME_BYTES), "channel 1 of the ring has an unterminated name");
}

/* The same through a segment: what the creator wrote is what an attacher finds, and checks. */
Test(calibration, numbers_in_the_segment)
{
    struct temporary_ring t;
    struct ring_view view;
    struct error err = {{0}};
    good_table();
    struct ring_spec spec = temporary_spec(16, 128, 32);
    spec.channels = table;
    spec.channel_count = 3;
    spec.numbers = pool;
    spec.number_count = 8;
    temporary_ring_create(&t, &spec);
    cr_assert_eq(ring_attach(&view, t.segment.base, t.segment.bytes, &err), 0, "%s", err.text);
    cr_assert_eq(view.number_count, 8);
    cr_assert_arr_eq(ring_numbers(&view), pool, sizeof(pool));
    struct ring_identity *id = &temporary_header(&t)->identity;
    struct ring_identity whole = *id;
    id->numbers = RING_NUMBERS_MAX + 1;
    cr_assert_eq(ring_attach(&view, t.segment.base, t.segment.bytes, &err), -EPROTO);
    id->numbers = 7; /* fits, but the last calibration lies outside */
    cr_assert_eq(ring_attach(&view, t.segment.base, t.segment.bytes, &err), -EPROTO);
    cr_assert_not_null(strstr(err.text, "none of the ring's 7"), "%s", err.text);
    *id = whole;
    id->numbers_offset += 8;
    cr_assert_eq(ring_attach(&view, t.segment.base, t.segment.bytes, &err), -EPROTO);
    *id = whole;
    double *numbers = (double *)(void *)((uint8_t *)t.segment.base + id->numbers_offset);
    numbers[4] = numbers[2];
    cr_assert_eq(ring_attach(&view, t.segment.base, t.segment.bytes, &err), -EPROTO);
    cr_assert_not_null(strstr(err.text, "do not rise"), "%s", err.text);
    temporary_ring_destroy(&t);
    spec.number_count = RING_NUMBERS_MAX + 1;
    cr_assert_eq(ring_segment_bytes(&spec), 0);
}

Test(calibration, names)
{
    cr_assert_str_eq(calibration_name(RING_CALIBRATION_LINEAR), "linear");
    cr_assert_str_eq(calibration_name(RING_CALIBRATION_LOGARITHMIC), "logarithmic");
    cr_assert_str_eq(calibration_name(RING_CALIBRATIONS), "unknown");
}
