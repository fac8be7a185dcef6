/* What each form of rule makes of its samples, by hand: limits, hysteresis, delays, rates, stuck values,
 * heartbeats. */
#include <math.h>

#include "tests/control/engine_rig.h"

static struct control_rule *rule;

/* Two channels, and one rule of the form on the first (and the second). */
static void watch(uint32_t form)
{
    table_make_bare(&table);
    table_add_channel(&table);
    table_add_channel(&table);
    rule = table_add_rule(&table, form, 0);
    rule->other = 1;
    rule->window_ns = 10 * MS;
    rig_start();
}

static void watch_limits(double low, double high, double hysteresis)
{
    watch(FORM_LIMIT);
    rule_limits(rule, low, high, hysteresis);
    feed(0);
    arm();
}

static uint32_t truth(void)
{
    return state.rule[0].truth;
}

/* A new sample on channel 0, and what the rule says then. */
static uint32_t on(double value)
{
    feed(value);
    return truth();
}

/* The same, but it came after a newer one. */
static uint32_t on_old(double value)
{
    inputs_sample(&inputs, 0, value, inputs.now_ns);
    inputs.channel[0].old = 1;
    step(COMMAND_NONE);
    return truth();
}

/* IL-006 */
Test(rules, a_value_at_the_limit_is_inside)
{
    watch_limits(-100, 100, 0);
    cr_assert_eq(on(100), TRUTH_CLEAR);
    cr_assert_eq(on(-100), TRUTH_CLEAR);
    expect(ENGINE_ARMED, "at the limits");
    cr_assert_eq(on(nextafter(-100, -200)), TRUTH_DEMAND);
    expect(ENGINE_TRIPPED, "below");
    cr_assert_eq(state.first_out[0].kind, CAUSE_LOW);
    cr_assert(state.first_out[0].limit <= -100);
    cr_assert_eq(state.rule[0].demands, 1);
}

/* IL-012 */
Test(rules, hysteresis)
{
    watch_limits(-100, 100, 10);
    cr_assert_eq(on(95), TRUTH_CLEAR, "it never was beyond");
    cr_assert_eq(on(101), TRUTH_DEMAND);
    cr_assert_eq(on(99), TRUTH_DEMAND);
    cr_assert_eq(on(nextafter(90, 100)), TRUTH_DEMAND);
    cr_assert_eq(on(90), TRUTH_CLEAR, "at the limit minus the hysteresis");
    cr_assert_eq(on(-101), TRUTH_DEMAND);
    cr_assert_eq(on(nextafter(-90, -100)), TRUTH_DEMAND);
    cr_assert_eq(on(-90), TRUTH_CLEAR);
}

/* IL-013 */
Test(rules, delay_in_samples_counts_each_sample_once)
{
    watch_limits(-100, 100, 0);
    rule->on_samples = 3;
    on(101);
    for (int i = 0; i < 20; i++) {
        step(COMMAND_NONE); /* the same sample, looked at again */
    }
    on(102);
    expect(ENGINE_ARMED, "two in a row");
    on(50);
    on(103);
    on(104);
    expect(ENGINE_ARMED, "two in a row again");
    on(105);
    expect(ENGINE_TRIPPED, "three in a row");
    cr_assert(state.first_out[0].value >= 105);
    step(COMMAND_NONE);
    cr_assert_eq(state.cause_count, 1, "it stands until a sample is back inside");
    on(99);
    cr_assert_eq(state.cause_count, 0);
}

/* IL-013 */
Test(rules, delay_in_time_goes_by_the_samples_own_stamps)
{
    watch_limits(-100, 100, 0);
    rule->on_ns = 5 * MS;
    on(101);
    uint64_t since_ns = inputs.channel[0].tai_ns;
    for (int i = 0; i < 50; i++) {
        step(COMMAND_NONE);
    }
    expect(ENGINE_ARMED, "time alone does not count");
    inputs_sample(&inputs, 0, 101, since_ns + 5 * MS - 1);
    step(COMMAND_NONE);
    expect(ENGINE_ARMED, "one nanosecond short");
    inputs_sample(&inputs, 0, 101, since_ns + 5 * MS);
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "five milliseconds");
}

/* IL-013 */
Test(rules, both_delays_must_pass)
{
    watch_limits(-100, 100, 0);
    rule->on_samples = 3;
    rule->on_ns = 10 * MS;
    for (int i = 0; i < 10; i++) {
        on(101);
    }
    expect(ENGINE_ARMED, "ten samples in nine milliseconds");
    on(101);
    expect(ENGINE_TRIPPED, "eleven in ten");
}

/* IL-014 */
Test(rules, off_delay)
{
    watch_limits(-100, 100, 10);
    rule->off_samples = 3;
    rule->off_ns = 4 * MS;
    on(101);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(on(50), TRUTH_DEMAND, "%d back, %d ms", i + 1, i);
    }
    cr_assert_eq(on(95), TRUTH_DEMAND, "within the hysteresis: it begins anew");
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(on(50), TRUTH_DEMAND, "%d back, %d ms", i + 1, i);
    }
    cr_assert_eq(on(50), TRUTH_CLEAR, "five back in four milliseconds");
}

/* IL-015 */
Test(rules, an_old_sample_demands_but_clears_nothing)
{
    watch_limits(-100, 100, 0);
    cr_assert_eq(on_old(101), TRUTH_DEMAND);
    expect(ENGINE_TRIPPED, "an old sample beyond");
    cr_assert_eq(on_old(50), TRUTH_DEMAND);
    cr_assert_eq(on(50), TRUTH_CLEAR);
    rule->on_samples = 3;
    on(101);
    on(101);
    on_old(50);
    cr_assert_eq(on(101), TRUTH_DEMAND, "an old one does not break the row");
}

/* IL-015: neither does it make a rule clear that is unknown. */
Test(rules, an_old_sample_does_not_end_an_unknown)
{
    static const uint32_t forms[] = {FORM_LIMIT, FORM_BIT, FORM_RATE, FORM_STUCK, FORM_DEVIATION};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        watch(forms[i]);
        rule_limits(rule, -1e9, 1e9, 0);
        rule->mask = 8;
        rule->demand_when = 1;
        inputs_sample(&inputs, 1, 1, inputs.now_ns);
        feed((double)NAN);
        cr_assert_eq(truth(), TRUTH_UNKNOWN);
        cr_assert_eq(on_old(1), TRUTH_UNKNOWN, "form %u", forms[i]);
        cr_assert_eq(on_old(1), TRUTH_UNKNOWN, "form %u", forms[i]);
    }
}

/* IL-007 */
Test(rules, rate)
{
    watch(FORM_RATE);
    rule_limits(rule, -1000, 1000, 0);
    cr_assert_eq(on(0), TRUTH_UNKNOWN, "one sample is no rate");
    for (int i = 1; i < 10; i++) {
        cr_assert_eq(on(0.5 * i), TRUTH_UNKNOWN, "%d ms", i);
    }
    cr_assert_eq(on(5), TRUTH_CLEAR, "a window: 5 in 10 ms");
    cr_assert_eq(on(14.9), TRUTH_CLEAR, "9.9 in a window");
    cr_assert_eq(on(15.1), TRUTH_DEMAND, "10.1 in a window, at once");
    cr_assert_eq(state.rule[0].why, CAUSE_RATE);
    cr_assert_float_eq(state.rule[0].measure, 1010, 1e-6);
    cr_assert_eq(on(-5.1), TRUTH_DEMAND, "and the other way");
    for (int i = 4; i < 10; i++) {
        cr_assert_eq(on(5), TRUTH_DEMAND, "%d ms of the window", i);
    }
    cr_assert_eq(on(5), TRUTH_CLEAR, "a whole window");
    cr_assert_eq(on((double)NAN), TRUTH_UNKNOWN);
    cr_assert_eq(on(5), TRUTH_UNKNOWN, "all over again");
}

/* IL-007 IL-021: while no window has been seen, a change that would be too fast leaves it unknown, or demands; it
 * never makes it clear, even if the delay is not over. */
Test(rules, rate_is_never_clear_before_a_window)
{
    watch(FORM_RATE);
    rule_limits(rule, -1000, 1000, 0);
    rule->on_samples = 3;
    on(0);
    for (int i = 1; i < 3; i++) {
        cr_assert_neq(on(100), TRUTH_CLEAR, "sample %d, ten times too fast", i);
    }
    cr_assert_eq(on(100), TRUTH_DEMAND);
}

/* IL-007: each window begins with a difference of nothing; a ramp that goes on stays a demand all the same. */
Test(rules, a_ramp_that_goes_on_stays_a_demand)
{
    watch(FORM_RATE);
    rule_limits(rule, -1000, 1000, 0);
    rule->role = ROLE_HOLD;
    for (int i = 0; i <= 10; i++) {
        on(0);
    }
    arm();
    double value = 0;
    for (int i = 0; i < 100; i++) {
        value += 2; /* twice as fast as it may */
        uint32_t seen = on(value);
        cr_assert(i < 10 || seen == TRUTH_DEMAND, "ms %d of the ramp", i);
        cr_assert(i < 10 || outputs.energised == 0, "ms %d of the ramp: energised again", i);
    }
    for (int i = 0; i < 20; i++) {
        on(value);
    }
    cr_assert_eq(truth(), TRUTH_CLEAR);
    cr_assert_neq(outputs.energised, 0);
}

/* IL-007 IL-021: .. and a delay that is longer than the window is over some time. */
Test(rules, a_delayed_rate_demands)
{
    for (int by_samples = 0; by_samples < 2; by_samples++) {
        watch(FORM_RATE);
        rule_limits(rule, -1000, 1000, 0);
        rule->on_ns = by_samples ? 0 : 25 * MS;
        rule->on_samples = by_samples ? 25 : 1;
        double value = 0;
        for (int i = 0; i < 100; i++) {
            value += 2;
            on(value);
        }
        cr_assert_eq(truth(), TRUTH_DEMAND, "100 ms of a ramp, by samples: %d", by_samples);
        watch(FORM_RATE);
        rule_limits(rule, -1000, 1000, 0);
        rule->on_ns = 25 * MS;
        for (int i = 0; i < 100; i++) {
            value += i % 20 < 10 ? 2 : 0; /* one window in two */
            on(value);
        }
        cr_assert_neq(truth(), TRUTH_DEMAND, "a window inside interrupts it");
    }
}

/* IL-008 */
Test(rules, deviation)
{
    watch(FORM_DEVIATION);
    rule_limits(rule, -3, 3, 1);
    inputs_sample(&inputs, 1, 50, inputs.now_ns);
    cr_assert_eq(on(53), TRUTH_CLEAR);
    cr_assert_eq(on(53.5), TRUTH_DEMAND);
    cr_assert_eq(state.rule[0].why, CAUSE_DEVIATION);
    inputs_sample(&inputs, 1, 51, inputs.now_ns);
    step(COMMAND_NONE);
    cr_assert_eq(truth(), TRUTH_DEMAND, "2.5: within the hysteresis");
    inputs_sample(&inputs, 1, 51.5, inputs.now_ns);
    step(COMMAND_NONE);
    cr_assert_eq(truth(), TRUTH_CLEAR, "the other channel's sample counts as well");
    inputs_sample(&inputs, 1, (double)NAN, inputs.now_ns);
    step(COMMAND_NONE);
    cr_assert_eq(truth(), TRUTH_UNKNOWN);
    cr_assert_eq(state.cause[0].channel, 1, "the one that is bad is named");
}

/* IL-009 */
Test(rules, bit)
{
    watch(FORM_BIT);
    table.channel[0].decode.range_high = 1e18;
    rule->mask = 6;
    rule->demand_when = 1;
    cr_assert_eq(on(9), TRUTH_CLEAR);
    cr_assert_eq(on(2), TRUTH_DEMAND);
    cr_assert_eq(on(4), TRUTH_DEMAND);
    cr_assert_eq(on(0), TRUTH_CLEAR);
    cr_assert_eq(on(0.5), TRUTH_UNKNOWN);
    cr_assert_eq(on(-1), TRUTH_UNKNOWN);
    cr_assert_eq(on(9007199254740994.0), TRUTH_UNKNOWN, "more than a double tells apart");
    rule->demand_when = 0;
    cr_assert_eq(on(9), TRUTH_DEMAND, "none of them is set");
    cr_assert_eq(on(2), TRUTH_CLEAR);
    cr_assert_eq(state.rule[0].measure, 2);
}

/* IL-010 */
Test(rules, stuck)
{
    watch(FORM_STUCK);
    rule->band = 0.5;
    cr_assert_eq(on(10), TRUTH_UNKNOWN, "it has not moved yet");
    cr_assert_eq(on(10.5), TRUTH_UNKNOWN, "by no more than the band");
    cr_assert_eq(on(10.6), TRUTH_CLEAR);
    for (int i = 1; i < 10; i++) {
        cr_assert_eq(on(10.4), TRUTH_CLEAR, "%d ms", i);
    }
    step(COMMAND_NONE);
    cr_assert_eq(truth(), TRUTH_CLEAR, "by the samples' stamps, not by the clock");
    cr_assert_eq(on(10.4), TRUTH_DEMAND);
    cr_assert_eq(state.rule[0].why, CAUSE_STUCK);
    cr_assert_eq(on(11.2), TRUTH_CLEAR, "it moves again");
}

/* IL-010 IL-021 */
Test(rules, stuck_is_never_clear_before_a_change)
{
    watch(FORM_STUCK);
    rule->on_samples = 3;
    for (int i = 0; i < 20; i++) {
        cr_assert_neq(on(10), TRUTH_CLEAR, "sample %d of the same value", i);
    }
    cr_assert_eq(truth(), TRUTH_DEMAND);
}

/* IL-011 */
Test(rules, heartbeat)
{
    watch(FORM_HEARTBEAT);
    cr_assert_eq(on(1), TRUTH_UNKNOWN);
    cr_assert_eq(on(1), TRUTH_UNKNOWN);
    cr_assert_eq(on(2), TRUTH_CLEAR);
    for (int i = 1; i <= 10; i++) {
        step(COMMAND_NONE);
        cr_assert_eq(truth(), TRUTH_CLEAR, "%d ms", i);
    }
    step(COMMAND_NONE);
    cr_assert_eq(truth(), TRUTH_DEMAND, "by the clock, without a sample");
    cr_assert_eq(on(2), TRUTH_DEMAND, "the same again is no beat");
    cr_assert_eq(on(3), TRUTH_CLEAR);
}

/* IL-016 */
Test(rules, shadow)
{
    watch_limits(-100, 100, 0);
    rule->shadow = 1;
    cr_assert_eq(on(101), TRUTH_DEMAND);
    expect(ENGINE_ARMED, "in shadow");
    cr_assert_eq(state.cause_count, 0);
    cr_assert_eq(state.rule[0].demands, 1);
    cr_assert_eq(outputs.events, 1);
    cr_assert_eq(outputs.event[0].kind, EVENT_RULE_ON);
    on((double)NAN);
    expect(ENGINE_ARMED, "nor when it is unknown");
}

/* IL-003: and nobody cares for a channel that no rule watches. */
Test(rules, an_unwatched_channel_is_no_cause)
{
    watch_limits(-100, 100, 0);
    inputs_sample(&inputs, 1, (double)NAN, inputs.now_ns);
    on(50);
    expect(ENGINE_ARMED, "nobody watches channel 1");
    cr_assert_eq(state.quality[1], ENGINE_BAD);
}

/* IL-004 IL-039 */
Test(rules, more_causes_than_there_is_room_for)
{
    table_make_bare(&table);
    while (table.channels < CONTROL_CHANNELS_MAX) {
        uint32_t channel = table_add_channel(&table);
        table_add_high(&table, channel, 100);
        table_add_high(&table, channel, 200);
    }
    rig_start();
    sample_all(0);
    arm();
    sample_all((double)NAN);
    step(COMMAND_NONE);
    expect(ENGINE_TRIPPED, "64 channels bad");
    cr_assert_eq(state.cause_count, ENGINE_CAUSES_MAX);
    cr_assert_eq(state.first_out_count, ENGINE_CAUSES_MAX);
    for (uint32_t i = 0; i < ENGINE_CAUSES_MAX; i++) {
        cr_assert_eq(state.cause[i].channel, i, "each channel once");
    }
    step(COMMAND_RESET);
    expect(ENGINE_TRIPPED, "64 channels bad");
}

/* IL-037: which limit it was, also when the demand outlives a gap. */
Test(rules, the_cause_names_the_side_after_a_gap)
{
    watch_limits(-100, 100, 20);
    on(-101);
    on((double)NAN);
    on(-90);
    cr_assert_eq(truth(), TRUTH_DEMAND, "within the hysteresis of the low limit");
    cr_assert_eq(state.cause[0].kind, CAUSE_LOW, "%s", engine_cause_name(state.cause[0].kind));
    cr_assert(state.cause[0].limit <= -100);
}
