#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/replay.h"

void replay_run_start(struct replay_run *run, const struct control_table *table)
{
    run->table = table;
    run->inputs = (struct engine_inputs){.gate_passed = GATE_ALL};
    engine_init(&run->state);
}

static void note_trip(struct replay_run *run, bool first_out_open)
{
    const struct engine_state *state = &run->state;
    run->trips++;
    if (run->trips_told == REPLAY_TRIPS_MAX) {
        return;
    }
    struct replay_trip *trip = &run->trip[run->trips_told++];
    *trip = (struct replay_trip){.tai_ns = run->inputs.now_ns};
    /* The second trip since arming (outputs tripped alone, then all) leaves the first-out as it was. */
    const struct engine_cause *cause = first_out_open ? state->first_out : state->cause;
    uint32_t count = first_out_open ? state->first_out_count : state->demand_count;
    trip->causes = count < ENGINE_CAUSES_MAX ? count : ENGINE_CAUSES_MAX;
    memcpy(trip->cause, cause, sizeof(trip->cause));
}

static void note_margin(struct replay_margin *margin, double distance, double measure, double limit,
                        uint64_t tai_ns)
{
    if (!isfinite(distance) || (margin->known && distance >= margin->margin)) {
        return;
    }
    *margin = (struct replay_margin){
        .known = true, .margin = distance, .measure = measure, .limit = limit, .tai_ns = tai_ns};
}

/* Of what was compared last. An unknown rule has compared nothing. */
static void note_rule(struct replay_run *run, uint32_t i)
{
    const struct control_rule *rule = &run->table->rule[i];
    const struct engine_rule_state *memory = &run->state.rule[i];
    struct replay_margin *margin = &run->margin[i];
    uint64_t now_ns = run->inputs.now_ns;
    double window_s = (double)rule->window_ns / 1e9;
    if (memory->truth == TRUTH_UNKNOWN && rule->form != FORM_VOTE) {
        return;
    }
    switch (rule->form) {
    case FORM_LIMIT:
    case FORM_RATE:
    case FORM_DEVIATION:
        if (rule->has_high != 0) {
            note_margin(margin, rule->high - memory->measure, memory->measure, rule->high, now_ns);
        }
        if (rule->has_low != 0) {
            note_margin(margin, memory->measure - rule->low, memory->measure, rule->low, now_ns);
        }
        break;
    case FORM_STUCK:
        note_margin(margin, window_s - memory->measure, memory->measure, window_s, now_ns);
        break;
    case FORM_HEARTBEAT: {
        double gone_s = now_ns > memory->anchor_ns ? (double)(now_ns - memory->anchor_ns) / 1e9 : 0.0;
        note_margin(margin, window_s - gone_s, gone_s, window_s, now_ns);
        break;
    }
    case FORM_VOTE:
        note_margin(margin, (double)rule->needed - memory->measure, memory->measure, rule->needed, now_ns);
        break;
    default:
        break;
    }
}

void replay_run_note(struct replay_run *run, bool first_out_open)
{
    uint32_t rules = run->table->rules < CONTROL_RULES_MAX ? run->table->rules : CONTROL_RULES_MAX;
    run->steps++;
    if (run->outputs.tripped != 0) {
        note_trip(run, first_out_open);
    }
    for (uint32_t i = 0; i < run->outputs.events && i < ENGINE_EVENTS_MAX; i++) {
        const struct engine_event *event = &run->outputs.event[i];
        if (event->kind == EVENT_ALARM && event->index < CONTROL_RULES_MAX &&
            event->value == (double)ALARM_UNACKNOWLEDGED) {
            run->alarms[event->index]++;
        }
    }
    for (uint32_t i = 0; i < rules; i++) {
        note_rule(run, i);
    }
}

static void step(struct replay_run *run)
{
    bool first_out_open = run->state.first_out_open != 0;
    engine_step(run->table, &run->state, &run->inputs, &run->outputs);
    replay_run_note(run, first_out_open);
}

static void press(struct replay_run *run, uint32_t command)
{
    run->inputs.command = command;
    step(run);
    run->inputs.command = COMMAND_NONE;
    step(run);
}

void replay_run_step(struct replay_run *run)
{
    step(run);
    if (!run->arms && !run->arms_once) {
        return;
    }
    run->inputs.command = COMMAND_NONE;
    if (run->state.code == ENGINE_TRIPPED && run->state.cause_count == 0) {
        press(run, COMMAND_RESET);
    }
    if (run->state.code == ENGINE_READY) {
        press(run, COMMAND_ARM);
    }
    if (machine_permits(run->state.code)) {
        run->arms_once = false;
    }
}

void replay_run_idle(struct replay_run *run, uint64_t to_ns, uint64_t every_ns)
{
    run->inputs.command = COMMAND_NONE;
    while (run->inputs.now_ns != 0 && to_ns > run->inputs.now_ns && to_ns - run->inputs.now_ns > every_ns) {
        run->inputs.now_ns += every_ns;
        replay_run_step(run);
    }
}

void replay_rule_unit(const struct control_table *table, uint32_t rule, char unit[RING_UNIT_BYTES + 4])
{
    const struct control_rule *r = &table->rule[rule];
    const char *of_channel = r->channel < table->channels ? table->channel[r->channel].decode.unit : "";
    const char *text = of_channel;
    const char *per = "";
    switch (r->form) {
    case FORM_RATE:
        per = "/s";
        break;
    case FORM_STUCK:
    case FORM_HEARTBEAT:
        text = "s";
        break;
    case FORM_VOTE:
        text = "votes";
        break;
    case FORM_BIT:
    case FORM_NOT:
        text = "";
        break;
    default:
        break;
    }
    snprintf(unit, RING_UNIT_BYTES + 4, "%.*s%s", (int)RING_UNIT_BYTES - 1, text, per);
}
