/* proof-test: one output is told to go safe and to come back, and its feedback says whether it did. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ring/clock.h"
#include "tools/order.h"
#include "tools/session.h"
#include "tools/sluice.h"

#define LOOK_NS     (5 * (long)CLOCK_NS_PER_MS)
#define PATIENCE_NS (10 * CLOCK_NS_PER_S) /* beyond what the output may take */

static uint32_t find_output(const struct control_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        if (strcmp(table->output[i].name, name) == 0) {
            return i;
        }
    }
    return ENGINE_NONE;
}

/* Until the test that began after `before_ns` has ended. False: it never did. */
static bool wait_for_end(const struct session *s, uint32_t output, uint64_t before_ns, struct engine_test *test)
{
    static struct control_board board;
    uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_NS + 2 * s->table->output[output].feedback.time_ns;
    while (clock_monotonic_ns() < deadline_ns) {
        if (control_board_read(s->control, &board) == 0 && board.test.output == output &&
            board.test.from_ns != before_ns && board.test.result >= TEST_PASSED) {
            *test = board.test;
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return false;
}

static void print(const struct arguments *a, const struct engine_test *test)
{
    const char *result = engine_test_name(test->result);
    bool passed = test->result == TEST_PASSED;
    if (a->json) {
        json_t *answer =
            json_pack("{s:b, s:s, s:s, s:I, s:I}", "done", (int)passed, "output", a->name, "result", result,
                      "safe_ns", (json_int_t)test->safe_ns, "back_ns", (json_int_t)test->back_ns);
        json_dumpf(answer, stdout, JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(answer);
    } else if (passed) {
        printf("proof test of %s: passed; safe after %.1f ms, back after %.1f ms\n", a->name,
               (double)test->safe_ns / 1e6, (double)test->back_ns / 1e6);
    }
}

static int follow(const struct arguments *a, struct session *session, struct protocol_request *request)
{
    struct error err = {{0}};
    struct engine_test test = {0};
    static struct control_board board;
    uint32_t output = find_output(session->table, a->name);
    int code = session_control_board(session, &board, &err);
    if (code != 0) {
        return command_fail("proof-test", err.text, EXIT_UNREACHABLE);
    }
    uint64_t before_ns = board.test.from_ns;
    code = order_ask(session->instance, request, &err);
    if (code != EXIT_DONE || output == ENGINE_NONE) {
        return command_fail("proof-test", err.text, code != EXIT_DONE ? code : EXIT_NOT_SO);
    }
    if (!wait_for_end(session, output, before_ns, &test)) {
        return command_fail("proof-test", "the test has not ended in its time; see sluice status", EXIT_NOT_SO);
    }
    print(a, &test);
    if (test.result == TEST_PASSED) {
        return EXIT_DONE;
    }
    char text[200];
    const char *what =
        test.result == TEST_FAILED ? "FAILED its proof test, it did not follow" : "was not tested to the end";
    snprintf(text, sizeof(text), "%.32s %s: the interlock is tripped; see the first-out in sluice status", a->name,
             what);
    return command_fail("proof-test", text, EXIT_NOT_SO);
}

int command_proof_test(const struct arguments *arguments)
{
    struct error err = {{0}};
    struct session session;
    struct protocol_request request;
    char instance[RING_NAME_BYTES];
    int code = order_instance(arguments, "proof-test", instance);
    if (code == EXIT_DONE) {
        code = order_request(arguments, "proof-test", PROTOCOL_PROOF_TEST, &request);
    }
    if (code != EXIT_DONE) {
        return code;
    }
    if (session_open(&session, instance, &err) != 0) {
        code = command_fail("proof-test", err.text, EXIT_UNREACHABLE);
    } else {
        code = follow(arguments, &session, &request);
    }
    session_close(&session);
    return code;
}
