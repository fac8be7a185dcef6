/* Conditions and rules: what every form compiles to, and what is refused, with its place and what to do (IL-074).
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/daq/compile_text.h"

/* Lines 1 to 15. Then conditions, if there are any, from line 17 on, and rules, of which the first is always
 * `plain`. */
static const char head[] = "instance: test\n"
                           "memory: {pages: normal, lock: false}\n"
                           "control: {cycle_budget_us: 500, stall_trip_ms: 100}\n"
                           "rings: [{name: one, slots: 64}]\n"
                           "sources:\n"
                           "  - name: udp1\n"
                           "    kind: udp\n"
                           "    ring: one\n"
                           "    listen: 127.0.0.1:5000\n"
                           "    frame_bytes: 24\n"
                           "    channels:\n"
                           "      - {name: p, at_byte: 0, type: f32, unit: bar, range: [0, 500], stale_ms: 20}\n"
                           "      - {name: q, at_byte: 4, type: f32, unit: bar, range: [0, 400], stale_ms: 50}\n"
                           "      - {name: t, at_byte: 8, type: f32, unit: K, range: [0, 500]}\n"
                           "      - {name: bits, at_byte: 12, type: u16, unit: \"1\", range: [0, 7]}\n";
static const char tail[] = "outputs:\n"
                           "  - {name: relief, kind: unix, target: /tmp/x, line: 0,\n"
                           "     feedback: {channel: bits, safe_bits: 1, time_ms: 40}}\n"
                           "  - {name: supply, kind: unix, target: /tmp/x, line: 1}\n";
static const char plain[] = "  - {name: plain, channel: p, high: 150}\n";

static const struct control_rule *const rules = plan.table.rule;

static int compile_text(const char *conditions, const char *text)
{
    return compile_format("%s%s%srules:\n%s%s%s", head, conditions[0] != 0 ? "conditions:\n" : "", conditions,
                          plain, text, tail);
}

/* Refused with this in the message, at this line and column. */
static void expect_bad(const char *conditions, const char *text, const char *place, const char *piece)
{
    cr_assert_neq(compile_text(conditions, text), 0, "taken: %s%s", conditions, text);
    cr_assert_not_null(strstr(errors.text, piece), "expected '%s', found: %s", piece, errors.text);
    cr_assert_not_null(strstr(errors.text, place), "expected at %s, found: %s", place, errors.text);
}

Test(compile_rules, every_form)
{
    cr_assert_eq(compile_text("  - {name: a, channel: p, high: 100, hysteresis: 2}\n"
                              "  - {name: b, channel: q, low: 10, bypass_max_s: 60}\n"
                              "  - {name: c, channel: q, high: 90}\n",
                              "  - {name: ramp, channel: p, rate_high: 50, rate_low: -60, window_ms: 100}\n"
                              "  - {name: apart, channel: p, deviates_from: q, by: 3}\n"
                              "  - {name: door, channel: bits, bits_set: 4}\n"
                              "  - {name: door2, channel: bits, bits_clear: 3}\n"
                              "  - {name: frozen, channel: p, stuck_ms: 500, band: 0.01}\n"
                              "  - {name: plc, channel: q, heartbeat_ms: 200}\n"
                              "  - {name: two, vote: 2, of: [a, b, c]}\n"
                              "  - {name: strict, vote: 2, of: [a, c], unknown: trip}\n"
                              "  - {name: some, any: [a, c]}\n"
                              "  - {name: each, all: [a, b, c], role: alarm, severity: 1}\n"
                              "  - {name: other, not: a, role: permit, shadow: true}\n"),
                 0, "%s", errors.text);
    const uint32_t forms[] = {FORM_LIMIT,     FORM_LIMIT, FORM_LIMIT, FORM_LIMIT, FORM_RATE,
                              FORM_DEVIATION, FORM_BIT,   FORM_BIT,   FORM_STUCK, FORM_HEARTBEAT,
                              FORM_VOTE,      FORM_VOTE,  FORM_VOTE,  FORM_VOTE,  FORM_NOT};
    cr_assert_eq(plan.table.rules, sizeof(forms) / sizeof(forms[0]));
    for (uint32_t i = 0; i < plan.table.rules; i++) {
        cr_assert_eq(rules[i].form, forms[i], "%s", rules[i].name);
    }
    cr_assert_eq(rules[0].role, ROLE_CONDITION);
    cr_assert_eq(rules[0].high_clear, 98);
    cr_assert_eq(rules[1].bypass_max_ns, UINT64_C(60000000000));
    cr_assert_eq(rules[4].window_ns, UINT64_C(100000000));
    cr_assert_eq(rules[4].low, -60);
    cr_assert(rules[5].high == 3 && rules[5].low == -3 && rules[5].other == 1);
    cr_assert(rules[6].mask == 4 && rules[6].demand_when == 1);
    cr_assert(rules[7].mask == 3 && rules[7].demand_when == 0);
    cr_assert_eq(rules[8].band, 0.01);
    cr_assert(rules[10].needed == 2 && rules[10].members == 3 && rules[10].unknown_trips == 0);
    cr_assert(rules[11].needed == 2 && rules[11].members == 2 && rules[11].unknown_trips == 1);
    cr_assert_eq(rules[12].needed, 1);
    cr_assert(rules[13].needed == 3 && rules[13].role == ROLE_ALARM && rules[13].severity == 1);
    cr_assert(rules[14].role == ROLE_PERMIT && rules[14].shadow == 1 && rules[14].outputs == 0);
}

Test(compile_rules, outputs_and_pre_alarms)
{
    cr_assert_eq(compile_text("",
                              "  - {name: x, channel: q, high: 90, low: 5, hysteresis: 1, pre_alarm_high: 80,\n"
                              "     pre_alarm_low: 10, outputs: [supply], on_delay_samples: 3, off_delay_ms: 5}\n"
                              "  - {name: h, channel: q, high: 70, role: hold}\n"),
                 0, "%s", errors.text);
    cr_assert_eq(rules[0].outputs, 3, "none named: all");
    cr_assert_eq(rules[1].outputs, 2);
    cr_assert_str_eq(rules[2].name, "x.pre");
    cr_assert(rules[2].role == ROLE_ALARM && rules[2].high == 80 && rules[2].low == 10 && rules[2].low_clear == 11);
    cr_assert(rules[2].on_samples == 3 && rules[2].off_ns == 5000000 && rules[2].severity == 2);
    cr_assert(rules[3].role == ROLE_HOLD && rules[3].outputs == 3);
}

static const struct {
    const char *rule;
    const char *place; /* LINE:COLUMN */
    const char *piece;
} bads[] = {
    {"channel: p", "18:5", "needs high, low or both, or another thing to look at"},
    {"channel: p, high: 9, stuck_ms: 5", "18:5", "expected one thing to look at, found 2"},
    {"high: 9", "18:5", "expected a channel"},
    {"channel: p, high: 9, unit: kPa", "18:", "the limits mean something else"},
    {"channel: p, high: 9, hysteresis: -1", "18:", "expected a number from 0 on"},
    {"channel: p, high: 9, low: 5, hysteresis: 2", "18:", "too wide"},
    {"channel: p, high: 9, hysteresis: 10", "18:", "no valid value is left"},
    {"channel: p, high: 9, by: 3", "18:", "by belongs to deviates_from"},
    {"channel: p, high: 9, window_ms: 3", "18:", "window_ms belongs to"},
    {"channel: p, high: 9, band: 3", "18:", "band belongs to stuck_ms"},
    {"channel: p, high: 9, unknown: trip", "18:", "unknown belongs to vote"},
    {"channel: p, high: 9, severity: 3", "18:", "severity belongs to role: alarm"},
    {"channel: p, high: 9, role: alarm, severity: 5", "18:", "1 to 4"},
    {"channel: p, high: 9, role: alarm, bypass_max_s: 5", "18:", "shelved, not bypassed"},
    {"channel: p, high: 9, role: alarm, outputs: [relief]", "18:", "only rules of role protect or hold act"},
    {"channel: p, high: 9, role: permit, process_safety_time_ms: 5", "18:", "only rules of role protect or hold"},
    {"channel: p, high: 9, role: kill", "18:", "role"},
    {"channel: p, high: 9, outputs: [valve]", "18:", "no output 'valve'"},
    {"channel: p, high: 9, bypass_max_s: 2592001", "18:", "1 to 2592000 s"},
    {"channel: p, high: 9, bypass_max_s: 0", "18:", "1 to 2592000 s"},
    {"channel: p, high: 9, delay_ms: 1, on_delay_ms: 2", "18:", "two names of one thing"},
    {"channel: p, high: 9, pre_alarm_high: 9", "18:", "less than high"},
    {"channel: p, high: 9, pre_alarm_low: 2", "18:", "limit on the same side"},
    {"channel: p, rate_high: 5", "18:", "a rate needs window_ms"},
    {"channel: p, rate_high: 5001, window_ms: 100", "18:", "can never be reached"},
    {"channel: p, rate_high: 5, window_ms: 0", "18:", "0.001 to 3600000 ms"},
    {"channel: p, deviates_from: p, by: 2", "18:", "never deviates from itself"},
    {"channel: p, deviates_from: t, by: 2", "18:", "bring both to one unit"},
    {"channel: p, deviates_from: z, by: 2", "18:", "no source has a channel"},
    {"channel: p, deviates_from: q, by: 0", "18:", "more than 0"},
    {"channel: p, deviates_from: q, by: 2, high: 2", "18:", "found both"},
    {"channel: p, deviates_from: q", "18:", "needs by, or high, low or both"},
    {"channel: p, deviates_from: q, by: 500", "18:", "can never be reached"},
    {"channel: p, bits_set: 1", "18:", "an integer type"},
    {"channel: bits, bits_set: 0", "18:", "a mask of bits"},
    {"channel: bits, bits_set: 65536", "18:", "a mask of bits"},
    {"channel: bits, bits_set: 8", "18:", "within the channel's valid range"},
    {"channel: p, stuck_ms: 9, band: 500", "18:", "width of the valid range"},
    {"channel: p, heartbeat_ms: 9, on_delay_ms: 5", "18:", "a heartbeat has no other"},
    {"vote: 1", "18:", "expected of: [..]"},
    {"channel: p, high: 9, of: [plain]", "18:", "expected one thing to look at, found 2"},
    {"any: [nothing]", "18:", "no condition 'nothing' stands above"},
    {"any: [plain]", "18:", "move it to conditions"},
    {"not: plain, on_delay_ms: 5", "18:", "a vote or group has no delays"},
    {"not: plain, channel: p", "18:", "looks at conditions, not at a channel"},
    /* q is looked at every 50 ms at worst, three times; half a ms of the loop, 40 ms of the valve. */
    {"channel: q, high: 9, on_delay_samples: 3, process_safety_time_ms: 190", "18:", "190.5 ms"},
};

Test(compile_rules, what_cannot_be_right_is_refused_with_its_place)
{
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "  - {name: x, %s}\n", bads[i].rule);
        expect_bad("", text, bads[i].place, bads[i].piece);
    }
}

/* Each can be counted by hand; one ms less is refused. */
Test(compile_rules, the_process_safety_time)
{
    const struct {
        const char *rule;
        double enough_ms;
    } cases[] = {
        {"channel: q, high: 9", 50 + 0.5 + 40},
        {"channel: q, high: 9, outputs: [supply]", 50 + 0.5},
        {"channel: q, high: 9, on_delay_samples: 3", 150 + 0.5 + 40},
        {"channel: q, high: 9, on_delay_samples: 3, on_delay_ms: 120", 220 + 0.5 + 40},
        {"channel: p, deviates_from: q, by: 9", 50 + 0.5 + 40},
        {"channel: p, rate_high: 9, window_ms: 100", 240 + 0.5 + 40},
        {"channel: p, stuck_ms: 100", 120 + 0.5 + 40},
        {"vote: 1, of: [a, b]", 60 + 0.5 + 40},
        {"not: c", 200 + 0.5 + 40}, /* when c has ended */
    };
    const char conditions[] = "  - {name: a, channel: p, high: 9, on_delay_samples: 3}\n"
                              "  - {name: b, channel: q, high: 9}\n"
                              "  - {name: c, channel: q, low: 9, off_delay_samples: 4}\n";
    const char used[] = "  - {name: user, any: [a, b, c]}\n";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "%s  - {name: x, %s, process_safety_time_ms: %g}\n", used, cases[i].rule,
                 cases[i].enough_ms);
        cr_assert_eq(compile_text(conditions, text), 0, "%s", errors.text);
        snprintf(text, sizeof(text), "%s  - {name: x, %s, process_safety_time_ms: %g}\n", used, cases[i].rule,
                 cases[i].enough_ms - 1);
        expect_bad(conditions, text, "23:", "are not enough");
    }
}

Test(compile_rules, conditions)
{
    const char a[] = "  - {name: a, channel: p, high: 9}\n";
    expect_bad(a, "", "17:", "no rule names condition 'a'");
    expect_bad("  - {name: a, channel: p, high: 9, role: hold}\n", "  - {name: x, not: a}\n",
               "17:", "acts only through the rules");
    expect_bad("  - {name: a, channel: p, high: 9, shadow: true}\n", "  - {name: x, not: a}\n",
               "17:", "acts only through the rules");
    expect_bad(a, "  - {name: x, all: [a, a]}\n", "20:", "'a' has a vote already");
    expect_bad(a, "  - {name: x, vote: 2, of: [a]}\n", "20:", "expected 1 to 1 votes of 1, found 2");
    expect_bad(a, "  - {name: a, channel: p, high: 9}\n  - {name: x, not: a}\n", "20:", "names must differ");
    expect_bad("  - {name: b, not: a}\n  - {name: a, channel: p, high: 9}\n", "  - {name: x, all: [a, b]}\n",
               "17:", "must come first");
    /* Its bypass would be the trip that it is to prevent. */
    const char bypassed[] = "  - {name: a, channel: p, high: 9, bypass_max_s: 60}\n"
                            "  - {name: b, channel: q, high: 9}\n";
    expect_bad(bypassed, "  - {name: x, any: [a, b]}\n", "21:", "let the rule itself be bypassed");
    expect_bad(bypassed, "  - {name: x, vote: 2, of: [a, b], unknown: trip}\n", "21:", "let the rule itself");
    cr_assert_eq(compile_text(bypassed, "  - {name: x, all: [a, b]}\n"), 0, "%s", errors.text);
}

Test(compile_rules, more_than_there_is_room_for)
{
    char *text = malloc(1 << 16);
    cr_assert_not_null(text);
    for (uint32_t n = CONTROL_RULES_MAX - 1; n <= CONTROL_RULES_MAX; n++) { /* and the plain one */
        size_t at = 0;
        for (uint32_t i = 0; i < n; i++) {
            at += (size_t)snprintf(text + at, (1 << 16) - at, "  - {name: r%u, channel: p, high: 9}\n", i);
        }
        int code = compile_text("", text);
        cr_assert_eq(code == 0, n < CONTROL_RULES_MAX, "%u: %s", n, errors.text);
    }
    cr_assert_not_null(strstr(errors.text, "at most 256 conditions, rules and pre-alarms together"), "%s",
                       errors.text);
    free(text);
}
