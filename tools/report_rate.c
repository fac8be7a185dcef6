/* The rate of a stream as JSON, and its lines on the screen. */
#include <stdio.h>

#include "tools/report.h"
#include "tools/screens.h"

static json_int_t mean_ns(uint64_t sum_ns, uint64_t count)
{
    return count > 0 ? (json_int_t)(sum_ns / count) : 0;
}

static json_t *report_intervals(const struct ring_rate *rate)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "min", (json_int_t)rate->interval_ns_min, "mean",
                     mean_ns(rate->arrived_ns, rate->intervals), "max", (json_int_t)rate->interval_ns_max,
                     "deviation", mean_ns(rate->deviation_ns, rate->deviations));
}

/* null: nothing is asked. */
static json_t *report_asking(const struct ring_rate *rate)
{
    return rate->polls == 0
               ? json_null()
               : json_pack("{s:I, s:I, s:I, s:I}", "late_mean", mean_ns(rate->late_ns, rate->polls), "late_max",
                           (json_int_t)rate->late_ns_max, "took_mean", mean_ns(rate->took_ns, rate->polls),
                           "took_max", (json_int_t)rate->took_ns_max);
}

json_t *report_rate(const struct ring_header *header)
{
    const struct ring_stream *stream = &header->stream[0];
    struct ring_rate rate;
    ring_rate_read(&header->rate, &rate);
    bool open = ring_count_read(&header->ledger.is_open) != 0;
    json_t *report =
        json_pack("{s:s, s:o, s:o, s:o, s:b, s:f, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "stamps",
                  ring_stamp_name(header->identity.stamp), "nominal_hz",
                  stream->nominal_hz > 0 ? report_real(stream->nominal_hz) : json_null(), "tolerance_percent",
                  report_real(100 * stream->tolerance), "measured_hz",
                  rate.window_ns > 0 ? report_real(ring_rate_measured_hz(&rate)) : json_null(), "off",
                  open && ring_rate_is_off(&rate, stream->nominal_hz, stream->tolerance), "window_s",
                  (double)rate.window_ns / 1e9, "missed", (json_int_t)rate.missed, "interval_ns",
                  report_intervals(&rate), "poll_ns", report_asking(&rate), "lag_ns_max",
                  (json_int_t)rate.lag_ns_max, "stamps_ahead", (json_int_t)rate.ahead, "stamps_too_old",
                  (json_int_t)rate.too_old, "stamps_backwards", (json_int_t)rate.backwards, "relocks",
                  (json_int_t)rate.relocks, "replay_jumps", (json_int_t)rate.replay_jumps);
    return report;
}

static void draw_complaint(const json_t *rate)
{
    if (true_of(rate, "off")) {
        printf("  ! %.6g frames/s measured, %.6g declared\n", number_of(rate, "measured_hz"),
               number_of(rate, "nominal_hz"));
    }
    if (number_of(rate, "missed") > 0) {
        printf("  missed by the rate: %.0f\n", number_of(rate, "missed"));
    }
}

static void draw_counts(const json_t *rate)
{
    static const struct {
        const char *key;
        const char *words;
    } counts[] = {{"stamps_ahead", "stamps ahead of us"},
                  {"stamps_too_old", "stamps too old"},
                  {"stamps_backwards", "stamps that went back"},
                  {"relocks", "times its clock was set anew"},
                  {"replay_jumps", "jumps in the recording's time"}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (number_of(rate, counts[i].key) > 0) {
            printf("  %s: %.0f\n", counts[i].words, number_of(rate, counts[i].key));
        }
    }
}

void draw_rate(const json_t *rate)
{
    const json_t *interval = json_object_get(rate, "interval_ns");
    const json_t *poll = json_object_get(rate, "poll_ns");
    bool declared = json_is_number(json_object_get(rate, "nominal_hz"));
    if (declared && json_is_number(json_object_get(rate, "measured_hz"))) {
        printf("  %.6g of %.6g frames/s, intervals %.3f to %.3f ms, deviation %.3f ms; stamps: %s\n",
               number_of(rate, "measured_hz"), number_of(rate, "nominal_hz"), number_of(interval, "min") / 1e6,
               number_of(interval, "max") / 1e6, number_of(interval, "deviation") / 1e6, text_of(rate, "stamps"));
    }
    if (json_is_object(poll)) {
        printf("  asked late by %.3f ms (at most %.3f), answered in %.3f ms (at most %.3f)\n",
               number_of(poll, "late_mean") / 1e6, number_of(poll, "late_max") / 1e6,
               number_of(poll, "took_mean") / 1e6, number_of(poll, "took_max") / 1e6);
    }
    draw_complaint(rate);
    draw_counts(rate);
}
