/* What may be said of stamps, rates and the times of a recording, and what cannot be. */
#include <math.h>

#include "tests/daq/compile_text.h"

#define MS    UINT64_C(1000000)
#define FIFO  "path: /x, frame_bytes: 16, "
#define TEXT  "path: /x, format: text, fields: 3, "
#define FILE_ "path: /x, frame_bytes: 16, follow: replay, "
#define P(stale)                                                                                                   \
    "channels: [{name: p, at_byte: 0, type: u16, unit: kPa, range: [0, 500], stale_ms: " #stale                    \
    "}, {name: q, at_byte: 2, type: u16, unit: kPa, range: [0, 500], stale_ms: 200}]"
#define SCAN    "scan: [{name: in_voltage0, type: 'le:u12/16>>4'}, {name: in_timestamp, type: 'be:s64/64>>0'}]"
#define COUNTER "stamps: device, at_byte: 8, width_bytes: 8"

static const struct source_plan *good(const char *kind, const char *keys)
{
    cr_assert_eq(compile_format("instance: test\n"
                                "rings: [{name: r, slots: 1024}]\n"
                                "sources: [{name: x, ring: r, kind: %s, %s}]\n",
                                kind, keys),
                 0, "%s {%s}: %s", kind, keys, errors.text);
    return &plan.worker[0].source[0];
}

static void refuse(const char *kind, const char *keys, const char *what)
{
    int code = compile_format("instance: test\n"
                              "rings: [{name: r, slots: 1024}]\n"
                              "sources: [{name: x, ring: r, kind: %s, %s}]\n",
                              kind, keys);
    cr_assert_lt(code, 0, "%s {%s} is taken", kind, keys);
    cr_assert_not_null(strstr(errors.text, what), "%s {%s}: '%s' lacks '%s'", kind, keys, errors.text, what);
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

Test(compile_rates, nothing_said)
{
    const struct source_plan *s = good("fifo", FIFO "missing: wait");
    cr_assert_eq(s->rate.stamp, RING_STAMP_TAKEN);
    cr_assert(is_near(s->rate.nominal_hz, 0));
    cr_assert_eq(plan.ring[0].stream.stamp, RING_STAMP_TAKEN);
    s = good("sysfs", "attributes: [/a], period_ms: 20");
    cr_assert(is_near(s->rate.nominal_hz, 50));
    cr_assert(is_near(s->rate.tolerance, 0), "not judged");
    s = good("sysfs", "attributes: [/a], rate: {stamps: arrival}");
    cr_assert(is_near(s->rate.tolerance, 0.05));
}

Test(compile_rates, a_declared_rate)
{
    const struct source_plan *s = good("fifo", FIFO "rate: {nominal_hz: 1000, tolerance_percent: 2}");
    cr_assert(is_near(s->rate.nominal_hz, 1000));
    cr_assert(is_near(plan.ring[0].stream.nominal_hz, 1000));
    cr_assert(is_near(plan.ring[0].stream.tolerance, 0.02));
    s = good("sysfs", "attributes: [/a], rate: {stamps: asked, tolerance_percent: 1}");
    cr_assert_eq(s->rate.stamp, RING_STAMP_ASKED);
}

Test(compile_rates, stamps_of_a_device)
{
    const struct source_plan *s = good("fifo", FIFO "rate: {" COUNTER "}");
    cr_assert_eq(s->rate.stamp, RING_STAMP_DEVICE);
    cr_assert_eq(s->rate.clock, STAMP_CLOCK_FREE);
    cr_assert_eq(s->rate.field.at_byte, 8);
    cr_assert_eq(s->rate.field.byte_order, RING_BIG_ENDIAN);
    cr_assert(is_near(s->rate.field.unit_ns, 1));
    cr_assert_eq(s->rate.lag_max_ns, 1000 * MS);
    cr_assert_eq(s->rate.ahead_max_ns, 10 * MS);
    cr_assert_eq(plan.ring[0].stream.stamp, RING_STAMP_DEVICE);
    s = good("fifo", FIFO "rate: {stamps: device, clock: utc, at_byte: 12, width_bytes: 4, byte_order: little, "
                          "unit_ns: 1e9, lag_max_ms: 3000, ahead_max_ms: 0}");
    cr_assert_eq(s->rate.clock, STAMP_CLOCK_UTC);
    cr_assert_eq(s->rate.field.width_bytes, 4);
    cr_assert_eq(s->rate.lag_max_ns, 3000 * MS);
    cr_assert_eq(s->rate.ahead_max_ns, 0);
    s = good("fifo", TEXT "rate: {stamps: device, field: 2, clock: tai}");
    cr_assert_eq(s->rate.field.is_real, 1);
    cr_assert_eq(s->rate.field.at_byte, 16);
    cr_assert(is_near(s->rate.field.unit_ns, 1e9));
}

/* As old as can be is STALE, whatever the channels ask for. */
Test(compile_rates, the_lag_follows_the_channels)
{
    cr_assert_eq(good("fifo", FIFO "rate: {" COUNTER "}, " P(5000))->rate.lag_max_ns, 10000 * MS);
    cr_assert_eq(good("fifo", FIFO "rate: {" COUNTER "}, " P(300))->rate.lag_max_ns, 1000 * MS);
    cr_assert_eq(good("fifo", FIFO "rate: {stamps: reconstructed, nominal_hz: 10}, " P(60))->rate.lag_max_ns,
                 30 * MS);
    cr_assert_eq(good("fifo", FIFO "rate: {stamps: reconstructed, nominal_hz: 10}")->rate.lag_max_ns, 1000 * MS);
    refuse("fifo", FIFO "rate: {" COUNTER ", lag_max_ms: 300}, " P(300),
           "expected more than the longest stale_ms of its channels, 300 ms, found 300");
    refuse("fifo", FIFO "rate: {stamps: reconstructed, nominal_hz: 10, lag_max_ms: 60}, " P(60),
           "expected less than the shortest stale_ms of its channels, 60 ms, found 60");
}

Test(compile_rates, stamps_of_the_kernel)
{
    const struct source_plan *s = good("gpio_edges", "device: /dev/gpiochip0, lines: [1], rate: {stamps: device}");
    cr_assert_eq(s->rate.clock, STAMP_CLOCK_MONOTONIC);
    cr_assert_eq(s->rate.field.at_byte, 0);
    cr_assert_eq(s->gpio.monotonic, 1);
    s = good("gpio_edges", "device: /dev/gpiochip0, lines: [1]");
    cr_assert_eq(s->gpio.monotonic, 0);
    s = good("iio", "device: adc, " SCAN ", rate: {stamps: device, nominal_hz: 1000}");
    cr_assert_eq(s->rate.field.at_byte, 8);
    cr_assert_eq(s->rate.field.byte_order, RING_BIG_ENDIAN);
    refuse("iio", "device: adc, scan: [{name: a, type: 'le:u8/8>>0'}], rate: {stamps: device}",
           "add {name: in_timestamp");
    refuse("gpio_edges", "device: /dev/gpiochip0, lines: [1], rate: {stamps: device, clock: tai}",
           "the kernel's stamps have their place and their clock");
}

Test(compile_rates, the_times_of_a_recording)
{
    const struct source_plan *s =
        good("file", FILE_ "timing: {at_byte: 0, width_bytes: 4, unit_ns: 1000}, speed: 2.5");
    cr_assert_eq(s->file.timing.width_bytes, 4);
    cr_assert(is_near(s->file.speed, 2.5));
    cr_assert_eq(s->file.gap_max_ns, 60000 * MS);
    s = good("file", TEXT "follow: replay, timing: {field: 0, gap_max_s: 0.5}");
    cr_assert(is_near(s->file.speed, 1));
    cr_assert_eq(s->file.gap_max_ns, 500 * MS);
}

struct bad {
    const char *kind;
    const char *keys;
    const char *what;
};

static const struct bad bads[] = {
    {"afxdp", "interface: lo, rate: {nominal_hz: 1}", "rate: belongs to kind:"},
    {"udp", "listen: '127.0.0.1:5', rate: {stamps: device, at_byte: 0, width_bytes: 8}",
     "a datagram's time is its arrival"},
    {"udp", "listen: '127.0.0.1:5', rate: {stamps: reconstructed, nominal_hz: 5}",
     "a datagram's time is its arrival"},
    {"fifo", FIFO "rate: {nominal_hz: 0}", "expected 0.001 to 1e+06 Hz, found 0"},
    {"fifo", FIFO "rate: {nominal_hz: 5, tolerance_percent: 60}", "expected 0.1 to 50 %, found 60"},
    {"fifo", FIFO "rate: {tolerance_percent: 5}", "belongs to nominal_hz, found none"},
    {"fifo", FIFO "rate: {stamps: wall}", "stamps"},
    {"fifo", FIFO "rate: {stamps: asked}", "asked belongs to instruments that are polled"},
    {"fifo", FIFO "rate: {stamps: reconstructed}", "reconstructed stamps need the rate, found none"},
    {"fifo", FIFO "rate: {stamps: reconstructed, nominal_hz: 0.24}",
     "reconstructed stamps need at least 0.25 Hz, found 0.24"},
    {"iio", "device: adc, scan: [{name: in_timestamp, type: 'le:s32/32>>0'}], rate: {stamps: device}",
     "expected the type 'le:s64/64>>0' or 'be:s64/64>>0', found 'le:s32/32>>0'"},
    {"fifo", FIFO "rate: {stamps: device}", "expected where the time lies: at_byte, and width_bytes 4 or 8"},
    {"fifo", FIFO "rate: {stamps: device, at_byte: 0, width_bytes: 2}", "width_bytes 4 or 8"},
    {"fifo", FIFO "rate: {stamps: device, at_byte: 9, width_bytes: 8}",
     "bytes 9 to 16 lie beyond the frame of 16 bytes; correct at_byte or width_bytes"},
    {"fifo", FIFO "rate: {stamps: device, at_byte: 4294967295, width_bytes: 8}", "lie beyond the frame"},
    {"fifo", FIFO "rate: {" COUNTER ", unit_ns: 0}", "expected 0.001 to 1e+09 ns per count, found 0"},
    {"fifo", FIFO "rate: {" COUNTER ", field: 1}", "field belongs to frames of numbers"},
    {"fifo", TEXT "rate: {" COUNTER "}", "frames of numbers have a field, no at_byte"},
    {"fifo", TEXT "rate: {stamps: device, field: 3}", "field 3 lies beyond the 3 fields"},
    {"fifo", FIFO "rate: {" COUNTER ", lag_max_ms: 0}", "expected 1 to 7200000 ms"},
    {"fifo", FIFO "rate: {" COUNTER ", ahead_max_ms: 1001}", "expected 0 to 1000 ms"},
    {"fifo", FIFO "rate: {stamps: device, at_byte: 0, width_bytes: 4, unit_ns: 0.5}",
     "a counter of 4 bytes comes round after 2.15 s, expected at least 4 times lag_max_ms"},
    {"fifo", FIFO "rate: {at_byte: 0}", "belong to stamps: device"},
    {"fifo", FIFO "rate: {clock: tai}", "belong to stamps: device"},
    {"fifo", FIFO "rate: {lag_max_ms: 5}", "belongs to stamps: device or reconstructed"},
    {"sysfs", "attributes: [/a], rate: {nominal_hz: 5}", "period_ms says how often it is asked; leave it out"},
    {"sysfs", "attributes: [/a], rate: {stamps: reconstructed}", "an answer comes when it was asked for"},
    {"gpio_edges", "device: /dev/gpiochip0, lines: [1], rate: {stamps: reconstructed, nominal_hz: 1}",
     "edges come at no rate"},
    {"file", FILE_ "speed: 2", "belongs to timing"},
    {"file", FILE_ "timing: {}", "expected where the time lies"},
    {"file", FILE_ "frames_hz: 5, timing: {at_byte: 0, width_bytes: 8}", "follow: replay, instead of frames_hz"},
    {"file", "path: /x, frame_bytes: 16, timing: {at_byte: 0, width_bytes: 8}",
     "follow: replay, instead of frames_hz"},
    {"file", FILE_ "timing: {at_byte: 0, width_bytes: 8}, speed: 0.1", "expected 0.5 to 1000 times as fast"},
    {"file", FILE_ "timing: {at_byte: 0, width_bytes: 8, gap_max_s: 0}", "expected 0.001 to 86400 s, found 0"},
    {"fifo", FIFO "timing: {at_byte: 0, width_bytes: 8}", "timing: belongs to kind: file"},
};

Test(compile_rates, what_cannot_be)
{
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        refuse(bads[i].kind, bads[i].keys, bads[i].what);
    }
}
