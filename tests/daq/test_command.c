/* Operators' commands: what is taken apart, and each answer as a sentence that says why and what to do. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daq/command.h"
#include "daq/json_line.h"

static struct control_table table = {
    .rules = 3,
    .outputs = 2,
    .channels = 1,
    .bypasses_max = 1,
    .shelve_max_ns = UINT64_C(28800000000000),
    .rule = {{.name = "overpressure", .role = ROLE_PROTECT, .bypass_max_ns = UINT64_C(3600000000000)},
             {.name = "ramp", .role = ROLE_PROTECT},
             {.name = "warm", .role = ROLE_ALARM}},
    .output = {{.name = "relief"}, {.name = "supply"}}};
static struct control_board board;
static struct supervisor_bypass bypass[CONTROL_RULES_MAX];
static char text[ERROR_TEXT_BYTES];

static struct protocol_request ask(uint16_t op, const char *name, const char *reason)
{
    struct protocol_request request = {.op = op, .argument = UINT64_C(1800000000000)};
    snprintf(request.name, sizeof(request.name), "%s", name);
    snprintf(request.reason, sizeof(request.reason), "%s", reason);
    return request;
}

static int parse(const struct protocol_request *request, struct server_command *command, struct error *err)
{
    *command = (struct server_command){.op = 0};
    strcpy(command->user, "alice");
    return command_parse(&table, request, command, err);
}

static void expect_refusal(struct protocol_request request, int code, const char *piece)
{
    struct server_command command;
    struct error err = {{0}};
    cr_assert_eq(parse(&request, &command, &err), code, "%s", err.text);
    cr_assert_not_null(strstr(err.text, piece), "'%s' is not in: %s", piece, err.text);
    cr_assert(text_is_line(command.name, sizeof(command.name)));
    cr_assert(text_is_line(command.reason, sizeof(command.reason)));
}

Test(command, a_bypass_needs_a_rule_and_a_reason)
{
    struct server_command command;
    struct error err = {{0}};
    struct protocol_request request = ask(PROTOCOL_BYPASS, "ramp", "sensor out");
    cr_assert_eq(parse(&request, &command, &err), 0, "%s", err.text);
    cr_assert_eq(command.index, 1);
    cr_assert_str_eq(command.person, "alice", "the user, if nobody is named");
    cr_assert_eq(command.argument, UINT64_C(1800000000000));
    strcpy(request.person, "bob");
    cr_assert_eq(parse(&request, &command, &err), 0);
    cr_assert_str_eq(command.person, "bob");
    expect_refusal(ask(PROTOCOL_BYPASS, "ramp", ""), -EINVAL, "--reason");
    expect_refusal(ask(PROTOCOL_BYPASS, "ramp", "   x   "), -EINVAL, "3 characters");
    expect_refusal(ask(PROTOCOL_BYPASS, "nosuch", "why not"), -ENOENT, "overpressure, ramp");
    expect_refusal(ask(PROTOCOL_SHELVE, "nosuch", ""), -ENOENT, "expected one of: warm");
    expect_refusal(ask(PROTOCOL_PROOF_TEST, "nosuch", ""), -ENOENT, "relief, supply");
}

Test(command, words_that_would_spoil_a_log)
{
    struct protocol_request request = ask(PROTOCOL_BYPASS, "ramp", "two\nlines");
    expect_refusal(request, -EINVAL, "one line");
    request = ask(PROTOCOL_BYPASS, "ra\x1b[2J", "good enough");
    expect_refusal(request, -EINVAL, "printable");
    request = ask(PROTOCOL_ARM, "", "");
    memset(request.person, 'x', sizeof(request.person)); /* no end */
    expect_refusal(request, -EINVAL, "printable");
}

Test(command, acknowledging_all)
{
    struct server_command command;
    struct error err = {{0}};
    struct protocol_request request = ask(PROTOCOL_ACKNOWLEDGE_ALARM, "", "");
    cr_assert_eq(parse(&request, &command, &err), 0);
    cr_assert_eq(command.index, ENGINE_NONE);
    request = ask(PROTOCOL_ACKNOWLEDGE_ALARM, "warm", "");
    cr_assert_eq(parse(&request, &command, &err), 0);
    cr_assert_eq(command.index, 2);
}

static void expect_answer(uint32_t op, const char *name, uint32_t answer, int code, const char *piece)
{
    struct server_command command = {.op = op, .argument = UINT64_C(7200000000000)};
    snprintf(command.name, sizeof(command.name), "%s", name);
    strcpy(command.person, "alice");
    strcpy(command.reason, "sensor out");
    for (uint32_t i = 0; i < table.rules; i++) {
        command.index = strcmp(table.rule[i].name, name) == 0 ? i : command.index;
    }
    board.answer = answer;
    cr_assert_eq(command_answer(&table, &board, bypass, &command, text, sizeof(text)), code, "%s", text);
    cr_assert_not_null(strstr(text, piece), "'%s' is not in: %s", piece, text);
}

Test(command, what_was_done)
{
    board.state = ENGINE_ARMED;
    expect_answer(PROTOCOL_ARM, "", ANSWER_DONE, 0, "arm: done");
    expect_answer(PROTOCOL_ARM, "", ANSWER_ALREADY, 0, "nothing to do, the interlock is armed");
    expect_answer(PROTOCOL_BYPASS, "overpressure", ANSWER_DONE, 0, "does not act for 2 h; by alice: sensor out");
    expect_answer(PROTOCOL_UNBYPASS, "overpressure", ANSWER_DONE, 0, "acts again");
    expect_answer(PROTOCOL_UNBYPASS, "overpressure", ANSWER_ALREADY, 0, "is not bypassed");
    expect_answer(PROTOCOL_ACKNOWLEDGE_ALARM, "", ANSWER_DONE, 0, "all alarms are");
    expect_answer(PROTOCOL_SHELVE, "warm", ANSWER_DONE, 0, "shelved for 2 h");
}

Test(command, what_was_refused)
{
    bypass[0] = (struct supervisor_bypass){
        .since_tai_ns = 1, .until_tai_ns = UINT64_C(60000000001), .person = "bob", .reason = "test"};
    board.rule[0].bypass_until_ns = 5;
    board.state = ENGINE_TRIPPED;
    expect_answer(PROTOCOL_RESET, "", ANSWER_CAUSE_STANDS, -EPERM, "a cause that has gone again");
    board.cause[0] = (struct engine_cause){
        .kind = CAUSE_MANUAL, .rule = ENGINE_NONE, .channel = ENGINE_NONE, .output = ENGINE_NONE};
    board.cause_count = 1;
    expect_answer(PROTOCOL_ARM, "", ANSWER_CAUSE_STANDS, -EPERM, "tripped by an operator");
    expect_answer(PROTOCOL_ARM, "", ANSWER_RESET_FIRST, -EPERM, "sluice reset");
    expect_answer(PROTOCOL_ARM, "", ANSWER_FAULT, -EPERM, "restart the server");
    expect_answer(PROTOCOL_ARM, "", ANSWER_NONE, -EPERM, "took no notice");
    expect_answer(PROTOCOL_ARM, "", 12345, -EPERM, "fault");
    expect_answer(PROTOCOL_BYPASS, "overpressure", ANSWER_ALREADY, -EPERM, "for 1 min by bob (test)");
    expect_answer(PROTOCOL_BYPASS, "overpressure", ANSWER_TOO_LONG, -EPERM,
                  "at most 1 h (bypass_max_s of the rule), found 2 h");
    expect_answer(PROTOCOL_BYPASS, "ramp", ANSWER_NOT_ALLOWED, -EPERM, "no bypass_max_s");
    expect_answer(PROTOCOL_BYPASS, "ramp", ANSWER_TOO_MANY, -EPERM, "1 at once are allowed");
    expect_answer(PROTOCOL_BYPASS, "ramp", ANSWER_TOO_MANY, -EPERM, "overpressure (by bob)");
    expect_answer(PROTOCOL_BYPASS, "warm", ANSWER_NO_SUCH, -EPERM, "sluice shelve warm");
    expect_answer(PROTOCOL_SHELVE, "ramp", ANSWER_NO_SUCH, -EPERM, "no alarm");
    expect_answer(PROTOCOL_SHELVE, "warm", ANSWER_TOO_LONG, -EPERM, "at most 8 h (alarms.shelve_max_s)");
    expect_answer(PROTOCOL_PROOF_TEST, "relief", ANSWER_NO_SUCH, -EPERM, "has no feedback");
    expect_answer(PROTOCOL_PROOF_TEST, "relief", ANSWER_NOT_NOW, -EPERM,
                  "found the state tripped, the output safe");
}

/* However many checks are missing, every name is told. */
Test(command, the_gate)
{
    board.gate_missing = GATE_CONFIG;
    expect_answer(PROTOCOL_ARM, "", ANSWER_GATE, -EPERM, "sluice acknowledge CHECKSUM");
    board.gate_missing = GATE_ALL;
    expect_answer(PROTOCOL_ARM, "", ANSWER_GATE, -EPERM,
                  "pinned, locked, pages, unthrottled, latency, clock, config, black_box, doctor");
    expect_answer(PROTOCOL_ARM, "", ANSWER_GATE, -EPERM, "; for the others: sluice status");
    board.gate_missing = 0;
    expect_answer(PROTOCOL_ARM, "", ANSWER_GATE, -EPERM, "try again");
}

Test(command, durations)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = {{0, "0 s"},
                {1500000000, "1.500 s"},
                {90000000000, "90 s"},
                {UINT64_C(1800000000000), "30 min"},
                {UINT64_C(28800000000000), "8 h"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char got[32];
        command_duration(rows[i].ns, got);
        cr_assert_str_eq(got, rows[i].text);
    }
}
