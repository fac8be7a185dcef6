#include "control/engine.h"

#include <string.h>

#include "control/causes.h"
#include "control/events.h"
#include "control/orders.h"
#include "control/proof_test.h"
#include "control/readback.h"
#include "control/rules.h"

void engine_init(struct engine_state *state)
{
    memset(state, 0, sizeof(*state));
    state->code = ENGINE_INIT;
    state->start_cause = CAUSE_STARTUP;
}

/* The one command of this step: a trip goes first. */
/*@ assigns \nothing;
    ensures \result == COMMAND_NONE || (edges & \result) != 0;
    ensures trip_first: (edges & COMMAND_TRIP) != 0 <==> \result == COMMAND_TRIP; */
static uint32_t press(uint32_t edges)
{
    if ((edges & COMMAND_TRIP) != 0) {
        return COMMAND_TRIP;
    }
    /*@ loop invariant bit == 1 || bit == 2 || bit == 4 || bit == 8 || bit == 16 || bit == 32 || bit == 64 || bit
                == 128 || bit == 256 || bit == 512;
        loop
        assigns bit;
        loop variant 512 - bit; */
    for (uint32_t bit = COMMAND_RESET; bit <= COMMAND_UNSHELVE; bit <<= 1) {
        if ((edges & bit) != 0) {
            return bit;
        }
    }
    return COMMAND_NONE;
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns state->gate_missing, outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 ..
            ENGINE_EVENTS_MAX - 1];
    ensures state->gate_missing == (table->gate_required & (uint32_t)(~inputs->gate_passed)); */
static void judge_gate(const struct control_table *table, struct engine_state *state,
                       const struct engine_inputs *inputs, struct engine_outputs *outputs)
{
    uint32_t missing = table->gate_required & ~inputs->gate_passed;
    if (missing != state->gate_missing) {
        state->gate_missing = missing;
        engine_emit(outputs, inputs->now_ns, EVENT_GATE, missing, 0.0);
    }
}

/*@ requires \valid(state);
    assigns state->first_out[0 .. ENGINE_CAUSES_MAX - 1], state->first_out_count, state->first_out_open;
    ensures kept: \old(state->first_out_open) == 0 ==> state->first_out_count == \old(state->first_out_count) &&
            state->first_out_open == 0 && (\forall integer i; 0 <= i < ENGINE_CAUSES_MAX ==>
            state->first_out[i].kind == \old(state->first_out[i].kind));
    ensures once: state->first_out_open == 0; */
static void write_first_out(struct engine_state *state, uint32_t from, uint32_t to)
{
    if (state->first_out_open == 0) {
        return;
    }
    uint32_t n = 0;
    /*@ loop invariant from <= i && n == i - from && (n == 0 || i <= ENGINE_CAUSES_MAX);
        loop
        assigns i, n, state->first_out[0 .. ENGINE_CAUSES_MAX - 1];
        loop variant UINT32_MAX - i; */
    for (uint32_t i = from; i < to && i < ENGINE_CAUSES_MAX; i++) {
        state->first_out[n] = state->cause[i];
        n++;
    }
    state->first_out_count = n;
    state->first_out_open = 0;
}

/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs);
    assigns state->trips, outputs->tripped, outputs->trip_cause, outputs->trip_cause, outputs->changed,
            outputs->events, outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
static void count_trip(struct engine_state *state, struct engine_outputs *outputs, uint32_t from, uint64_t now_ns)
{
    bool known = from < state->cause_count && from < ENGINE_CAUSES_MAX;
    state->trips++;
    outputs->tripped = 1;
    outputs->trip_cause = from;
    engine_emit(outputs, now_ns, EVENT_TRIP, known ? state->cause[from].kind : CAUSE_SELF_TEST,
                known ? state->cause[from].value : 0.0);
}

/*@ requires \valid_read(state) && \valid_read(readback);
    assigns \nothing; */
static bool test_failed(const struct engine_state *state, const struct readback *readback)
{
    return state->test.output < CONTROL_OUTPUTS_MAX && (readback->late >> state->test.output & 1) != 0;
}

/* The permit is withdrawn. The first-out of an earlier withdrawal since arming is kept: it is evidence. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid_read(readback) &&
            \valid(outputs);
    requires \separated(table, state, inputs, readback, outputs);
    requires state->cause_count <= ENGINE_CAUSES_MAX;
    assigns state->cause[0 .. ENGINE_CAUSES_MAX - 1], state->cause_count, state->demand_count, state->trips,
            state->first_out[0 .. ENGINE_CAUSES_MAX - 1], state->first_out_count, state->first_out_open,
            state->test, state->bypasses, state->rule[0 .. CONTROL_RULES_MAX - 1], outputs->tripped,
            outputs->trip_cause, outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 ..
            ENGINE_EVENTS_MAX - 1];
    ensures no_bypass_left: \forall integer i; 0 <= i < CONTROL_RULES_MAX && i < table->rules ==>
            state->rule[i].bypass_until_ns == 0; */
static void withdraw(const struct control_table *table, struct engine_state *state,
                     const struct engine_inputs *inputs, const struct readback *readback, uint32_t next,
                     bool self_test_bad, struct engine_outputs *outputs)
{
    if (next == ENGINE_FAULT) {
        /* Whatever else stands: the memory, the clock, or an output that did not follow while arming. */
        state->cause_count = causes_readback(table, inputs, readback->late, state->cause);
        if (state->code != ENGINE_ARMING || state->cause_count == 0 || self_test_bad) {
            state->cause[0] = (struct engine_cause){.kind = CAUSE_SELF_TEST,
                                                    .rule = ENGINE_NONE,
                                                    .channel = ENGINE_NONE,
                                                    .output = ENGINE_NONE,
                                                    .tai_ns = inputs->now_ns};
            state->cause_count = 1;
        }
        state->demand_count = state->cause_count;
    }
    count_trip(state, outputs, 0, inputs->now_ns);
    /* While arming, what only blocks is reason enough. */
    write_first_out(state, 0, state->demand_count > 0 ? state->demand_count : state->cause_count);
    proof_test_trip(state, test_failed(state, readback), inputs->now_ns, outputs);
    orders_end_bypasses(table, state, inputs->now_ns, outputs);
}

/* Outputs that rules with names trip alone, while the others keep their permit. */
/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs) && \valid_read(causes) &&
            \separated(state, causes, outputs);
    assigns state->latched, state->trips, state->first_out[0 .. ENGINE_CAUSES_MAX - 1], state->first_out_count,
            state->first_out_open, outputs->tripped, outputs->trip_cause, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
static void latch(struct engine_state *state, const struct causes *causes, uint64_t now_ns,
                  struct engine_outputs *outputs)
{
    uint32_t more = causes->partial & ~state->latched;
    if (more == 0) {
        return;
    }
    count_trip(state, outputs, causes->partial_news, now_ns);
    state->latched |= more;
    engine_emit(outputs, now_ns, EVENT_LATCHED, state->latched, 0.0);
    write_first_out(state, causes->partial_from, causes->partial_to);
}

/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs);
    assigns state->held, outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 ..
            ENGINE_EVENTS_MAX - 1];
    ensures state->held == held; */
static void hold(struct engine_state *state, uint32_t held, uint64_t now_ns, struct engine_outputs *outputs)
{
    if (state->held != held) {
        state->held = held;
        engine_emit(outputs, now_ns, EVENT_HELD, held, 0.0);
    }
}

/*@ requires \valid(state) && \valid(outputs) && \separated(state, outputs);
    assigns state->code, state->latched, state->first_out[0], state->first_out_count, state->first_out_open,
            outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
    ensures state->code == next; */
static void enter(struct engine_state *state, uint32_t next, uint64_t now_ns, struct engine_outputs *outputs)
{
    if (state->code == ENGINE_INIT && next != ENGINE_INIT) {
        state->first_out[0] =
            (struct engine_cause){.kind = next == ENGINE_FAULT ? (uint32_t)CAUSE_SELF_TEST : state->start_cause,
                                  .rule = ENGINE_NONE,
                                  .channel = ENGINE_NONE,
                                  .output = ENGINE_NONE,
                                  .tai_ns = now_ns};
        state->first_out_count = 1;
        outputs->changed = 1;
    }
    if (next == state->code) {
        return;
    }
    if (next == ENGINE_ARMING) {
        state->first_out_open = 1;
        if (state->latched != 0) {
            state->latched = 0;
            engine_emit(outputs, now_ns, EVENT_LATCHED, 0, 0.0);
        }
    }
    state->code = next;
    engine_emit(outputs, now_ns, EVENT_STATE, next, 0.0);
}

/*@ requires \valid_read(in);
    assigns \nothing; */
static uint32_t answer_to_arm(uint32_t before, const struct machine_inputs *in)
{
    if (in->blocked != 0) {
        return ANSWER_CAUSE_STANDS;
    }
    if (before == ENGINE_TRIPPED) {
        return ANSWER_RESET_FIRST;
    }
    return in->gate_passed != 0 ? ANSWER_DONE : ANSWER_GATE;
}

/* To RESET, ARM, TRIP and TEST: what the machine made of it. */
/*@ requires \valid_read(in);
    assigns \nothing; */
static uint32_t answer(uint32_t before, uint32_t after, uint32_t pressed, const struct machine_inputs *in)
{
    if (pressed == COMMAND_NONE) {
        return ANSWER_NONE;
    }
    if (before == ENGINE_INIT) {
        return after == ENGINE_FAULT ? ANSWER_FAULT : ANSWER_CAUSE_STANDS;
    }
    if (after == ENGINE_FAULT) {
        return ANSWER_FAULT;
    }
    if (pressed == COMMAND_TRIP) {
        return before == ENGINE_TRIPPED ? ANSWER_ALREADY : ANSWER_DONE;
    }
    if (before != ENGINE_TRIPPED && after == ENGINE_TRIPPED) {
        return ANSWER_CAUSE_STANDS;
    }
    if (pressed == COMMAND_RESET && before == ENGINE_TRIPPED) {
        return in->blocked != 0 ? ANSWER_CAUSE_STANDS : ANSWER_DONE;
    }
    if (pressed == COMMAND_ARM && (before == ENGINE_TRIPPED || before == ENGINE_READY)) {
        return answer_to_arm(before, in);
    }
    if (pressed == COMMAND_TEST) {
        return in->test_edge != 0 ? ANSWER_DONE : ANSWER_NOT_NOW;
    }
    return ANSWER_ALREADY;
}

/* What a step needs to know of the state across a call that writes much of it: the sum of the frame conditions of
 * all that it calls, said in one line, because the sum itself is more than the provers carry. */
/*@ predicate same_step{L1, L2}(struct engine_state *state) = \at(state->code, L1) == \at(state->code, L2) &&
            \at(state->previous_command, L1) == \at(state->previous_command, L2) && \at(state->last_now_ns, L1) ==
            \at(state->last_now_ns, L2);
    predicate same_findings{L1, L2}(struct engine_state *state) = same_step{L1, L2}(state) &&
            \at(state->gate_missing, L1) == \at(state->gate_missing, L2) && \at(state->cause_count, L1) ==
            \at(state->cause_count, L2) && \at(state->demand_count, L1) == \at(state->demand_count, L2); */

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns *state, *outputs;
    ensures as_it_was: same_findings{Pre, Post}(state); */
static uint32_t carry_out(const struct control_table *table, struct engine_state *state,
                          const struct engine_inputs *inputs, uint32_t pressed, struct engine_outputs *outputs)
{
    if (state->code == ENGINE_INIT || state->code == ENGINE_FAULT ||
        (state->code != ENGINE_TRIPPED && state->code != ENGINE_READY && !machine_permits(state->code))) {
        return ANSWER_NONE;
    }
    if (pressed == COMMAND_TEST &&
        (inputs->command_index >= table->outputs || inputs->command_index >= CONTROL_OUTPUTS_MAX ||
         table->output[inputs->command_index].feedback.form == FEEDBACK_NONE)) {
        return ANSWER_NO_SUCH;
    }
    return orders_carry_out(table, state, inputs, pressed, outputs);
}

/* What a step has found out before it moves. */
struct findings {
    struct readback readback;
    struct causes causes;
    uint32_t pressed;
    bool self_test_bad;
};

/* What stands in the way of a permit. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs) && \valid(found);
    requires \separated(table, state, inputs, outputs, found);
    assigns *state, *found, *outputs;
    ensures as_it_was: same_step{Pre, Post}(state) && state->gate_missing == \old(state->gate_missing);
    ensures found_as_it_was: found->pressed == \old(found->pressed) && found->self_test_bad ==
            \old(found->self_test_bad);
    ensures counts: state->cause_count <= ENGINE_CAUSES_MAX;
    ensures listed: state->demand_count > 0 ==> found->causes.demand != 0;
    ensures own: inputs->deadline_missed != 0 || inputs->supervisor_silent != 0 || found->pressed == COMMAND_TRIP
            || inputs->output_fault != 0 ==> found->causes.demand != 0; */
static void find(const struct control_table *table, struct engine_state *state, const struct engine_inputs *inputs,
                 struct findings *found, struct engine_outputs *outputs)
{
    readback_judge(table, state, inputs, outputs, &found->readback);
    causes_collect(table, state, inputs, &found->readback, found->self_test_bad, found->pressed == COMMAND_TRIP,
                   &found->causes);
}

/* The next state. Whatever of it is not about the outputs is done already. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs) && \valid(found);
    requires \separated(table, state, inputs, outputs, found);
    assigns *state, *found, *outputs;
    ensures as_it_was: same_step{Pre, Post}(state) && state->gate_missing == \old(state->gate_missing);
    ensures found_as_it_was: found->pressed == \old(found->pressed) && found->self_test_bad ==
            \old(found->self_test_bad);
    ensures counts: state->cause_count <= ENGINE_CAUSES_MAX;
    ensures legal: legal(\result);
    ensures fault_absorbs: state->code == ENGINE_FAULT ==> \result == ENGINE_FAULT;
    ensures illegal_is_fault: !legal(state->code) ==> \result == ENGINE_FAULT;
    ensures self_test: found->self_test_bad != 0 ==> \result == ENGINE_FAULT;
    ensures own: inputs->deadline_missed != 0 || inputs->supervisor_silent != 0 || found->pressed == COMMAND_TRIP
            || inputs->output_fault != 0 ==> !permits(\result);
    ensures demand: permits(\result) ==> state->demand_count == 0;
    ensures permit_by_arm_only: permits(\result) ==> permits(state->code) || (state->code == ENGINE_READY &&
            found->pressed == COMMAND_ARM && state->gate_missing == 0);
    ensures trip_stays: state->code == ENGINE_TRIPPED ==> \result == ENGINE_TRIPPED || \result == ENGINE_FAULT
            || (\result == ENGINE_READY && found->pressed == COMMAND_RESET); */
static uint32_t choose(const struct control_table *table, struct engine_state *state,
                       const struct engine_inputs *inputs, struct findings *found, struct engine_outputs *outputs)
{
    const struct causes *causes = &found->causes;
    uint32_t pressed = found->pressed;
    find(table, state, inputs, found, outputs);
    bool demand = causes->demand;
    /*@ assert own: inputs->deadline_missed != 0 || inputs->supervisor_silent != 0 || pressed == COMMAND_TRIP ||
                inputs->output_fault != 0 ==> demand != 0; */
    uint32_t answered = carry_out(table, state, inputs, pressed, outputs);
    /*@ assert own_still: inputs->deadline_missed != 0 || inputs->supervisor_silent != 0 || pressed == COMMAND_TRIP
                || inputs->output_fault != 0 ==> demand != 0; */
    uint32_t kept_safe = state->latched | causes->partial | causes->held;
    struct machine_inputs in = {.reset_edge = pressed == COMMAND_RESET,
                                .arm_edge = pressed == COMMAND_ARM,
                                .test_edge = pressed == COMMAND_TEST &&
                                             proof_test_possible(table, state, inputs->command_index) &&
                                             (kept_safe >> inputs->command_index & 1) == 0,
                                .self_test_bad = found->self_test_bad,
                                .blocked = causes->blocked,
                                .demand = demand,
                                .gate_passed = state->gate_missing == 0,
                                .followed = found->readback.astray == 0,
                                .feedback_late = found->readback.late != 0,
                                .test_done = 0};
    if (!found->self_test_bad && !demand) {
        in.test_done = proof_test_done(state, kept_safe, inputs->now_ns, outputs);
    }
    /*@ assert asked: in.arm_edge != 0 ==> pressed == COMMAND_ARM; */
    /*@ assert gate: in.gate_passed != 0 ==> state->gate_missing == 0; */
    /*@ assert own_demanded: inputs->deadline_missed != 0 || inputs->supervisor_silent != 0 || pressed ==
                COMMAND_TRIP || inputs->output_fault != 0 ==> in.demand != 0; */
    uint32_t next = machine_next(state->code, &in);
    /*@ assert demand_is_safe: in.demand != 0 ==> !permits(next); */
    /*@ assert own_is_safe: inputs->deadline_missed != 0 || inputs->supervisor_silent != 0 || pressed ==
                COMMAND_TRIP || inputs->output_fault != 0 ==> !permits(next); */
    outputs->answer = answered != ANSWER_NONE ? answered : answer(state->code, next, pressed, &in);
    return next;
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs) && \valid_read(found);
    requires \separated(table, state, inputs, outputs, found) && state->cause_count <= ENGINE_CAUSES_MAX;
    assigns *state, *outputs;
    ensures moved: state->code == next;
    ensures permits(next) ==> state->demand_count == \old(state->demand_count); */
static void move_to(const struct control_table *table, struct engine_state *state,
                    const struct engine_inputs *inputs, const struct findings *found, uint32_t next,
                    struct engine_outputs *outputs)
{
    uint32_t before = state->code;
    uint64_t now_ns = inputs->now_ns;
    bool held_permit = machine_permits(before) || state->energised != 0;
    bool permitted = machine_permits(next);
    if (held_permit && !permitted) {
        withdraw(table, state, inputs, &found->readback, next, found->self_test_bad, outputs);
    }
    enter(state, next, now_ns, outputs);
    if (before == ENGINE_ARMED && next == ENGINE_TEST) {
        proof_test_begin(state, inputs->command_index, now_ns, outputs);
    }
    if (permitted) {
        latch(state, &found->causes, now_ns, outputs);
    }
    hold(state, permitted ? found->causes.held : 0, now_ns, outputs);
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns *state, *outputs;
    ensures gate: state->gate_missing == (table->gate_required & (uint32_t)(~inputs->gate_passed));
    ensures as_it_was: same_step{Pre, Post}(state); */
static void judge_all(const struct control_table *table, struct engine_state *state,
                      const struct engine_inputs *inputs, struct engine_outputs *outputs)
{
    rules_judge_channels(table, state, inputs, outputs);
    rules_judge(table, state, inputs, outputs);
    judge_gate(table, state, inputs, outputs);
}

/* The one place where an output is energised. */
/*@ requires \valid_read(table) && \valid(state) && \valid(outputs) && \separated(table, state, outputs);
    assigns state->output[0 .. CONTROL_OUTPUTS_MAX - 1], state->energised, outputs->energised, outputs->changed;
    ensures energised_by_permit_only: outputs->energised != 0 ==> permits(state->code);
    ensures told_is_kept: state->energised == outputs->energised;
    ensures code_as_it_was: state->code == \old(state->code);
    ensures causes_as_they_were: state->demand_count == \old(state->demand_count); */
static void energise(const struct control_table *table, struct engine_state *state, uint64_t now_ns,
                     struct engine_outputs *outputs)
{
    uint32_t energised = 0;
    if (machine_permits(state->code)) {
        energised = control_all_outputs(table) & ~state->latched & ~state->held & ~proof_test_mask(state);
    }
    if (energised != state->energised) {
        readback_command(table, state, energised, now_ns);
        outputs->changed = 1;
    }
    outputs->energised = energised;
}

void engine_step(const struct control_table *table, struct engine_state *state, const struct engine_inputs *inputs,
                 struct engine_outputs *outputs)
{
    struct findings found;
    found.pressed = press(inputs->command & ~state->previous_command);
    /*@ assert arm_edge: found.pressed == COMMAND_ARM ==> (inputs->command &
                (uint32_t)(~state->previous_command) & COMMAND_ARM) != 0; */
    /*@ assert reset_edge: found.pressed == COMMAND_RESET ==> (inputs->command &
                (uint32_t)(~state->previous_command) & COMMAND_RESET) != 0; */
    found.self_test_bad = inputs->self_test_bad != 0 || inputs->now_ns < state->last_now_ns;
    outputs->tripped = 0;
    outputs->trip_cause = 0;
    outputs->changed = inputs->command != state->previous_command ? 1 : 0;
    outputs->events = 0;
    outputs->events_lost = 0;
    judge_all(table, state, inputs, outputs);
    uint32_t next = choose(table, state, inputs, &found, outputs);
    /*@ assert own_trouble: inputs->self_test_bad != 0 || inputs->deadline_missed != 0 ||
                inputs->supervisor_silent != 0 || inputs->output_fault != 0 || inputs->now_ns <
                \at(state->last_now_ns, Pre) ==> !permits(next); */
    move_to(table, state, inputs, &found, next, outputs);
    energise(table, state, inputs->now_ns, outputs);
    state->previous_command = inputs->command;
    state->last_now_ns = inputs->now_ns;
    state->steps++;
}
