/* The reference's step: readback, commands, states, alarms, in the order of the description. */
#include <math.h>
#include <string.h>

#include "tests/control/reference.h"

void reference_event(struct reference_step *s, uint32_t kind, uint32_t index, double value)
{
    struct reference *r = s->r;
    if (r->events < REFERENCE_EVENTS) {
        r->event[r->events++] =
            (struct engine_event){.tai_ns = s->inputs->now_ns, .kind = kind, .index = index, .value = value};
    }
}

bool reference_permits(uint32_t code)
{
    return code == ENGINE_ARMING || code == ENGINE_ARMED || code == ENGINE_TEST;
}

uint32_t reference_all(const struct control_table *table)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < 32 && i < table->outputs; i++) {
        all |= UINT32_C(1) << i;
    }
    return all;
}

void reference_init(struct reference *r)
{
    memset(r, 0, sizeof(*r));
    r->code = ENGINE_INIT;
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static void expire(struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->rules; i++) {
        struct reference_rule *m = &s->r->rule[i];
        if (m->bypass_until_ns != 0 && s->inputs->now_ns >= m->bypass_until_ns) {
            m->bypass_until_ns = 0;
            reference_event(s, EVENT_BYPASS_OFF, i, 1);
        }
        if (m->shelved_until_ns != 0 && s->inputs->now_ns >= m->shelved_until_ns) {
            m->shelved_until_ns = 0;
            reference_event(s, EVENT_SHELVED, i, 0);
        }
    }
}

static uint32_t standing_bypasses(const struct reference_step *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->table->rules; i++) {
        n += s->r->rule[i].bypass_until_ns != 0;
    }
    return n;
}

static void set_alarm(struct reference_step *s, uint32_t rule, uint32_t alarm)
{
    s->r->rule[rule].alarm = alarm;
    reference_event(s, EVENT_ALARM, rule, alarm);
}

static void move_alarms(struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->rules; i++) {
        const struct reference_rule *m = &s->r->rule[i];
        if (s->table->rule[i].role != ROLE_ALARM) {
            continue;
        }
        bool active = m->truth != TRUTH_CLEAR;
        if ((m->alarm == ALARM_NORMAL || m->alarm == ALARM_RETURNED) && active) {
            set_alarm(s, i, ALARM_UNACKNOWLEDGED);
        } else if (m->alarm == ALARM_UNACKNOWLEDGED && !active) {
            set_alarm(s, i, ALARM_RETURNED);
        } else if (m->alarm == ALARM_ACKNOWLEDGED && !active) {
            set_alarm(s, i, ALARM_NORMAL);
        }
    }
}

static uint32_t position_of_bits(const struct control_feedback *f, double v)
{
    if (!(v >= 0 && v <= 9007199254740992.0 && floor(v) >= v)) {
        return POSITION_UNKNOWN;
    }
    bool e = ((uint64_t)v & f->energised_mask) != 0;
    bool s = ((uint64_t)v & f->safe_mask) != 0;
    if (f->safe_mask == 0) {
        return e ? POSITION_ENERGISED : POSITION_SAFE;
    }
    if (f->energised_mask == 0) {
        return s ? POSITION_SAFE : POSITION_ENERGISED;
    }
    return e && !s ? POSITION_ENERGISED : s && !e ? POSITION_SAFE : POSITION_UNKNOWN;
}

static uint32_t position_of_value(const struct control_feedback *f, double v)
{
    if (f->energised_at > f->safe_at) {
        return v >= f->energised_at ? POSITION_ENERGISED : v <= f->safe_at ? POSITION_SAFE : POSITION_UNKNOWN;
    }
    if (f->energised_at < f->safe_at) {
        return v <= f->energised_at ? POSITION_ENERGISED : v >= f->safe_at ? POSITION_SAFE : POSITION_UNKNOWN;
    }
    return POSITION_UNKNOWN;
}

static uint32_t position_of(const struct reference_step *s, uint32_t output)
{
    const struct control_feedback *f = &s->table->output[output].feedback;
    if (f->channel >= s->table->channels || f->channel >= CONTROL_CHANNELS_MAX ||
        s->r->quality[f->channel] != ENGINE_GOOD) {
        return POSITION_UNKNOWN;
    }
    double v = s->inputs->channel[f->channel].value;
    uint32_t position = f->form == FEEDBACK_BITS    ? position_of_bits(f, v)
                        : f->form == FEEDBACK_VALUE ? position_of_value(f, v)
                                                    : POSITION_UNKNOWN;
    if (s->inputs->channel[f->channel].old != 0 && position != s->r->output[output].position) {
        return POSITION_UNKNOWN; /* an old sample may agree, and says nothing new */
    }
    return position;
}

static bool has_feedback(const struct control_table *table, uint32_t output)
{
    return table->output[output].feedback.form != FEEDBACK_NONE;
}

static uint32_t wanted(const struct reference *r, uint32_t output)
{
    return (r->energised >> output & 1) != 0 ? POSITION_ENERGISED : POSITION_SAFE;
}

static void read_back(struct reference_step *s, uint32_t output)
{
    struct reference_output *o = &s->r->output[output];
    uint64_t now = s->inputs->now_ns;
    uint32_t want = wanted(s->r, output);
    o->position = position_of(s, output);
    if (o->position == want) {
        o->followed = true;
        o->left_ns = 0;
    } else if (o->left_ns == 0) {
        o->left_ns = now;
    }
    uint64_t since = o->changed_ns > o->left_ns ? o->changed_ns : o->left_ns;
    uint64_t waited = now > since ? now - since : 0;
    o->late = o->position != want && waited > s->table->output[output].feedback.time_ns;
    o->lost = want == POSITION_ENERGISED && o->followed && o->position == POSITION_SAFE;
    /* While ARMING, an output that is late leads to FAULT, not to TRIPPED: it is a cause of that, see move(). */
    o->cause = s->before == ENGINE_ARMING     ? o->lost
               : reference_permits(s->before) ? o->late || o->lost
                                              : o->position != want;
}

static void read_all_back(struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        if (has_feedback(s->table, i)) {
            read_back(s, i);
        }
    }
}

static void look_at_test(struct reference_step *s)
{
    const struct reference_test *t = &s->r->test;
    const struct reference_output *o = &s->r->output[t->output];
    if (t->phase == 1 && o->position == POSITION_SAFE) {
        s->test_safe = true;
    } else if (t->phase == 2 && o->position == POSITION_ENERGISED &&
               wanted(s->r, t->output) == POSITION_ENERGISED) {
        s->test_done = true;
    }
}

static bool any_late(const struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->outputs; i++) {
        if (has_feedback(s->table, i) && s->r->output[i].late) {
            return true;
        }
    }
    return false;
}

static bool all_followed(const struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->outputs; i++) {
        if (has_feedback(s->table, i) && s->r->output[i].position != wanted(s->r, i)) {
            return false;
        }
    }
    return true;
}

static void latch(struct reference_step *s)
{
    uint32_t latched = s->r->latched;
    if (!reference_permits(s->before)) {
        return;
    }
    for (uint32_t i = 0; i < s->table->rules; i++) {
        const struct control_rule *rule = &s->table->rule[i];
        if (reference_acts(s, i) && rule->role == ROLE_PROTECT && !reference_full(s->table, rule)) {
            latched |= rule->outputs & reference_all(s->table);
        }
    }
    s->newly_latched = latched & ~s->r->latched;
    s->covered = latched != 0 && latched == reference_all(s->table);
}

static uint32_t held_now(const struct reference_step *s)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < s->table->rules; i++) {
        if (s->table->rule[i].role == ROLE_HOLD && reference_acts(s, i)) {
            held |= s->table->rule[i].outputs & reference_all(s->table);
        }
    }
    return held;
}

/* A rule has latched or holds it, if only since this step. */
static bool is_taken(const struct reference_step *s, uint32_t output)
{
    return ((s->r->latched | s->newly_latched | held_now(s)) >> output & 1) != 0;
}

static bool can_test(const struct reference_step *s, uint32_t output)
{
    return s->before == ENGINE_ARMED && wanted(s->r, output) == POSITION_ENERGISED && s->r->test.phase == 0 &&
           s->r->output[output].position == POSITION_ENERGISED && !is_taken(s, output);
}

static uint32_t command_bypass(struct reference_step *s)
{
    uint32_t i = s->inputs->command_index;
    uint64_t ns = s->inputs->command_ns;
    if (i >= s->table->rules || s->table->rule[i].role == ROLE_ALARM) {
        return ANSWER_NO_SUCH;
    }
    struct reference_rule *m = &s->r->rule[i];
    if (s->pressed == COMMAND_UNBYPASS) {
        if (m->bypass_until_ns == 0) {
            return ANSWER_ALREADY;
        }
        m->bypass_until_ns = 0;
        reference_event(s, EVENT_BYPASS_OFF, i, 0);
        return ANSWER_DONE;
    }
    if (s->table->rule[i].bypass_max_ns == 0) {
        return ANSWER_NOT_ALLOWED;
    }
    if (ns == 0 || ns > s->table->rule[i].bypass_max_ns) {
        return ANSWER_TOO_LONG;
    }
    if (m->bypass_until_ns != 0) {
        return ANSWER_ALREADY;
    }
    if (standing_bypasses(s) >= s->table->bypasses_max) {
        return ANSWER_TOO_MANY;
    }
    m->bypass_until_ns = s->inputs->now_ns + ns;
    reference_event(s, EVENT_BYPASS_ON, i, seconds(ns));
    return ANSWER_DONE;
}

static uint32_t command_shelve(struct reference_step *s)
{
    uint32_t i = s->inputs->command_index;
    uint64_t ns = s->inputs->command_ns;
    if (i >= s->table->rules || s->table->rule[i].role != ROLE_ALARM) {
        return ANSWER_NO_SUCH;
    }
    struct reference_rule *m = &s->r->rule[i];
    bool shelved = m->shelved_until_ns != 0;
    if (s->pressed == COMMAND_UNSHELVE) {
        if (!shelved) {
            return ANSWER_ALREADY;
        }
        m->shelved_until_ns = 0;
        reference_event(s, EVENT_SHELVED, i, 0);
        return ANSWER_DONE;
    }
    if (ns == 0 || ns > s->table->shelve_max_ns) {
        return ANSWER_TOO_LONG;
    }
    if (shelved) {
        return ANSWER_ALREADY;
    }
    m->shelved_until_ns = s->inputs->now_ns + ns;
    reference_event(s, EVENT_SHELVED, i, seconds(ns));
    return ANSWER_DONE;
}

static uint32_t command_acknowledge(struct reference_step *s)
{
    uint32_t index = s->inputs->command_index;
    bool all = index == ENGINE_NONE;
    if (!all && (index >= s->table->rules || s->table->rule[index].role != ROLE_ALARM)) {
        return ANSWER_NO_SUCH;
    }
    uint32_t answer = ANSWER_ALREADY;
    for (uint32_t i = 0; i < s->table->rules; i++) {
        if (s->table->rule[i].role != ROLE_ALARM || !(all || i == index)) {
            continue;
        }
        if (s->r->rule[i].alarm == ALARM_UNACKNOWLEDGED) {
            set_alarm(s, i, ALARM_ACKNOWLEDGED);
            answer = ANSWER_DONE;
        } else if (s->r->rule[i].alarm == ALARM_RETURNED) {
            set_alarm(s, i, ALARM_NORMAL);
            answer = ANSWER_DONE;
        }
    }
    return answer;
}

bool reference_legal(uint32_t code)
{
    return code == ENGINE_INIT || code == ENGINE_TRIPPED || code == ENGINE_READY || reference_permits(code);
}

/* Commands that change no state of the machine. Those that may are answered afterwards: ANSWER_NONE here. */
static uint32_t command(struct reference_step *s)
{
    if (s->pressed == 0) {
        return ANSWER_NONE;
    }
    if (!reference_legal(s->before)) {
        return ANSWER_FAULT;
    }
    if (s->before == ENGINE_INIT) {
        return ANSWER_CAUSE_STANDS;
    }
    switch (s->pressed) {
    case COMMAND_BYPASS:
    case COMMAND_UNBYPASS:
        return command_bypass(s);
    case COMMAND_SHELVE:
    case COMMAND_UNSHELVE:
        return command_shelve(s);
    case COMMAND_ACKNOWLEDGE:
        return command_acknowledge(s);
    default:
        return ANSWER_NONE;
    }
}

static uint32_t answer_afterwards(const struct reference_step *s, bool blocked, bool testable)
{
    const struct reference *r = s->r;
    uint32_t output = s->inputs->command_index;
    if (s->pressed == COMMAND_TEST && (output >= s->table->outputs || !has_feedback(s->table, output))) {
        return ANSWER_NO_SUCH;
    }
    if (r->code == ENGINE_FAULT) {
        return ANSWER_FAULT;
    }
    if (s->pressed == COMMAND_TEST) {
        bool trips = r->code == ENGINE_TRIPPED && s->before != ENGINE_TRIPPED;
        return trips ? ANSWER_CAUSE_STANDS : testable ? ANSWER_DONE : ANSWER_NOT_NOW;
    }
    if (s->pressed == COMMAND_TRIP) {
        return s->before == ENGINE_TRIPPED ? ANSWER_ALREADY : ANSWER_DONE;
    }
    if (s->before == ENGINE_TRIPPED) {
        return blocked ? ANSWER_CAUSE_STANDS : s->pressed == COMMAND_RESET ? ANSWER_DONE : ANSWER_RESET_FIRST;
    }
    if (r->code == ENGINE_TRIPPED) {
        return ANSWER_CAUSE_STANDS;
    }
    if (s->before == ENGINE_READY && s->pressed == COMMAND_ARM) {
        return r->gate_missing != 0 ? ANSWER_GATE : ANSWER_DONE;
    }
    return ANSWER_ALREADY;
}

static uint32_t next_code(uint32_t code, const struct machine_inputs *in)
{
    if (!reference_legal(code) || in->self_test_bad != 0) {
        return ENGINE_FAULT;
    }
    if (code == ENGINE_INIT) {
        return ENGINE_TRIPPED;
    }
    if (code == ENGINE_TRIPPED) {
        return in->reset_edge != 0 && in->blocked == 0 ? ENGINE_READY : ENGINE_TRIPPED;
    }
    if (code == ENGINE_READY) {
        return in->blocked != 0                            ? ENGINE_TRIPPED
               : in->arm_edge != 0 && in->gate_passed != 0 ? ENGINE_ARMING
                                                           : ENGINE_READY;
    }
    if (code == ENGINE_ARMING) {
        return in->blocked != 0         ? ENGINE_TRIPPED
               : in->feedback_late != 0 ? ENGINE_FAULT
               : in->followed != 0      ? ENGINE_ARMED
                                        : ENGINE_ARMING;
    }
    if (in->demand != 0) {
        return ENGINE_TRIPPED;
    }
    if (code == ENGINE_ARMED) {
        return in->test_edge != 0 ? ENGINE_TEST : ENGINE_ARMED;
    }
    return in->test_done != 0 ? ENGINE_ARMED : ENGINE_TEST;
}

static void end_test(struct reference_step *s, uint32_t result)
{
    s->r->test.result = result;
    s->r->test.phase = 0;
    reference_event(s, EVENT_TEST, s->r->test.output, result);
}

static void write_first_out(struct reference_step *s, const struct reference_list *causes)
{
    s->r->tripped = true;
    s->r->trips++;
    reference_event(s, EVENT_TRIP, causes->count > 0 ? causes->cause[0].kind : CAUSE_NONE,
                    causes->count > 0 ? causes->cause[0].value : 0);
    if (s->r->first_out_open) {
        s->r->first_out = *causes;
        s->r->first_out_open = false;
    }
}

static struct reference_list scratch;

static void list_one(struct reference_step *s, uint32_t kind)
{
    scratch.count = 1;
    scratch.cause[0] = reference_plain_cause(s, kind);
}

static void list_readbacks(const struct reference_step *s)
{
    scratch.count = 0;
    for (uint32_t i = 0; i < s->r->demanding.count; i++) {
        if (s->r->demanding.cause[i].kind == CAUSE_READBACK) {
            scratch.cause[scratch.count++] = s->r->demanding.cause[i];
        }
    }
}

/* The permit goes as a whole. */
static void withdraw(struct reference_step *s)
{
    struct reference *r = s->r;
    if (r->code == ENGINE_FAULT && (s->broken || !reference_legal(s->before))) {
        list_one(s, CAUSE_SELF_TEST);
    } else if (r->code == ENGINE_FAULT) {
        list_readbacks(s);
    } else {
        scratch = r->demanding;
        if (scratch.count == 0) {
            scratch = r->blocking;
        }
    }
    write_first_out(s, &scratch);
    for (uint32_t i = 0; i < s->table->rules; i++) {
        if (r->rule[i].bypass_until_ns != 0) {
            r->rule[i].bypass_until_ns = 0;
            reference_event(s, EVENT_BYPASS_OFF, i, 2);
        }
    }
    if (r->test.phase != 0) {
        const struct reference_output *o = &r->output[r->test.output];
        end_test(s, o->late || o->lost ? TEST_FAILED : TEST_ABORTED);
    }
}

static void move(struct reference_step *s, const struct machine_inputs *in)
{
    struct reference *r = s->r;
    r->code = next_code(s->before, in);
    if (s->before == ENGINE_ARMING && r->code == ENGINE_FAULT && !s->broken) {
        for (uint32_t i = 0; i < s->table->outputs; i++) {
            r->output[i].cause = has_feedback(s->table, i) && r->output[i].late;
        }
        reference_readback_causes(s);
    }
    if (r->code != s->before) {
        reference_event(s, EVENT_STATE, r->code, 0);
    }
    if (s->before == ENGINE_INIT) {
        r->first_out.count = 1;
        r->first_out.cause[0] = reference_plain_cause(s, r->code == ENGINE_FAULT ? CAUSE_SELF_TEST : CAUSE_STARTUP);
    }
    /* A state code that went wrong while outputs were energised takes their permit, too. */
    if ((reference_permits(s->before) || r->energised != 0) && !reference_permits(r->code)) {
        withdraw(s);
    } else if (s->newly_latched != 0) {
        reference_partial_causes(s, s->newly_latched, &scratch);
        write_first_out(s, &scratch);
        r->latched |= s->newly_latched; /* when the whole trips, there is nothing left to latch */
        reference_event(s, EVENT_LATCHED, r->latched, 0);
    }
    if (r->code == ENGINE_ARMING && s->before == ENGINE_READY) {
        r->first_out_open = true;
        if (r->latched != 0) {
            reference_event(s, EVENT_LATCHED, 0, 0);
        }
        r->latched = 0;
    }
    if (r->code == ENGINE_TEST && s->before == ENGINE_ARMED) {
        r->test = (struct reference_test){
            .output = s->inputs->command_index, .result = TEST_RUNNING, .phase = 1, .from_ns = s->inputs->now_ns};
        reference_event(s, EVENT_TEST, r->test.output, TEST_RUNNING);
    }
    if (r->code == ENGINE_TEST && s->test_safe) {
        r->test.safe_ns = s->inputs->now_ns - r->test.from_ns;
        r->test.phase = 2;
    }
    if (r->code == ENGINE_ARMED && s->before == ENGINE_TEST) {
        if (s->test_cut) {
            end_test(s, TEST_ABORTED);
        } else {
            r->test.back_ns = s->inputs->now_ns - r->test.from_ns - r->test.safe_ns;
            end_test(s, TEST_PASSED);
        }
    }
}

static void hold(struct reference_step *s)
{
    uint32_t held = reference_permits(s->r->code) ? held_now(s) : 0;
    if (held != s->r->held) {
        reference_event(s, EVENT_HELD, held, 0);
    }
    s->r->held = held;
}

static void drive(struct reference_step *s)
{
    struct reference *r = s->r;
    uint32_t tested = r->test.phase == 1 ? UINT32_C(1) << r->test.output : 0;
    uint32_t bits = reference_permits(r->code) ? reference_all(s->table) & ~r->latched & ~r->held & ~tested : 0;
    for (uint32_t i = 0; i < s->table->outputs; i++) {
        if (((bits ^ r->energised) >> i & 1) != 0) {
            r->output[i].changed_ns = s->inputs->now_ns;
            r->output[i].left_ns = s->inputs->now_ns;
            r->output[i].followed = false;
        }
    }
    r->energised = bits;
}

static void look_at_gate(struct reference_step *s)
{
    uint32_t missing = s->table->gate_required & ~s->inputs->gate_passed;
    if (missing != s->r->gate_missing) {
        reference_event(s, EVENT_GATE, missing, 0);
    }
    s->r->gate_missing = missing;
}

/* TRIP goes first, then the lowest bit. */
static uint32_t pick(uint32_t edges)
{
    if ((edges & COMMAND_TRIP) != 0) {
        return COMMAND_TRIP;
    }
    for (uint32_t i = 0; i < 32; i++) {
        if ((edges >> i & 1) != 0) {
            return UINT32_C(1) << i;
        }
    }
    return 0;
}

void reference_step(const struct control_table *table, struct reference *r, const struct engine_inputs *inputs)
{
    struct reference_step s = {.table = table, .inputs = inputs, .r = r, .before = r->code};
    r->events = 0;
    r->tripped = false;
    s.pressed = pick(inputs->command & ~r->previous_command);
    s.broken = inputs->self_test_bad != 0 || inputs->now_ns < r->last_now_ns;
    r->previous_command = inputs->command;
    r->last_now_ns = inputs->now_ns;
    reference_judge_channels(&s);
    expire(&s);
    reference_judge_rules(&s);
    reference_judge_acting(&s);
    move_alarms(&s);
    look_at_gate(&s);
    read_all_back(&s);
    look_at_test(&s);
    latch(&s);
    reference_collect(&s);
    /* The test would never see the output come back. */
    s.test_cut = r->test.phase != 0 && is_taken(&s, r->test.output);
    bool blocked = r->demanding.count + r->blocking.count > 0;
    bool demand = r->demanding.count > 0;
    uint32_t asked = inputs->command_index;
    bool testable =
        s.pressed == COMMAND_TEST && asked < table->outputs && has_feedback(table, asked) && can_test(&s, asked);
    uint32_t answer = command(&s);
    struct machine_inputs in = {.reset_edge = s.pressed == COMMAND_RESET,
                                .arm_edge = s.pressed == COMMAND_ARM,
                                .test_edge = testable,
                                .self_test_bad = s.broken,
                                .blocked = blocked || demand,
                                .demand = demand,
                                .gate_passed = r->gate_missing == 0,
                                .followed = all_followed(&s),
                                .feedback_late = any_late(&s),
                                .test_done = s.test_done || s.test_cut};
    move(&s, &in);
    bool later = s.pressed != 0 && reference_legal(s.before) && s.before != ENGINE_INIT && answer == ANSWER_NONE;
    r->answer = later ? answer_afterwards(&s, blocked, testable) : answer;
    hold(&s);
    drive(&s);
}
