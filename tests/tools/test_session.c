/* What a tool makes of a board whose writer was put off in the middle of its writing. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "control/board.h"
#include "tests/support/wait.h"
#include "tools/session.h"

static struct control_board board;
static struct control_board copy;

static void *write_to_the_end(void *argument)
{
    (void)argument;
    test_sleep_us(20000);
    board.trips = 7;
    __atomic_store_n(&board.version, 4, __ATOMIC_RELEASE);
    return NULL;
}

Test(session, a_writer_that_was_put_off_is_waited_for)
{
    const struct session session = {.control = &board};
    struct error err = {{0}};
    pthread_t thread;
    board.version = 3;
    board.trips = 6;
    cr_assert_eq(pthread_create(&thread, NULL, write_to_the_end, NULL), 0);
    int code = session_control_board(&session, &copy, &err);
    pthread_join(thread, NULL);
    cr_assert_eq(code, 0, "%s", err.text);
    cr_assert_eq(copy.trips, 7);
}

Test(session, a_writer_that_died_in_the_middle_is_told)
{
    const struct session session = {.control = &board};
    struct error err = {{0}};
    board.version = 3;
    cr_assert_eq(session_control_board(&session, &copy, &err), -EAGAIN);
    cr_assert_not_null(strstr(err.text, "died or is stopped"), "%s", err.text);
}
