#include "ring/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ring/clock.h"
#include "ring/inside.h"

#define ANSWER_TIMEOUT_S 5
#define RECORD_TIMEOUT_S 35   /* a run is ended and synced first; the server gives up before that */
#define ERRNO_MAX        4095 /* the kernel's own bound, linux/err.h */

static int format_dir(char *path, size_t bytes, const char *instance, struct error *err)
{
    const char *base = getenv("SLUICE_RUN_DIR");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int n;
    if (base != NULL && base[0] != 0) {
        n = snprintf(path, bytes, "%s/%s", base, instance);
    } else if (geteuid() == 0) {
        n = snprintf(path, bytes, "/run/sluice/%s", instance);
    } else if (runtime != NULL && runtime[0] != 0) {
        n = snprintf(path, bytes, "%s/sluice/%s", runtime, instance);
    } else {
        n = snprintf(path, bytes, "/tmp/sluice-%u/%s", (unsigned)geteuid(), instance);
    }
    if (n < 0 || (size_t)n >= bytes) {
        return error_set(err, -ENAMETOOLONG,
                         "the run directory's path is longer than %zu bytes; shorten "
                         "SLUICE_RUN_DIR or the instance's name",
                         bytes - 1);
    }
    return 0;
}

int protocol_run_dir(char *path, size_t bytes, const char *instance, struct error *err)
{
    return format_dir(path, bytes, instance, err);
}

static bool (*wants_to_give_up)(void); /* NULL: signals change nothing */

void ring_on_signal(bool (*give_up)(void))
{
    wants_to_give_up = give_up;
}

static uint64_t deadline_in(uint64_t seconds)
{
    return clock_monotonic_ns() + seconds * CLOCK_NS_PER_S;
}

/* A call was ended by a signal. 0: go on; -EINTR, -ETIMEDOUT. The socket's own time-outs begin anew with each call:
 * with signals that come often none of them would ever be reached. */
static int after_signal(uint64_t deadline_ns)
{
    if (wants_to_give_up != NULL && wants_to_give_up()) {
        return -EINTR;
    }
    return clock_monotonic_ns() < deadline_ns ? 0 : -ETIMEDOUT;
}

/* Waits until there is something to be received, or the connection's end. 0, -EINTR, -ETIMEDOUT. */
static int await_answer(int fd, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int left_ms = now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / CLOCK_NS_PER_MS) + 1 : 0;
        int n = poll(&p, 1, left_ms);
        if (n != 0 && !(n < 0 && errno == EINTR)) {
            return 0; /* or what is wrong is said by receiving */
        }
        int code = n == 0 ? -ETIMEDOUT : after_signal(deadline_ns);
        if (code != 0) {
            return code;
        }
    }
}

static int connect_path(const char *directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, PROTOCOL_SOCKET);
    if (n < 0 || (size_t)n >= sizeof(address.sun_path)) {
        return -ENAMETOOLONG;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    uint64_t deadline_ns = deadline_in(ANSWER_TIMEOUT_S);
    int code = 0;
    while (code == 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        code = errno == EINTR ? after_signal(deadline_ns) : errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    if (code != 0) {
        close(fd);
        return code;
    }
    return fd;
}

/* A server that is neither root's nor ours could show us anything. Root may talk to anyone's. */
static bool server_is_trusted(int fd)
{
    struct ucred who;
    socklen_t bytes = sizeof(who);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0 &&
           (who.uid == 0 || who.uid == geteuid() || geteuid() == 0);
}

int protocol_connect(const char *instance, struct error *err)
{
    char directory[256];
    char system_directory[256];
    int code = format_dir(directory, sizeof(directory), instance, err);
    if (code != 0) {
        return code;
    }
    int fd = connect_path(directory);
    snprintf(system_directory, sizeof(system_directory), "/run/sluice/%s", instance);
    if (fd == -ENOENT && getenv("SLUICE_RUN_DIR") == NULL && strcmp(directory, system_directory) != 0) {
        fd = connect_path(system_directory);
    }
    if (fd == -ENOENT || fd == -ECONNREFUSED) {
        return error_set(
            err, -ECONNREFUSED,
            "expected a server of instance '%s' at %s/%s, found none; start one with: sluiced FILE.yaml", instance,
            directory, PROTOCOL_SOCKET);
    }
    if (fd == -EACCES) {
        return error_set(err, fd,
                         "not permitted to talk to instance '%s' (%s/%s); become root or a member of the "
                         "socket's group",
                         instance, directory, PROTOCOL_SOCKET);
    }
    if (fd == -ETIMEDOUT) {
        return error_set(err, fd,
                         "instance '%s' (%s/%s) takes no connection: its server is stopped, or hangs; look at its "
                         "process",
                         instance, directory, PROTOCOL_SOCKET);
    }
    if (fd >= 0 && !server_is_trusted(fd)) {
        close(fd);
        return error_set(err, -EACCES, "the server of instance '%s' is neither root's nor yours; not talking to it",
                         instance);
    }
    if (fd < 0) {
        return error_set(err, fd, "cannot connect to instance '%s' (%s/%s): %s", instance, directory,
                         PROTOCOL_SOCKET, strerror(-fd));
    }
    return fd;
}

static void close_all(const int *fds, unsigned *count)
{
    for (unsigned i = 0; i < *count; i++) {
        close(fds[i]);
    }
    *count = 0;
}

/* False if there were more than `max`: what does not fit is closed. */
static bool take_fds(struct msghdr *message, int *fds, unsigned max, unsigned *fd_count)
{
    bool all = (message->msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (unsigned i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (*fd_count < max) {
                fds[(*fd_count)++] = fd;
            } else {
                close(fd);
                all = false;
            }
        }
    }
    return all;
}

static ssize_t receive(int socket_fd, void *packet, size_t bytes, int *fds, unsigned max, unsigned *fd_count,
                       int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * PROTOCOL_FDS_MAX)];
    } control;
    struct iovec iov = {.iov_base = packet, .iov_len = bytes};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    *fd_count = 0;
    ssize_t n;
    do {
        n = recvmsg(socket_fd, &message, flags | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    if (!take_fds(&message, fds, max, fd_count) || (message.msg_flags & MSG_TRUNC) != 0) {
        /* The kernel passes as many as this process may have. */
        bool is_full = (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == MSG_CTRUNC && *fd_count < max;
        close_all(fds, fd_count);
        return is_full ? -EMFILE : -EPROTO;
    }
    return n;
}

int protocol_receive(int socket_fd, void *packet, size_t bytes, int *fds, unsigned max, unsigned *fd_count)
{
    return (int)receive(socket_fd, packet, bytes, fds, max, fd_count, MSG_DONTWAIT);
}

int protocol_send(int socket_fd, const void *packet, size_t bytes, const int *fds, unsigned count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * PROTOCOL_FDS_MAX)];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_len = bytes};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > PROTOCOL_FDS_MAX) {
        return -EINVAL;
    }
    memcpy(&iov.iov_base, &packet, sizeof(packet)); /* sendmsg does not write to it */
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    }
    ssize_t n = sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EIO;
}

int protocol_ask(int socket_fd, struct protocol_request *request, struct protocol_reply *reply, int *fds,
                 unsigned *fd_count, struct error *err)
{
    request->magic = PROTOCOL_MAGIC;
    request->version = PROTOCOL_VERSION;
    *fd_count = 0;
    int patience_s = request->op == PROTOCOL_RECORD ? RECORD_TIMEOUT_S : ANSWER_TIMEOUT_S;
    struct timeval timeout = {.tv_sec = patience_s};
    setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    uint64_t deadline_ns = deadline_in((uint64_t)patience_s);
    int code = 0;
    ssize_t sent = -1;
    while (code == 0 && (sent = send(socket_fd, request, sizeof(*request), MSG_NOSIGNAL)) < 0) {
        code = errno == EINTR ? after_signal(deadline_ns) : errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
    }
    if (code == -EPIPE || (code == 0 && sent != (ssize_t)sizeof(*request))) {
        return error_set(err, -EPIPE, "the server has closed the connection; is it still running?");
    }
    code = code == 0 ? await_answer(socket_fd, deadline_ns) : code;
    if (code == -EINTR) {
        return error_set(err, code, "interrupted while waiting for the server's answer");
    }
    ssize_t n = code;
    if (code == 0) {
        n = receive(socket_fd, reply, sizeof(*reply), fds, PROTOCOL_FDS_MAX, fd_count, 0);
    }
    if (n == 0) {
        close_all(fds, fd_count); /* an empty packet can carry some */
        return error_set(err, -EPIPE,
                         "the server has closed the connection without an answer; is it still running?");
    }
    if (n == -EMFILE) {
        return error_set(err, -EMFILE,
                         "this process may not open as many descriptors as the server passes; raise its limit "
                         "(ulimit -n)");
    }
    if (n == -EPROTO) {
        return error_set(
            err, -EPROTO,
            "expected a reply of protocol version %u, found a longer one; use the same release on both "
            "sides",
            PROTOCOL_VERSION);
    }
    if (n < 0) {
        return error_set(err, n == -EAGAIN ? -ETIMEDOUT : (int)n, "no answer from the server within %d s (%s)",
                         patience_s, strerror((int)-n));
    }
    code = 0;
    reply->text[sizeof(reply->text) - 1] = 0;
    if (n != (ssize_t)sizeof(*reply) || reply->magic != PROTOCOL_MAGIC || reply->version != PROTOCOL_VERSION) {
        code = error_set(err, -EPROTO,
                         "expected a reply of protocol version %u, found %zd bytes of version %u; use "
                         "the same release on both sides",
                         PROTOCOL_VERSION, n, n >= 8 ? reply->version : 0u);
    } else if (reply->code > 0 || reply->code < -ERRNO_MAX) {
        code = error_set(err, -EPROTO, "expected 0 or a code from -%d to -1 from the server, found %d", ERRNO_MAX,
                         reply->code);
    } else if (reply->code != 0) {
        code = error_set(err, reply->code, "%s", reply->text);
    } else {
        return 0;
    }
    close_all(fds, fd_count);
    return code;
}

int protocol_call(int socket_fd, uint16_t op, const char *name, struct protocol_reply *reply, int *fds,
                  unsigned *fd_count, struct error *err)
{
    struct protocol_request request = {.op = op};
    snprintf(request.name, sizeof(request.name), "%s", name != NULL ? name : "");
    return protocol_ask(socket_fd, &request, reply, fds, fd_count, err);
}
