/* Finding a server, talking to it, and what is said when there is none. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ring/inside.h"
#include "ring/protocol.h"

#define NOBODY 65534

static void expect_dir(const char *expected)
{
    char path[256];
    struct error err = {{0}};
    cr_assert_eq(protocol_run_dir(path, sizeof(path), "tvac1", &err), 0, "%s", err.text);
    cr_assert_str_eq(path, expected);
}

Test(protocol, where_an_instance_stands)
{
    unsetenv("SLUICE_RUN_DIR");
    setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    if (geteuid() == 0) {
        expect_dir("/run/sluice/tvac1");
        cr_assert_eq(seteuid(NOBODY), 0);
    }
    expect_dir("/run/user/1/sluice/tvac1");
    setenv("XDG_RUNTIME_DIR", "", 1);
    char fallback[64];
    snprintf(fallback, sizeof(fallback), "/tmp/sluice-%u/tvac1", (unsigned)geteuid());
    expect_dir(fallback);
    setenv("SLUICE_RUN_DIR", "/elsewhere", 1);
    expect_dir("/elsewhere/tvac1");
    setenv("SLUICE_RUN_DIR", "", 1);
    expect_dir(fallback);
}

Test(protocol, too_long_a_path_is_refused)
{
    char path[20];
    char longer[300];
    struct error err = {{0}};
    setenv("SLUICE_RUN_DIR", "/0123456789", 1);
    cr_assert_eq(protocol_run_dir(path, sizeof(path), "1234567", &err), 0);
    cr_assert_eq(protocol_run_dir(path, sizeof(path), "12345678", &err), -ENAMETOOLONG);
    cr_assert_not_null(strstr(err.text, "SLUICE_RUN_DIR"));
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    cr_assert_eq(protocol_connect(longer, &err), -ENAMETOOLONG);
    longer[150] = 0; /* fits a path, not a socket's address */
    cr_assert_eq(protocol_connect(longer, &err), -ENAMETOOLONG);
}

/* A directory for instance tvac1 with SLUICE_RUN_DIR pointing at it. */
static void temporary_run_dir(char path[64])
{
    char instance[80];
    strcpy(path, "/tmp/sluice-test-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    setenv("SLUICE_RUN_DIR", path, 1);
    snprintf(instance, sizeof(instance), "%s/tvac1", path);
    cr_assert_eq(mkdir(instance, 0755), 0);
}

static void remove_run_dir(const char *path)
{
    char name[128];
    snprintf(name, sizeof(name), "%s/tvac1/%s", path, PROTOCOL_SOCKET);
    unlink(name);
    snprintf(name, sizeof(name), "%s/tvac1", path);
    rmdir(name);
    rmdir(path);
}

static int listener(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/tvac1/%s", path, PROTOCOL_SOCKET);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(fd, 4), 0);
    return fd;
}

Test(protocol, no_server_is_said_with_the_place_and_the_remedy)
{
    char path[64];
    struct error err = {{0}};
    temporary_run_dir(path);
    cr_assert_eq(protocol_connect("tvac1", &err), -ECONNREFUSED, "nothing there");
    cr_assert_not_null(strstr(err.text, "tvac1"));
    cr_assert_not_null(strstr(err.text, path));
    cr_assert_not_null(strstr(err.text, "sluiced"));
    close(listener(path));
    cr_assert_eq(protocol_connect("tvac1", &err), -ECONNREFUSED, "a socket file that a killed server left");
    remove_run_dir(path);
}

Test(protocol, not_permitted_is_said)
{
    char path[64];
    struct error err = {{0}};
    if (geteuid() != 0) {
        cr_skip_test("needs root to become another user");
    }
    temporary_run_dir(path);
    int fd = listener(path);
    cr_assert_eq(chmod(path, 0700), 0);
    cr_assert_eq(seteuid(NOBODY), 0);
    cr_assert_eq(protocol_connect("tvac1", &err), -EACCES);
    cr_assert_not_null(strstr(err.text, "not permitted"));
    cr_assert_eq(seteuid(0), 0);
    int client = protocol_connect("tvac1", &err);
    cr_assert_geq(client, 0, "%s", err.text);
    close(client);
    close(fd);
    remove_run_dir(path);
}

Test(protocol, a_stranger_s_server_is_not_talked_to)
{
    char path[64];
    char name[128];
    struct error err = {{0}};
    if (geteuid() != 0) {
        cr_skip_test("needs root to become another user");
    }
    temporary_run_dir(path);
    snprintf(name, sizeof(name), "%s/tvac1", path);
    cr_assert_eq(chmod(name, 0777), 0);
    cr_assert_eq(chmod(path, 0755), 0);
    cr_assert_eq(seteuid(NOBODY - 1), 0);
    int fd = listener(path);
    snprintf(name, sizeof(name), "%s/tvac1/%s", path, PROTOCOL_SOCKET);
    cr_assert_eq(chmod(name, 0777), 0);
    cr_assert_eq(seteuid(0), 0);
    int as_root = protocol_connect("tvac1", &err);
    cr_assert_geq(as_root, 0, "root may talk to anyone's: %s", err.text);
    cr_assert_eq(seteuid(NOBODY), 0);
    cr_assert_eq(protocol_connect("tvac1", &err), -EACCES);
    cr_assert_not_null(strstr(err.text, "neither root's nor yours"), "%s", err.text);
    cr_assert_eq(seteuid(0), 0);
    close(as_root);
    close(fd);
    remove_run_dir(path);
}

/* The other end: answers before it is asked (the packets wait in the socket). */
struct peer {
    int ours, theirs;
};

static struct peer open_peer(void)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    return (struct peer){fds[0], fds[1]};
}

static void answer(const struct peer *peer, const struct protocol_reply *reply, size_t bytes, unsigned fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 8)];
    } control = {.bytes = {0}};
    struct protocol_reply copy = *reply;
    struct iovec iov = {.iov_base = &copy, .iov_len = bytes};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fds > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fds);
        for (unsigned i = 0; i < fds; i++) {
            memcpy(CMSG_DATA(c) + i * sizeof(int), &peer->theirs, sizeof(int));
        }
    }
    cr_assert_eq(sendmsg(peer->theirs, &message, 0), (ssize_t)bytes);
}

static const struct protocol_reply fine = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .value = 17};

Test(protocol, a_call_and_its_answer)
{
    struct peer peer = open_peer();
    struct protocol_reply reply;
    struct protocol_request request;
    struct error err = {{0}};
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 77;
    answer(&peer, &fine, sizeof(fine), 2);
    cr_assert_eq(protocol_call(peer.ours, PROTOCOL_ATTACH, "tvac", &reply, fds, &count, &err), 0, "%s", err.text);
    cr_assert_eq(count, 2);
    cr_assert_eq(reply.value, 17);
    cr_assert_neq(fds[0], fds[1]);
    cr_assert_eq(recv(peer.theirs, &request, sizeof(request), 0), sizeof(request));
    cr_assert_eq(request.magic, PROTOCOL_MAGIC);
    cr_assert_eq(request.version, PROTOCOL_VERSION);
    cr_assert_eq(request.op, PROTOCOL_ATTACH);
    cr_assert_str_eq(request.name, "tvac");
    cr_assert_eq(request.person[0], 0);
    cr_assert_eq(request.reason[0], 0);
}

/* A command goes over whole: whose, why, for how long. */
Test(protocol, a_command_with_a_person_and_a_reason)
{
    struct peer peer = open_peer();
    struct protocol_reply reply;
    struct protocol_request got;
    struct protocol_request request = {
        .op = PROTOCOL_BYPASS, .argument = 1800, .name = "overpressure", .person = "alice", .reason = "sensor out"};
    struct error err = {{0}};
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 77;
    answer(&peer, &fine, sizeof(fine), 0);
    cr_assert_eq(protocol_ask(peer.ours, &request, &reply, fds, &count, &err), 0, "%s", err.text);
    cr_assert_eq(recv(peer.theirs, &got, sizeof(got), 0), sizeof(got));
    cr_assert_eq(got.magic, PROTOCOL_MAGIC);
    cr_assert_eq(memcmp(&got, &request, sizeof(got)), 0);
    cr_assert_str_eq(got.reason, "sensor out");
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        struct stat st;
        count += fstat(fd, &st) == 0;
    }
    return count;
}

static void expect_failure(const struct protocol_reply *reply, size_t bytes, int expected, const char *piece)
{
    struct peer peer = open_peer();
    struct protocol_reply got;
    struct error err = {{0}};
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 77;
    answer(&peer, reply, bytes, 2);
    int before = open_descriptors();
    cr_assert_eq(protocol_call(peer.ours, PROTOCOL_ARM, NULL, &got, fds, &count, &err), expected);
    cr_assert_eq(count, 0);
    cr_assert_not_null(strstr(err.text, piece), "%s", err.text);
    cr_assert_eq(open_descriptors(), before, "descriptors that came along are closed");
    close(peer.ours);
    close(peer.theirs);
}

Test(protocol, bad_answers)
{
    struct protocol_reply reply = fine;
    reply.code = -EPERM;
    strcpy(reply.text, "refused: pressure stands");
    expect_failure(&reply, sizeof(reply), -EPERM, "pressure stands");
    memset(reply.text, 'x', sizeof(reply.text));
    expect_failure(&reply, sizeof(reply), -EPERM, "xxx");
    reply = fine;
    reply.version = PROTOCOL_VERSION + 1;
    expect_failure(&reply, sizeof(reply), -EPROTO, "version 3");
    reply = fine;
    reply.magic = 0;
    expect_failure(&reply, sizeof(reply), -EPROTO, "expected a reply");
    expect_failure(&fine, sizeof(fine) - 1, -EPROTO, "expected a reply");
    expect_failure(&fine, 1, -EPROTO, "expected a reply");
    expect_failure(&fine, 0, -EPIPE, "without an answer");
}

Test(protocol, a_server_that_is_gone)
{
    struct peer peer = open_peer();
    struct protocol_reply reply;
    struct error err = {{0}};
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 0;
    close(peer.theirs);
    cr_assert_eq(protocol_call(peer.ours, PROTOCOL_BOARDS, NULL, &reply, fds, &count, &err), -EPIPE);
    cr_assert_neq(err.text[0], 0);
}

/* One packet with `count` copies of a descriptor, from one end to the other. */
static void send_fds(const struct peer *peer, const void *packet, size_t bytes, unsigned count)
{
    int fds[PROTOCOL_FDS_MAX];
    for (unsigned i = 0; i < count; i++) {
        fds[i] = peer->theirs;
    }
    cr_assert_eq(protocol_send(peer->theirs, packet, bytes, fds, count), 0);
}

Test(protocol, descriptors_come_through_up_to_the_limit)
{
    static const unsigned counts[] = {0, 1, 2, PROTOCOL_FDS_MAX};
    struct peer peer = open_peer();
    int before = open_descriptors();
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        int fds[PROTOCOL_FDS_MAX];
        unsigned count = 77;
        uint64_t packet = i;
        uint64_t got = 99;
        send_fds(&peer, &packet, sizeof(packet), counts[i]);
        cr_assert_eq(protocol_receive(peer.ours, &got, sizeof(got), fds, PROTOCOL_FDS_MAX, &count), sizeof(got));
        cr_assert_eq(got, i);
        cr_assert_eq(count, counts[i]);
        for (unsigned n = 0; n < count; n++) {
            cr_assert_eq(fcntl(fds[n], F_GETFD), FD_CLOEXEC);
            close(fds[n]);
        }
        cr_assert_eq(open_descriptors(), before);
    }
}

Test(protocol, more_descriptors_than_wanted_closes_all)
{
    struct peer peer = open_peer();
    int before = open_descriptors();
    for (unsigned max = 0; max < 4; max++) {
        int fds[4] = {-7, -7, -7, -7};
        unsigned count = 77;
        uint64_t packet = 1;
        send_fds(&peer, &packet, sizeof(packet), max + 1);
        cr_assert_eq(protocol_receive(peer.ours, &packet, sizeof(packet), fds, max, &count), -EPROTO);
        cr_assert_eq(count, 0);
        cr_assert_eq(open_descriptors(), before);
    }
}

Test(protocol, more_descriptors_than_there_is_room_for_closes_all)
{
    struct peer peer = open_peer();
    struct iovec iov = {.iov_base = &peer, .iov_len = 4};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * (PROTOCOL_FDS_MAX + 20))];
    } control = {.bytes = {0}};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 77;
    char packet[4];
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * (PROTOCOL_FDS_MAX + 20));
    for (unsigned i = 0; i < PROTOCOL_FDS_MAX + 20; i++) {
        memcpy(CMSG_DATA(c) + i * sizeof(int), &peer.theirs, sizeof(int));
    }
    int before = open_descriptors();
    cr_assert_eq(sendmsg(peer.theirs, &message, 0), 4);
    cr_assert_eq(protocol_receive(peer.ours, packet, sizeof(packet), fds, PROTOCOL_FDS_MAX, &count), -EPROTO);
    cr_assert_eq(count, 0);
    cr_assert_eq(open_descriptors(), before);
    cr_assert_eq(protocol_send(peer.theirs, packet, 4, fds, PROTOCOL_FDS_MAX + 1), -EINVAL, "and none are sent");
}

Test(protocol, a_packet_that_is_cut_closes_all)
{
    struct peer peer = open_peer();
    int before = open_descriptors();
    int fds[4];
    unsigned count = 77;
    uint64_t packet[2] = {1, 2};
    send_fds(&peer, packet, sizeof(packet), 2);
    cr_assert_eq(protocol_receive(peer.ours, packet, sizeof(packet[0]), fds, 4, &count), -EPROTO);
    cr_assert_eq(count, 0);
    cr_assert_eq(open_descriptors(), before);
    cr_assert_eq(protocol_receive(peer.ours, packet, sizeof(packet), fds, 4, &count), -EAGAIN, "it does not wait");
    close(peer.theirs);
    cr_assert_eq(protocol_receive(peer.ours, packet, sizeof(packet), fds, 4, &count), 0, "the end");
    cr_assert_eq(protocol_send(peer.ours, packet, sizeof(packet), NULL, 0), -EPIPE, "no signal");
}

Test(protocol, a_side_that_does_not_read_holds_nobody_up)
{
    struct peer peer = open_peer();
    uint64_t packet = 1;
    int code = 0;
    for (int i = 0; code == 0 && i < 100000; i++) {
        code = protocol_send(peer.ours, &packet, sizeof(packet), NULL, 0);
    }
    cr_assert_eq(code, -EAGAIN);
}

/* A worker that starts finds the leases of all gates of all its rings in its socket. */
Test(protocol, all_leases_of_a_worker_fit_the_socket)
{
    struct peer peer = open_peer();
    struct protocol_lease lease = {.magic = PROTOCOL_MAGIC};
    for (uint32_t i = 0; i < 16 * RING_GATES_MAX; i++) {
        cr_assert_eq(protocol_send(peer.theirs, &lease, sizeof(lease), &peer.theirs, 1), 0, "%u fit", i);
    }
    for (uint32_t i = 0; i < 16 * RING_GATES_MAX; i++) {
        int fd;
        unsigned count;
        cr_assert_eq(protocol_receive(peer.ours, &lease, sizeof(lease), &fd, 1, &count), (int)sizeof(lease));
        cr_assert_eq(count, 1);
        close(fd);
    }
}

/* ---- Signals, and a process that may open nothing more. */

static int signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

/* Every 10 ms, without SA_RESTART: each ends the call that waits. */
static void begin_signals(void)
{
    struct sigaction action = {.sa_handler = count_signal};
    struct itimerval often = {.it_interval = {.tv_usec = 10000}, .it_value = {.tv_usec = 10000}};
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static int call(const struct peer *peer, struct error *err)
{
    struct protocol_reply reply;
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 0;
    int code = protocol_call(peer->ours, PROTOCOL_BOARDS, NULL, &reply, fds, &count, err);
    cr_assert(code == 0 || count == 0);
    return code;
}

static void *answer_late(void *peer)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    answer(peer, &fine, sizeof(fine), 1);
    return NULL;
}

Test(protocol, signals_change_nothing)
{
    struct peer peer = open_peer();
    struct error err = {{0}};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, answer_late, &peer), 0);
    begin_signals();
    int code = call(&peer, &err);
    cr_assert_eq(code, 0, "%s", err.text);
    pthread_join(thread, NULL);
    cr_assert_gt(signals, 0);
}

/* Fault: no answer, and signals that would begin each time-out anew. */
Test(protocol, a_silent_server_is_told_although_signals_come, .timeout = 60)
{
    struct peer peer = open_peer();
    struct error err = {{0}};
    begin_signals();
    cr_assert_eq(call(&peer, &err), -ETIMEDOUT);
    cr_assert_not_null(strstr(err.text, "no answer from the server within 5 s"), "%s", err.text);
}

static bool second_time(void)
{
    static int asked;
    return ++asked == 2;
}

Test(protocol, whoever_wants_to_give_up_may)
{
    struct peer peer = open_peer();
    struct error err = {{0}};
    ring_on_signal(second_time);
    begin_signals();
    cr_assert_eq(call(&peer, &err), -EINTR);
    ring_on_signal(NULL);
}

Test(protocol, too_few_descriptors_are_no_other_release)
{
    struct peer peer = open_peer();
    struct error err = {{0}};
    answer(&peer, &fine, sizeof(fine), 3);
    int next = dup(peer.ours);
    cr_assert_geq(next, 0);
    close(next);
    struct rlimit limit = {.rlim_cur = (rlim_t)next + 1, .rlim_max = (rlim_t)next + 1};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(call(&peer, &err), -EMFILE);
    cr_assert_not_null(strstr(err.text, "ulimit -n"), "%s", err.text);
    int again = dup(peer.ours);
    cr_assert_eq(again, next, "what had come through is closed");
}
