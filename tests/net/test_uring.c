/* The door to io_uring: completions, time-outs, cancellation, and buffers that come back in order. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/uring.h"
#include "tests/support/wait.h"

#define MS CLOCK_NS_PER_MS

static struct uring *uring;

static void create(void)
{
    struct error err = {{0}};
    cr_assert_eq(uring_create(&uring, 64, &err), 0, "%s", err.text);
}

static void destroy(void)
{
    uring_destroy(uring);
}

TestSuite(uring, .init = create, .fini = destroy);

static struct uring_event next_event(void)
{
    struct uring_event event = {0};
    uint64_t since_ns = clock_monotonic_ns();
    while (!uring_next(uring, &event)) {
        cr_assert(test_still_patient(since_ns), "no completion");
        cr_assert_eq(uring_wait(uring, MS), 0);
    }
    return event;
}

Test(uring, reads_from_a_pipe)
{
    int fds[2];
    char to[16] = {0};
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    cr_assert(uring_read(uring, fds[0], to, sizeof(to), 7));
    cr_assert_eq(uring_wait(uring, 0), 0);
    struct uring_event event;
    cr_assert_not(uring_next(uring, &event), "nothing has been written yet");
    cr_assert_eq(write(fds[1], "sluice", 6), 6);
    event = next_event();
    cr_assert_eq(event.user, 7);
    cr_assert_eq(event.result, 6);
    cr_assert_eq(event.buffer, URING_NO_BUFFER);
    cr_assert_not(event.more);
    cr_assert_str_eq(to, "sluice");
    close(fds[1]);
    cr_assert(uring_read(uring, fds[0], to, sizeof(to), 8));
    event = next_event();
    cr_assert_eq(event.user, 8);
    cr_assert_eq(event.result, 0, "the end of the pipe");
    close(fds[0]);
}

Test(uring, a_time_out_is_no_error_and_no_event)
{
    struct uring_event event;
    uint64_t from_ns = clock_monotonic_ns();
    cr_assert_eq(uring_wait(uring, 5 * MS), 0);
    cr_assert_geq(clock_monotonic_ns() - from_ns, 4 * MS, "it slept");
    cr_assert_not(uring_next(uring, &event));
    cr_assert_eq(uring_wait(uring, 0), 0);
    cr_assert_not(uring_next(uring, &event));
}

Test(uring, a_cancelled_read_ends_with_its_own_event)
{
    int fds[2];
    char to[16];
    bool ended = false;
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    cr_assert(uring_read(uring, fds[0], to, sizeof(to), 21));
    cr_assert_eq(uring_wait(uring, 0), 0);
    cr_assert(uring_cancel(uring, 21));
    for (int i = 0; i < 2; i++) {
        struct uring_event event = next_event();
        ended = ended || (event.user == 21 && event.result == -ECANCELED);
    }
    cr_assert(ended);
}

Test(uring, a_poll_tells_again_and_again_until_it_is_cancelled)
{
    int fds[2];
    char to[4];
    bool ended = false;
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    cr_assert(uring_poll_multishot(uring, fds[0], 31));
    cr_assert_eq(uring_wait(uring, 0), 0);
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(write(fds[1], "x", 1), 1);
        struct uring_event event = next_event();
        cr_assert_eq(event.user, 31);
        cr_assert_eq(event.result & URING_POLL_FAILED, 0);
        cr_assert(event.more);
        cr_assert_eq(read(fds[0], to, sizeof(to)), 1);
    }
    cr_assert(uring_cancel(uring, 31));
    for (int i = 0; i < 2; i++) {
        struct uring_event event = next_event();
        ended = ended || (event.user == 31 && event.result == -ECANCELED && !event.more);
    }
    cr_assert(ended);
    close(fds[0]);
    close(fds[1]);
}

Test(uring, a_poll_tells_that_the_other_end_has_gone)
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    cr_assert(uring_poll_multishot(uring, fds[0], 32));
    cr_assert_eq(uring_wait(uring, 0), 0);
    close(fds[1]);
    struct uring_event event = next_event();
    cr_assert_eq(event.user, 32);
    cr_assert_neq(event.result & URING_POLL_FAILED, 0);
    close(fds[0]);
}

Test(uring, a_bad_descriptor_is_an_event)
{
    char to[4];
    cr_assert(uring_read(uring, 1000, to, sizeof(to), 3));
    cr_assert_eq(next_event().result, -EBADF);
}

Test(uring, a_full_submission_queue_says_so)
{
    int fds[2];
    char to[4];
    unsigned queued = 0;
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    while (queued < 10000 && uring_read(uring, fds[0], to, 1, queued)) {
        queued++;
    }
    cr_assert_eq(queued, 64);
    cr_assert_not(uring_cancel(uring, 1));
    cr_assert_eq(uring_wait(uring, 0), 0);
    cr_assert(uring_read(uring, fds[0], to, 1, 99), "room again after a wait");
}

#define BUFFERS 16u
#define BYTES   128u

static void open_loopback(int *receiver, int *sender)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    *receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(*receiver, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(getsockname(*receiver, (struct sockaddr *)&address, &length), 0);
    cr_assert_eq(connect(*sender, (const struct sockaddr *)&address, sizeof(address)), 0);
}

static uint32_t number_in(const uint8_t *buffer)
{
    struct uring_recvmsg_head head;
    uint32_t number;
    memcpy(&head, buffer, sizeof(head));
    cr_assert_eq(head.payload_bytes, sizeof(number));
    memcpy(&number, buffer + URING_RECVMSG_HEAD_BYTES, sizeof(number));
    return number;
}

Test(uring, provided_buffers_are_used_in_order_and_end_when_they_run_out)
{
    static uint8_t memory[BUFFERS][BYTES];
    struct msghdr message = {0};
    struct error err = {{0}};
    int receiver;
    int sender;
    open_loopback(&receiver, &sender);
    cr_assert_eq(uring_buffers_create(uring, 3, BUFFERS, &err), 0, "%s", err.text);
    uint32_t sent = 0;
    uint32_t received = 0;
    for (int round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < BUFFERS; i++) {
            uring_buffers_add(uring, 3, memory[i], BYTES, (uint16_t)i);
        }
        uring_buffers_publish(uring, 3, BUFFERS);
        cr_assert(uring_recvmsg_multishot(uring, receiver, &message, 3, 5));
        cr_assert_eq(uring_wait(uring, 0), 0);
        for (uint32_t i = 0; i <= BUFFERS; i++, sent++) { /* one more than there are buffers */
            cr_assert_eq(send(sender, &sent, sizeof(sent), 0), sizeof(sent));
        }
        for (uint32_t i = 0; i < BUFFERS; i++, received++) {
            struct uring_event event = next_event();
            cr_assert_eq(event.user, 5);
            cr_assert_eq(event.buffer, i);
            cr_assert_eq(number_in(memory[i]), received);
        }
        struct uring_event last = next_event();
        cr_assert_eq(last.result, -ENOBUFS);
        cr_assert_eq(last.buffer, URING_NO_BUFFER);
        cr_assert_not(last.more);
        /* The one more waits in the socket: taken away, to begin the next round at a known number. */
        uint32_t left = 0;
        cr_assert_eq(recv(receiver, &left, sizeof(left), 0), sizeof(left));
        cr_assert_eq(left, received);
        received++;
    }
    close(receiver);
    close(sender);
}

Test(uring, destroying_none_is_fine, .init = NULL, .fini = NULL)
{
    uring_destroy(NULL);
}
