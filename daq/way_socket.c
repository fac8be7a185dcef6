#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daq/ways.h"

/* A peer that is gone without a word is noticed after about this long (s): 2 + 3 x 1. */
#define KEEPALIVE_IDLE_S     2
#define KEEPALIVE_INTERVAL_S 1
#define KEEPALIVE_PROBES     3

static void close_held(struct opening *opening)
{
    if (opening->held_fd >= 0) {
        close(opening->held_fd);
        opening->held_fd = -1;
    }
}

static const char *name_of(const struct sockaddr_in *address, char text[32])
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address->sin_addr, host, sizeof(host));
    snprintf(text, 32, "%s:%u", host, ntohs(address->sin_port));
    return text;
}

static void set_up_tcp(int fd, const struct tcp_plan *plan)
{
    int on = 1;
    int idle = KEEPALIVE_IDLE_S;
    int interval = KEEPALIVE_INTERVAL_S;
    int probes = KEEPALIVE_PROBES;
    int bytes = (int)plan->receive_buffer_bytes;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    if (bytes > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
}

/* Read with blocking semantics: io_uring waits. */
static int hand_out(struct opening *opening)
{
    int fd = opening->held_fd;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        return -errno;
    }
    opening->held_fd = -1;
    return fd;
}

static int begin_tcp(struct opening *opening, const struct sockaddr_in *to, struct error *err)
{
    char text[32];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set(err, -errno, "no socket: %s", strerror(errno));
    }
    set_up_tcp(fd, &opening->plan->tcp);
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno != EINPROGRESS) {
        int code = -errno;
        close(fd);
        return error_set(err, code, "cannot connect to %s: %s", name_of(to, text), strerror(-code));
    }
    opening->held_fd = fd;
    return 0;
}

static int open_tcp(struct opening *opening, struct error *err)
{
    const struct tcp_plan *plan = &opening->plan->tcp;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(plan->port), .sin_addr.s_addr = plan->address};
    char text[32];
    int code = opening->held_fd < 0 ? begin_tcp(opening, &to, err) : 0;
    if (code != 0) {
        return code;
    }
    struct pollfd ready = {.fd = opening->held_fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) == 0) {
        return -EAGAIN;
    }
    int broken = 0;
    socklen_t length = sizeof(broken);
    if (getsockopt(opening->held_fd, SOL_SOCKET, SO_ERROR, &broken, &length) != 0 || broken != 0) {
        close_held(opening);
        broken = broken != 0 ? broken : EIO;
        return error_set(err, -broken, "cannot connect to %s: %s", name_of(&to, text), strerror(broken));
    }
    return hand_out(opening);
}

static int listen_tcp(struct opening *opening, struct error *err)
{
    const struct tcp_plan *plan = &opening->plan->tcp;
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(plan->port), .sin_addr.s_addr = plan->address};
    char text[32];
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set(err, -errno, "no socket: %s", strerror(errno));
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 1) != 0) {
        int code = -errno;
        close(fd);
        return error_set(err, code, "cannot listen at %s: %s", name_of(&at, text), strerror(-code));
    }
    opening->held_fd = fd;
    return 0;
}

/* The listening socket stays open for the next client. */
static int open_tcp_listen(struct opening *opening, struct error *err)
{
    const struct source_plan *plan = opening->plan;
    struct sockaddr_in from;
    char text[32];
    socklen_t length = sizeof(from);
    int code = opening->held_fd < 0 ? listen_tcp(opening, err) : 0;
    if (code != 0) {
        return code;
    }
    int fd = accept4(opening->held_fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
    if (fd < 0) {
        /* A client that left before it was taken is no reason to complain. */
        bool nobody = errno == EAGAIN || errno == ECONNABORTED || errno == EINTR;
        return nobody ? -EAGAIN : error_set(err, -errno, "cannot take a client: %s", strerror(errno));
    }
    if (plan->tcp.from_address != 0 && from.sin_addr.s_addr != plan->tcp.from_address) {
        fprintf(stderr, "source %s: refused a client from %s; see sources.from\n", plan->name,
                name_of(&from, text));
        close(fd);
        return -EAGAIN;
    }
    set_up_tcp(fd, &plan->tcp);
    return fd;
}

/* Receives datagrams at its path: what lies there from a process that died is taken away, what lives is not. */
static int bind_unix(int fd, const struct sockaddr_un *address, struct error *err)
{
    struct stat at;
    if (stat(address->sun_path, &at) == 0 && S_ISSOCK(at.st_mode)) {
        int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool lives = probe >= 0 && connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0;
        if (probe >= 0) {
            close(probe);
        }
        if (lives) {
            return error_set(err, -EADDRINUSE, "another process receives at %s", address->sun_path);
        }
        (void)unlink(address->sun_path);
    }
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
        return error_set(err, -errno, "cannot receive at %s: %s", address->sun_path, strerror(errno));
    }
    return 0;
}

static int open_unix(struct opening *opening, struct error *err)
{
    const struct unix_plan *plan = &opening->plan->un;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int code = 0;
    memcpy(address.sun_path, plan->path, sizeof(address.sun_path)); /* the configuration's check: it fits */
    address.sun_path[sizeof(address.sun_path) - 1] = 0;
    int fd = socket(AF_UNIX, (int)plan->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set(err, -errno, "no socket: %s", strerror(errno));
    }
    if (plan->type == SOCK_DGRAM) {
        code = bind_unix(fd, &address, err);
    } else if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        code = error_set(err, -errno, "cannot connect to %s: %s", plan->path,
                         errno == EAGAIN ? "its queue is full" : strerror(errno));
        code = code == -EAGAIN ? -EBUSY : code;
    }
    if (code != 0) {
        close(fd);
        return code;
    }
    opening->held_fd = fd;
    return hand_out(opening);
}

static void clear_unix(struct opening *opening)
{
    if (opening->plan->un.type == SOCK_DGRAM && opening->in_use >= 0) {
        (void)unlink(opening->plan->un.path);
    }
}

const struct opener_way way_tcp = {.open = open_tcp, .clear = close_held};
const struct opener_way way_tcp_listen = {.open = open_tcp_listen, .clear = close_held};
const struct opener_way way_unix = {.open = open_unix, .clear = clear_unix};
