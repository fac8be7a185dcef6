#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "daq/compile.h"
#include "ring/channel.h"
#include "ring/clock.h"

#define PATH_BYTES       128
#define WHOLE_NUMBER_MAX (UINT64_C(1) << 53) /* what a double holds of them */

static const char *path_of(char path[PATH_BYTES], uint32_t i, const char *key)
{
    snprintf(path, PATH_BYTES, "outputs[%u].feedback%s%s", i, key[0] != 0 ? "." : "", key);
    return path;
}

/* The bits that a good value of this channel can have set; 0: it has no bits. */
static uint64_t bits_of(const struct ring_channel *channel)
{
    double low;
    double high;
    if (!ring_type_reach(channel->type, &low, &high) || channel->type == RING_TYPE_F32 ||
        channel->type == RING_TYPE_F64 || channel->scale != 1 || channel->offset != 0 ||
        channel->calibration != RING_CALIBRATION_LINEAR) {
        return 0;
    }
    if (channel->bits != 0) {
        uint32_t value_bits = channel->bits - (uint32_t)(low < 0); /* the sign is none */
        high = ldexp(1, (int)value_bits) - 1;
    }
    uint64_t most = high < (double)WHOLE_NUMBER_MAX ? (uint64_t)high : WHOLE_NUMBER_MAX - 1;
    return most; /* of the form 2^n - 1 */
}

static void check_mask(struct compile *c, uint32_t i, const char *key, uint64_t mask,
                       const struct ring_channel *channel)
{
    char path[PATH_BYTES];
    if (mask == 0) {
        config_complain(c->file, c->errors, path_of(path, i, key), "expected at least one bit, found 0; remove it");
    } else if (bits_of(channel) == 0) {
        config_complain(
            c->file, c->errors, path_of(path, i, key),
            "channel '%s' has no bits: expected an integer type with scale 1, offset 0 and no calibration",
            channel->name);
    } else if ((mask & ~bits_of(channel)) != 0) {
        config_complain(c->file, c->errors, path_of(path, i, key),
                        "expected bits of channel '%s', whose type %s has those of %" PRIu64 ", found %" PRIu64,
                        channel->name, ring_type_name(channel->type), bits_of(channel), mask);
    } else if ((double)mask > channel->range_high) {
        config_complain(c->file, c->errors, path_of(path, i, key),
                        "with the bits of %" PRIu64
                        " set, channel '%s' is beyond its range, %g to %g: it would be bad",
                        mask, channel->name, channel->range_low, channel->range_high);
    }
}

static void compile_bits(struct compile *c, uint32_t i, const struct config_feedback *from,
                         const struct ring_channel *channel, struct control_feedback *to)
{
    char path[PATH_BYTES];
    to->form = FEEDBACK_BITS;
    if (from->energised_bits != NULL) {
        to->energised_mask = *from->energised_bits;
        check_mask(c, i, "energised_bits", to->energised_mask, channel);
    }
    if (from->safe_bits != NULL) {
        to->safe_mask = *from->safe_bits;
        check_mask(c, i, "safe_bits", to->safe_mask, channel);
    }
    if ((to->energised_mask & to->safe_mask) != 0) {
        config_complain(c->file, c->errors, path_of(path, i, "safe_bits"),
                        "the bits of %" PRIu64 " mean both positions; a bit means one",
                        to->energised_mask & to->safe_mask);
    }
}

static void check_threshold(struct compile *c, uint32_t i, const char *key, double at,
                            const struct ring_channel *channel)
{
    char path[PATH_BYTES];
    if (!(at >= channel->range_low && at <= channel->range_high)) {
        config_complain(c->file, c->errors, path_of(path, i, key),
                        "%g %s lies outside channel '%s', whose valid range is %g to %g: it could never be reached",
                        at, channel->unit, channel->name, channel->range_low, channel->range_high);
    }
}

static void compile_value(struct compile *c, uint32_t i, const struct config_feedback *from,
                          const struct ring_channel *channel, struct control_feedback *to)
{
    char path[PATH_BYTES];
    to->form = FEEDBACK_VALUE;
    if (from->energised_at == NULL || from->safe_at == NULL) {
        config_complain(c->file, c->errors, path_of(path, i, ""),
                        "expected both energised_at and safe_at, found one");
        return;
    }
    to->energised_at = *from->energised_at;
    to->safe_at = *from->safe_at;
    check_threshold(c, i, "energised_at", to->energised_at, channel);
    check_threshold(c, i, "safe_at", to->safe_at, channel);
    if (!(to->energised_at < to->safe_at) && !(to->energised_at > to->safe_at)) {
        config_complain(
            c->file, c->errors, path_of(path, i, "safe_at"),
            "energised_at and safe_at must differ: between them the position is not known, and on which "
            "side each lies says which way it moves; found %g for both",
            to->safe_at);
    }
}

void compile_feedback(struct compile *c, uint32_t i)
{
    const struct config_feedback *from = c->config->outputs[i].feedback;
    struct control_feedback *to = &c->plan->table.output[i].feedback;
    char path[PATH_BYTES];
    if (from == NULL) {
        return;
    }
    int channel = compile_find_channel(&c->plan->table, from->channel);
    path_of(path, i, "time_ms");
    to->time_ns = CLOCK_NS_PER_MS * compile_bounded(c, path, from->time_ms, 0, 1, 600000, "ms");
    if (channel < 0) {
        config_complain(c->file, c->errors, path_of(path, i, "channel"), "no source has a channel '%s'",
                        from->channel);
        return;
    }
    to->channel = (uint32_t)channel;
    const struct ring_channel *decode = &c->plan->table.channel[channel].decode;
    bool bits = from->energised_bits != NULL || from->safe_bits != NULL;
    bool value = from->energised_at != NULL || from->safe_at != NULL;
    if (bits == value) {
        config_complain(
            c->file, c->errors, path_of(path, i, ""),
            "expected masks (energised_bits, safe_bits) or thresholds (energised_at, safe_at), found %s",
            bits ? "both" : "neither");
    } else if (bits) {
        compile_bits(c, i, from, decode, to);
    } else {
        compile_value(c, i, from, decode, to);
    }
}
