/* Configurations: the arming gate, the audit log, bypasses, alarms, and who may command. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/daq/compile_text.h"

static const char head[] = "instance: test\n"
                           "memory: {pages: normal}\n"
                           "rings: [{name: one}]\n"
                           "sources:\n"
                           "  - {name: s, kind: udp, ring: one, listen: \"127.0.0.1:5000\", frame_bytes: 8}\n";
#define FIRST 6 /* line of what a test adds */

static int compile_with(const char *more)
{
    return compile_format("%s%s", head, more);
}

static void expect_error(const char *more, unsigned line, const char *piece)
{
    char place[16];
    snprintf(place, sizeof(place), ":%u:", line);
    cr_assert_neq(compile_with(more), 0, "%s", more);
    cr_assert_not_null(strstr(errors.text, piece), "'%s' is not in: %s", piece, errors.text);
    cr_assert_not_null(strstr(errors.text, place), "line %u is not in: %s", line, errors.text);
}

Test(compile_arming, nothing_said)
{
    setenv("SLUICE_STATE_DIR", "/elsewhere", 1);
    cr_assert_eq(compile_with(""), 0, "%s", errors.text);
    cr_assert_eq(plan.table.gate_required, GATE_ALL);
    cr_assert_eq(plan.table.gate_latency_ns, UINT64_C(5000000000));
    cr_assert_eq(plan.table.gate_trips, 1);
    cr_assert_eq(plan.table.bypasses_max, 2);
    cr_assert_eq(plan.table.shelve_max_ns, UINT64_C(28800000000000));
    cr_assert_str_eq(plan.audit_path, "/elsewhere/test/audit.log");
    for (int act = 0; act < AUTHORITY_ACTS; act++) {
        cr_assert_eq(plan.authority.act[act].anybody, act == AUTHORITY_TRIP);
        cr_assert_eq(plan.authority.act[act].users + plan.authority.act[act].groups, 0);
    }
}

Test(compile_arming, all_said)
{
    cr_assert_eq(
        compile_with("arming: {waive: [pinned, black_box], latency_s: 60, on_loss: alarm}\n"
                     "bypass: {at_once_max: 0}\nalarms: {shelve_max_s: 60}\naudit: {file: a/b.log}\n"
                     "authority:\n  arm: {users: [root, nobody], groups: [root]}\n  reset: {users: [\"*\"]}\n"
                     "  trip: {users: [nobody]}\n"),
        0, "%s", errors.text);
    cr_assert_eq(plan.table.gate_required, GATE_ALL & ~(uint32_t)(GATE_PINNED | GATE_BLACK_BOX));
    cr_assert_eq(plan.table.gate_latency_ns, UINT64_C(60000000000));
    cr_assert_eq(plan.table.gate_trips, 0);
    cr_assert_eq(plan.table.bypasses_max, 0);
    cr_assert_eq(plan.table.shelve_max_ns, UINT64_C(60000000000));
    cr_assert_str_eq(plan.audit_path, "a/b.log");
    const struct authority_rule *arm = &plan.authority.act[AUTHORITY_ARM];
    cr_assert_eq(arm->users, 2);
    cr_assert_eq(arm->user[0], 0);
    cr_assert_eq(arm->user[1], 65534);
    cr_assert_eq(arm->groups, 1);
    cr_assert(plan.authority.act[AUTHORITY_RESET].anybody);
    cr_assert(!plan.authority.act[AUTHORITY_TRIP].anybody, "kept to those that are named");
    cr_assert_eq(compile_with("audit: {file: none}\n"), 0, "%s", errors.text);
    cr_assert_str_eq(plan.audit_path, "");
}

Test(compile_arming, what_cannot_be)
{
    expect_error("arming: {waive: [pined]}\n", FIRST, "pined");
    expect_error("arming:\n  latency_s: 0\n", FIRST + 1, "1 to 3600 s");
    expect_error("arming:\n  latency_s: 5s\n", FIRST + 1, "5s");
    expect_error("bypass:\n  at_once_max: 257\n", FIRST + 1, "0 to 256");
    expect_error("alarms:\n  shelve_max_s: 0\n", FIRST + 1, "1 to 604800 s");
    expect_error("audit:\n  file: /var/log/\n", FIRST + 1, "path of a file");
    expect_error("audit:\n  file: \"\"\n", FIRST + 1, "path of a file");
    expect_error("authority:\n  arm:\n    users: [root, nosuchuser]\n", FIRST + 2, "no user 'nosuchuser'");
    expect_error("authority:\n  arm:\n    groups: [nosuchgroup]\n", FIRST + 2, "no group 'nosuchgroup'");
    expect_error("authority:\n  launch: {users: [root]}\n", FIRST + 1, "launch");
}

Test(compile_arming, more_names_than_there_is_room_for)
{
    char text[512] = "authority:\n  arm:\n    users: [root";
    for (unsigned i = 0; i < AUTHORITY_NAMES_MAX; i++) {
        strcat(text, ", root");
    }
    strcat(text, "]\n");
    expect_error(text, FIRST + 1, "at most 32");
}

/* Whatever lay in the plan before: equal meaning, equal number. */
Test(compile_arming, checksum)
{
    cr_assert_eq(compile_with("audit: {file: a}\n"), 0);
    uint64_t checksum = plan.table.checksum;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(compile_with("# a comment\naudit: {file: b}\n"), 0);
        cr_assert_eq(plan.table.checksum, checksum);
    }
    cr_assert_eq(compile_with("authority: {arm: {users: [nobody]}}\n"), 0);
    cr_assert_neq(plan.table.checksum, checksum);
    cr_assert_eq(compile_with("arming: {waive: [pinned]}\n"), 0);
    cr_assert_neq(plan.table.checksum, checksum);
}

static const char recorded[] = "outputs: [{name: o, kind: udp, target: \"127.0.0.1:1\"}]\n"
                               "black_box: {}\n";

Test(compile_arming, black_box_stands_where_the_audit_log_does)
{
    setenv("SLUICE_STATE_DIR", "/elsewhere", 1);
    (void)compile_with(recorded);
    cr_assert_str_eq(plan.black_box.directory, "/elsewhere/test/trips");
    setenv("SLUICE_STATE_DIR", "here", 1);
    expect_error(recorded, FIRST + 1, "expected an absolute path in SLUICE_STATE_DIR");
}
