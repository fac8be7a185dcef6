#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daq/log.h"
#include "daq/server.h"
#include "ring/protocol.h"

#define CLIENTS_RESERVED 8u  /* places that only root and our own user can take: `sluice trip` must get through */
#define CLIENTS_OF_USER  40u /* .. and for others, too: no other user takes all places (a reader has none) */

int server_listen(struct server *server, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", server->run_dir, PROTOCOL_SOCKET);
    if (n < 0 || (size_t)n >= sizeof(address.sun_path)) {
        return error_set(err, -ENAMETOOLONG,
                         "the socket's path %s/%s is longer than %zu bytes; shorten "
                         "SLUICE_RUN_DIR or the instance's name",
                         server->run_dir, PROTOCOL_SOCKET, sizeof(address.sun_path) - 1);
    }
    unlink(address.sun_path); /* a stale one: we hold the lock, so nobody listens on it */
    server->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->listen_fd < 0 || bind(server->listen_fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(address.sun_path, 0660) != 0 || listen(server->listen_fd, 64) != 0) {
        return error_set(err, -errno, "cannot listen on %s: %s", address.sun_path, strerror(errno));
    }
    return 0;
}

static uint32_t clients_of(const struct server *server, uid_t uid)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SERVER_CLIENTS_MAX; i++) {
        n += server->client[i].fd >= 0 && server->client[i].uid == uid;
    }
    return n;
}

void server_accept(struct server *server)
{
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        /* It stays readable: without a pause the event loop would spin until a descriptor is closed. */
        server->no_descriptor = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        return;
    }
    struct ucred who = {.pid = 0, .uid = (uid_t)-1};
    socklen_t bytes = sizeof(who);
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes);
    bool is_operator = who.uid == 0 || who.uid == geteuid();
    if (!is_operator && clients_of(server, who.uid) >= CLIENTS_OF_USER) {
        log_line("refused a connection: user %u has %u places already", (unsigned)who.uid, CLIENTS_OF_USER);
        close(fd);
        return;
    }
    for (uint32_t i = is_operator ? 0 : CLIENTS_RESERVED; i < SERVER_CLIENTS_MAX; i++) {
        struct server_client *client = &server->client[i];
        if (client->fd < 0) {
            *client = (struct server_client){.fd = fd, .pid = who.pid, .uid = who.uid};
            return;
        }
    }
    log_line("refused a connection: all %u places are taken", SERVER_CLIENTS_MAX);
    close(fd);
}

void server_drop(struct server_client *client)
{
    close(client->fd);
    client->fd = -1;
    client->command.op = 0;
}

void server_reply(const struct server_client *client, int code, const int *fds, unsigned count, const char *format,
                  ...)
{
    struct protocol_reply reply = {
        .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .fds = (uint16_t)count, .code = code};
    va_list args;
    va_start(args, format);
    vsnprintf(reply.text, sizeof(reply.text), format, args);
    va_end(args);
    (void)protocol_send(client->fd, &reply, sizeof(reply), fds, count);
}

/* Whoever becomes a reader is the usher's from then on. */
static void attach(struct server *server, struct server_client *client, const struct protocol_request *request)
{
    if (client->command.op != 0) {
        server_reply(client, -EBUSY, NULL, 0,
                     "a command of this connection is under way; open another one to attach");
    } else if (usher_attach(&server->usher, client->fd, client->pid, client->uid, request)) {
        client->fd = -1;
    }
}

static void send_boards(struct server *server, struct server_client *client)
{
    int fds[PROTOCOL_FDS_MAX];
    unsigned n = 0;
    server_fill_board(server);
    fds[n++] = server->board.read_only_fd;
    fds[n++] = server->table.read_only_fd;
    fds[n++] = server->control_board.read_only_fd;
    fds[n++] = server->measures.read_only_fd;
    for (uint32_t i = 0; i < server->plan->workers; i++) {
        fds[n++] = server->worker_board[i].read_only_fd;
    }
    for (uint32_t i = 0; i < CONTROL_DEVICES_MAX; i++) {
        if (server->outbox[i].read_only_fd >= 0) {
            fds[n++] = server->outbox[i].read_only_fd;
        }
    }
    if (server->plan->has_black_box) {
        fds[n++] = server->black_box_board.read_only_fd;
    }
    if (server->plan->has_observer) {
        fds[n++] = server->observer_board.read_only_fd;
    }
    for (uint32_t i = 0; i < server->plan->recorders; i++) {
        fds[n++] = server->recorder[i].board.read_only_fd;
    }
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        fds[n++] = server->ring[i].read_only_fd;
    }
    server_reply(client, 0, fds, n, "%s", server->plan->instance);
}

void server_serve(struct server *server, struct server_client *client)
{
    struct protocol_request request;
    ssize_t n = recv(client->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        server_drop(client);
        return;
    }
    if (n != (ssize_t)sizeof(request) || request.magic != PROTOCOL_MAGIC || request.version != PROTOCOL_VERSION) {
        server_reply(
            client, -EPROTO, NULL, 0,
            "expected a request of %zu bytes, protocol version %u, found %zd bytes; use the same release on both "
            "sides",
            sizeof(request), PROTOCOL_VERSION, n);
        server_drop(client);
        return;
    }
    enum authority_act act;
    if (authority_act_of(request.op, &act)) {
        server_command(server, client, act, &request);
        return;
    }
    request.name[sizeof(request.name) - 1] = 0;
    switch (request.op) {
    case PROTOCOL_ATTACH:
    case PROTOCOL_GATE:
        attach(server, client, &request);
        break;
    case PROTOCOL_BOARDS:
        send_boards(server, client);
        break;
    case PROTOCOL_CONFIG:
        server_reply(client, 0, &server->config.read_only_fd, 1, "%zu", server->config_bytes);
        break;
    default:
        server_reply(client, -EOPNOTSUPP, NULL, 0, "unknown request %u; use the same release on both sides",
                     request.op);
    }
}
