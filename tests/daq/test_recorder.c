/* daq/recorder_keep.c and recorder_names.c: which directories are a recorder's own, and what things are called.
 * What a recorder does is tested with servers, tests/e2e/test_record*.py. */
#include <criterion/criterion.h>
#include <string.h>

#include "daq/recorder.h"

Test(recorder, only_its_own_runs_are_its_runs)
{
    cr_assert(recorder_keep_is_run("20261126T143000.123Z-main", "main"));
    cr_assert(recorder_keep_is_run("20261126T143000.123Z.2-main", "main"), "the clock had been set back");
    cr_assert_not(recorder_keep_is_run("20261126T143000.123Z-main", "mai"));
    cr_assert_not(recorder_keep_is_run("20261126T143000.123Z-main2", "main"));
    cr_assert_not(recorder_keep_is_run("20261126T143000.123Z-trip7", "main"), "a report of the black box");
    cr_assert_not(recorder_keep_is_run("20261126T143000.123-main", "main"));
    cr_assert_not(recorder_keep_is_run("20261126T143000", "main"));
    cr_assert_not(recorder_keep_is_run("", "main"));
    cr_assert_not(recorder_keep_is_run("..", "main"));
    cr_assert_not(recorder_keep_is_run("main", "main"));
    cr_assert_not(recorder_keep_is_run("20261126T143000.123Z.-main.x", "main"));
}

Test(recorder, names)
{
    for (uint32_t verb = RECORDER_START; verb < RECORDER_VERBS; verb++) {
        cr_assert_not_null(recorder_verb_name(verb));
    }
    cr_assert_null(recorder_verb_name(0));
    cr_assert_null(recorder_verb_name(RECORDER_VERBS));
    for (uint32_t state = RECORDER_IDLE; state <= RECORDER_ENDED; state++) {
        cr_assert(strcmp(recorder_state_name(state), "unknown") != 0 && recorder_state_name(state)[0] != 0);
    }
    cr_assert_str_eq(recorder_state_name(UINT32_MAX), "unknown");
}

Test(recorder, what_is_said_of_a_run_is_json_whatever_it_is)
{
    static struct recorder r;
    static struct recorder_plan plan = {
        .instance = "a\"b", .name = "main", .directories = 1, .directory = {"/x\\y"}};
    static struct recorder_board board;
    static char text[65536];
    r.plan = &plan;
    r.board = &board;
    memcpy(r.operator_name, "\x01\xff\"\n", 5);
    for (unsigned i = 0; i < RECORDER_NOTES_MAX + 3; i++) {
        recorder_run_note(&r, "me", "a \"note\"\n");
    }
    cr_assert_eq(r.run.notes, RECORDER_NOTES_MAX);
    cr_assert_eq(r.run.notes_lost, 3);
    size_t bytes = recorder_run_json(&r, text, sizeof(text));
    cr_assert_eq(bytes, strlen(text));
    cr_assert_eq(text[0], '{');
    cr_assert_str_eq(text + bytes - 2, "}\n");
    for (size_t i = 0; i + 1 < bytes; i++) {
        cr_assert((unsigned char)text[i] >= ' ', "control characters are escaped");
    }
    cr_assert_not_null(strstr(text, "a\\\"b"));
    cr_assert_not_null(strstr(text, "/x\\\\y"));
    cr_assert_lt(recorder_run_json(&r, text, 100), 100, "never beyond its room");
}
