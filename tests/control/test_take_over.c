/* What is left on the board of a control process that was killed, wherever that was: no trip is lost, none told
 * with another's cause, and half a snapshot is not told at all. */
#include <criterion/criterion.h>
#include <string.h>

#include "control/evidence.h"
#include "control/machine.h"
#include "control/take_over.h"
#include "tests/support/table.h"

#define DIED_NS (TEST_NOW_NS + 77)

static struct control_table table;
static struct control_board board;
static struct control_board copy;
static struct control_journal journal;
static struct engine_state state;
static struct engine_inputs inputs;
static struct engine_outputs outputs;
static struct evidence evidence;
static struct watch watch;
static double value[2] = {50, 50};

static void begin(void)
{
    table_make(&table);
    table.gate_required = 0;
    engine_init(&state);
    evidence_init(&evidence, &board, &journal);
    inputs.now_ns = TEST_NOW_NS;
    watch.table = &table;
}

TestSuite(take_over, .init = begin);

static void snapshot(void)
{
    evidence_snapshot(&evidence, &table, &inputs, &state, 0);
}

static void decide(uint32_t command)
{
    inputs.now_ns++;
    inputs.command = command;
    for (uint32_t i = 0; i < table.channels; i++) {
        inputs_sample(&inputs, i, value[i], inputs.now_ns);
    }
    engine_step(&table, &state, &inputs, &outputs);
}

static void decide_and_tell(uint32_t command)
{
    decide(command);
    evidence_step(&evidence, &inputs, &state, &outputs, JOURNAL_COMMAND, &watch, 0);
}

static void arm_and_tell(void)
{
    value[0] = 50;
    const uint32_t commands[] = {COMMAND_NONE, COMMAND_RESET, COMMAND_NONE, COMMAND_ARM, COMMAND_NONE};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        decide_and_tell(commands[i]);
    }
    cr_assert_eq(state.code, ENGINE_ARMED, "%s", engine_state_name(state.code));
}

static void arm(void)
{
    arm_and_tell();
    snapshot();
}

static void go_above_the_limit(void)
{
    value[0] = 500;
}

static void die(const struct control_journal *with)
{
    uint64_t version = board.version;
    control_board_take_over(&board, with, DIED_NS);
    cr_assert_gt(board.version, version, "whoever was reading must read again");
    cr_assert_eq(control_board_read(&board, &copy), 0);
    cr_assert_eq(copy.state, ENGINE_INIT);
    cr_assert_eq(copy.energised, 0);
}

static void expect_last_trip(uint64_t number, uint32_t kind)
{
    const struct engine_cause *cause = &copy.trip_history[number % CONTROL_TRIP_HISTORY];
    cr_assert_eq(copy.trips, number);
    cr_assert_eq(cause->kind, kind, "%s", engine_cause_name(cause->kind));
    cr_assert_eq(copy.died_armed, kind == CAUSE_CONTROL_DIED);
    cr_assert(kind != CAUSE_CONTROL_DIED || cause->tai_ns == DIED_NS);
}

/* The snapshot's first words were written when it died. */
static void die_in_the_middle_of_a_snapshot(bool also_trips)
{
    board.version++;
    board.state = state.code;
    if (also_trips) {
        board.trips = state.trips;
    }
    die(&journal);
}

Test(take_over, died_armed)
{
    arm();
    die(&journal);
    expect_last_trip(1, CAUSE_CONTROL_DIED);
}

Test(take_over, died_armed_and_nobody_had_seen_it)
{
    decide_and_tell(COMMAND_NONE);
    snapshot();
    arm_and_tell();
    die(&journal);
    expect_last_trip(1, CAUSE_CONTROL_DIED);
}

Test(take_over, died_while_the_permit_went_out)
{
    decide_and_tell(COMMAND_NONE);
    decide_and_tell(COMMAND_RESET);
    decide_and_tell(COMMAND_NONE);
    snapshot();
    evidence_permit(&evidence, &state);
    cr_assert_eq(board.state, ENGINE_READY);
    decide(COMMAND_ARM);
    evidence_permit(&evidence, &state);
    die(&journal);
    expect_last_trip(1, CAUSE_CONTROL_DIED);
}

Test(take_over, died_before_a_decision_was_told)
{
    arm();
    go_above_the_limit();
    decide(COMMAND_NONE);
    die(&journal);
    expect_last_trip(1, CAUSE_CONTROL_DIED);
}

Test(take_over, died_between_a_trip_and_its_snapshot)
{
    arm();
    go_above_the_limit();
    decide_and_tell(COMMAND_NONE);
    cr_assert_eq(state.code, ENGINE_TRIPPED);
    die(&journal);
    expect_last_trip(1, CAUSE_HIGH);
}

/* A trip is counted by the journal when its cause is there: what follows in evidence_step() may be missing. */
Test(take_over, the_cause_is_there_before_the_count)
{
    arm();
    go_above_the_limit();
    decide(COMMAND_NONE);
    outputs.events = 0;
    evidence_step(&evidence, &inputs, &state, &outputs, JOURNAL_FRAME, &watch, 0);
    die(&journal);
    expect_last_trip(1, CAUSE_HIGH);
}

Test(take_over, died_between_a_snapshots_state_and_its_trips)
{
    arm();
    go_above_the_limit();
    decide_and_tell(COMMAND_NONE);
    die_in_the_middle_of_a_snapshot(false);
    expect_last_trip(1, CAUSE_HIGH);
}

Test(take_over, died_behind_a_snapshots_trips)
{
    arm();
    go_above_the_limit();
    decide_and_tell(COMMAND_NONE);
    die_in_the_middle_of_a_snapshot(true);
    expect_last_trip(1, CAUSE_HIGH);
}

Test(take_over, died_tripped_and_told)
{
    arm();
    go_above_the_limit();
    decide_and_tell(COMMAND_NONE);
    snapshot();
    die(&journal);
    expect_last_trip(1, CAUSE_HIGH);
    cr_assert_eq(copy.first_out_count, 1);
    cr_assert_eq(copy.cause_count, 1, "a whole snapshot stays");
    cr_assert_eq(copy.channel[0].quality, ENGINE_GOOD);
}

Test(take_over, a_trip_and_a_permit_since_the_snapshot)
{
    arm();
    go_above_the_limit();
    decide_and_tell(COMMAND_NONE);
    arm_and_tell();
    die(&journal);
    cr_assert_eq(copy.trip_history[1].kind, CAUSE_HIGH);
    expect_last_trip(2, CAUSE_CONTROL_DIED);
}

/* The journal's newest entry is still the one that held the permit: that is told already. */
Test(take_over, the_successor_dies_before_its_first_step)
{
    arm();
    die(&journal);
    board.died_armed = 0; /* it has taken that over */
    die(&journal);
    cr_assert_eq(copy.trips, 1);
    cr_assert_eq(copy.died_armed, 0);
}

Test(take_over, counts_beyond_32_bits)
{
    board.trips = UINT64_C(0x1ffffffff);
    state.trips = board.trips;
    arm();
    go_above_the_limit();
    decide_and_tell(COMMAND_NONE);
    die(&journal);
    expect_last_trip(UINT64_C(0x200000000), CAUSE_HIGH);
}

Test(take_over, half_a_snapshot_is_not_told)
{
    arm();
    go_above_the_limit();
    decide_and_tell(COMMAND_NONE);
    board.cause_count = board.demand_count = board.first_out_count = 7;
    memset(board.cause, 0x5a, sizeof(board.cause));
    memset(board.first_out, 0x5a, sizeof(board.first_out));
    memset(board.channel, 0x5a, sizeof(board.channel));
    memset(board.rule, 0x5a, sizeof(board.rule));
    memset(board.position, 0x5a, sizeof(board.position));
    memset(&board.test, 0x5a, sizeof(board.test));
    die_in_the_middle_of_a_snapshot(false);
    expect_last_trip(1, CAUSE_HIGH);
    cr_assert_eq(copy.cause_count + copy.demand_count, 0);
    cr_assert_eq(copy.first_out_count, 1);
    cr_assert_eq(copy.first_out[0].kind, CAUSE_HIGH);
    cr_assert_eq(copy.first_out[0].tai_ns, copy.trip_history[1].tai_ns);
    cr_assert_eq(copy.channel[0].samples, 0);
    cr_assert_eq(copy.channel[0].quality, ENGINE_STALE);
    cr_assert_eq(copy.rule[0].truth, TRUTH_UNKNOWN);
    cr_assert_eq(copy.position[0], POSITION_UNKNOWN);
    cr_assert_eq(copy.test.result, TEST_NONE);
}

Test(take_over, half_a_snapshot_before_any_trip_has_no_first_out)
{
    decide_and_tell(COMMAND_NONE);
    board.first_out_count = 1;
    die_in_the_middle_of_a_snapshot(true);
    cr_assert_eq(copy.trips, 0);
    cr_assert_eq(copy.died_armed, 0);
    cr_assert_eq(copy.first_out_count, 0);
}

Test(take_over, no_journal)
{
    arm();
    die(NULL);
    expect_last_trip(1, CAUSE_CONTROL_DIED);
    die(NULL);
    cr_assert_eq(copy.trips, 1, "there was no permit");
    board.version++;
    die(NULL);
    cr_assert_eq(copy.trips, 2, "it cannot be ruled out that there was one");
}

Test(take_over, a_journal_that_holds_nothing_or_nonsense)
{
    static struct control_journal other;
    arm();
    die(&other);
    expect_last_trip(1, CAUSE_CONTROL_DIED);
    board.state = ENGINE_ARMED;
    other.magic = CONTROL_JOURNAL_MAGIC;
    die(&other);
    expect_last_trip(2, CAUSE_CONTROL_DIED);
    other.count = 1;
    other.entry[0].trips = 1u << 31;
    board.state = ENGINE_ARMED;
    die(&other);
    expect_last_trip(3, CAUSE_CONTROL_DIED);
    other.entry[0].trips = 3;
    board.state = ENGINE_ARMED;
    die(&other);
    expect_last_trip(4, CAUSE_CONTROL_DIED);
}
