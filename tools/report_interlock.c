#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/explain.h"
#include "control/gate_words.h"
#include "ring/clock.h"
#include "tools/report.h"

static json_t *report_cause(const struct session *s, const struct engine_cause *cause)
{
    char text[256];
    control_explain(s->table, cause, text, sizeof(text));
    bool has_channel = cause->channel < s->table->channels;
    bool has_rule = cause->rule < s->table->rules;
    bool has_output = cause->output < s->table->outputs;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s}", "kind",
                     engine_cause_name(cause->kind), "rule",
                     has_rule ? json_string(s->table->rule[cause->rule].name) : json_null(), "channel",
                     has_channel ? json_string(s->table->channel[cause->channel].decode.name) : json_null(),
                     "output", has_output ? json_string(s->table->output[cause->output].name) : json_null(),
                     "value", has_channel || has_rule ? report_real(cause->value) : json_null(), "limit",
                     has_rule ? report_real(cause->limit) : json_null(), "unit",
                     has_channel ? json_string(s->table->channel[cause->channel].decode.unit) : json_null(),
                     "tai_ns", (json_int_t)cause->tai_ns, "source_sequence", (json_int_t)cause->source_sequence,
                     "position", (json_int_t)cause->position, "text", text);
}

static json_t *report_causes(const struct session *s, const struct engine_cause *causes, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count && i < ENGINE_CAUSES_MAX; i++) {
        json_array_append_new(list, report_cause(s, &causes[i]));
    }
    return list;
}

static double seconds_until(const struct session *s, uint64_t tai_ns)
{
    uint64_t now_ns = clock_tai_ns(s->table->tai_minus_monotonic_ns);
    return tai_ns > now_ns ? (double)(tai_ns - now_ns) / 1e9 : 0;
}

/* Control says which and until when, the supervisor who and why. */
static json_t *report_bypasses(const struct session *s, const struct control_board *board)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct supervisor_bypass *b = &s->supervisor->bypass[i];
        uint64_t until_ns = board->rule[i].bypass_until_ns;
        bool known = __atomic_load_n(&b->since_tai_ns, __ATOMIC_ACQUIRE) != 0;
        if (until_ns != 0) {
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:s, s:I, s:f}", "rule", s->table->rule[i].name, "person",
                                known ? b->person : "?", "reason", known ? b->reason : "?", "since_tai_ns",
                                (json_int_t)(known ? b->since_tai_ns : 0), "until_s", seconds_until(s, until_ns)));
        }
    }
    return list;
}

static json_t *report_alarms(const struct session *s, const struct control_board *board)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct control_board_rule *rule = &board->rule[i];
        bool standing = rule->alarm != ALARM_NORMAL || rule->shelved_until_ns != 0;
        if (s->table->rule[i].role == ROLE_ALARM && standing) {
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:i, s:s, s:o, s:f}", "rule", s->table->rule[i].name, "state",
                                engine_alarm_name(rule->alarm), "severity", (int)s->table->rule[i].severity,
                                "truth", engine_truth_name(rule->truth), "value", report_real(rule->measure),
                                "shelved_s", seconds_until(s, rule->shelved_until_ns)));
        }
    }
    return list;
}

/* Rules that would have acted, were they not on trial. */
static json_t *report_shadow(const struct session *s, const struct control_board *board)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->table->rules && i < CONTROL_RULES_MAX; i++) {
        if (s->table->rule[i].shadow != 0) {
            json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "rule", s->table->rule[i].name, "truth",
                                                  engine_truth_name(board->rule[i].truth), "demands",
                                                  (json_int_t)board->rule[i].demands));
        }
    }
    return list;
}

static json_t *checks(uint32_t mask)
{
    json_t *list = json_array();
    for (uint32_t check = 1; check < GATE_ALL; check <<= 1) {
        if ((mask & check) != 0) {
            json_array_append_new(list, json_string(engine_gate_name(check)));
        }
    }
    return list;
}

/* Waived checks are shown as well: a development mode must be seen. */
static json_t *report_gate(const struct session *s, const struct control_board *board)
{
    json_t *advice = json_object();
    for (uint32_t check = 1; check < GATE_ALL; check <<= 1) {
        if ((board->gate_missing & check) != 0) {
            json_object_set_new(advice, engine_gate_name(check), json_string(gate_advice(check)));
        }
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s}", "required", checks(s->table->gate_required), "missing",
                     checks(board->gate_missing), "waived", checks(GATE_ALL & ~s->table->gate_required), "passed",
                     checks(board->gate_passed), "advice", advice, "on_loss",
                     s->table->gate_trips != 0 ? "trip" : "alarm");
}

static json_t *report_test(const struct session *s, const struct control_board *board)
{
    const struct engine_test *test = &board->test;
    if (test->result == TEST_NONE || test->output >= s->table->outputs) {
        return json_null();
    }
    return json_pack("{s:s, s:s, s:i, s:I, s:I, s:I}", "output", s->table->output[test->output].name, "result",
                     engine_test_name(test->result), "phase", (int)test->phase, "from_tai_ns",
                     (json_int_t)test->from_ns, "safe_ns", (json_int_t)test->safe_ns, "back_ns",
                     (json_int_t)test->back_ns);
}

json_t *report_interlock(const struct session *s, const struct control_board *board)
{
    /* Outputs that tripped alone leave the rest armed: theirs is a first-out, too. */
    bool permitted = board->state == ENGINE_ARMED || board->state == ENGINE_TEST;
    bool has_first =
        board->first_out_count > 0 && board->state != ENGINE_INIT && (!permitted || board->latched != 0);
    json_t *interlock = json_pack(
        "{s:s, s:b, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "state",
        engine_state_name(board->state), "armed", permitted, "trips", (json_int_t)board->trips, "first_out",
        has_first ? report_cause(s, &board->first_out[0]) : json_null(), "first_out_all",
        report_causes(s, board->first_out, has_first ? board->first_out_count : 0), "causes",
        report_causes(s, board->cause, board->cause_count), "bypasses", report_bypasses(s, board), "alarms",
        report_alarms(s, board), "gate", report_gate(s, board), "shadow", report_shadow(s, board), "test",
        report_test(s, board), "heartbeats", (json_int_t)board->heartbeats, "misses", (json_int_t)board->misses,
        "overruns", (json_int_t)board->overruns, "worst_gap_ns", (json_int_t)board->worst_gap_ns, "steps",
        (json_int_t)board->steps);
    return interlock;
}

static const char *feedback_name(const struct control_output *output, uint32_t position)
{
    return output->feedback.form == FEEDBACK_NONE ? "none"
           : position == POSITION_ENERGISED       ? "energised"
           : position == POSITION_SAFE            ? "safe"
                                                  : "unknown";
}

json_t *report_outputs(const struct session *s, const struct control_board *board)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        const struct control_output *output = &s->table->output[i];
        const struct control_device *device = &s->table->device[output->device % CONTROL_DEVICES_MAX];
        const struct control_board_device *shown = &board->device[output->device % CONTROL_DEVICES_MAX];
        json_array_append_new(
            list, json_pack("{s:s, s:b, s:s, s:b, s:b, s:b, s:s, s:I, s:I, s:I, s:I}", "name", output->name,
                            "energised", (int)(board->energised >> i & 1), "feedback",
                            feedback_name(output, board->position[i]), "latched", (int)(board->latched >> i & 1),
                            "held", (int)(board->held >> i & 1), "heartbeat", (int)output->heartbeat, "target",
                            device->target, "line", (json_int_t)output->line, "sent", (json_int_t)shown->sent,
                            "errors", (json_int_t)shown->errors, "last_errno", (json_int_t)shown->last_error));
    }
    return list;
}

json_t *report_configuration(const struct session *s)
{
    char checksum[17];
    const struct supervisor_board *board = s->supervisor;
    bool acknowledged = __atomic_load_n(&board->config_acknowledged, __ATOMIC_ACQUIRE) != 0;
    snprintf(checksum, sizeof(checksum), "%016" PRIx64, s->table->checksum);
    return json_pack("{s:s, s:b, s:o, s:o}", "checksum", checksum, "acknowledged", (int)acknowledged, "by",
                     acknowledged ? json_string(board->config_acknowledged_by) : json_null(), "acknowledged_tai_ns",
                     acknowledged ? json_integer((json_int_t)board->config_acknowledged_tai_ns) : json_null());
}

json_t *report_audit(const struct session *s)
{
    const struct supervisor_audit *a = &s->supervisor->audit;
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "file", a->path[0] != 0 ? json_string(a->path) : json_null(),
                     "written", (json_int_t)a->written, "pending", (json_int_t)a->pending, "lost",
                     (json_int_t)a->lost, "errors", (json_int_t)a->errors, "last_errno", (json_int_t)a->last_errno);
}
