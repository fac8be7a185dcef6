#include "control/evidence.h"

#include <string.h>

#include "control/machine.h"
#include "ring/order.h"

#define CHECKPOINT_NS UINT64_C(1000000000)

void evidence_init(struct evidence *evidence, struct control_board *board, struct control_journal *journal)
{
    *evidence = (struct evidence){.board = board, .journal = journal};
    board->version += board->version & 1; /* whoever wrote it before may have died in the middle */
    if (journal != NULL) {
        __atomic_store_n(&journal->magic, CONTROL_JOURNAL_MAGIC, __ATOMIC_RELEASE);
    }
}

void evidence_permit(struct evidence *evidence, const struct engine_state *state)
{
    if (machine_permits(state->code)) {
        __atomic_store_n(&evidence->board->state, state->code, __ATOMIC_RELEASE);
    }
}

static void write_journal(struct control_journal *journal, const struct engine_inputs *inputs,
                          const struct engine_state *state, const struct engine_outputs *outputs,
                          enum journal_kind kind, const struct watch *watch, uint32_t ring)
{
    uint64_t count = journal->count;
    bool frame = kind == JOURNAL_FRAME || kind == JOURNAL_GAP || kind == JOURNAL_OVERRUN;
    struct journal_entry *entry = &journal->entry[count % CONTROL_JOURNAL];
    *entry = (struct journal_entry){.now_ns = inputs->now_ns,
                                    .position = frame ? watch->position : 0,
                                    .command_ns = inputs->command_ns,
                                    .command = inputs->command,
                                    .command_index = inputs->command_index,
                                    .kind = (uint16_t)kind,
                                    .ring = (uint16_t)ring,
                                    .cause = (uint16_t)(frame ? watch->spoiled : 0),
                                    .old = frame && watch->old != 0,
                                    .conditions = (uint8_t)((inputs->self_test_bad != 0 ? 1 : 0) |
                                                            (inputs->deadline_missed != 0 ? 2 : 0) |
                                                            (inputs->supervisor_silent != 0 ? 4 : 0)),
                                    .output_fault = (uint16_t)inputs->output_fault,
                                    .gate_passed = (uint16_t)inputs->gate_passed,
                                    .energised = outputs->energised,
                                    .code = state->code,
                                    .trips = (uint32_t)state->trips};
    __atomic_store_n(&journal->count, count + 1, __ATOMIC_RELEASE);
}

void evidence_step(struct evidence *evidence, const struct engine_inputs *inputs, const struct engine_state *state,
                   const struct engine_outputs *outputs, enum journal_kind kind, const struct watch *watch,
                   uint32_t ring)
{
    struct control_board *board = evidence->board;
    if (outputs->tripped != 0) { /* before the journal counts the trip: control_board_take_over() goes by that */
        board->trip_history[state->trips % CONTROL_TRIP_HISTORY] =
            state->cause[outputs->trip_cause % ENGINE_CAUSES_MAX];
    }
    if (evidence->journal != NULL && (outputs->changed != 0 || kind != JOURNAL_IDLE)) {
        write_journal(evidence->journal, inputs, state, outputs, kind, watch, ring);
    }
    if (outputs->events == 0) {
        return;
    }
    uint64_t events = board->events;
    for (uint32_t i = 0; i < outputs->events && i < ENGINE_EVENTS_MAX; i++) {
        board->event[(events + i) % CONTROL_EVENTS] = outputs->event[i];
    }
    ring_count_add(&board->events_lost, outputs->events_lost);
    __atomic_store_n(&board->events, events + outputs->events, __ATOMIC_RELEASE);
}

static void show_rule(struct control_board_rule *to, const struct engine_rule_state *from)
{
    *to = (struct control_board_rule){.measure = from->measure,
                                      .demands = from->demands,
                                      .bypass_until_ns = from->bypass_until_ns,
                                      .shelved_until_ns = from->shelved_until_ns,
                                      .truth = from->truth,
                                      .why = from->why,
                                      .alarm = from->alarm};
}

void evidence_snapshot(struct evidence *evidence, const struct control_table *table,
                       const struct engine_inputs *inputs, const struct engine_state *s, uint64_t overruns)
{
    struct control_board *b = evidence->board;
    __atomic_store_n(&b->version, b->version + 1, __ATOMIC_SEQ_CST);
    ring_writes_behind();
    b->state = s->code;
    b->energised = s->energised;
    b->steps = s->steps;
    b->overruns = overruns;
    b->cause_count = s->cause_count;
    b->demand_count = s->demand_count;
    memcpy(b->cause, s->cause, sizeof(b->cause));
    b->first_out_count = s->first_out_count;
    memcpy(b->first_out, s->first_out, sizeof(b->first_out));
    b->trips = s->trips;
    b->latched = s->latched;
    b->held = s->held;
    b->bypasses = s->bypasses;
    b->gate_missing = s->gate_missing;
    b->gate_passed = inputs->gate_passed;
    b->test = s->test;
    for (uint32_t i = 0; i < table->channels && i < CONTROL_CHANNELS_MAX; i++) {
        b->channel[i] = (struct control_board_channel){.value = inputs->channel[i].value,
                                                       .tai_ns = inputs->channel[i].tai_ns,
                                                       .samples = inputs->channel[i].samples,
                                                       .quality = s->quality[i]};
    }
    for (uint32_t i = 0; i < table->rules && i < CONTROL_RULES_MAX; i++) {
        show_rule(&b->rule[i], &s->rule[i]);
    }
    for (uint32_t i = 0; i < table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        b->position[i] = s->output[i].position;
    }
    __atomic_store_n(&b->version, b->version + 1, __ATOMIC_RELEASE);
    uint64_t gap_ns = evidence->period_max_ns < UINT32_MAX ? evidence->period_max_ns : UINT32_MAX;
    b->loop_max_ns[b->loop_periods % CONTROL_LOOP_HISTORY] = (uint32_t)gap_ns;
    __atomic_store_n(&b->loop_periods, b->loop_periods + 1, __ATOMIC_RELEASE);
    evidence->period_max_ns = 0;
}

void evidence_checkpoint(struct evidence *evidence, const struct engine_inputs *inputs,
                         const struct engine_state *state, uint64_t monotonic_ns)
{
    if (evidence->checkpoint_ns != 0 && monotonic_ns - evidence->checkpoint_ns < CHECKPOINT_NS) {
        return;
    }
    struct control_checkpoint *both = evidence->board->checkpoint;
    struct control_checkpoint *to = &both[both[0].number <= both[1].number ? 0 : 1];
    uint64_t last = both[0].number > both[1].number ? both[0].number : both[1].number;
    uint64_t number = (last + 3) & ~UINT64_C(1); /* even, also behind one that a process died in: that stays odd */
    evidence->checkpoint_ns = monotonic_ns;
    __atomic_store_n(&to->number, number - 1, __ATOMIC_SEQ_CST);
    ring_writes_behind();
    to->journal = evidence->journal != NULL ? evidence->journal->count : 0;
    to->tai_ns = inputs->now_ns;
    memcpy(&to->inputs, inputs, sizeof(to->inputs));
    memcpy(&to->state, state, sizeof(to->state));
    __atomic_store_n(&to->number, number, __ATOMIC_RELEASE);
}
