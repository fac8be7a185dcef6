/* Coils over Modbus TCP: what the actuator does to a server that answers, is gone, is silent, refuses or lies; when
 * control is silent; and what is left of it after its own end. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>

#include "control/actuator.h"
#include "ring/segment.h"
#include "tests/control/modbus_rig.h"
#include "tests/support/wait.h"

#define FAULT_NS (10 * CLOCK_NS_PER_S) /* no limit of time acts unless a test sets it */

static struct control_table table;
static struct segment segment = {.fd = -1};
static struct outbox *outbox;
static struct modbus_rig rig;
static struct actuator actuator;
static uint32_t number;

/* Three outputs: coils 7 and 2 are neighbours of coils that are not ours, coil 8 is one of coil 7. */
static void prepare(void)
{
    struct error err = {{0}};
    table.magic = CONTROL_TABLE_MAGIC;
    table.version = CONTROL_TABLE_VERSION;
    table.bytes = sizeof(table);
    table.devices = 1;
    table.outputs = 3;
    table.output[0].line = 7;
    table.output[1].line = 2;
    table.output[2].line = 8;
    table.output_fault_ns = FAULT_NS;
    table.tai_minus_monotonic_ns = clock_measure_tai_offset_ns();
    table.device[0] = (struct control_device){.kind = DEVICE_MODBUS, .lines = 7, .unit = 1};
    cr_assert_eq(segment_create(&segment, "outbox", sizeof(struct outbox), SEGMENT_NORMAL, &err), 0, "%s",
                 err.text);
    outbox = segment.base;
    rig_start(&rig);
    snprintf(table.device[0].target, sizeof(table.device[0].target), "127.0.0.1:%u", rig.port);
    rig.state->coil[1] = rig.state->coil[3] = rig.state->coil[6] = rig.state->coil[9] = 1;
}

static void clean_up(void)
{
    cr_assert_eq(rig.state->coil[1] + rig.state->coil[3] + rig.state->coil[6] + rig.state->coil[9], 4,
                 "a coil that is not ours was changed");
    actuator_fini(&actuator);
    rig_kill(&rig);
    segment_destroy(&segment);
}

TestSuite(actuator, .init = prepare, .fini = clean_up);

static void begin(void)
{
    struct error err = {{0}};
    cr_assert_eq(actuator_init(&actuator, &table, 0, outbox, &err), 0, "%s", err.text);
}

static uint64_t tai_now(void)
{
    return clock_tai_ns(table.tai_minus_monotonic_ns);
}

static void put(uint32_t lines)
{
    outbox_put(outbox, ++number, lines, tai_now());
}

static void put_and_step(uint32_t lines)
{
    put(lines);
    actuator_step(&actuator, clock_monotonic_ns());
}

static int verdict(void)
{
    return outbox_verdict(outbox, tai_now(), table.output_fault_ns);
}

static bool coils_are(uint32_t lines)
{
    return rig_coil(&rig, 7) == (lines & 1) && rig_coil(&rig, 2) == (lines >> 1 & 1) &&
           rig_coil(&rig, 8) == (lines >> 2 & 1);
}

/* Steps with these lines until the device has them. */
static void expect_follows(uint32_t lines)
{
    uint64_t since_ns = clock_monotonic_ns();
    do {
        put_and_step(lines);
        cr_assert(test_still_patient(since_ns), "coils %u are not reached, error %d", lines, verdict());
    } while (outbox->answer.error != 0 || outbox->answer.word != outbox->command.word || !coils_are(lines));
    cr_assert_eq(verdict(), 0);
}

static void expect_error(uint32_t lines, int code)
{
    uint64_t since_ns = clock_monotonic_ns();
    do {
        put_and_step(lines);
        cr_assert(test_still_patient(since_ns), "expected error %d, found %d", code, verdict());
    } while (verdict() != code);
}

Test(actuator, coils_are_what_control_says)
{
    begin();
    put_and_step(0);
    for (uint32_t lines = 1; lines < 8; lines++) {
        put_and_step(lines);
        cr_assert(coils_are(lines), "%u", lines);
        cr_assert_eq(outbox->answer.word, outbox->command.word);
        cr_assert_eq(outbox->answer.error, 0);
    }
    put_and_step(0);
    cr_assert(coils_are(0));
    cr_assert_eq(rig.state->connections, 1);
    cr_assert_eq(outbox->answer.connects, 1);
    cr_assert_eq(outbox->taken.count, 9);
    cr_assert_geq(outbox->confirmed.count, 8);
}

Test(actuator, the_first_write_of_a_connection_is_safe)
{
    rig.state->coil[2] = rig.state->coil[7] = rig.state->coil[8] = 1;
    begin();
    put_and_step(7);
    cr_assert(coils_are(7));
    cr_assert_eq(rig.state->bold, 0);
}

/* An order that is taken back while the connection is made is not carried out, however late we come to it. */
Test(actuator, an_order_that_is_taken_back_meanwhile)
{
    begin();
    rig.state->word = (uint64_t)(number + 2) << 32; /* nothing is asked for any more */
    rig.state->meanwhile = &outbox->command.word;
    put_and_step(7);
    cr_assert_null(rig.state->meanwhile);
    cr_assert_eq(rig.state->energising, 0);
    cr_assert(coils_are(0));
    cr_assert_eq(outbox->answer.word, 0, "neither order is confirmed yet");
    actuator_step(&actuator, clock_monotonic_ns());
    cr_assert_eq(outbox->answer.word, outbox->command.word);
    number++;
    expect_follows(7);
}

/* Only what is left of it is. */
Test(actuator, an_order_of_which_a_part_is_taken_back_meanwhile)
{
    begin();
    rig.state->word = (uint64_t)(number + 2) << 32 | 5;
    rig.state->meanwhile = &outbox->command.word;
    put_and_step(7);
    cr_assert_null(rig.state->meanwhile);
    cr_assert(coils_are(5));
    cr_assert_eq(outbox->answer.word, 0);
    actuator_step(&actuator, clock_monotonic_ns());
    cr_assert(coils_are(5));
    cr_assert_eq(outbox->answer.word, outbox->command.word);
}

/* Control is silent for longer than it may be while the connection is made. */
Test(actuator, an_order_that_grows_old_meanwhile)
{
    begin();
    put(7);
    struct outbox_order order = outbox_take(outbox);
    actuator_step(&actuator, clock_monotonic_ns() - FAULT_NS - CLOCK_NS_PER_S); /* as if put off behind its look */
    cr_assert_eq(order.lines, 7);
    cr_assert_eq(rig.state->energising, 0);
    cr_assert(coils_are(0));
}

Test(actuator, what_stood_there_before_it_began_is_nobodys_order)
{
    rig.state->coil[2] = rig.state->coil[7] = 1;
    put(7);
    begin();
    for (int i = 0; i < 10; i++) {
        actuator_step(&actuator, clock_monotonic_ns());
        cr_assert(coils_are(0), "energised by a command of the past");
    }
    cr_assert_eq(outbox->answer.word, 0);
    expect_follows(7);
}

Test(actuator, unchanged_coils_are_written_again_and_unchanged_is_not_forever)
{
    begin();
    expect_follows(5);
    uint32_t writes = rig.state->writes;
    actuator_step(&actuator, actuator.due_ns - 1);
    cr_assert_eq(rig.state->writes, writes);
    rig.state->coil[7] = 0; /* by somebody else */
    put(5);
    actuator_step(&actuator, actuator.due_ns);
    cr_assert_gt(rig.state->writes, writes);
    cr_assert(coils_are(5));
}

Test(actuator, control_that_is_silent_has_its_coils_made_safe)
{
    begin();
    expect_follows(7);
    uint64_t heard_ns = actuator.heard_ns;
    actuator_step(&actuator, heard_ns + FAULT_NS);
    cr_assert(coils_are(7), "not before the time is over");
    uint64_t confirmed = outbox->answer.word;
    actuator_step(&actuator, heard_ns + FAULT_NS + 1);
    cr_assert(coils_are(0));
    cr_assert_eq(outbox->answer.silences, 1);
    cr_assert_eq(outbox->answer.word, confirmed, "that is no answer to what control said last");
    put(7);
    actuator_step(&actuator, heard_ns + FAULT_NS + 2);
    cr_assert(coils_are(7), "it is heard again");
}

Test(actuator, a_server_that_is_gone_is_told_and_comes_back_safe)
{
    begin();
    expect_follows(7);
    rig_kill(&rig);
    expect_error(7, -ECONNREFUSED);
    uint64_t errors = outbox->answer.errors;
    uint64_t now_ns = clock_monotonic_ns();
    for (uint64_t ms = 0; ms < 1000; ms++) { /* a second of the actuator's time */
        put(7);
        actuator_step(&actuator, now_ns + ms * CLOCK_NS_PER_MS);
    }
    cr_assert_leq(outbox->answer.errors - errors, 12, "the back-off");
    cr_assert_geq(outbox->answer.errors - errors, 3);
    rig_start(&rig);
    expect_follows(7);
    cr_assert_eq(rig.state->bold, 0, "safe first, then what is current");
    cr_assert_eq(rig.state->connections, 2);
}

Test(actuator, a_server_that_never_answers_is_told)
{
    begin();
    expect_follows(7);
    actuator_fini(&actuator);
    table.output_fault_ns = 40 * CLOCK_NS_PER_MS;
    rig_mode(&rig, RIG_MUTE);
    begin();
    put_and_step(7);
    cr_assert_eq(outbox->answer.error, -ETIMEDOUT);
    cr_assert_eq(verdict(), -ETIMEDOUT);
    table.output_fault_ns = FAULT_NS;
    actuator_fini(&actuator);
    rig_mode(&rig, RIG_NORMAL);
    rig_kill(&rig); /* it holds unanswered requests */
    rig_start(&rig);
    begin();
    expect_follows(7);
}

/* An answer that has begun is no reason to wait for the rest of it: a trip may be behind it. */
Test(actuator, a_server_that_dribbles_its_answer_is_one_that_does_not_answer)
{
    begin();
    expect_follows(7);
    actuator_fini(&actuator);
    table.output_fault_ns = 800 * CLOCK_NS_PER_MS; /* 200 ms for an answer; this one takes 600 */
    rig_mode(&rig, RIG_DRIBBLE);
    begin();
    put_and_step(7);
    cr_assert_eq(outbox->answer.error, -ETIMEDOUT);
    table.output_fault_ns = FAULT_NS;
    rig_mode(&rig, RIG_NORMAL);
}

Test(actuator, an_exception_is_told_and_the_connection_kept)
{
    begin();
    expect_follows(0);
    rig_mode(&rig, RIG_EXCEPTION);
    put_and_step(7);
    cr_assert_eq(verdict(), -EREMOTEIO);
    cr_assert(coils_are(0));
    rig_mode(&rig, RIG_NORMAL);
    expect_follows(7);
    cr_assert_eq(rig.state->connections, 1);
}

Test(actuator, a_coil_that_does_not_stay_is_told_and_the_others_are_made_safe)
{
    begin();
    expect_follows(7);
    rig_mode(&rig, RIG_WELDED);
    put_and_step(0);
    cr_assert_eq(verdict(), -EIO);
    cr_assert(coils_are(2));
    rig_mode(&rig, RIG_NORMAL);
    expect_follows(0);
}

Test(actuator, an_answer_grows_old)
{
    begin();
    expect_follows(7);
    uint64_t confirmed_ns = outbox->answer.decided_tai_ns;
    cr_assert_eq(outbox_verdict(outbox, confirmed_ns + FAULT_NS / 2, FAULT_NS), 0);
    cr_assert_eq(outbox_verdict(outbox, confirmed_ns + FAULT_NS / 2 + 1, FAULT_NS), -ETIMEDOUT);
    outbox->answer.error = 5000;
    cr_assert_eq(verdict(), -EPROTO, "what is no errno");
}

/* ---- As a process of its own. */

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static pid_t run_apart(void)
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_stop}, NULL);
        begin();
        actuator_run(&actuator, &stop);
        _exit(0);
    }
    return child;
}

/* As control does: a new number again and again. */
static void command_until(uint32_t lines)
{
    uint64_t since_ns = clock_monotonic_ns();
    do {
        put(lines);
        cr_assert(test_still_patient(since_ns), "coils %u are not reached", lines);
    } while (!coils_are(lines) || outbox->answer.error != 0);
}

Test(actuator, killed_it_leaves_the_coils_and_is_noticed_and_the_next_one_begins_safe)
{
    pid_t child = run_apart();
    command_until(7);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert(coils_are(7), "nobody is left to change them");
    cr_assert_eq(outbox_verdict(outbox, tai_now() + FAULT_NS, FAULT_NS), -ETIMEDOUT);
    uint32_t writes = rig.state->writes;
    child = run_apart();
    uint64_t since_ns = clock_monotonic_ns();
    while (!coils_are(0)) { /* control does not speak any more */
        cr_assert(test_still_patient(since_ns), "the next one does not make them safe");
    }
    cr_assert_gt(rig.state->writes, writes);
    cr_assert_eq(rig.state->bold, 0);
    command_until(7);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

Test(actuator, told_to_stop_it_makes_the_coils_safe)
{
    int status;
    pid_t child = run_apart();
    command_until(7);
    kill(child, SIGTERM);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert(coils_are(0));
}

/* ---- The program itself: sealed, with what sluiced hands it. */

static pid_t start_program(int table_fd)
{
    pid_t child = fork();
    if (child == 0) {
        int moved_table = fcntl(table_fd, F_DUPFD, 100);
        int moved_outbox = fcntl(segment.fd, F_DUPFD, 100);
        dup2(moved_table, 3);
        dup2(moved_outbox, 4);
        execl(ACTUATOR_PROGRAM, "sluice-actuator", "table=3", "outbox=4", "0", NULL);
        _exit(127);
    }
    return child;
}

static struct segment hand_over_table(pid_t parent)
{
    struct segment shared;
    struct error err = {{0}};
    table.supervisor_pid = parent;
    table.thread.seal = SEALED;
    cr_assert_eq(segment_create_constant(&shared, "table", &table, sizeof(table), &err), 0, "%s", err.text);
    return shared;
}

Test(actuator, the_program_lives_in_its_seal_and_ends_safe)
{
    int status;
    struct segment shared = hand_over_table(getpid());
    pid_t child = start_program(shared.fd);
    command_until(7);
    cr_assert_eq(outbox->common.sealed, SEALED);
    rig_kill(&rig); /* it connects again, with what the seal leaves it */
    rig_start(&rig);
    rig.state->coil[7] = 0;
    command_until(7);
    kill(child, SIGTERM);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
    cr_assert(coils_are(0));
    segment_destroy(&shared);
}

Test(actuator, the_program_makes_the_coils_safe_when_its_parent_dies)
{
    int go[2];
    cr_assert_eq(pipe2(go, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) { /* stands for sluiced */
        char byte;
        struct segment shared = hand_over_table(getpid());
        start_program(shared.fd);
        close(go[1]);
        (void)!read(go[0], &byte, 1);
        raise(SIGKILL);
    }
    close(go[0]);
    command_until(7);
    close(go[1]);
    waitpid(parent, NULL, 0);
    uint64_t since_ns = clock_monotonic_ns();
    while (!coils_are(0)) {
        put(7); /* control would not, but the end of the supervisor is enough */
        cr_assert(test_still_patient(since_ns), "the coils are still energised");
    }
}
