#include "control/explain.h"

#include <inttypes.h>
#include <stdio.h>

static void explain_channel(const struct ring_channel *channel, const struct engine_cause *cause, const char *rule,
                            char *text, size_t bytes)
{
    switch (cause->kind) {
    case CAUSE_HIGH:
    case CAUSE_LOW:
        snprintf(text, bytes, "%s %.6g %s %s %.6g (rule %s), sample %" PRIu64, channel->name, cause->value,
                 channel->unit, cause->kind == CAUSE_HIGH ? "above" : "below", cause->limit, rule,
                 cause->source_sequence);
        break;
    case CAUSE_STALE:
        snprintf(text, bytes, "%s is stale: no new sample in time, or its source was interrupted", channel->name);
        break;
    case CAUSE_NOT_FINITE:
        snprintf(text, bytes, "%s is bad: not a finite number, sample %" PRIu64, channel->name,
                 cause->source_sequence);
        break;
    case CAUSE_RANGE:
        snprintf(text, bytes, "%s is bad: %.6g %s outside its valid range %.6g to %.6g, sample %" PRIu64,
                 channel->name, cause->value, channel->unit, channel->range_low, channel->range_high,
                 cause->source_sequence);
        break;
    case CAUSE_FRAME:
        snprintf(text, bytes, "%s is bad: frame too short or its time stamp lies in the future, sample %" PRIu64,
                 channel->name, cause->source_sequence);
        break;
    case CAUSE_OVERRUN:
        snprintf(text, bytes, "%s is bad: frames were overwritten before control saw them", channel->name);
        break;
    default:
        snprintf(text, bytes, "%s: %s", channel->name, engine_cause_name(cause->kind));
    }
}

void control_explain(const struct control_table *table, const struct engine_cause *cause, char *text, size_t bytes)
{
    if (cause->channel < table->channels && cause->channel < CONTROL_CHANNELS_MAX) {
        const char *rule =
            cause->rule < table->rules && cause->rule < CONTROL_RULES_MAX ? table->rule[cause->rule].name : "-";
        explain_channel(&table->channel[cause->channel].decode, cause, rule, text, bytes);
        return;
    }
    const char *said = cause->kind == CAUSE_STARTUP        ? "the control process has just started"
                       : cause->kind == CAUSE_SELF_TEST    ? "self-test failed: restart the server"
                       : cause->kind == CAUSE_DEADLINE     ? "the control loop missed its deadline"
                       : cause->kind == CAUSE_CONTROL_DIED ? "the control process ended while it held the permit"
                       : cause->kind == CAUSE_MANUAL       ? "tripped by an operator"
                       : cause->kind == CAUSE_OUTPUT       ? "an output device does not take commands"
                                                           : engine_cause_name(cause->kind);
    snprintf(text, bytes, "%s", said);
}
