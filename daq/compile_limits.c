/* What a rule compares with. A limit that no GOOD value can pass is a decoration, and refused. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "ring/channel.h"
#include "ring/clock.h"

#define MS_MAX     3600000.0
#define PATH_BYTES 128

int compile_find_channel(const struct control_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->channels; i++) {
        if (strcmp(table->channel[i].decode.name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

void compile_complain_key(struct compile *c, const char *where, const char *key, const char *format, ...)
{
    char path[PATH_BYTES];
    char text[384];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(path, sizeof(path), "%s%s%s", where, key[0] != 0 ? "." : "", key);
    config_complain(c->file, c->errors, path, "%s", text);
}

uint64_t compile_ms(struct compile *c, const char *where, const char *key, const double *given_ms,
                    uint64_t standard_ns, double min_ms)
{
    if (given_ms == NULL) {
        return standard_ns;
    }
    if (!(*given_ms >= min_ms && *given_ms <= MS_MAX)) {
        compile_complain_key(c, where, key, "expected %g to %.0f ms, found %g", min_ms, MS_MAX, *given_ms);
        return standard_ns;
    }
    return (uint64_t)(*given_ms * (double)CLOCK_NS_PER_MS);
}

/* What the raw type can express at all, in the channel's unit: a limit beyond it is a decoration, too. */
static void check_reach(struct compile *c, const char *where, const char *key, bool is_high, double limit,
                        uint32_t index)
{
    const struct control_table *table = &c->plan->table;
    const struct ring_channel *channel = &table->channel[index].decode;
    double low;
    double high;
    if (!compile_channel_reach(channel, &table->number[table->ring[table->channel[index].ring].first_number], &low,
                               &high)) {
        return;
    }
    if (is_high ? limit >= high : limit <= low) {
        compile_complain_key(
            c, where, key, "a limit of %g %s can never be passed: type %s with this %s reaches from %g to %g",
            limit, channel->unit, ring_type_name(channel->type),
            channel->calibration == RING_CALIBRATION_LINEAR ? "scale and offset" : "calibration", low, high);
    }
}

/* A limit outside the valid range can never be passed by a GOOD value: the rule would be a decoration. */
static void check_limit(struct compile *c, const char *where, const char *key, bool is_high, double limit,
                        uint32_t index)
{
    const struct ring_channel *channel = &c->plan->table.channel[index].decode;
    if (!(limit > channel->range_low && limit < channel->range_high)) {
        compile_complain_key(
            c, where, key,
            "a limit of %g %s lies outside channel '%s', whose valid range is %g to %g %s: the rule could "
            "never act",
            limit, channel->unit, channel->name, channel->range_low, channel->range_high, channel->unit);
    }
    check_reach(c, where, key, is_high, limit, index);
}

static void set_limits(struct compile *c, const char *where, const struct config_rule *from, const double *high,
                       const double *low, struct control_rule *to)
{
    double hysteresis = from->hysteresis != NULL ? *from->hysteresis : 0;
    if (!(hysteresis >= 0) || ring_is_not_finite(hysteresis)) {
        compile_complain_key(c, where, "hysteresis", "expected a number from 0 on, found %g", hysteresis);
        hysteresis = 0;
    }
    to->has_high = high != NULL;
    to->high = high != NULL ? *high : 0;
    to->high_clear = to->high - hysteresis;
    to->has_low = low != NULL;
    to->low = low != NULL ? *low : 0;
    to->low_clear = to->low + hysteresis;
    if (high != NULL && low != NULL && !(to->low < to->high)) {
        compile_complain_key(c, where, "", "low %g must be below high %g", to->low, to->high);
    } else if (high != NULL && low != NULL && !(to->low_clear < to->high_clear)) {
        compile_complain_key(c, where, "hysteresis",
                             "%g is too wide: between low %g and high %g nothing is left where the rule could be "
                             "clear again",
                             hysteresis, to->low, to->high);
    }
}

static void compile_limit(struct compile *c, const char *where, const struct config_rule *from,
                          const struct ring_channel *channel, struct control_rule *to)
{
    to->form = FORM_LIMIT;
    set_limits(c, where, from, from->high, from->low, to);
    if (to->has_high != 0) {
        check_limit(c, where, "high", true, to->high, to->channel);
        if (!(to->high_clear >= channel->range_low)) {
            compile_complain_key(c, where, "hysteresis", "below %g %s no valid value is left", to->high_clear,
                                 channel->unit);
        }
    }
    if (to->has_low != 0) {
        check_limit(c, where, "low", false, to->low, to->channel);
        if (!(to->low_clear <= channel->range_high)) {
            compile_complain_key(c, where, "hysteresis", "above %g %s no valid value is left", to->low_clear,
                                 channel->unit);
        }
    }
}

/* A difference or a rate beyond what the channel's range allows is as unreachable as a limit outside of it. */
static void check_span(struct compile *c, const char *where, const char *key, double limit, double most,
                       const char *unit)
{
    if (!(fabs(limit) < most)) {
        compile_complain_key(c, where, key,
                             "%g %s can never be reached: within the channels' valid ranges it is below %g", limit,
                             unit, most);
    }
}

static void compile_rate(struct compile *c, const char *where, const struct config_rule *from,
                         const struct ring_channel *channel, struct control_rule *to)
{
    to->form = FORM_RATE;
    if (from->window_ms == NULL) {
        compile_complain_key(c, where, "", "a rate needs window_ms, the time that it is measured over");
    }
    to->window_ns = compile_ms(c, where, "window_ms", from->window_ms, CLOCK_NS_PER_S, 0.001);
    set_limits(c, where, from, from->rate_high, from->rate_low, to);
    double most = (channel->range_high - channel->range_low) / ((double)to->window_ns / 1e9);
    if (to->has_high != 0) {
        check_span(c, where, "rate_high", to->high, most, channel->unit);
    }
    if (to->has_low != 0) {
        check_span(c, where, "rate_low", to->low, most, channel->unit);
    }
}

static void compile_deviation(struct compile *c, const char *where, const struct config_rule *from,
                              const struct ring_channel *channel, struct control_rule *to)
{
    int other = compile_find_channel(&c->plan->table, from->deviates_from);
    double minus = from->by != NULL ? -*from->by : 0;
    to->form = FORM_DEVIATION;
    if (other < 0) {
        compile_complain_key(c, where, "deviates_from", "no source has a channel '%s'", from->deviates_from);
        return;
    }
    to->other = (uint32_t)other;
    const struct ring_channel *second = &c->plan->table.channel[other].decode;
    if (to->other == to->channel) {
        compile_complain_key(c, where, "deviates_from", "a channel never deviates from itself");
    }
    if (strcmp(channel->unit, second->unit) != 0) {
        compile_complain_key(c, where, "deviates_from",
                             "channel '%s' is in %s and '%s' in %s: bring both to one unit by scale and offset",
                             channel->name, channel->unit, second->name, second->unit);
    }
    if (from->by != NULL && (from->high != NULL || from->low != NULL)) {
        compile_complain_key(c, where, "by", "expected either by or high and low, found both");
    } else if (from->by != NULL && !(*from->by > 0)) {
        compile_complain_key(c, where, "by", "expected more than 0, found %g", *from->by);
    }
    if (from->by == NULL && from->high == NULL && from->low == NULL) {
        compile_complain_key(c, where, "", "a deviation needs by, or high, low or both");
    }
    set_limits(c, where, from, from->by != NULL ? from->by : from->high, from->by != NULL ? &minus : from->low, to);
    double most = fmax(channel->range_high - second->range_low, second->range_high - channel->range_low);
    if (to->has_high != 0) {
        check_span(c, where, from->by != NULL ? "by" : "high", to->high, most, channel->unit);
    }
    if (to->has_low != 0 && from->by == NULL) {
        check_span(c, where, "low", to->low, most, channel->unit);
    }
}

static void compile_bit(struct compile *c, const char *where, const struct config_rule *from,
                        const struct ring_channel *channel, struct control_rule *to)
{
    const char *key = from->bits_set != NULL ? "bits_set" : "bits_clear";
    uint32_t bits = channel->bits != 0 ? channel->bits : 8 * ring_type_bytes(channel->type);
    to->form = FORM_BIT;
    to->demand_when = from->bits_set != NULL;
    to->mask = from->bits_set != NULL ? *from->bits_set : *from->bits_clear;
    if (channel->type >= RING_TYPE_F32 || channel->scale != 1 || channel->offset != 0 ||
        channel->calibration != RING_CALIBRATION_LINEAR) {
        compile_complain_key(c, where, key,
                             "bits need a channel of an integer type with scale 1, offset 0 and no calibration, "
                             "'%s' is %s with scale %g and offset %g",
                             channel->name, ring_type_name(channel->type), channel->scale, channel->offset);
    } else if (to->mask == 0 || (bits < 64 && to->mask >> bits != 0) || to->mask > UINT64_C(1) << 53) {
        compile_complain_key(c, where, key, "expected a mask of bits of channel '%s' (%s), found %" PRIu64,
                             channel->name, ring_type_name(channel->type), to->mask);
    } else if (from->bits_set != NULL && (double)(to->mask & (~to->mask + 1)) > channel->range_high) {
        compile_complain_key(c, where, key,
                             "none of these bits can be set within the channel's valid range, %g to %g",
                             channel->range_low, channel->range_high);
    }
}

static void compile_stuck(struct compile *c, const char *where, const struct config_rule *from,
                          const struct ring_channel *channel, struct control_rule *to)
{
    to->form = FORM_STUCK;
    to->window_ns = compile_ms(c, where, "stuck_ms", from->stuck_ms, CLOCK_NS_PER_S, 0.001);
    to->band = from->band != NULL ? *from->band : 0;
    if (!(to->band >= 0 && to->band < channel->range_high - channel->range_low)) {
        compile_complain_key(c, where, "band", "expected 0 to below %g %s, the width of the valid range, found %g",
                             channel->range_high - channel->range_low, channel->unit, to->band);
    }
}

static void compile_heartbeat(struct compile *c, const char *where, const struct config_rule *from,
                              struct control_rule *to)
{
    to->form = FORM_HEARTBEAT;
    to->window_ns = compile_ms(c, where, "heartbeat_ms", from->heartbeat_ms, CLOCK_NS_PER_S, 0.001);
    if (from->on_delay_ms != NULL || from->delay_ms != NULL || from->on_delay_samples != NULL ||
        from->delay_samples != NULL || from->off_delay_ms != NULL || from->off_delay_samples != NULL) {
        compile_complain_key(c, where, "heartbeat_ms", "heartbeat_ms is the delay; a heartbeat has no other");
    }
}

void compile_rule_form(struct compile *c, const char *where, const struct config_rule *from,
                       struct control_rule *to)
{
    const struct ring_channel *channel = &c->plan->table.channel[to->channel].decode;
    if (from->unit != NULL && strcmp(from->unit, channel->unit) != 0) {
        compile_complain_key(c, where, "unit",
                             "the rule is in %s, channel '%s' in %s: the limits mean something else", from->unit,
                             channel->name, channel->unit);
    }
    if (from->deviates_from != NULL) {
        compile_deviation(c, where, from, channel, to);
    } else if (from->rate_high != NULL || from->rate_low != NULL) {
        compile_rate(c, where, from, channel, to);
    } else if (from->bits_set != NULL || from->bits_clear != NULL) {
        compile_bit(c, where, from, channel, to);
    } else if (from->stuck_ms != NULL) {
        compile_stuck(c, where, from, channel, to);
    } else if (from->heartbeat_ms != NULL) {
        compile_heartbeat(c, where, from, to);
    } else {
        compile_limit(c, where, from, channel, to);
    }
}
