/* Calibrations as they may be written, and each kind of nonsense. */
#include <math.h>

#include "ring/calibration.h"
#include "ring/channel.h"
#include "ring/channel_check.h"
#include "tests/daq/compile_text.h"

#define V(more)  "{name: v, at_byte: 0, type: i16, scale: 0.001, unit: V, range: [-40, 40]" more "}"
#define HOT      "{name: hot, at_byte: 2, type: i16, scale: 0.002, unit: degC, range: [-250, 1300], calibration: "
#define VALVE    "outputs: [{name: valve, kind: udp, target: '127.0.0.1:7000', line: 0}]\n"
#define CJ(more) "{name: cj, at_byte: 4, type: i16, scale: 0.01, unit: degC, range: [-20, 60]" more "}"

static int compile_channels_of(const char *channels, const char *rest)
{
    return compile_format("instance: test\n"
                          "rings: [{name: r, slots: 1024}, {name: s, slots: 1024}]\n"
                          "sources:\n"
                          "  - {name: x, ring: r, kind: udp, listen: '127.0.0.1:5000', frame_bytes: 16, channels: "
                          "[%s]}\n"
                          "  - {name: y, ring: s, kind: udp, listen: '127.0.0.1:5001', frame_bytes: 16, channels: "
                          "[{name: other, at_byte: 0, type: u16, unit: mbar, range: [0.001, 1000], calibration: "
                          "{logarithmic: {slope: 0.001, intercept: -3}}}]}\n%s",
                          channels, rest);
}

static const struct ring_channel *good(const char *channels)
{
    cr_assert_eq(compile_channels_of(channels, ""), 0, "%s: %s", channels, errors.text);
    return plan.ring[0].channel;
}

/* What the compiler makes everybody else accepts. */
static void expect_checked(void)
{
    struct error err = {{0}};
    for (uint32_t r = 0; r < plan.rings; r++) {
        const struct ring_plan *ring = &plan.ring[r];
        const struct control_ring *watched = &plan.table.ring[ring->watched_as - 1];
        cr_assert_eq(watched->first_number, ring->first_number);
        cr_assert_eq(watched->numbers, ring->number_count);
        cr_assert_leq(ring->first_number + ring->number_count, plan.table.numbers);
        for (uint32_t c = 0; c < ring->channel_count; c++) {
            cr_assert_eq(ring_channel_check(ring->channel, ring->channel_count, sizeof(ring->channel[0]), c,
                                            &plan.table.number[ring->first_number], ring->number_count, &err),
                         0, "%s", err.text);
            cr_assert_arr_eq(&ring->channel[c], &plan.table.channel[watched->first_channel + c].decode,
                             sizeof(ring->channel[c]));
        }
    }
}

static double value_of(uint32_t ring, uint32_t channel, int16_t first, int16_t second, int16_t third)
{
    uint8_t payload[16] = {(uint8_t)((uint16_t)first >> 8),  (uint8_t)first,
                           (uint8_t)((uint16_t)second >> 8), (uint8_t)second,
                           (uint8_t)((uint16_t)third >> 8),  (uint8_t)third};
    double value = 0;
    cr_assert(ring_channels_decode(plan.ring[ring].channel, channel,
                                   &plan.table.number[plan.ring[ring].first_number], payload, sizeof(payload),
                                   &value));
    return value;
}

Test(compile_calibration, each_form)
{
    cr_assert_eq(good(V(""))->calibration, RING_CALIBRATION_LINEAR);
    cr_assert_eq(good(V(", calibration: {polynomial: [1, -2e0, 0.5]}"))->calibration, RING_CALIBRATION_POLYNOMIAL);
    expect_checked();
    cr_assert(fabs(value_of(0, 0, 4000, 0, 0) - 1) < 1e-9);
    cr_assert_eq(good(V(", calibration: {points: [[-1, 0], [1.5, 10], [2, -10]]}"))->calibration,
                 RING_CALIBRATION_POINTS);
    expect_checked();
    cr_assert(fabs(value_of(0, 0, 250, 0, 0) - 5) < 1e-9);
    cr_assert(ring_is_not_finite(value_of(0, 0, 2001, 0, 0)));
    cr_assert(fabs(value_of(1, 0, 3000, 0, 0) - 1) < 1e-9, "the other ring's numbers stand behind these");
    cr_assert_eq(
        good("{name: p, at_byte: 0, type: u16, scale: 0.001, unit: mbar, range: [1e-4, 1000], calibration: "
             "{logarithmic: {slope: 1.667, intercept: -9.33}}}")
            ->calibration,
        RING_CALIBRATION_LOGARITHMIC);
    expect_checked();
    cr_assert(fabs(value_of(0, 0, 5597, 0, 0) - 1) < 0.001);
}

Test(compile_calibration, thermocouples)
{
    const struct ring_channel *channel = good(HOT "{thermocouple: N, reference_c: 25}}");
    cr_assert_eq(channel->calibration, RING_CALIBRATION_THERMOCOUPLE);
    cr_assert_eq(channel->thermocouple, RING_THERMOCOUPLE_N);
    cr_assert_eq(channel->reference, 0);
    expect_checked();
    cr_assert(fabs(value_of(0, 0, 0, 0, 0) - 25) < 0.001);
    /* 200 degC of type K is 8.138 mV, 25 degC 1.000 mV; in either order of the channels. */
    channel = good(HOT "{thermocouple: K, reference_channel: cj}}, " CJ(""));
    cr_assert_eq(channel->reference, 2);
    expect_checked();
    cr_assert(fabs(value_of(0, 0, 0, 3569, 2500) - 200) < 0.05);
    cr_assert(ring_is_not_finite(value_of(0, 0, 0, 3569, 6001)), "a junction beyond its range");
    cr_assert_eq(good(CJ("") ", " HOT "{thermocouple: K, reference_channel: cj}}")[1].reference, 1);
    expect_checked();
    (void)good(HOT "{thermocouple: J, reference_channel: cj}}, " CJ(", calibration: {polynomial: [0, 1]}"));
    expect_checked();
}

struct bad {
    const char *channels;
    const char *piece;
};

Test(compile_calibration, nonsense)
{
    static const struct bad cases[] = {
        {V(", calibration: {}"),
         "expected exactly one of polynomial, points, thermocouple and logarithmic, found 0"},
        {V(", calibration: {polynomial: [0, 1], points: [[0, 0], [1, 1]]}"), "found 2 of them"},
        {V(", calibration: {spline: [0, 1]}"), "Unexpected key: spline"},
        {V(", calibration: {polynomial: []}"), "Insufficient entries (0 of 1 min)"},
        {V(", calibration: {polynomial: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]}"),
         "Excessive entries (16 max)"},
        {V(", calibration: {polynomial: [5, 0, 0]}"), "the same for every raw value"},
        {V(", calibration: {polynomial: [1, 2e999]}"), "finite"},
        {V(", calibration: {polynomial: [1, 0x10]}"), "polynomial: expected a decimal number, found '0x10'"},
        {V(", calibration: {points: [[0, 1]]}"), "Insufficient entries (1 of 2 min)"},
        {V(", calibration: {points: [[0, 1], [1]]}"), "Insufficient entries (1 of 2 min)"},
        {V(", calibration: {points: [[0, 1], [1, 2, 3]]}"), "Excessive entries (2 max)"},
        {V(", calibration: {points: [0, 1, 2, 3]}"), "Expecting SEQUENCE_FIXED, got event: SCALAR"},
        {V(", calibration: {points: [[0, 1], [1, 0x10]]}"), "points: expected a decimal number, found '0x10'"},
        {V(", calibration: {points: [[0, 1], [2, 2], [1, 3]]}"), "points[2]: expected points [x, y] with rising x"},
        {V(", calibration: {points: [[0, 1], [0, 2]]}"), "keep one of equals"},
        {V(", calibration: {points: [[0, 1], [1, 1e999]]}"), "finite"},
        {V(", calibration: {points: [[-1e308, 1], [1e308, 2]]}"), "expected x less than 1.8e308 apart"},
        {V(", calibration: {points: [[0, 100], [1, 200]]}"), "comes to values from 100 to 200 V only"},
        {V(", calibration: {polynomial: [0, 1], reference_c: 25}"), "belong to a thermocouple"},
        {V(", calibration: {logarithmic: {slope: 0, intercept: 1}}"), "a slope other than 0"},
        {V(", calibration: {logarithmic: {slope: 1, intercept: 301}}"), "an intercept from -300 to 300"},
        {V(", calibration: {logarithmic: {slope: 1, intercept: 1}}"), "expected a range that begins above 0"},
        {V(", calibration: {logarithmic: {slope: 1}}"), "intercept"},
        {HOT "{thermocouple: R, reference_c: 25}}", "thermocouple"},
        {HOT "{thermocouple: K}}", "found neither"},
        {HOT "{thermocouple: K, reference_c: 25, reference_channel: cj}}, " CJ(""), "found both"},
        {HOT "{thermocouple: K, reference_c: -271}}", "a cold junction from -270 to 1372 degC"},
        {HOT "{thermocouple: K, reference_channel: nobody}}", "found 'nobody'"},
        {HOT "{thermocouple: K, reference_channel: other}}", "a channel of the same source"},
        {HOT "{thermocouple: K, reference_channel: hot}}", "this one itself"},
        {HOT "{thermocouple: K, reference_channel: cj}}, "
             "{name: cj, at_byte: 4, type: i16, unit: degC, range: [0, 50], calibration: {thermocouple: T, "
             "reference_c: 0}}",
         "a thermocouple, too"},
        {HOT "{thermocouple: K, reference_channel: cj}}, "
             "{name: cj, at_byte: 4, type: i16, scale: 0.1, unit: K, range: [250, 330]}",
         "expected a channel in degC"},
        {HOT "{thermocouple: J, reference_channel: cj}}, "
             "{name: cj, at_byte: 4, type: i16, unit: degC, range: [-250, 50]}",
         "within -210 to 1200"},
        {V(", calibration: {thermocouple: K, reference_c: 25}"), "the channel's unit is 'V': write unit: degC"},
        {"{name: a, at_byte: 0, type: u8, unit: V, range: [300, 400]}", "comes to values from 0 to 255 V only"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_lt(compile_channels_of(cases[i].channels, ""), 0, "accepted: %s", cases[i].channels);
        cr_assert_not_null(strstr(errors.text, cases[i].piece), "%s: expected '%s' in\n%s", cases[i].channels,
                           cases[i].piece, errors.text);
    }
}

/* What an operator acknowledges: another calibration is another interlock. */
Test(compile_calibration, each_number_counts_in_the_checksum)
{
    static const char *const channels[] = {V(""),
                                           V(", calibration: {polynomial: [0, 1]}"),
                                           V(", calibration: {polynomial: [0, 1.0000001]}"),
                                           V(", calibration: {points: [[0, 1], [1, 2]]}"),
                                           V(", calibration: {points: [[0, 1], [1, 2.5]]}"),
                                           HOT "{thermocouple: K, reference_c: 25}}",
                                           HOT "{thermocouple: N, reference_c: 25}}",
                                           HOT "{thermocouple: K, reference_c: 25.1}}"};
    uint64_t checksum[sizeof(channels) / sizeof(channels[0])];
    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        (void)good(channels[i]);
        checksum[i] = plan.table.checksum;
        for (size_t k = 0; k < i; k++) {
            cr_assert_neq(checksum[i], checksum[k], "%s and %s", channels[i], channels[k]);
        }
        (void)good(channels[i]);
        cr_assert_eq(checksum[i], plan.table.checksum);
    }
}

/* The numbers of all calibrations have a bound together. */
Test(compile_calibration, too_many_numbers)
{
    static char channels[65536];
    size_t used = 0;
    for (int c = 0; c < 2; c++) {
        used += (size_t)snprintf(
            channels + used, sizeof(channels) - used,
            "%s{name: c%d, at_byte: %d, type: i16, unit: V, range: [-1, 1], calibration: {points: [",
            c > 0 ? ", " : "", c, 2 * c);
        for (int p = 0; p < 300; p++) {
            used += (size_t)snprintf(channels + used, sizeof(channels) - used, "%s[%d, 0.5]", p > 0 ? ", " : "", p);
        }
        used += (size_t)snprintf(channels + used, sizeof(channels) - used, "]}}");
    }
    cr_assert_lt(compile_channels_of(channels, ""), 0);
    cr_assert_not_null(strstr(errors.text, "at most 1024 numbers in all calibrations together"), "%s", errors.text);
}

/* What a rule compares with is the calibrated value. */
Test(compile_calibration, limits)
{
    static const struct bad cases[] = {
        {"high: 1300", "outside channel 'hot'"},
        {"low: -240, unit: V", "the rule is in V"},
        {"bits_set: 1", "no calibration"},
    };
    const char *hot = HOT "{thermocouple: K, reference_c: 25}}, " V(", calibration: {points: [[0, 0], [1, 20]]}");
    cr_assert_eq(compile_channels_of(hot, "rules: [{name: a, channel: hot, high: 1200, outputs: [valve]}, "
                                          "{name: b, channel: v, high: 19.9, outputs: [valve]}]\n" VALVE),
                 0, "%s", errors.text);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char rules[256];
        snprintf(rules, sizeof(rules), "rules: [{name: a, channel: hot, %s}]\n" VALVE, cases[i].channels);
        cr_assert_lt(compile_channels_of(hot, rules), 0, "%s", rules);
        cr_assert_not_null(strstr(errors.text, cases[i].piece), "%s: %s", rules, errors.text);
    }
    cr_assert_lt(compile_channels_of(hot, "rules: [{name: a, channel: v, high: 20}]\n" VALVE), 0);
    cr_assert_not_null(strstr(errors.text, "type i16 with this calibration reaches from 0 to 20"), "%s",
                       errors.text);
}
