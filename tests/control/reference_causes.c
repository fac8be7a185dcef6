/* The reference's causes: what stands, in which order, and what it says of itself. */
#include <math.h>
#include <string.h>

#include "tests/control/reference.h"

bool reference_channels_why(uint32_t why)
{
    return why == CAUSE_STALE || why == CAUSE_FRAME || why == CAUSE_RANGE || why == CAUSE_NOT_FINITE ||
           why == CAUSE_OVERRUN;
}

static bool is_group(const struct control_rule *rule)
{
    return rule->form == FORM_VOTE || rule->form == FORM_NOT;
}

static bool known_role(uint32_t role)
{
    return role >= ROLE_CONDITION && role <= ROLE_PROTECT;
}

/* PROTECT, or a role that does not exist. */
static bool protects(const struct control_rule *rule)
{
    return rule->role == ROLE_PROTECT || !known_role(rule->role);
}

bool reference_full(const struct control_table *table, const struct control_rule *rule)
{
    uint32_t all = reference_all(table);
    uint32_t named = rule->outputs & all;
    return !known_role(rule->role) || named == all || named == 0;
}

void reference_judge_acting(struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct control_rule *r = &s->table->rule[i];
        bool has_action = r->role == ROLE_PERMIT || r->role == ROLE_HOLD || protects(r);
        bool bypassed = s->r->rule[i].bypass_until_ns != 0;
        s->acts[i] = has_action && r->shadow == 0 && !bypassed && s->r->rule[i].truth != TRUTH_CLEAR;
    }
}

bool reference_acts(const struct reference_step *s, uint32_t rule)
{
    return s->acts[rule];
}

struct engine_cause reference_plain_cause(const struct reference_step *s, uint32_t kind)
{
    return (struct engine_cause){.kind = kind,
                                 .rule = ENGINE_NONE,
                                 .channel = ENGINE_NONE,
                                 .output = ENGINE_NONE,
                                 .tai_ns = s->inputs->now_ns};
}

static void add(struct reference_list *list, struct engine_cause cause)
{
    list->cause[list->count++] = cause;
}

static void tell_sample(const struct reference_step *s, uint32_t channel, struct engine_cause *cause)
{
    if (channel >= CONTROL_CHANNELS_MAX) {
        return;
    }
    const struct engine_sample *sample = &s->inputs->channel[channel];
    cause->channel = channel;
    cause->value = sample->value;
    cause->tai_ns = sample->tai_ns;
    cause->source_sequence = sample->source_sequence;
    cause->position = sample->position;
}

static double limit_of(const struct control_rule *rule, const struct reference_rule *m)
{
    switch (m->why) {
    case CAUSE_HIGH:
        return rule->high;
    case CAUSE_LOW:
        return rule->low;
    case CAUSE_RATE:
    case CAUSE_DEVIATION: {
        bool low =
            rule->has_high == 0 || (rule->has_low != 0 && m->measure <= rule->high && !(m->measure >= rule->low));
        return low ? rule->low : rule->high;
    }
    case CAUSE_STUCK:
    case CAUSE_HEARTBEAT:
        return (double)rule->window_ns / 1e9;
    case CAUSE_VOTE:
        return rule->needed;
    default:
        return 0;
    }
}

static void add_rule(const struct reference_step *s, uint32_t index, struct reference_list *list)
{
    const struct control_rule *rule = &s->table->rule[index];
    const struct reference_rule *m = &s->r->rule[index];
    struct engine_cause cause = reference_plain_cause(s, m->why);
    if (!is_group(rule) && m->truth == TRUTH_UNKNOWN && reference_channels_why(m->why) &&
        m->bad_channel != ENGINE_NONE) {
        for (uint32_t i = 0; i < list->count; i++) {
            if (list->cause[i].kind == m->why && list->cause[i].channel == m->bad_channel &&
                list->cause[i].rule == ENGINE_NONE) {
                return;
            }
        }
        tell_sample(s, m->bad_channel, &cause);
        add(list, cause);
        return;
    }
    if (is_group(rule)) {
        cause.members = m->members;
        cause.unknown = m->unknown;
    } else {
        tell_sample(s, rule->channel, &cause);
        cause.channel = rule->channel;
    }
    cause.rule = index;
    cause.value = m->measure;
    cause.limit = limit_of(rule, m);
    add(list, cause);
}

static uint32_t rules_of(const struct reference_step *s)
{
    return s->table->rules < CONTROL_RULES_MAX ? s->table->rules : CONTROL_RULES_MAX;
}

/* Partial rules that together take all outputs trip the whole. */
static bool is_partial(const struct reference_step *s, const struct control_rule *rule)
{
    return protects(rule) && !reference_full(s->table, rule) && !s->covered;
}

/* They block, but trip nothing: acting partial PROTECT rules first, then HOLD rules and, but for ARMED and TEST,
 * PERMIT rules. */
static void blocking_causes(const struct reference_step *s)
{
    for (uint32_t i = 0; i < rules_of(s); i++) {
        if (reference_acts(s, i) && is_partial(s, &s->table->rule[i])) {
            add_rule(s, i, &s->r->blocking);
        }
    }
    bool permits_count = s->before != ENGINE_ARMED && s->before != ENGINE_TEST;
    for (uint32_t i = 0; i < rules_of(s); i++) {
        uint32_t role = s->table->rule[i].role;
        if (reference_acts(s, i) && (role == ROLE_HOLD || (role == ROLE_PERMIT && permits_count))) {
            add_rule(s, i, &s->r->blocking);
        }
    }
}

void reference_partial_causes(const struct reference_step *s, uint32_t outputs, struct reference_list *list)
{
    list->count = 0;
    for (uint32_t i = 0; i < rules_of(s); i++) {
        const struct control_rule *rule = &s->table->rule[i];
        if (reference_acts(s, i) && protects(rule) && !reference_full(s->table, rule) &&
            (rule->outputs & outputs) != 0) {
            add_rule(s, i, list);
        }
    }
}

void reference_readback_causes(const struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        if (s->r->output[i].cause) {
            struct engine_cause cause = reference_plain_cause(s, CAUSE_READBACK);
            tell_sample(s, s->table->output[i].feedback.channel, &cause);
            cause.output = i;
            add(&s->r->demanding, cause);
        }
    }
}

void reference_collect(struct reference_step *s)
{
    struct reference *r = s->r;
    const struct engine_inputs *inputs = s->inputs;
    r->demanding.count = 0;
    r->blocking.count = 0;
    bool permit = reference_permits(s->before) || r->energised != 0;
    if (s->broken || (permit && !reference_legal(s->before))) {
        add(&r->demanding, reference_plain_cause(s, CAUSE_SELF_TEST));
        if (permit) {
            return; /* what a fault takes, it takes alone */
        }
    }
    if (inputs->deadline_missed != 0) {
        add(&r->demanding, reference_plain_cause(s, CAUSE_DEADLINE));
    }
    if (s->pressed == COMMAND_TRIP) {
        add(&r->demanding, reference_plain_cause(s, CAUSE_MANUAL));
    }
    if (inputs->supervisor_silent != 0) {
        add(&r->demanding, reference_plain_cause(s, CAUSE_SUPERVISOR));
    }
    bool gate_counts = s->table->gate_trips != 0 || s->before == ENGINE_ARMING;
    if (reference_permits(s->before) && r->gate_missing != 0 && gate_counts) {
        struct engine_cause cause = reference_plain_cause(s, CAUSE_GATE);
        cause.value = r->gate_missing;
        add(&r->demanding, cause);
    }
    if (inputs->output_fault != 0) {
        add(&r->demanding, reference_plain_cause(s, CAUSE_OUTPUT));
    }
    reference_readback_causes(s);
    for (uint32_t i = 0; i < rules_of(s); i++) {
        if (reference_acts(s, i) && protects(&s->table->rule[i]) && !is_partial(s, &s->table->rule[i])) {
            add_rule(s, i, &r->demanding);
        }
    }
    blocking_causes(s);
}
