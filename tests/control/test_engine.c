/* The interlock engine: its whole table of states and events, and its invariants, each cited by its number. Rules
 * are in test_rules.c, bypasses, alarms, readback, proof test and gate in test_roles.c; every step against an
 * independent model in test_engine_reference.c.
 */
#include <float.h>
#include <math.h>

#include "tests/control/engine_rig.h"
#include "tests/support/random.h"

TestSuite(engine, .init = rig_make);

/* Brings a healthy plant to a state by the commands an operator would give. */
static void bring_to(uint32_t code)
{
    rig_make();
    sample_all(50);
    if (code == ENGINE_INIT) {
        return;
    }
    step(COMMAND_NONE);
    if (code == ENGINE_READY || code == ENGINE_ARMING || code == ENGINE_ARMED) {
        step(COMMAND_RESET);
    }
    if (code == ENGINE_ARMING || code == ENGINE_ARMED) {
        step(COMMAND_ARM);
    }
    if (code == ENGINE_ARMED) {
        step(COMMAND_NONE);
    }
    if (code == ENGINE_FAULT) {
        inputs.self_test_bad = 1;
        step(COMMAND_NONE);
        inputs.self_test_bad = 0;
    }
    if (code != state.code) {
        state.code = code; /* an illegal one */
    }
    state.previous_command = COMMAND_NONE;
}

/* N nothing, S self-test, B time goes back, H above the limit, X not a number, O old (stale), F future, V overrun,
 * D deadline, U output fault, T trip, R reset, A arm, Q both reset and arm, r a a held one. */
static const char events[] = "NSBHXOFVDUTRAQra";

static void apply(char event)
{
    uint32_t command = COMMAND_NONE;
    switch (event) {
    case 'S':
        inputs.self_test_bad = 1;
        break;
    case 'B':
        state.last_now_ns = inputs.now_ns + 2 * MS;
        break;
    case 'H':
        inputs_sample(&inputs, 1, 100.5, inputs.now_ns);
        break;
    case 'X':
        inputs_sample(&inputs, 1, (double)NAN, inputs.now_ns);
        break;
    case 'O':
        inputs.channel[1].tai_ns = inputs.now_ns - TEST_STALE_NS;
        break;
    case 'F':
        inputs_sample(&inputs, 1, 50, inputs.now_ns + 20 * MS);
        break;
    case 'V':
        inputs.channel[1].fault = CAUSE_OVERRUN;
        break;
    case 'D':
        inputs.deadline_missed = 1;
        break;
    case 'U':
        inputs.output_fault = 1;
        break;
    case 'T':
        command = COMMAND_TRIP;
        break;
    case 'R':
    case 'r':
        command = COMMAND_RESET;
        break;
    case 'A':
    case 'a':
        command = COMMAND_ARM;
        break;
    case 'Q':
        command = COMMAND_RESET | COMMAND_ARM;
        break;
    default:
        break;
    }
    if (event == 'r' || event == 'a') {
        state.previous_command = command;
    }
    step(command);
}

struct row {
    uint32_t from;
    const char *to;      /* one letter per event: t tripped, r ready, g arming, a armed, f fault */
    const char *answers; /* - none, d done, = already, c cause stands, 1 reset first, f fault */
};

static const struct row rows[] = {
    /*                events:  NSBHXOFVDUTRAQra    NSBHXOFVDUTRAQra */
    {ENGINE_INIT, /*       */ "tffttttttttttttt", "----------cccc--"},
    {ENGINE_TRIPPED, /*    */ "tffttttttttrtrtt", "----------=d1d--"},
    {ENGINE_READY, /*      */ "rffttttttttrgrrr", "----------d=d=--"},
    {ENGINE_ARMING, /*     */ "affttttttttaaaaa", "----------d===--"},
    {ENGINE_ARMED, /*      */ "affttttttttaaaaa", "----------d===--"},
    {ENGINE_FAULT, /*      */ "ffffffffffffffff", "----------ffff--"},
    {0, /*                 */ "ffffffffffffffff", "----------ffff--"},
    {ENGINE_ARMED ^ 1, /*  */ "ffffffffffffffff", "----------ffff--"},
};

static uint32_t state_of(char letter)
{
    return letter == 't'   ? ENGINE_TRIPPED
           : letter == 'r' ? ENGINE_READY
           : letter == 'g' ? ENGINE_ARMING
           : letter == 'a' ? ENGINE_ARMED
                           : ENGINE_FAULT;
}

static uint32_t answer_of(char letter)
{
    return letter == 'd'   ? ANSWER_DONE
           : letter == '=' ? ANSWER_ALREADY
           : letter == 'c' ? ANSWER_CAUSE_STANDS
           : letter == '1' ? ANSWER_RESET_FIRST
           : letter == 'f' ? ANSWER_FAULT
                           : ANSWER_NONE;
}

/* IL-024 IL-025 IL-028 IL-029 IL-031 IL-032 IL-034 IL-038 */
Test(engine, every_event_in_every_state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t e = 0; events[e] != 0; e++) {
            char when[64];
            bring_to(rows[i].from);
            cr_assert_eq(state.code, rows[i].from);
            uint64_t trips = state.trips;
            bool permitted = rows[i].from == ENGINE_ARMING || rows[i].from == ENGINE_ARMED;
            apply(events[e]);
            snprintf(when, sizeof(when), "%s + %c", engine_state_name(rows[i].from), events[e]);
            expect(state_of(rows[i].to[e]), when);
            cr_assert_eq(outputs.answer, answer_of(rows[i].answers[e]), "%s: answer %u", when, outputs.answer);
            bool withdrawn = permitted && outputs.energised == 0;
            cr_assert_eq(outputs.tripped, withdrawn, "%s", when);
            cr_assert_eq(state.trips, trips + withdrawn, "%s", when);
        }
    }
}

static bool told(uint32_t kind)
{
    for (uint32_t i = 0; i < outputs.events; i++) {
        if (outputs.event[i].kind == kind) {
            return true;
        }
    }
    return false;
}

/* However much else there is to tell: the audit log learns from these what became of the permit. */
Test(engine, a_trip_is_told_if_every_channel_goes_at_once)
{
    table_make_bare(&table);
    while (table.channels < CONTROL_CHANNELS_MAX) {
        table_add_high(&table, table_add_channel(&table), 100);
    }
    rig_start();
    sample_all(0);
    arm();
    inputs.now_ns += 2 * TEST_STALE_NS;
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "all stale");
    cr_assert(told(EVENT_TRIP) && told(EVENT_STATE));
    cr_assert_gt(outputs.events_lost, 0);
}

/* Invariant 1: permit only in ARMING or ARMED, and then on every output. Invariant 5: an illegal state is FAULT.
 * IL-023 IL-027 */
Test(engine, invariant_1_and_5_random_state_values)
{
    struct test_random random = {1};
    for (int i = 0; i < 200000; i++) {
        uint32_t code = (uint32_t)test_random_next(&random);
        if (i < 7 * 32) { /* every legal code with one bit flipped */
            static const uint32_t legal[] = {ENGINE_INIT,  ENGINE_TRIPPED, ENGINE_READY, ENGINE_ARMING,
                                             ENGINE_ARMED, ENGINE_TEST,    ENGINE_FAULT};
            code = legal[i / 32] ^ UINT32_C(1) << (i % 32);
        }
        bring_to(ENGINE_ARMED);
        state.code = code;
        step(COMMAND_NONE);
        expect(ENGINE_FAULT, "illegal value");
        cr_assert_str_eq(engine_state_name(code), "illegal");
    }
}

/* IL-027 */
Test(engine, state_codes_lie_eight_bits_apart)
{
    static const uint32_t legal[] = {ENGINE_INIT,  ENGINE_TRIPPED, ENGINE_READY, ENGINE_ARMING,
                                     ENGINE_ARMED, ENGINE_TEST,    ENGINE_FAULT, 0,
                                     UINT32_MAX};
    for (size_t a = 0; a < 9; a++) {
        for (size_t b = 0; b < a; b++) {
            cr_assert_geq(__builtin_popcount(legal[a] ^ legal[b]), 8, "%zu and %zu", a, b);
        }
    }
}

/* Invariant 2: a vote or a fault gives safe in the same step, whatever else happens in it. IL-024 */
Test(engine, invariant_2_safe_in_the_same_step)
{
    static const char causes[] = "SBHXOFVDUT";
    for (size_t i = 0; causes[i] != 0; i++) {
        for (int armed = 0; armed < 2; armed++) {
            bring_to(armed != 0 ? ENGINE_ARMED : ENGINE_ARMING);
            cr_assert_eq(outputs.energised, 3);
            apply(causes[i]);
            cr_assert_eq(outputs.energised, 0, "%c", causes[i]);
            cr_assert_eq(outputs.tripped, 1);
        }
    }
}

/* Invariant 3: from TRIPPED to ARMED only through READY, with an edge, all inputs healthy. IL-025 */
Test(engine, invariant_3_the_only_way_to_armed)
{
    struct test_random random = {2};
    bool ready = false;
    bring_to(ENGINE_TRIPPED);
    for (int i = 0; i < 300000; i++) {
        uint32_t before = state.code;
        uint32_t previous = state.previous_command;
        sample_all(test_random_chance(&random, 50) ? 101 : 50);
        uint32_t command = (uint32_t)test_random_below(&random, 8);
        step(command & (test_random_chance(&random, 50) ? 7u : 3u));
        uint32_t edges = inputs.command & ~previous;
        bool healthy = state.cause_count == 0;
        ready = state.code == ENGINE_READY || (ready && before == ENGINE_READY && state.code == ENGINE_ARMING);
        if (before == ENGINE_TRIPPED) {
            cr_assert(state.code == ENGINE_TRIPPED ||
                      (state.code == ENGINE_READY && (edges & COMMAND_RESET) != 0 && healthy));
        }
        if (state.code == ENGINE_ARMING) {
            cr_assert(before == ENGINE_READY && (edges & COMMAND_ARM) != 0 && healthy);
        }
        if (state.code == ENGINE_ARMED) {
            cr_assert((before == ENGINE_ARMING || before == ENGINE_ARMED) && healthy);
        }
    }
}

/* Invariant 4: a held reset or arm never arms. IL-026 */
Test(engine, invariant_4_a_held_command_never_arms)
{
    for (uint32_t held = COMMAND_RESET; held <= (COMMAND_RESET | COMMAND_ARM); held++) {
        bring_to(ENGINE_ARMED);
        step(COMMAND_NONE);
        sample_all(101);
        step(held);
        expect(ENGINE_TRIPPED, "the trip");
        for (int i = 0; i < 100; i++) {
            sample_all(50);
            step(held);
            cr_assert_eq(outputs.energised, 0);
        }
        expect(ENGINE_TRIPPED, "held since before the trip");
        step(COMMAND_NONE);
        step(COMMAND_RESET);
        for (int i = 0; i < 10; i++) {
            sample_all(50);
            step(COMMAND_RESET);
        }
        expect(ENGINE_READY, "reset held");
    }
}

/* IL-025 IL-026 */
Test(engine, invariant_4_reset_and_arm_together_only_reset)
{
    bring_to(ENGINE_TRIPPED);
    for (int i = 0; i < 10; i++) {
        step(COMMAND_RESET | COMMAND_ARM);
    }
    expect(ENGINE_READY, "held together");
}

/* Invariant 7: first-out does not change until re-armed. IL-036 IL-037 */
Test(engine, invariant_7_first_out_stays)
{
    bring_to(ENGINE_ARMED);
    inputs_sample(&inputs, 1, 123, inputs.now_ns);
    step(COMMAND_NONE);
    struct engine_cause first = state.first_out[0];
    cr_assert_eq(state.first_out_count, 1);
    cr_assert_eq(first.kind, CAUSE_HIGH);
    cr_assert_eq(first.channel, 1);
    cr_assert_eq(first.rule, 1);
    cr_assert(first.value >= 123 && first.value <= 123 && first.limit >= 100 && first.limit <= 100);
    for (const char *c = "XOHDUTNRNHXRN"; *c != 0; c++) {
        apply(*c);
        inputs.deadline_missed = 0;
        inputs.output_fault = 0;
        sample_all(*c == 'N' ? 50 : 1);
        cr_assert(state.first_out[0].kind == first.kind && state.first_out[0].position == first.position &&
                      state.first_out[0].tai_ns == first.tai_ns && state.first_out[0].channel == first.channel,
                  "after %c", *c);
        cr_assert_eq(state.first_out_count, 1);
    }
    sample_all(50);
    step(COMMAND_NONE);
    step(COMMAND_RESET);
    step(COMMAND_ARM);
    step(COMMAND_NONE);
    expect(ENGINE_ARMED, "re-armed");
    inputs.deadline_missed = 1;
    step(COMMAND_NONE);
    cr_assert_eq(state.first_out[0].kind, CAUSE_DEADLINE, "the next trip's own");
}

/* Invariant 8: FAULT absorbs. IL-028 */
Test(engine, invariant_8_fault_absorbs)
{
    struct test_random random = {3};
    bring_to(ENGINE_FAULT);
    for (int i = 0; i < 10000; i++) {
        sample_all(50);
        step((uint32_t)test_random_below(&random, 8));
        expect(ENGINE_FAULT, "anything");
    }
}

static void worsen(struct test_random *random)
{
    uint32_t i = (uint32_t)test_random_below(random, table.channels);
    struct engine_sample *sample = &inputs.channel[i];
    switch (test_random_below(random, 9)) {
    case 0:
        sample->value = (double)NAN;
        break;
    case 1:
        sample->value = (double)INFINITY;
        break;
    case 2:
        sample->fault = CAUSE_OVERRUN;
        break;
    case 3:
        sample->tai_ns = inputs.now_ns - TEST_STALE_NS - 10 * MS;
        break;
    case 4:
        sample->value += 500; /* the only limits are high ones */
        break;
    case 5:
        inputs.deadline_missed = 1;
        break;
    case 6:
        inputs.output_fault = 1;
        break;
    case 7:
        inputs.self_test_bad = 1;
        break;
    default:
        sample->tai_ns = inputs.now_ns + 100 * MS;
    }
}

/* Invariant 10: a worse input never turns a trip into a permit. IL-021 */
Test(engine, invariant_10_monotone)
{
    struct test_random random = {4};
    bring_to(ENGINE_TRIPPED);
    table.rule[1].on_samples = 3;
    for (int i = 0; i < 300000; i++) {
        for (uint32_t c = 0; c < table.channels; c++) {
            inputs_sample(&inputs, c, test_random_chance(&random, 20) ? 101 : 50, inputs.now_ns);
        }
        struct engine_inputs worse_from = inputs;
        struct engine_state before = state;
        uint32_t command = (uint32_t)test_random_below(&random, 4);
        step(command);
        struct engine_state after = state;
        struct engine_inputs given = inputs;
        uint32_t permit = outputs.energised;
        inputs = worse_from;
        state = before;
        worsen(&random);
        step(command);
        cr_assert_eq(outputs.energised & ~permit, 0, "worse, and yet a permit");
        state = after;
        inputs = given;
        if (state.code == ENGINE_FAULT) {
            bring_to(ENGINE_TRIPPED);
        }
    }
}

static void expect_cause_of(double value, uint32_t kind)
{
    bring_to(ENGINE_ARMED);
    inputs_sample(&inputs, 0, value, inputs.now_ns);
    step(COMMAND_NONE);
    if (kind == CAUSE_NONE) {
        expect(ENGINE_ARMED, "a good value");
        cr_assert_eq(state.quality[0], ENGINE_GOOD);
        return;
    }
    expect(ENGINE_TRIPPED, engine_cause_name(kind));
    cr_assert_eq(state.first_out[0].kind, kind, "%g: %s", value, engine_cause_name(state.first_out[0].kind));
    cr_assert_eq(state.first_out[0].channel, 0);
    if (kind != CAUSE_HIGH) {
        cr_assert_eq(state.quality[0], ENGINE_BAD);
    }
}

/* IL-001 */
Test(engine, what_is_not_a_good_number)
{
    expect_cause_of((double)NAN, CAUSE_NOT_FINITE);
    expect_cause_of(-(double)NAN, CAUSE_NOT_FINITE);
    expect_cause_of((double)INFINITY, CAUSE_NOT_FINITE);
    expect_cause_of(-(double)INFINITY, CAUSE_NOT_FINITE);
    expect_cause_of(1000.0001, CAUSE_RANGE);
    expect_cause_of(-1000.0001, CAUSE_RANGE);
    expect_cause_of(DBL_MAX, CAUSE_RANGE);
    expect_cause_of(1000, CAUSE_HIGH);
    expect_cause_of(-1000, CAUSE_NONE);
    expect_cause_of(DBL_TRUE_MIN, CAUSE_NONE);
    expect_cause_of(-DBL_MIN / 2, CAUSE_NONE);
    expect_cause_of(-0.0, CAUSE_NONE);
}

/* IL-005 */
Test(engine, nan_in_a_table_is_never_inside)
{
    bring_to(ENGINE_ARMED);
    table.rule[0].high = (double)NAN;
    inputs_sample(&inputs, 0, 50, inputs.now_ns);
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "a limit that is not a number");
    bring_to(ENGINE_ARMED);
    table.channel[0].decode.range_high = (double)NAN;
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "a range that is not a number");
}

/* IL-002 */
Test(engine, age_is_judged_to_the_nanosecond)
{
    bring_to(ENGINE_ARMED);
    inputs.channel[0].tai_ns = inputs.now_ns + MS - TEST_STALE_NS;
    step(COMMAND_NONE);
    expect(ENGINE_ARMED, "just young enough");
    inputs.now_ns -= MS - 1; /* the next step comes one nanosecond later */
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "one nanosecond too old");
    cr_assert_eq(state.first_out[0].kind, CAUSE_STALE);
    cr_assert_eq(state.quality[0], ENGINE_STALE);
    bring_to(ENGINE_ARMED);
    inputs.channel[0].tai_ns = inputs.now_ns + MS + table.future_ns;
    step(COMMAND_NONE);
    expect(ENGINE_ARMED, "just not too far ahead");
    inputs.channel[0].tai_ns = inputs.now_ns + MS + table.future_ns + 1;
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "from the future");
    cr_assert_eq(state.first_out[0].kind, CAUSE_FRAME);
}

/* IL-003 IL-030 IL-045 */
Test(engine, a_channel_never_seen_keeps_it_tripped)
{
    inputs_sample(&inputs, 0, 50, inputs.now_ns);
    step(COMMAND_NONE);
    cr_assert_eq(state.first_out[0].kind, CAUSE_STARTUP);
    step(COMMAND_RESET);
    expect(ENGINE_TRIPPED, "channel 1 has never been seen");
    cr_assert_eq(outputs.answer, ANSWER_CAUSE_STANDS);
    cr_assert_eq(state.cause_count, 1);
    cr_assert_eq(state.cause[0].kind, CAUSE_STALE);
    cr_assert_eq(state.cause[0].channel, 1);
}

/* IL-035 IL-037 IL-058 */
Test(engine, simultaneous_causes_are_reported_together_in_their_priority)
{
    bring_to(ENGINE_ARMED);
    inputs.deadline_missed = 1;
    inputs.output_fault = 1;
    inputs_sample(&inputs, 0, 101, inputs.now_ns);
    inputs.channel[1].fault = CAUSE_OVERRUN;
    step(COMMAND_TRIP);
    static const uint32_t expected[] = {CAUSE_DEADLINE, CAUSE_MANUAL, CAUSE_OUTPUT, CAUSE_HIGH, CAUSE_OVERRUN};
    cr_assert_eq(state.first_out_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(state.first_out[i].kind, expected[i], "cause %u: %s", i,
                     engine_cause_name(state.first_out[i].kind));
    }
    cr_assert_eq(state.first_out[0].rule, ENGINE_NONE);
    cr_assert_eq(state.first_out[0].channel, ENGINE_NONE);
    cr_assert_eq(state.first_out[0].tai_ns, inputs.now_ns);
}

/* IL-005 */
Test(engine, a_rule_on_no_channel_is_a_cause)
{
    bring_to(ENGINE_ARMED);
    table.rule[0].channel = CONTROL_CHANNELS_MAX;
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "a flipped bit in the table");
    cr_assert_eq(state.first_out[0].kind, CAUSE_SELF_TEST);
}

/* IL-005 */
Test(engine, counts_in_the_table_beyond_all_bounds_are_harmless)
{
    bring_to(ENGINE_ARMED);
    table.channels = UINT32_MAX;
    table.rules = UINT32_MAX;
    table.outputs = UINT32_MAX;
    step(COMMAND_NONE);
    bring_to(ENGINE_ARMED);
    table.outputs = 32;
    step(COMMAND_NONE);
    cr_assert_eq(outputs.energised, UINT32_MAX);
}

/* IL-029 */
Test(engine, time_that_stands_still_is_no_fault)
{
    bring_to(ENGINE_ARMED);
    for (int i = 0; i < 3; i++) {
        engine_step(&table, &state, &inputs, &outputs);
    }
    expect(ENGINE_ARMED, "the same time thrice");
    inputs.now_ns--;
    engine_step(&table, &state, &inputs, &outputs);
    expect(ENGINE_FAULT, "one nanosecond back");
    cr_assert_eq(state.first_out[0].kind, CAUSE_SELF_TEST);
}

/* A fault while a trip stands keeps the trip's first-out: it is evidence. IL-036 */
Test(engine, a_fault_keeps_the_first_out_of_a_standing_trip)
{
    bring_to(ENGINE_ARMED);
    feed(101);
    inputs_sample(&inputs, 1, 50, inputs.now_ns);
    inputs.self_test_bad = 1;
    step(COMMAND_NONE);
    expect(ENGINE_FAULT, "self-test");
    cr_assert_eq(state.first_out[0].kind, CAUSE_HIGH);
    cr_assert_eq(state.trips, 1);
}

/* Invariant 12: a healthy plant with a cooperating operator can always be re-armed. IL-033 */
Test(engine, invariant_12_it_can_always_be_rearmed)
{
    for (const char *c = "HXOFVDUT"; *c != 0; c++) {
        bring_to(ENGINE_ARMED);
        apply(*c);
        expect(ENGINE_TRIPPED, "tripped");
        inputs.deadline_missed = 0;
        inputs.output_fault = 0;
        sample_all(50);
        step(COMMAND_NONE);
        step(COMMAND_RESET);
        step(COMMAND_NONE);
        step(COMMAND_ARM);
        step(COMMAND_NONE);
        expect(ENGINE_ARMED, "re-armed");
    }
}

Test(engine, names)
{
    cr_assert_str_eq(engine_state_name(ENGINE_ARMED), "armed");
    cr_assert_str_eq(engine_cause_name(CAUSE_OVERRUN), "overrun");
    cr_assert_str_eq(engine_cause_name(CAUSES), "unknown");
    cr_assert_str_eq(engine_quality_name(ENGINE_GOOD), "good");
    cr_assert_str_eq(engine_quality_name(77), "stale");
}
