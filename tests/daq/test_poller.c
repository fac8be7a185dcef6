/* The poller's thread with files for an instrument: what the worker gets for an answer, for one that is none, for
 * what is not there, and when it does not take what it is sent. No time is asserted. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/poller.h"
#include "ring/clock.h"
#include "tests/support/wait.h"

#define VALUE_BYTES ((ssize_t)sizeof(double))

struct message {
    uint32_t bytes; /* of the frame */
    double value;
    struct poller_trailer trailer;
};

static struct source_plan plan;
static struct poller *poller;
static int fd;
static char directory[32];

static void put(const char *text)
{
    int file = open(plan.sysfs.path[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
}

static void start(uint64_t period_ns)
{
    struct error err;
    plan.poll.period_ns = period_ns;
    cr_assert_eq(poller_start(&poller, &plan, &fd, &err), 0);
}

static void set_up(void)
{
    strcpy(directory, "/tmp/sluice-poller-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    plan = (struct source_plan){
        .name = "test", .kind = SOURCE_SYSFS, .frame_bytes = (uint32_t)VALUE_BYTES, .sysfs.attributes = 1};
    snprintf(plan.sysfs.path[0], sizeof(plan.sysfs.path[0]), "%s/value", directory);
}

static void tear_down(void)
{
    poller_stop(poller);
    close(fd);
    unlink(plan.sysfs.path[0]);
    rmdir(directory);
}

TestSuite(poller, .init = set_up, .fini = tear_down);

static struct message next_message(void)
{
    uint8_t bytes[64];
    struct message message = {0};
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    cr_assert_eq(poll(&ready, 1, 30000), 1, "no message");
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    ssize_t frame = n - (ssize_t)sizeof(message.trailer);
    cr_assert(frame == 0 || frame == VALUE_BYTES, "%zd bytes", n);
    message.bytes = (uint32_t)frame;
    memcpy(&message.value, bytes, (size_t)frame);
    memcpy(&message.trailer, bytes + frame, sizeof(message.trailer));
    return message;
}

/* The first message with this error, 0: with an answer. */
static struct message wait_for(uint32_t error)
{
    struct message message;
    uint64_t since_ns = clock_monotonic_ns();
    do {
        cr_assert(test_still_patient(since_ns), "never: error %u", error);
        message = next_message();
    } while (message.trailer.error != error);
    return message;
}

Test(poller, an_answer_is_a_frame_with_its_time)
{
    put("23.5\n");
    uint64_t before_ns = clock_monotonic_ns();
    start(CLOCK_NS_PER_MS);
    struct message message = next_message();
    cr_assert_eq(message.bytes, 8);
    cr_assert(message.value > 23.4 && message.value < 23.6, "%g", message.value);
    cr_assert(message.trailer.monotonic_ns >= before_ns && message.trailer.monotonic_ns <= clock_monotonic_ns());
    struct message later = next_message();
    cr_assert_gt(later.trailer.monotonic_ns, message.trailer.monotonic_ns);
}

Test(poller, what_is_no_number_is_no_frame_and_the_next_one_is)
{
    put("oops\n");
    start(CLOCK_NS_PER_MS);
    cr_assert_eq(next_message().bytes, 0);
    cr_assert_eq(wait_for(EPROTO).bytes, 0);
    put("-1e3");
    struct message message = wait_for(0);
    cr_assert(message.value < -999 && message.value > -1001, "%g", message.value);
}

Test(poller, what_is_not_there_is_opened_when_it_is)
{
    start(CLOCK_NS_PER_MS);
    for (int i = 0; i < 3; i++) { /* also those that did not try again yet: they say why */
        struct message message = next_message();
        cr_assert_eq(message.bytes, 0);
        cr_assert_eq(message.trailer.error, ENOENT);
    }
    put("7");
    struct message message = wait_for(0);
    cr_assert(message.value > 6.9 && message.value < 7.1, "%g", message.value);
}

Test(poller, times_that_were_not_kept_are_counted)
{
    put("1");
    start(1); /* nobody can keep that */
    uint64_t missed = 0;
    uint64_t since_ns = clock_monotonic_ns();
    while (missed == 0) {
        cr_assert(test_still_patient(since_ns), "none missed");
        missed += next_message().trailer.missed;
    }
}

Test(poller, ends_when_nobody_listens)
{
    put("1");
    start(CLOCK_NS_PER_MS);
    (void)next_message();
    close(fd);
    fd = -1;
    poller_stop(poller);
    poller = NULL;
}
