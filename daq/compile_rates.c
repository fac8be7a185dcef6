#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daq/clock_field.h"
#include "daq/compile.h"
#include "daq/poller.h"
#include "ring/clock.h"

#define STALE_MS_STANDARD 100u /* as compile_channels() has it */
#define LAG_MS_STANDARD   1000u
#define TURNS_OF_LAG      4u
#define TEXT_UNIT_NS      1e9  /* seconds */
#define RECONSTRUCTED_HZ  0.25 /* at least: an interval of more than 2^32 ns is none of struct stamper's units */
#define SCAN_STAMP        "s64/64>>0"

/* A number in bounds, or an error and the standard. */
static double bounded(struct compile *c, uint32_t i, const char *key, const double *given, double standard,
                      double least, double most, const char *unit)
{
    double value = given != NULL ? *given : standard;
    if (!isfinite(value) || value < least || value > most) {
        compile_complain_item(c, "sources", i, key, "expected %g to %g %s, found %g", least, most, unit, value);
        value = standard;
    }
    return value;
}

static bool is_given(const struct config_clock_field *at)
{
    return at->at_byte != NULL || at->width_bytes != NULL || at->byte_order != NULL || at->field != NULL ||
           at->unit_ns != NULL;
}

/* The number of a line, or of an instrument's answer. */
static void compile_number(struct compile *c, uint32_t i, const char *block, const struct config_clock_field *at,
                           const struct source_plan *source, struct clock_field *to)
{
    uint32_t field = at->field != NULL ? *at->field : 0;
    if (at->at_byte != NULL || at->width_bytes != NULL || at->byte_order != NULL) {
        compile_complain_item(c, "sources", i, block,
                              "frames of numbers have a field, no at_byte, width_bytes or byte_order");
    }
    if (field >= source->framing.fields) {
        compile_complain_item(c, "sources", i, block, "field %u lies beyond the %u fields (counted from 0)", field,
                              source->framing.fields);
        field = 0;
    }
    *to = (struct clock_field){
        .width_bytes = 8, .at_byte = 8 * field, .byte_order = RING_LITTLE_ENDIAN, .is_real = 1};
}

static void compile_counter(struct compile *c, uint32_t i, const char *block, const struct config_clock_field *at,
                            const struct source_plan *source, struct clock_field *to)
{
    uint32_t limit = source->frame_bytes != 0 ? source->frame_bytes : RING_SLOT_BYTES_MAX;
    if (at->field != NULL) {
        compile_complain_item(
            c, "sources", i, block,
            "field belongs to frames of numbers (format: text); expected at_byte and width_bytes");
    }
    if (at->at_byte == NULL || at->width_bytes == NULL || (*at->width_bytes != 4 && *at->width_bytes != 8)) {
        compile_complain_item(c, "sources", i, block,
                              "expected where the time lies: at_byte, and width_bytes 4 or 8");
        return;
    }
    *to =
        (struct clock_field){.width_bytes = *at->width_bytes,
                             .at_byte = *at->at_byte,
                             .byte_order = (uint32_t)(at->byte_order != NULL ? *at->byte_order : RING_BIG_ENDIAN)};
    if (to->at_byte > limit || limit - to->at_byte < to->width_bytes) {
        compile_complain_item(c, "sources", i, block,
                              "bytes %u to %llu lie beyond the frame of %u bytes; correct at_byte or width_bytes",
                              to->at_byte, (unsigned long long)to->at_byte + to->width_bytes - 1, limit);
        to->at_byte = 0;
    }
}

static void compile_clock_field(struct compile *c, uint32_t i, const char *block,
                                const struct config_clock_field *at, const struct source_plan *source,
                                struct clock_field *to)
{
    char key[64];
    bool numbers = source->framing.fields > 0;
    if (numbers) {
        compile_number(c, i, block, at, source, to);
    } else {
        compile_counter(c, i, block, at, source, to);
    }
    snprintf(key, sizeof(key), "%s.unit_ns", block);
    to->unit_ns = bounded(c, i, key, at->unit_ns, numbers ? TEXT_UNIT_NS : 1, 0.001, 1e9, "ns per count");
}

/* The kernel's own stamps: of an edge, or the element in_timestamp of a scan. */
static void compile_kernel_stamp(struct compile *c, uint32_t i, const struct config_rate *from,
                                 struct source_plan *to)
{
    struct rate_plan *rate = &to->rate;
    if (is_given(&from->at) || from->clock != NULL) {
        compile_complain_item(c, "sources", i, "rate",
                              "the kernel's stamps have their place and their clock; leave out where they are");
    }
    rate->clock = STAMP_CLOCK_MONOTONIC;
    rate->field = (struct clock_field){.width_bytes = 8, .byte_order = RING_LITTLE_ENDIAN, .unit_ns = 1};
    if (to->kind == SOURCE_GPIO_EDGES) {
        to->gpio.monotonic = 1;
        return; /* struct gpio_v2_line_event begins with it */
    }
    for (uint32_t s = 0; s < to->iio.scans; s++) {
        if (strcmp(to->iio.scan[s].name, "in_timestamp") == 0) {
            rate->field.at_byte = to->iio.scan[s].at_byte;
            rate->field.byte_order =
                strncmp(to->iio.scan[s].type, "be:", 3) == 0 ? RING_BIG_ENDIAN : RING_LITTLE_ENDIAN;
            if (strcmp(to->iio.scan[s].type + 3, SCAN_STAMP) != 0) {
                compile_complain_item(
                    c, "sources", i, "rate.stamps",
                    "the element in_timestamp has 64 bits of ns: expected the type 'le:" SCAN_STAMP
                    "' or 'be:" SCAN_STAMP "', found '%s'",
                    to->iio.scan[s].type);
            }
            return;
        }
    }
    compile_complain_item(c, "sources", i, "rate.stamps",
                          "device stamps of kind iio are its element in_timestamp: add {name: in_timestamp, type: "
                          "'le:s64/64>>0'} to scan");
}

static void compile_device_stamp(struct compile *c, uint32_t i, const struct config_rate *from,
                                 struct source_plan *to)
{
    struct rate_plan *rate = &to->rate;
    if (to->kind == SOURCE_GPIO_EDGES || to->kind == SOURCE_IIO) {
        compile_kernel_stamp(c, i, from, to);
        return;
    }
    rate->clock = (uint32_t)(from->clock != NULL ? *from->clock : STAMP_CLOCK_FREE);
    compile_clock_field(c, i, "rate", &from->at, to, &rate->field);
    uint64_t turn_ns = clock_field_ns(UINT64_C(1) << 32, clock_field_unit_q32(&rate->field));
    if (rate->clock == STAMP_CLOCK_FREE && rate->field.width_bytes == 4 &&
        turn_ns / TURNS_OF_LAG < rate->lag_max_ns) {
        compile_complain_item(
            c, "sources", i, "rate.width_bytes",
            "a counter of 4 bytes comes round after %.3g s, expected at least %u times lag_max_ms, which is "
            "%.3g s; count in a longer unit, give 8 bytes, or lower lag_max_ms",
            (double)turn_ns / 1e9, TURNS_OF_LAG, (double)rate->lag_max_ns / 1e9);
    }
}

/* The shortest and the longest time after which a channel of source i is STALE; 0: it has none. */
static void find_stale(const struct config_source *from, uint32_t *least_ms, uint32_t *most_ms)
{
    *least_ms = 0;
    *most_ms = 0;
    for (uint32_t j = 0; j < from->channels_count; j++) {
        uint32_t ms = from->channels[j].stale_ms != NULL ? *from->channels[j].stale_ms : STALE_MS_STANDARD;
        *least_ms = j == 0 || ms < *least_ms ? ms : *least_ms;
        *most_ms = ms > *most_ms ? ms : *most_ms;
    }
}

/* A stamp that is as old as it can be must be STALE; one that is reconstructed must not be. */
static void compile_lag(struct compile *c, uint32_t i, const struct config_source *from, struct rate_plan *rate)
{
    char path[COMPILE_PATH_BYTES];
    uint32_t least_ms;
    uint32_t most_ms;
    bool is_device = rate->stamp == RING_STAMP_DEVICE;
    find_stale(from, &least_ms, &most_ms);
    uint64_t standard_ms = LAG_MS_STANDARD;
    if (is_device && most_ms >= LAG_MS_STANDARD / 2) {
        standard_ms = 2 * (uint64_t)most_ms;
    } else if (!is_device && least_ms != 0) {
        standard_ms = least_ms > 1 ? least_ms / 2 : 1;
    }
    uint64_t given_ms = compile_bounded(c, compile_path(path, "sources[%u].rate.lag_max_ms", i),
                                        from->rate->lag_max_ms, 0, 1, 7200000, "ms");
    uint64_t lag_ms = given_ms != 0 ? given_ms : standard_ms;
    if (is_device && lag_ms <= most_ms) {
        compile_complain_item(
            c, "sources", i, "rate.lag_max_ms",
            "expected more than the longest stale_ms of its channels, %u ms, found %llu: a device whose clock "
            "stands still would never look STALE",
            most_ms, (unsigned long long)lag_ms);
    } else if (!is_device && least_ms > 1 && lag_ms >= least_ms) {
        compile_complain_item(
            c, "sources", i, "rate.lag_max_ms",
            "expected less than the shortest stale_ms of its channels, %u ms, found %llu: frames that come in "
            "time would look STALE",
            least_ms, (unsigned long long)lag_ms);
    }
    rate->lag_max_ns = lag_ms * CLOCK_NS_PER_MS;
    rate->ahead_max_ns = compile_bounded(c, compile_path(path, "sources[%u].rate.ahead_max_ms", i),
                                         from->rate->ahead_max_ms, 10, 0, 1000, "ms") *
                         CLOCK_NS_PER_MS;
}

static void refuse_rate_keys(struct compile *c, uint32_t i, const struct config_rate *from, uint32_t stamp)
{
    if (stamp != RING_STAMP_DEVICE && (is_given(&from->at) || from->clock != NULL || from->ahead_max_ms != NULL)) {
        compile_complain_item(
            c, "sources", i, "rate",
            "at_byte, width_bytes, byte_order, field, unit_ns, clock and ahead_max_ms belong to stamps: device");
    }
    if (stamp != RING_STAMP_DEVICE && stamp != RING_STAMP_RECONSTRUCTED && from->lag_max_ms != NULL) {
        compile_complain_item(c, "sources", i, "rate.lag_max_ms", "belongs to stamps: device or reconstructed");
    }
}

static void compile_stamp(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    struct rate_plan *rate = &to->rate;
    bool polled = poller_way_of(to->kind) != NULL;
    if (rate->stamp == RING_STAMP_ASKED && !polled) {
        compile_complain_item(c, "sources", i, "rate.stamps",
                              "asked belongs to instruments that are polled; expected arrival, device or "
                              "reconstructed");
    }
    if (rate->stamp == RING_STAMP_RECONSTRUCTED && (polled || to->kind == SOURCE_GPIO_EDGES)) {
        compile_complain_item(c, "sources", i, "rate.stamps", "%s; expected arrival%s",
                              polled ? "an answer comes when it was asked for, not at a rate of its device"
                                     : "edges come at no rate",
                              polled ? ", asked or device" : " or device");
    } else if (rate->stamp == RING_STAMP_RECONSTRUCTED && from->rate->nominal_hz == NULL) {
        compile_complain_item(c, "sources", i, "rate.nominal_hz", "reconstructed stamps need the rate, found none");
    } else if (rate->stamp == RING_STAMP_RECONSTRUCTED && rate->nominal_hz < RECONSTRUCTED_HZ) {
        compile_complain_item(c, "sources", i, "rate.nominal_hz",
                              "reconstructed stamps need at least %g Hz, found %g; take arrival", RECONSTRUCTED_HZ,
                              rate->nominal_hz);
    }
    if (to->kind == SOURCE_UDP && rate->stamp != RING_STAMP_TAKEN) {
        compile_complain_item(c, "sources", i, "rate.stamps",
                              "a datagram's time is its arrival; expected arrival, or nothing");
        return;
    }
    if (rate->stamp == RING_STAMP_DEVICE || rate->stamp == RING_STAMP_RECONSTRUCTED) {
        compile_lag(c, i, from, rate);
    }
    if (rate->stamp == RING_STAMP_DEVICE) {
        compile_device_stamp(c, i, from->rate, to);
    }
}

static void compile_timing(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    struct file_plan *file = &to->file;
    if (from->timing == NULL) {
        if (from->speed != NULL) {
            compile_complain_item(c, "sources", i, "speed",
                                  "belongs to timing: it is by how much faster than recorded the replay is");
        }
        return;
    }
    if (file->follow != FILE_REPLAY || from->frames_hz != NULL) {
        compile_complain_item(c, "sources", i, "timing", "belongs to follow: replay, instead of frames_hz");
    }
    compile_clock_field(c, i, "timing", &from->timing->at, to, &file->timing);
    file->speed = bounded(c, i, "speed", from->speed, 1, 0.5, 1000, "times as fast as recorded");
    double gap_s = bounded(c, i, "timing.gap_max_s", from->timing->gap_max_s, 60, 0.001, 86400, "s");
    file->gap_max_ns = (uint64_t)(gap_s * (double)CLOCK_NS_PER_S + 0.5);
}

void compile_rates(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    const struct config_rate *given = from->rate;
    struct rate_plan *rate = &to->rate;
    bool polled = poller_way_of(to->kind) != NULL;
    rate->stamp = (uint32_t)(given != NULL && given->stamps != NULL ? *given->stamps : RING_STAMP_TAKEN);
    rate->clock = STAMP_CLOCK_FREE;
    rate->tolerance =
        bounded(c, i, "rate.tolerance_percent", given != NULL ? given->tolerance_percent : NULL, 5, 0.1, 50, "%") /
        100;
    if (polled && given == NULL) {
        rate->tolerance = 0; /* nobody has asked for more than the count of what was missed */
    }
    if (polled && to->poll.period_ns != 0) {
        rate->nominal_hz = (double)CLOCK_NS_PER_S / (double)to->poll.period_ns;
    }
    if (to->kind == SOURCE_FILE) {
        compile_timing(c, i, from, to);
    }
    if (given == NULL) {
        return;
    }
    if (given->nominal_hz != NULL) {
        rate->nominal_hz = bounded(c, i, "rate.nominal_hz", given->nominal_hz, 1, 0.001, 1e6, "Hz");
        if (polled) {
            compile_complain_item(c, "sources", i, "rate.nominal_hz",
                                  "period_ms says how often it is asked; leave it out");
        }
    } else if (given->tolerance_percent != NULL && !polled) {
        compile_complain_item(c, "sources", i, "rate.tolerance_percent", "belongs to nominal_hz, found none");
    }
    refuse_rate_keys(c, i, given, rate->stamp);
    compile_stamp(c, i, from, to);
}
