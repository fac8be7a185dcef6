#include "control/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "sample 3021" where a sample is the reason. */
static void explain_channel(const struct ring_channel *channel, const struct engine_cause *cause, char *text,
                            size_t bytes)
{
    switch (cause->kind) {
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

static void explain_leaf(const struct control_table *table, const struct control_rule *rule,
                         const struct engine_cause *cause, char *text, size_t bytes)
{
    const struct ring_channel *channel = &table->channel[cause->channel].decode;
    const char *other = rule->other < table->channels && rule->other < CONTROL_CHANNELS_MAX
                            ? table->channel[rule->other].decode.name
                            : "-";
    switch (cause->kind) {
    case CAUSE_HIGH:
    case CAUSE_LOW:
        snprintf(text, bytes, "%s %.6g %s %s %.6g (rule %s), sample %" PRIu64, channel->name, cause->value,
                 channel->unit, cause->kind == CAUSE_HIGH ? "above" : "below", cause->limit, rule->name,
                 cause->source_sequence);
        break;
    case CAUSE_RATE:
        snprintf(text, bytes, "%s changes by %.6g %s/s, limit %.6g (rule %s), sample %" PRIu64, channel->name,
                 cause->value, channel->unit, cause->limit, rule->name, cause->source_sequence);
        break;
    case CAUSE_DEVIATION:
        snprintf(text, bytes, "%s minus %s is %.6g %s, limit %.6g (rule %s), sample %" PRIu64, channel->name, other,
                 cause->value, channel->unit, cause->limit, rule->name, cause->source_sequence);
        break;
    case CAUSE_BIT:
        snprintf(text, bytes, "%s is %.0f: bits of %" PRIu64 " %s (rule %s), sample %" PRIu64, channel->name,
                 cause->value, rule->mask, rule->demand_when != 0 ? "set" : "not set", rule->name,
                 cause->source_sequence);
        break;
    case CAUSE_STUCK:
        snprintf(text, bytes, "%s has not changed for %.6g s, limit %.6g (rule %s), sample %" PRIu64, channel->name,
                 cause->value, cause->limit, rule->name, cause->source_sequence);
        break;
    case CAUSE_HEARTBEAT:
        snprintf(text, bytes, "%s has not changed for %.6g s: its sender's heartbeat is missing (rule %s)",
                 channel->name, cause->value, rule->name);
        break;
    case CAUSE_HISTORY:
        snprintf(text, bytes, "%s has not been seen for long enough to be judged (rule %s)", channel->name,
                 rule->name);
        break;
    default:
        snprintf(text, bytes, "rule %s: %s", rule->name, engine_cause_name(cause->kind));
    }
}

/* "p1_high, p3_high (unknown)": the members whose bit is set. */
static void list_members(const struct control_table *table, const struct control_rule *rule,
                         const struct engine_cause *cause, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < rule->members && i < CONTROL_MEMBERS_MAX && n < bytes; i++) {
        bool unknown = (cause->unknown >> i & 1) != 0;
        uint32_t m = rule->member[i];
        if ((unknown || (cause->members >> i & 1) != 0) && m < CONTROL_RULES_MAX) {
            n += (size_t)snprintf(text + n, bytes - n, "%s%s%s", n > 0 ? ", " : "", table->rule[m].name,
                                  unknown ? " (unknown or bypassed)" : "");
        }
    }
}

static void explain_rule(const struct control_table *table, const struct engine_cause *cause, char *text,
                         size_t bytes)
{
    const struct control_rule *rule = &table->rule[cause->rule];
    char members[160];
    if (cause->channel < table->channels && cause->channel < CONTROL_CHANNELS_MAX) {
        explain_leaf(table, rule, cause, text, bytes);
        return;
    }
    list_members(table, rule, cause, members, sizeof(members));
    if (cause->kind == CAUSE_VOTE) {
        snprintf(text, bytes, "rule %s: %s; %u of %u are enough", rule->name, members, rule->needed, rule->members);
    } else if (cause->kind == CAUSE_NOT) {
        snprintf(text, bytes, "rule %s: its condition is %s", rule->name,
                 cause->unknown != 0 ? "unknown or bypassed" : "not met");
    } else {
        snprintf(text, bytes, "rule %s: %s", rule->name, engine_cause_name(cause->kind));
    }
}

static void explain_gate(const struct engine_cause *cause, char *text, size_t bytes)
{
    uint32_t missing = cause->value >= 0 && cause->value <= GATE_ALL ? (uint32_t)cause->value : GATE_ALL;
    size_t n = (size_t)snprintf(text, bytes, "the arming gate does not pass any more:");
    for (uint32_t bit = 1; bit <= GATE_ALL && n < bytes; bit <<= 1) {
        if ((missing & bit) != 0) {
            n += (size_t)snprintf(text + n, bytes - n, " %s", engine_gate_name(bit));
        }
    }
}

static void explain_own(uint32_t kind, char *text, size_t bytes)
{
    const char *said = kind == CAUSE_STARTUP        ? "the control process has just started"
                       : kind == CAUSE_SELF_TEST    ? "self-test failed: restart the server"
                       : kind == CAUSE_DEADLINE     ? "the control loop missed its deadline"
                       : kind == CAUSE_CONTROL_DIED ? "the control process ended while it held the permit"
                       : kind == CAUSE_MANUAL       ? "tripped by an operator"
                       : kind == CAUSE_SUPERVISOR
                           ? "the supervisor is silent: if control died, nobody would make the outputs safe"
                       : kind == CAUSE_OUTPUT ? "an output device does not take commands"
                                              : engine_cause_name(kind);
    snprintf(text, bytes, "%s", said);
}

void control_explain(const struct control_table *table, const struct engine_cause *cause, char *text, size_t bytes)
{
    if (cause->kind == CAUSE_READBACK && cause->output < table->outputs && cause->output < CONTROL_OUTPUTS_MAX) {
        const struct control_feedback *feedback = &table->output[cause->output].feedback;
        snprintf(text, bytes, "output %s is not where it was told to be: its feedback %s says %.6g",
                 table->output[cause->output].name,
                 feedback->channel < table->channels && feedback->channel < CONTROL_CHANNELS_MAX
                     ? table->channel[feedback->channel].decode.name
                     : "-",
                 cause->value);
    } else if (cause->kind == CAUSE_GATE) {
        explain_gate(cause, text, bytes);
    } else if (cause->rule < table->rules && cause->rule < CONTROL_RULES_MAX) {
        explain_rule(table, cause, text, bytes);
    } else if (cause->channel < table->channels && cause->channel < CONTROL_CHANNELS_MAX) {
        explain_channel(&table->channel[cause->channel].decode, cause, text, bytes);
    } else {
        explain_own(cause->kind, text, bytes);
    }
}
