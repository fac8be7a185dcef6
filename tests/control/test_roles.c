/* What follows from a demand, by hand: trips of some outputs, holds, permits, bypasses, alarms, readback, proof
 * test, gate. */
#include <math.h>

#include "tests/control/engine_rig.h"
#include "tests/support/bytes.h"

/* Channel 0 with a high rule at 100 that trips all, channel 1 with one whose role the test says, 2: positions. */
static struct control_rule *first;
static struct control_rule *second;

static void make(uint32_t role, uint32_t outputs_named)
{
    table_make_bare(&table);
    for (int i = 0; i < 3; i++) {
        table_add_channel(&table);
    }
    first = table_add_high(&table, 0, 100);
    second = table_add_high(&table, 1, 100);
    second->role = role;
    second->outputs = outputs_named;
    rig_start();
    sample_all(0);
}

/* Channel 1 says so, channel 0 is healthy. */
static uint32_t second_is(double value)
{
    inputs_sample(&inputs, 1, value, inputs.now_ns);
    feed(0);
    return outputs.energised;
}

/* IL-040 */
Test(roles, protect_on_all_or_none_named_trips_the_whole)
{
    for (uint32_t named = 0; named <= 3; named += 3) {
        make(ROLE_PROTECT, named);
        arm();
        cr_assert_eq(second_is(101), 0);
        expect(ENGINE_TRIPPED, "protect");
        cr_assert_eq(second_is(50), 0);
        expect(ENGINE_TRIPPED, "latched");
    }
}

/* IL-041 IL-038 */
Test(roles, protect_on_some_latches_these)
{
    make(ROLE_PROTECT, 1);
    table_add_high(&table, 1, 200)->outputs = 2;
    rig_start();
    sample_all(0);
    arm();
    cr_assert_eq(second_is(101), 2);
    cr_assert_eq(outputs.tripped, 1);
    cr_assert_eq(state.first_out[0].rule, 1);
    cr_assert_eq(state.trips, 1);
    cr_assert_eq(second_is(50), 2, "latched");
    expect(ENGINE_ARMED, "output 1 is still permitted");
    cr_assert_eq(second_is(101), 2);
    cr_assert_eq(state.trips, 1, "it is safe already");
    cr_assert_eq(second_is(201), 0);
    expect(ENGINE_TRIPPED, "both outputs are latched");
    cr_assert_eq(state.first_out[0].rule, 1, "first-out is the first");
    cr_assert_eq(state.trips, 2);
    second_is(50);
    step(COMMAND_RESET);
    step(COMMAND_ARM);
    cr_assert_eq(outputs.energised, 3, "armed again");
}

/* IL-042 IL-036 */
Test(roles, hold_gives_back_by_itself)
{
    make(ROLE_HOLD, 1);
    arm();
    cr_assert_eq(second_is(101), 2);
    cr_assert_eq(outputs.tripped, 0);
    cr_assert_eq(second_is((double)NAN), 2, "unknown holds");
    cr_assert_eq(second_is(50), 3);
    expect(ENGINE_ARMED, "held and given back");
    cr_assert_eq(state.trips, 0);
}

/* IL-043 IL-045 */
Test(roles, permit_is_looked_at_before_arming_only)
{
    make(ROLE_PERMIT, 0);
    arm();
    cr_assert_eq(second_is(101), 3);
    expect(ENGINE_ARMED, "armed already");
    cr_assert_eq(state.cause_count, 0);
    step(COMMAND_TRIP);
    step(COMMAND_RESET);
    cr_assert_eq(outputs.answer, ANSWER_CAUSE_STANDS);
    second_is(50);
    step(COMMAND_RESET);
    expect(ENGINE_READY, "permitted");
    second_is(101);
    expect(ENGINE_TRIPPED, "lost again in READY");
}

/* IL-044 */
Test(roles, alarm_and_condition_never_act)
{
    for (uint32_t role = ROLE_CONDITION; role <= ROLE_ALARM; role++) {
        make(role, 3);
        arm();
        cr_assert_eq(second_is(101), 3);
        cr_assert_eq(second_is((double)NAN), 3);
        cr_assert_eq(state.cause_count, 0);
    }
}

/* IL-036 IL-038 IL-045: what only blocks trips while ARMING, and is the first-out then. */
Test(roles, a_trip_while_arming_has_a_first_out)
{
    static const uint32_t roles[] = {ROLE_HOLD, ROLE_PERMIT, ROLE_PROTECT};
    for (size_t i = 0; i < 3; i++) {
        make(roles[i], 1);
        step(COMMAND_NONE);
        step(COMMAND_RESET);
        step(COMMAND_ARM);
        expect(ENGINE_ARMING, "armed");
        second_is(101);
        expect(ENGINE_TRIPPED, "while arming");
        cr_assert_eq(outputs.tripped, 1);
        cr_assert_eq(state.trips, 1);
        cr_assert_eq(state.first_out_count, 1, "role %u", roles[i]);
        cr_assert_eq(state.first_out[0].kind, CAUSE_HIGH);
        cr_assert_eq(state.first_out[0].rule, 1);
    }
}

/* IL-046 IL-047 IL-048 IL-050 */
Test(roles, bypass)
{
    make(ROLE_PROTECT, 0);
    table.bypasses_max = 1;
    first->bypass_max_ns = 50 * MS;
    second->bypass_max_ns = 50 * MS;
    arm();
    cr_assert_eq(press(COMMAND_BYPASS, 2, MS), ANSWER_NO_SUCH);
    cr_assert_eq(press(COMMAND_BYPASS, 1, 50 * MS + 1), ANSWER_TOO_LONG);
    cr_assert_eq(press(COMMAND_BYPASS, 1, 0), ANSWER_TOO_LONG);
    cr_assert_eq(press(COMMAND_BYPASS, 1, 20 * MS), ANSWER_DONE);
    uint64_t until_ns = state.rule[1].bypass_until_ns;
    cr_assert_eq(until_ns, inputs.now_ns - MS + 20 * MS);
    cr_assert_eq(press(COMMAND_BYPASS, 1, 50 * MS), ANSWER_ALREADY);
    cr_assert_eq(press(COMMAND_BYPASS, 0, MS), ANSWER_TOO_MANY);
    cr_assert_eq(state.rule[1].bypass_until_ns, until_ns);
    while (inputs.now_ns + MS < until_ns) {
        cr_assert_eq(second_is(101), 3, "bypassed");
    }
    cr_assert_eq(second_is(101), 0, "over to the nanosecond");
    expect(ENGINE_TRIPPED, "the bypass is over");
    cr_assert_eq(state.bypasses, 0);
}

/* IL-050 */
Test(roles, what_cannot_be_bypassed)
{
    make(ROLE_ALARM, 0);
    second->bypass_max_ns = MS;
    arm();
    cr_assert_eq(press(COMMAND_BYPASS, 0, MS), ANSWER_NOT_ALLOWED);
    cr_assert_eq(press(COMMAND_BYPASS, 1, MS), ANSWER_NO_SUCH);
    cr_assert_eq(state.bypasses, 0);
}

/* IL-049 */
Test(roles, a_trip_ends_every_bypass)
{
    make(ROLE_PROTECT, 0);
    second->bypass_max_ns = 50 * MS;
    arm();
    cr_assert_eq(press(COMMAND_BYPASS, 1, 50 * MS), ANSWER_DONE);
    cr_assert_eq(second_is(101), 3);
    cr_assert_eq(press(COMMAND_UNBYPASS, 1, 0), ANSWER_DONE);
    expect(ENGINE_TRIPPED, "taken back by command");
    second_is(0);
    press(COMMAND_RESET, 0, 0);
    press(COMMAND_ARM, 0, 0);
    cr_assert_eq(press(COMMAND_BYPASS, 1, 50 * MS), ANSWER_DONE);
    step(COMMAND_TRIP);
    cr_assert_eq(state.bypasses, 0);
    cr_assert_eq(state.rule[1].bypass_until_ns, 0);
}

/* IL-051 */
Test(roles, alarms_as_isa_18_2_has_them)
{
    make(ROLE_ALARM, 0);
    const struct engine_rule_state *alarm = &state.rule[1];
    second_is(50);
    cr_assert_eq(alarm->alarm, ALARM_NORMAL);
    second_is(101);
    cr_assert_eq(alarm->alarm, ALARM_UNACKNOWLEDGED);
    second_is(50);
    cr_assert_eq(alarm->alarm, ALARM_RETURNED, "nobody has seen it");
    second_is(101);
    cr_assert_eq(alarm->alarm, ALARM_UNACKNOWLEDGED);
    cr_assert_eq(press(COMMAND_ACKNOWLEDGE, 0, 0), ANSWER_NO_SUCH);
    cr_assert_eq(press(COMMAND_ACKNOWLEDGE, 1, 0), ANSWER_DONE);
    cr_assert_eq(alarm->alarm, ALARM_ACKNOWLEDGED);
    cr_assert_eq(press(COMMAND_ACKNOWLEDGE, ENGINE_NONE, 0), ANSWER_ALREADY);
    second_is(50);
    cr_assert_eq(alarm->alarm, ALARM_NORMAL);
    second_is((double)NAN);
    cr_assert_eq(alarm->alarm, ALARM_UNACKNOWLEDGED, "unknown is active");
    second_is(50);
    cr_assert_eq(press(COMMAND_ACKNOWLEDGE, ENGINE_NONE, 0), ANSWER_DONE);
    cr_assert_eq(alarm->alarm, ALARM_NORMAL);
}

/* IL-052 */
Test(roles, shelving)
{
    make(ROLE_ALARM, 0);
    table.shelve_max_ns = 5 * MS;
    second_is(101);
    cr_assert_eq(press(COMMAND_SHELVE, 0, MS), ANSWER_NO_SUCH);
    cr_assert_eq(press(COMMAND_SHELVE, 1, 6 * MS), ANSWER_TOO_LONG);
    cr_assert_eq(press(COMMAND_SHELVE, 1, 5 * MS), ANSWER_DONE);
    cr_assert_eq(press(COMMAND_SHELVE, 1, 5 * MS), ANSWER_ALREADY);
    cr_assert_eq(state.rule[1].alarm, ALARM_UNACKNOWLEDGED, "nothing but what is shown");
    step(COMMAND_NONE);
    step(COMMAND_NONE);
    cr_assert_eq(state.rule[1].shelved_until_ns, 0);
    cr_assert_eq(press(COMMAND_UNSHELVE, 1, 0), ANSWER_ALREADY);
}

/* Output 0 is read back on channel 2: bit 1 energised, bit 0 safe, within 3 ms. */
static void make_feedback(void)
{
    make(ROLE_HOLD, 1);
    table.output[0].feedback = (struct control_feedback){
        .form = FEEDBACK_BITS, .channel = 2, .energised_mask = 2, .safe_mask = 1, .time_ns = 3 * MS};
}

static uint32_t position(double bits, uint32_t command)
{
    inputs_sample(&inputs, 2, bits, inputs.now_ns);
    return step(command);
}

static void arm_with_feedback(void)
{
    position(1, COMMAND_NONE);
    position(1, COMMAND_NONE);
    position(1, COMMAND_RESET);
    position(1, COMMAND_ARM);
    position(2, COMMAND_NONE);
    expect(ENGINE_ARMED, "the output has followed");
}

/* IL-055 IL-056 */
Test(roles, reset_needs_every_output_safe)
{
    static const double not_safe[] = {2, 0, 3, 0.5, -1, 4};
    make_feedback();
    position(1, COMMAND_NONE);
    for (size_t i = 0; i < sizeof(not_safe) / sizeof(not_safe[0]); i++) {
        position(not_safe[i], COMMAND_NONE);
        position(not_safe[i], COMMAND_RESET);
        expect(ENGINE_TRIPPED, "not read back as safe");
        cr_assert_eq(state.cause[0].kind, CAUSE_READBACK, "%g", not_safe[i]);
        cr_assert_eq(state.cause[0].output, 0);
    }
    position(1, COMMAND_NONE);
    position(1, COMMAND_RESET);
    expect(ENGINE_READY, "safe");
}

/* IL-053 */
Test(roles, an_output_that_does_not_follow_in_time_is_a_fault)
{
    make_feedback();
    position(1, COMMAND_NONE);
    position(1, COMMAND_RESET);
    position(1, COMMAND_ARM);
    for (int i = 0; i < 3; i++) {
        position(1, COMMAND_NONE);
        expect(ENGINE_ARMING, "within its time");
    }
    position(1, COMMAND_NONE);
    expect(ENGINE_FAULT, "3 ms are over");
    cr_assert_eq(state.first_out[0].kind, CAUSE_READBACK);
    cr_assert_eq(state.first_out[0].output, 0);
}

/* IL-054 IL-053 */
Test(roles, an_output_that_leaves_by_itself_trips_the_rest)
{
    make_feedback();
    arm_with_feedback();
    position(1, COMMAND_NONE);
    expect(ENGINE_TRIPPED, "safe by itself: at once");
    cr_assert_eq(state.first_out[0].kind, CAUSE_READBACK);
    make_feedback();
    arm_with_feedback();
    for (int i = 0; i < 4; i++) {
        position(0, COMMAND_NONE);
        expect(ENGINE_ARMED, "between: it has its time");
    }
    position(0, COMMAND_NONE);
    expect(ENGINE_TRIPPED, "between for too long");
}

/* The same, from a frame that came after a newer one. */
static uint32_t old_position(double bits, uint32_t command)
{
    uint64_t tai_ns = inputs.channel[2].tai_ns;
    inputs_sample(&inputs, 2, bits, tai_ns);
    inputs.channel[2].old = 1;
    return step(command);
}

/* IL-055 IL-060: a late frame from before a command proves no move, neither to an operator nor to a proof test. */
Test(roles, an_old_frame_proves_no_position)
{
    make_feedback();
    arm_with_feedback();
    position(2, COMMAND_TRIP);
    position(2, COMMAND_NONE);
    old_position(1, COMMAND_RESET);
    expect(ENGINE_TRIPPED, "welded, whatever an old frame says");
    step(COMMAND_NONE);
    step(COMMAND_RESET);
    expect(ENGINE_TRIPPED, "and it goes on saying it");
    position(1, COMMAND_NONE);
    old_position(1, COMMAND_RESET);
    expect(ENGINE_READY, "it may say what is known");
    make_feedback();
    arm_with_feedback();
    inputs.command_index = 0;
    position(2, COMMAND_TEST);
    old_position(1, COMMAND_NONE);
    cr_assert_eq(state.test.phase, 1, "not seen to be safe");
    make_feedback();
    arm_with_feedback();
    old_position(1, COMMAND_NONE);
    expect(ENGINE_ARMED, "nor did it leave by itself");
    position(2, COMMAND_NONE);
    expect(ENGINE_ARMED, "as the next one shows");
}

static const struct {
    double energised_at, safe_at, value;
    uint32_t position;
} values[] = {
    {90, 10, 90, POSITION_ENERGISED}, {90, 10, 10, POSITION_SAFE},      {90, 10, 50, POSITION_UNKNOWN},
    {90, 10, 11, POSITION_UNKNOWN},   {10, 90, 10, POSITION_ENERGISED}, {10, 90, 90, POSITION_SAFE},
    {10, 90, 89, POSITION_UNKNOWN},   {50, 50, 50, POSITION_UNKNOWN},   {90, 10, 2000, POSITION_UNKNOWN},
};

/* IL-056 */
Test(roles, position_by_a_value)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        make_feedback();
        table.output[0].feedback = (struct control_feedback){.form = FEEDBACK_VALUE,
                                                             .channel = 2,
                                                             .energised_at = values[i].energised_at,
                                                             .safe_at = values[i].safe_at};
        position(values[i].value, COMMAND_NONE);
        cr_assert_eq(state.output[0].position, values[i].position, "row %zu", i);
    }
}

/* IL-060 */
Test(roles, proof_test_passes)
{
    make_feedback();
    arm_with_feedback();
    cr_assert_eq(position(2, COMMAND_NONE), ENGINE_ARMED);
    inputs.command_index = 1;
    position(2, COMMAND_TEST);
    cr_assert_eq(outputs.answer, ANSWER_NO_SUCH, "output 1 has no feedback");
    position(2, COMMAND_NONE);
    inputs.command_index = 0;
    cr_assert_eq(position(2, COMMAND_TEST), ENGINE_TEST);
    cr_assert_eq(outputs.answer, ANSWER_DONE);
    cr_assert_eq(outputs.energised, 2, "output 1 does not move");
    cr_assert_eq(position(0, COMMAND_NONE), ENGINE_TEST);
    cr_assert_eq(position(1, COMMAND_NONE), ENGINE_TEST);
    cr_assert_eq(outputs.energised, 3, "told to come back");
    cr_assert_eq(position(0, COMMAND_NONE), ENGINE_TEST);
    cr_assert_eq(position(2, COMMAND_NONE), ENGINE_ARMED);
    cr_assert_eq(state.test.result, TEST_PASSED);
    cr_assert_eq(state.test.safe_ns, 2 * MS);
    cr_assert_eq(state.test.back_ns, 2 * MS);
    cr_assert_eq(state.trips, 0);
}

/* IL-061 */
Test(roles, proof_test_fails_and_aborts)
{
    make_feedback();
    arm_with_feedback();
    inputs.command_index = 0;
    position(2, COMMAND_TEST);
    for (int i = 0; i < 4; i++) {
        position(2, COMMAND_NONE);
    }
    expect(ENGINE_TRIPPED, "welded");
    cr_assert_eq(state.test.result, TEST_FAILED);
    make_feedback();
    arm_with_feedback();
    position(2, COMMAND_TEST);
    position(0, COMMAND_TRIP);
    expect(ENGINE_TRIPPED, "somebody trips it");
    cr_assert_eq(state.test.result, TEST_ABORTED);
}

/* IL-061: a rule that takes the tested output ends the test; it does not stay in it for ever. */
Test(roles, a_hold_ends_the_test)
{
    make_feedback();
    arm_with_feedback();
    inputs.command_index = 0;
    position(2, COMMAND_TEST);
    inputs_sample(&inputs, 1, 101, inputs.now_ns);
    position(0, COMMAND_NONE);
    expect(ENGINE_ARMED, "held");
    cr_assert_eq(state.test.result, TEST_ABORTED);
    cr_assert_eq(outputs.energised, 2);
}

/* IL-062 IL-063 */
Test(roles, gate)
{
    make(ROLE_ALARM, 0);
    table.gate_required = GATE_PINNED | GATE_CONFIG;
    inputs.gate_passed = GATE_PINNED | GATE_CLOCK;
    step(COMMAND_NONE);
    step(COMMAND_RESET);
    expect(ENGINE_READY, "a reset needs no gate");
    step(COMMAND_ARM);
    expect(ENGINE_READY, "arming does");
    cr_assert_eq(outputs.answer, ANSWER_GATE);
    cr_assert_eq(state.gate_missing, GATE_CONFIG);
    inputs.gate_passed = GATE_ALL;
    step(COMMAND_NONE);
    step(COMMAND_ARM);
    expect(ENGINE_ARMING, "the gate passes");
    inputs.gate_passed = GATE_CONFIG;
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "lost while arming");
    cr_assert_eq(state.first_out[0].kind, CAUSE_GATE);
    for (uint32_t trips = 0; trips < 2; trips++) {
        inputs.gate_passed = GATE_ALL;
        table.gate_trips = trips;
        press(COMMAND_RESET, 0, 0);
        press(COMMAND_ARM, 0, 0);
        expect(ENGINE_ARMED, "armed");
        inputs.gate_passed = GATE_CONFIG;
        step(COMMAND_NONE);
        expect(trips != 0 ? ENGINE_TRIPPED : ENGINE_ARMED, "lost while armed");
        cr_assert_eq(state.gate_missing, GATE_PINNED, "shown");
        press(COMMAND_TRIP, 0, 0);
    }
}

/* IL-038: the event of a trip names the rule that tripped, not one whose output was safe before. */
Test(roles, the_event_of_a_partial_trip_names_its_own_cause)
{
    make(ROLE_PROTECT, 1);
    struct control_rule *other = table_add_rule(&table, FORM_LIMIT, 2);
    other->has_low = 1;
    other->low = other->low_clear = -100;
    other->outputs = 2;
    table.outputs = 3;
    rig_start();
    sample_all(0);
    arm();
    second_is(101);
    inputs_sample(&inputs, 2, -101, inputs.now_ns);
    second_is(101);
    cr_assert_eq(outputs.energised, 4);
    bool found = false;
    for (uint32_t i = 0; i < outputs.events; i++) {
        if (outputs.event[i].kind == EVENT_TRIP) {
            found = true;
            cr_assert_eq(outputs.event[i].index, CAUSE_LOW, "%s", engine_cause_name(outputs.event[i].index));
        }
    }
    cr_assert(found);
}

/* IL-065 */
Test(roles, the_same_calls_give_the_same_results)
{
    static struct engine_state again;
    static struct engine_outputs other;
    make(ROLE_HOLD, 1);
    engine_init(&again);
    for (int i = 0; i < 1000; i++) {
        inputs_sample(&inputs, 0, i % 60, inputs.now_ns);
        inputs_sample(&inputs, 1, i % 70 + 40, inputs.now_ns);
        step(i % 7 == 0 ? COMMAND_RESET : i % 7 == 2 ? COMMAND_ARM : COMMAND_NONE);
        engine_step(&table, &again, &inputs, &other);
        cr_assert(same_bytes(&again, &state, sizeof(state)), "step %d", i);
        cr_assert(same_bytes(&other, &outputs, offsetof(struct engine_outputs, event)), "step %d", i);
    }
}
