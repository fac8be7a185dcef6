#include <math.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/clock.h"
#include "tools/report.h"

static const char *form_name(uint32_t form)
{
    static const char *const forms[] = {"none",  "limit",     "rate", "deviation", "bit",
                                        "stuck", "heartbeat", "vote", "not"};
    return form < sizeof(forms) / sizeof(forms[0]) ? forms[form] : "unknown";
}

static const char *role_name(uint32_t role)
{
    static const char *const roles[] = {"none", "condition", "alarm", "permit", "hold", "protect"};
    return role < sizeof(roles) / sizeof(roles[0]) ? roles[role] : "unknown";
}

/* How far the measure is from a demand, in the measure's unit; below 0: beyond it. NaN: the form has none. */
static double margin_of(const struct control_rule *rule, double measure)
{
    double up = rule->has_high != 0 ? rule->high - measure : INFINITY;
    double down = rule->has_low != 0 ? measure - rule->low : INFINITY;
    switch (rule->form) {
    case FORM_LIMIT:
    case FORM_RATE:
    case FORM_DEVIATION:
        return up < down ? up : down;
    case FORM_STUCK:
        return (double)rule->window_ns / 1e9 - measure;
    case FORM_VOTE:
        return (double)rule->needed - measure;
    default:
        return NAN;
    }
}

static const char *unit_of(const struct control_table *table, const struct control_rule *rule, char room[40])
{
    const char *unit = rule->channel < table->channels && rule->channel < CONTROL_CHANNELS_MAX
                           ? table->channel[rule->channel].decode.unit
                           : "";
    switch (rule->form) {
    case FORM_RATE:
        snprintf(room, 40, "%.30s/s", unit);
        return room;
    case FORM_STUCK:
    case FORM_HEARTBEAT:
        return "s";
    case FORM_VOTE:
        return "votes";
    case FORM_NOT:
    case FORM_BIT:
        return "";
    default:
        return unit;
    }
}

static double left_s(const struct session *s, uint64_t until_ns)
{
    uint64_t now_ns = clock_tai_ns(s->table->tai_minus_monotonic_ns);
    return until_ns > now_ns ? (double)(until_ns - now_ns) / 1e9 : 0;
}

static json_t *names_of(const struct control_table *table, uint32_t mask)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        if ((mask >> i & 1) != 0) {
            json_array_append_new(list, json_string(table->output[i].name));
        }
    }
    return list;
}

static json_t *report_rule(const struct session *s, const struct control_board *board, uint32_t i)
{
    const struct control_rule *rule = &s->table->rule[i];
    const struct control_board_rule *now = &board->rule[i];
    bool leaf = rule->form != FORM_VOTE && rule->form != FORM_NOT;
    bool known = now->truth != TRUTH_UNKNOWN;
    char room[40];
    json_t *bypass = now->bypass_until_ns != 0 ? json_real(left_s(s, now->bypass_until_ns)) : json_null();
    return json_pack(
        "{s:s, s:s, s:s, s:b, s:o, s:o, s:s, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "name", rule->name,
        "form", form_name(rule->form), "role", role_name(rule->role), "shadow", (int)rule->shadow, "channel",
        leaf && rule->channel < s->table->channels ? json_string(s->table->channel[rule->channel].decode.name)
                                                   : json_null(),
        "value", report_real(now->measure), "unit", unit_of(s->table, rule, room), "truth",
        engine_truth_name(now->truth), "why",
        now->truth != TRUTH_CLEAR ? json_string(engine_cause_name(now->why)) : json_null(), "margin",
        known ? report_real(margin_of(rule, now->measure)) : json_null(), "demands", (json_int_t)now->demands,
        "bypass_s", bypass, "bypass_max_s",
        rule->bypass_max_ns != 0 ? json_real((double)rule->bypass_max_ns / 1e9) : json_null(), "alarm",
        rule->role == ROLE_ALARM ? json_string(engine_alarm_name(now->alarm)) : json_null(), "shelved_s",
        now->shelved_until_ns != 0 ? json_real(left_s(s, now->shelved_until_ns)) : json_null(), "outputs",
        names_of(s->table, rule->role == ROLE_PROTECT || rule->role == ROLE_HOLD ? rule->outputs : 0));
}

json_t *report_rules(const struct session *s, const struct control_board *board)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->table->rules && i < CONTROL_RULES_MAX; i++) {
        json_array_append_new(list, report_rule(s, board, i));
    }
    return list;
}

json_t *report_rules_alone(struct session *session, struct error *err)
{
    static struct control_board board;
    if (session_refresh(session, err) != 0 || session_control_board(session, &board, err) != 0) {
        return NULL;
    }
    return json_pack("{s:o}", "rules", report_rules(session, &board));
}
