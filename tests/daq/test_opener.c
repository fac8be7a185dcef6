/* The opener with a device that is none: what is asked is answered once, "not yet" is asked again, what is spoiled
 * is said once and opened anew, everything is let go of at the end. Its rounds are done by hand; its thread has a
 * test too. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daq/opener.h"
#include "ring/clock.h"
#include "tests/support/wait.h"

#define CHECK_NS (100 * CLOCK_NS_PER_MS)

static int next_result; /* of open: a descriptor of ours, or -errno */
static bool is_well;
static uint32_t opened;
static uint32_t checked;
static uint32_t cleared;

static int fake_open(struct opening *opening, struct error *err)
{
    (void)opening;
    opened++;
    return next_result < 0 && next_result != -EAGAIN ? error_set(err, next_result, "it is broken") : next_result;
}

static bool fake_check(struct opening *opening)
{
    (void)opening;
    checked++;
    return is_well;
}

static void fake_clear(struct opening *opening)
{
    (void)opening;
    cleared++;
}

static const struct opener_way way = {.open = fake_open, .check = fake_check, .clear = fake_clear};
static const struct opener_way way_plain = {.open = fake_open};
static const struct source_plan plan = {.name = "test"};
static struct opener opener;
static struct opening *opening;

static void set_up(void)
{
    opening = opener_add(&opener, &plan, &way);
    next_result = 77;
    is_well = true;
}

static void tear_down(void)
{
    opener_fini(&opener);
}

TestSuite(opener, .init = set_up, .fini = tear_down);

Test(opener, opens_when_it_is_asked_and_once)
{
    opener_round(&opener, 1);
    cr_assert_eq(opened, 0, "nobody asked");
    opening_ask(opening);
    cr_assert_eq(opening_take(opening), -EAGAIN);
    opener_round(&opener, 2);
    opener_round(&opener, 3);
    cr_assert_eq(opened, 1);
    cr_assert_eq(opening_take(opening), 77);
    cr_assert(!opening_is_spoiled(opening));
}

Test(opener, not_yet_is_tried_again_in_each_round)
{
    next_result = -EAGAIN;
    opening_ask(opening);
    for (uint64_t round = 1; round <= 5; round++) {
        opener_round(&opener, round);
        cr_assert_eq(opening_take(opening), -EAGAIN);
    }
    cr_assert_eq(opened, 5);
    next_result = 78;
    opener_round(&opener, 6);
    cr_assert_eq(opening_take(opening), 78);
}

Test(opener, a_failure_is_an_answer)
{
    next_result = -ENODEV;
    opening_ask(opening);
    opener_round(&opener, 1);
    cr_assert_eq(opening_take(opening), -ENODEV);
    opener_round(&opener, CHECK_NS * 2);
    cr_assert_eq(opened, 1, "until it is asked again");
    cr_assert_eq(checked, 0, "there is nothing to check");
    next_result = 79;
    opening_ask(opening);
    cr_assert_eq(opening_take(opening), -EAGAIN, "the old answer is no answer to this");
    opener_round(&opener, CHECK_NS * 3);
    cr_assert_eq(opening_take(opening), 79);
}

Test(opener, what_is_spoiled_is_said_once_and_opened_anew)
{
    opening_ask(opening);
    opener_round(&opener, 1);
    opener_round(&opener, 1 + CHECK_NS);
    opener_round(&opener, 2 + CHECK_NS);
    cr_assert_eq(checked, 1, "now and then, not in each round");
    cr_assert(!opening_is_spoiled(opening));
    is_well = false;
    opener_round(&opener, 1 + 2 * CHECK_NS);
    cr_assert(opening_is_spoiled(opening));
    opener_round(&opener, 1 + 4 * CHECK_NS);
    cr_assert_eq(checked, 2, "it is closed perhaps: no longer looked at");
    is_well = true;
    next_result = 80;
    opening_ask(opening);
    cr_assert(!opening_is_spoiled(opening), "that was the one before");
    opener_round(&opener, 1 + 5 * CHECK_NS);
    cr_assert_eq(opening_take(opening), 80);
    cr_assert(!opening_is_spoiled(opening));
}

Test(opener, everything_is_let_go_of)
{
    struct opening *plain = opener_add(&opener, &plan, &way_plain);
    plain->held_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int held_fd = plain->held_fd;
    cr_assert_geq(held_fd, 0);
    opener_fini(&opener);
    cr_assert_eq(cleared, 1);
    cr_assert_eq(fcntl(held_fd, F_GETFD), -1, "what a way held is closed");
    opener_fini(&opener);
    cr_assert_eq(cleared, 1, "once");
}

Test(opener, its_thread_answers_and_ends)
{
    struct error err;
    cr_assert_eq(opener_start(&opener, &err), 0);
    opening_ask(opening);
    uint64_t since_ns = clock_monotonic_ns();
    while (opening_take(opening) == -EAGAIN) {
        cr_assert(test_still_patient(since_ns), "no answer");
    }
    cr_assert_eq(opening_take(opening), 77);
    opener_stop(&opener);
    opener_fini(&opener);
    cr_assert_eq(cleared, 1);
}
