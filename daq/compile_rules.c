/* Conditions and rules: the flat table that the engine walks from first to last. Conditions come first, so that
 * whoever names one finds it judged already. */
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "ring/clock.h"

#define WHERE_BYTES    64
#define PRE_ALARM      ".pre"
#define BYPASS_MAX_S   2592000u /* 30 days */
#define SEVERITY_USUAL 2

/* One entry of `conditions` or `rules` on its way into the table. */
struct entry {
    const struct config_rule *from;
    struct control_rule *to;
    uint32_t index;
    bool condition;
    char where[WHERE_BYTES];
};

static struct control_rule *new_rule(struct compile *c, const char *where)
{
    struct control_table *table = &c->plan->table;
    if (table->rules == CONTROL_RULES_MAX) {
        config_complain(c->file, c->errors, where, "expected at most %u conditions, rules and pre-alarms together",
                        CONTROL_RULES_MAX);
        return NULL;
    }
    return &table->rule[table->rules++];
}

static int find_rule(const struct control_table *table, const char *name, uint32_t below)
{
    for (uint32_t i = 0; i < below; i++) {
        if (strcmp(table->rule[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* What of the keys that say what a rule looks at is there; one, and only one, must be. */
static unsigned count_forms(const struct config_rule *from)
{
    bool limit = (from->high != NULL || from->low != NULL) && from->deviates_from == NULL;
    return (unsigned)limit + (from->deviates_from != NULL) + (from->rate_high != NULL || from->rate_low != NULL) +
           (from->bits_set != NULL) + (from->bits_clear != NULL) + (from->stuck_ms != NULL) +
           (from->heartbeat_ms != NULL) + (from->vote != NULL || from->of_count > 0) + (from->any_count > 0) +
           (from->all_count > 0) + (from->not != NULL);
}

static bool is_group(const struct config_rule *from)
{
    return from->vote != NULL || from->of_count > 0 || from->any_count > 0 || from->all_count > 0 ||
           from->not != NULL;
}

/* A key that does nothing where it stands is a mistake of somebody who believes that it does. */
static void refuse_idle_keys(struct compile *c, const struct entry *e)
{
    const struct config_rule *f = e->from;
    bool group = is_group(f);
    const struct {
        const char *key;
        bool given;
        bool allowed;
        const char *where;
    } keys[] = {
        {"channel", f->channel != NULL, !group, "a vote or group looks at conditions, not at a channel"},
        {"unit", f->unit != NULL, !group, "a vote or group has no unit"},
        {"of", f->of_count > 0, f->vote != NULL, "of belongs to vote, which says how many"},
        {"unknown", f->unknown != NULL, f->vote != NULL || f->any_count > 0 || f->all_count > 0,
         "unknown belongs to vote, any or all"},
        {"by", f->by != NULL, f->deviates_from != NULL, "by belongs to deviates_from"},
        {"window_ms", f->window_ms != NULL, f->rate_high != NULL || f->rate_low != NULL,
         "window_ms belongs to rate_high and rate_low"},
        {"band", f->band != NULL, f->stuck_ms != NULL, "band belongs to stuck_ms"},
        {"hysteresis", f->hysteresis != NULL,
         f->high != NULL || f->low != NULL || f->by != NULL || f->rate_high != NULL || f->rate_low != NULL,
         "hysteresis belongs to a limit, a deviation or a rate"},
        {"on_delay_ms", f->on_delay_ms != NULL || f->delay_ms != NULL, !group,
         "a vote or group has no delays; its conditions may have"},
        {"on_delay_samples", f->on_delay_samples != NULL || f->delay_samples != NULL, !group,
         "a vote or group has no delays; its conditions may have"},
        {"off_delay_ms", f->off_delay_ms != NULL, !group, "a vote or group has no delays; its conditions may have"},
        {"off_delay_samples", f->off_delay_samples != NULL, !group,
         "a vote or group has no delays; its conditions may have"},
        {"role", f->role != NULL, !e->condition, "a condition acts only through the rules that name it"},
        {"outputs", f->outputs_count > 0,
         !e->condition && (f->role == NULL || *f->role == ROLE_PROTECT || *f->role == ROLE_HOLD),
         "only rules of role protect or hold act on outputs"},
        {"severity", f->severity != NULL, !e->condition && f->role != NULL && *f->role == ROLE_ALARM,
         "severity belongs to role: alarm"},
        {"shadow", f->shadow != NULL, !e->condition, "a condition acts only through the rules that name it"},
        {"process_safety_time_ms", f->process_safety_time_ms != NULL,
         !e->condition && (f->role == NULL || *f->role == ROLE_PROTECT || *f->role == ROLE_HOLD),
         "only rules of role protect or hold have a process safety time"},
        {"bypass_max_s", f->bypass_max_s != NULL, f->role == NULL || *f->role != ROLE_ALARM,
         "an alarm is shelved, not bypassed"},
        {"pre_alarm_high", f->pre_alarm_high != NULL, !e->condition && f->high != NULL && f->deviates_from == NULL,
         "a pre-alarm belongs to the limit on the same side"},
        {"pre_alarm_low", f->pre_alarm_low != NULL, !e->condition && f->low != NULL && f->deviates_from == NULL,
         "a pre-alarm belongs to the limit on the same side"}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].given && !keys[i].allowed) {
            compile_complain_key(c, e->where, keys[i].key, "does nothing here: %s", keys[i].where);
        }
    }
}

static void compile_delays(struct compile *c, const struct entry *e)
{
    const struct config_rule *f = e->from;
    char path[WHERE_BYTES + 32];
    if ((f->delay_samples != NULL && f->on_delay_samples != NULL) ||
        (f->delay_ms != NULL && f->on_delay_ms != NULL)) {
        compile_complain_key(c, e->where, "on_delay_ms",
                             "delay_ and on_delay_ are two names of one thing; give one");
    }
    const char *key = f->delay_samples != NULL ? "delay_samples" : "on_delay_samples";
    snprintf(path, sizeof(path), "%s.%s", e->where, key);
    e->to->on_samples = (uint32_t)compile_bounded(
        c, path, f->delay_samples != NULL ? f->delay_samples : f->on_delay_samples, 1, 1, 1000000, "samples");
    snprintf(path, sizeof(path), "%s.off_delay_samples", e->where);
    e->to->off_samples = (uint32_t)compile_bounded(c, path, f->off_delay_samples, 1, 1, 1000000, "samples");
    e->to->on_ns = f->delay_ms != NULL ? compile_ms(c, e->where, "delay_ms", f->delay_ms, 0, 0)
                                       : compile_ms(c, e->where, "on_delay_ms", f->on_delay_ms, 0, 0);
    e->to->off_ns = compile_ms(c, e->where, "off_delay_ms", f->off_delay_ms, 0, 0);
}

static void compile_leaf(struct compile *c, const struct entry *e)
{
    if (e->from->channel == NULL) {
        compile_complain_key(c, e->where, "", "expected a channel that the rule looks at");
        return;
    }
    int channel = compile_find_channel(&c->plan->table, e->from->channel);
    if (channel < 0) {
        compile_complain_key(c, e->where, "channel", "no source has a channel '%s'", e->from->channel);
        return;
    }
    e->to->channel = (uint32_t)channel;
    compile_rule_form(c, e->where, e->from, e->to);
    compile_delays(c, e);
}

static void add_member(struct compile *c, const struct entry *e, const char *key, uint32_t i, const char *name)
{
    struct control_table *table = &c->plan->table;
    char place[32];
    int member = find_rule(table, name, e->index);
    snprintf(place, sizeof(place), "%s[%u]", key, i);
    if (strcmp(key, "not") == 0) {
        snprintf(place, sizeof(place), "not");
    }
    if (member < 0) {
        compile_complain_key(c, e->where, place,
                             "no condition '%s' stands above; what is built upon must come first, under conditions",
                             name);
        return;
    }
    if (table->rule[member].role != ROLE_CONDITION) {
        compile_complain_key(c, e->where, place, "'%s' is a rule with an action of its own; move it to conditions",
                             name);
        return;
    }
    for (uint32_t m = 0; m < e->to->members; m++) {
        if (e->to->member[m] == (uint32_t)member) {
            compile_complain_key(c, e->where, place, "'%s' has a vote already", name);
            return;
        }
    }
    if (e->to->members == CONTROL_MEMBERS_MAX) {
        compile_complain_key(c, e->where, place, "expected at most %u members", CONTROL_MEMBERS_MAX);
        return;
    }
    e->to->member[e->to->members++] = (uint16_t)member;
}

/* A condition that may be bypassed becomes unknown to its vote: where one vote is enough, that is a trip. */
static void check_bypassed_members(struct compile *c, const struct entry *e)
{
    for (uint32_t m = 0; m < e->to->members; m++) {
        const struct control_rule *member = &c->plan->table.rule[e->to->member[m]];
        if (member->bypass_max_ns != 0 && (e->to->needed <= 1 || e->to->unknown_trips != 0)) {
            compile_complain_key(c, e->where, "",
                                 "condition '%s' may be bypassed, which is a vote for the trip, and here one is "
                                 "enough: let the rule itself be bypassed instead",
                                 member->name);
        }
    }
}

static void compile_group(struct compile *c, const struct entry *e)
{
    const struct config_rule *f = e->from;
    char **names = f->of_count > 0 ? f->of : f->any_count > 0 ? f->any : f->all;
    uint32_t count = f->of_count > 0 ? f->of_count : f->any_count > 0 ? f->any_count : f->all_count;
    const char *key = f->of_count > 0 ? "of" : f->any_count > 0 ? "any" : "all";
    e->to->form = f->not != NULL ? FORM_NOT : FORM_VOTE;
    e->to->unknown_trips = f->unknown != NULL && *f->unknown == UNKNOWN_TRIPS;
    if (f->not != NULL) {
        add_member(c, e, "not", 0, f->not );
        e->to->needed = 1;
    }
    for (uint32_t i = 0; f->not == NULL && i < count; i++) {
        add_member(c, e, key, i, names[i]);
    }
    if (f->vote != NULL) {
        if (f->of_count == 0) {
            compile_complain_key(c, e->where, "vote", "expected of: [..], the conditions that vote");
        } else if (*f->vote < 1 || *f->vote > f->of_count) {
            compile_complain_key(c, e->where, "vote", "expected 1 to %u votes of %u, found %u", f->of_count,
                                 f->of_count, *f->vote);
        }
        e->to->needed = *f->vote;
    } else if (f->not == NULL) {
        e->to->needed = f->any_count > 0 ? 1 : e->to->members;
    }
    check_bypassed_members(c, e);
}

static void compile_outputs_of(struct compile *c, const struct entry *e)
{
    const struct control_table *table = &c->plan->table;
    char place[32];
    for (uint32_t i = 0; i < e->from->outputs_count; i++) {
        uint32_t o = 0;
        while (o < table->outputs && strcmp(table->output[o].name, e->from->outputs[i]) != 0) {
            o++;
        }
        snprintf(place, sizeof(place), "outputs[%u]", i);
        if (o == table->outputs) {
            compile_complain_key(c, e->where, place, "there is no output '%s'", e->from->outputs[i]);
        } else {
            e->to->outputs |= UINT32_C(1) << o;
        }
    }
    if (e->from->outputs_count == 0 && (e->to->role == ROLE_PROTECT || e->to->role == ROLE_HOLD)) {
        e->to->outputs = control_all_outputs(table);
    }
}

static void compile_options(struct compile *c, const struct entry *e)
{
    const struct config_rule *f = e->from;
    char path[WHERE_BYTES + 32];
    e->to->role = e->condition ? ROLE_CONDITION : f->role != NULL ? (uint32_t)*f->role : ROLE_PROTECT;
    e->to->shadow = f->shadow != NULL && *f->shadow;
    if (e->to->role == ROLE_ALARM) {
        snprintf(path, sizeof(path), "%s.severity", e->where);
        e->to->severity =
            (uint32_t)compile_bounded(c, path, f->severity, SEVERITY_USUAL, 1, 4, "(1 is the highest)");
    }
    snprintf(path, sizeof(path), "%s.bypass_max_s", e->where);
    e->to->bypass_max_ns = CLOCK_NS_PER_S * compile_bounded(c, path, f->bypass_max_s, 0, 1, BYPASS_MAX_S, "s");
    e->to->safety_time_ns = compile_ms(c, e->where, "process_safety_time_ms", f->process_safety_time_ms, 0, 0.001);
    compile_outputs_of(c, e);
}

/* The alarm in front of a trip: the same channel, hysteresis and delays, a nearer limit. */
static void compile_pre_alarm(struct compile *c, const struct entry *e)
{
    const struct config_rule *f = e->from;
    if ((f->pre_alarm_high == NULL && f->pre_alarm_low == NULL) || e->to->form != FORM_LIMIT) {
        return;
    }
    if (f->pre_alarm_high != NULL && f->high != NULL && !(*f->pre_alarm_high < *f->high)) {
        compile_complain_key(c, e->where, "pre_alarm_high", "expected less than high %g, found %g", *f->high,
                             *f->pre_alarm_high);
    }
    if (f->pre_alarm_low != NULL && f->low != NULL && !(*f->pre_alarm_low > *f->low)) {
        compile_complain_key(c, e->where, "pre_alarm_low", "expected more than low %g, found %g", *f->low,
                             *f->pre_alarm_low);
    }
    struct control_rule *to = new_rule(c, e->where);
    if (to == NULL) {
        return;
    }
    struct config_rule as_alarm = {.hysteresis = f->hysteresis, .high = f->pre_alarm_high, .low = f->pre_alarm_low};
    size_t n = strlen(e->to->name);
    if (n + sizeof(PRE_ALARM) > sizeof(to->name)) {
        compile_complain_key(c, e->where, "name", "too long for a pre-alarm, which is named after it with '%s'",
                             PRE_ALARM);
        n = sizeof(to->name) - sizeof(PRE_ALARM);
    }
    *to = (struct control_rule){.role = ROLE_ALARM,
                                .channel = e->to->channel,
                                .severity = SEVERITY_USUAL,
                                .on_samples = e->to->on_samples,
                                .off_samples = e->to->off_samples,
                                .on_ns = e->to->on_ns,
                                .off_ns = e->to->off_ns};
    memcpy(to->name, e->to->name, n);
    memcpy(to->name + n, PRE_ALARM, sizeof(PRE_ALARM));
    if (find_rule(&c->plan->table, to->name, c->plan->table.rules - 1) >= 0) {
        compile_complain_key(c, e->where, "name", "its pre-alarm is named '%s', as another rule above; rename one",
                             to->name);
    }
    compile_rule_form(c, e->where, &as_alarm, to);
}

static void compile_entry(struct compile *c, const char *list, uint32_t i, const struct config_rule *from,
                          bool condition)
{
    struct control_table *table = &c->plan->table;
    struct entry e = {.from = from, .condition = condition, .index = table->rules};
    char path[WHERE_BYTES + 8];
    snprintf(e.where, sizeof(e.where), "%s[%u]", list, i);
    e.to = new_rule(c, e.where);
    if (e.to == NULL) {
        return;
    }
    snprintf(path, sizeof(path), "%s.name", e.where);
    compile_name(c, path, from->name, e.to->name);
    if (find_rule(table, e.to->name, e.index) >= 0) {
        config_complain(c->file, c->errors, path, "a second rule or condition named '%s'; names must differ",
                        e.to->name);
    }
    unsigned forms = count_forms(from);
    if (forms == 0) {
        compile_complain_key(
            c, e.where, "",
            "a rule needs high, low or both, or another thing to look at: deviates_from, rate_high, "
            "rate_low, bits_set, bits_clear, stuck_ms, heartbeat_ms, vote, any, all, not");
    } else if (forms > 1) {
        compile_complain_key(c, e.where, "", "expected one thing to look at, found %u; make a condition of each",
                             forms);
    }
    refuse_idle_keys(c, &e);
    compile_options(c, &e);
    if (forms == 1 && is_group(from)) {
        compile_group(c, &e);
    } else if (forms <= 1) {
        compile_leaf(c, &e);
        compile_pre_alarm(c, &e);
    }
}

static void refuse_unused(struct compile *c)
{
    const struct control_table *table = &c->plan->table;
    for (uint32_t i = 0; i < c->config->conditions_count && i < table->rules; i++) {
        bool used = false;
        for (uint32_t r = i + 1; r < table->rules; r++) {
            for (uint32_t m = 0; m < table->rule[r].members; m++) {
                used = used || table->rule[r].member[m] == i;
            }
        }
        if (!used && table->rule[i].role == ROLE_CONDITION) {
            char where[WHERE_BYTES];
            snprintf(where, sizeof(where), "conditions[%u].name", i);
            config_complain(c->file, c->errors, where, "no rule names condition '%s': it would watch for nothing",
                            table->rule[i].name);
        }
    }
}

void compile_rules(struct compile *c)
{
    for (uint32_t i = 0; i < c->config->conditions_count; i++) {
        compile_entry(c, "conditions", i, &c->config->conditions[i], true);
    }
    for (uint32_t i = 0; i < c->config->rules_count; i++) {
        compile_entry(c, "rules", i, &c->config->rules[i], false);
    }
    refuse_unused(c);
}
