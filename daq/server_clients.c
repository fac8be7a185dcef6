#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/explain.h"
#include "daq/log.h"
#include "daq/server.h"
#include "ring/clock.h"
#include "ring/protocol.h"

#define ANSWER_PATIENCE_NS CLOCK_NS_PER_S
#define CLIENTS_RESERVED   8u /* places that only root and our own user can take: `sluice trip` must get through */

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
    client->waiting_op = 0;
}

__attribute__((format(printf, 5, 6))) static void
reply_with(const struct server_client *client, int code, const int *fds, unsigned count, const char *format, ...)
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
    if (client->waiting_op != 0) {
        reply_with(client, -EBUSY, NULL, 0,
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
    for (uint32_t i = 0; i < server->plan.workers; i++) {
        fds[n++] = server->worker_board[i].read_only_fd;
    }
    if (server->plan.has_black_box) {
        fds[n++] = server->black_box_board.read_only_fd;
    }
    for (uint32_t i = 0; i < server->plan.rings; i++) {
        fds[n++] = server->ring[i].read_only_fd;
    }
    reply_with(client, 0, fds, n, "%s", server->plan.instance);
}

static void give_trip(struct server *server, struct server_client *client);

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
        reply_with(
            client, -EPROTO, NULL, 0,
            "expected a request of %zu bytes, protocol version %u, found %zd bytes; use the same release on both "
            "sides",
            sizeof(request), PROTOCOL_VERSION, n);
        server_drop(client);
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
    case PROTOCOL_TRIP:
        client->waiting_op = request.op;
        client->deadline_ns = clock_monotonic_ns() + ANSWER_PATIENCE_NS;
        give_trip(server, client);
        break;
    case PROTOCOL_ARM:
    case PROTOCOL_RESET:
        if (client->waiting_op == 0) {
            client->waiting_op = request.op;
            client->ticket = 0;
            client->deadline_ns = clock_monotonic_ns() + ANSWER_PATIENCE_NS;
        }
        break;
    default:
        reply_with(client, -EOPNOTSUPP, NULL, 0, "unknown request %u; use the same release on both sides",
                   request.op);
    }
}

static const char *op_name(uint32_t op)
{
    return op == PROTOCOL_ARM ? "arm" : op == PROTOCOL_RESET ? "reset" : "trip";
}

/* The causes that stand, as sentences. */
static void list_causes(const struct server *server, const struct control_board *board, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < board->cause_count && i < ENGINE_CAUSES_MAX && n < bytes; i++) {
        char one[200];
        control_explain(&server->plan.table, &board->cause[i], one, sizeof(one));
        n += (size_t)snprintf(text + n, bytes - n, "%s%s", i > 0 ? "; " : "", one);
    }
    if (n == 0) {
        snprintf(text, bytes, "a cause that has gone again meanwhile");
    }
}

static void answer(struct server *server, struct server_client *client)
{
    static struct control_board board;
    char causes[400];
    uint32_t op = client->waiting_op;
    if (control_board_read(server_control_board(server), &board) != 0) {
        return; /* never answer from an old copy: the deadline will */
    }
    switch (board.answer) {
    case ANSWER_DONE:
        reply_with(client, 0, NULL, 0, "%s: done", op_name(op));
        break;
    case ANSWER_ALREADY:
        reply_with(client, 0, NULL, 0, "%s: nothing to do, the interlock is %s", op_name(op),
                   engine_state_name(board.state));
        break;
    case ANSWER_CAUSE_STANDS:
        list_causes(server, &board, causes, sizeof(causes));
        reply_with(client, -EPERM, NULL, 0, "%s refused while a cause stands: %s", op_name(op), causes);
        break;
    case ANSWER_RESET_FIRST:
        reply_with(client, -EPERM, NULL, 0,
                   "arm refused: the interlock is tripped; look at the first-out, then: "
                   "sluice reset");
        break;
    case ANSWER_NONE:
        reply_with(client, -EPERM, NULL, 0,
                   "%s: the control process took no notice; the interlock is %s; try again", op_name(op),
                   engine_state_name(board.state));
        break;
    default:
        reply_with(client, -EPERM, NULL, 0, "%s refused: the interlock is in fault; restart the server",
                   op_name(op));
    }
    log_line("%s by pid %d (uid %u): %s", op_name(op), client->pid, client->uid,
             board.answer == ANSWER_DONE || board.answer == ANSWER_ALREADY ? "done" : "refused");
    client->waiting_op = 0;
    client->ticket = 0;
}

static uint64_t current_ticket(struct server *server)
{
    const struct control_mailbox *mailbox = server->mailbox.segment.base;
    return mailbox->word >> MAILBOX_COMMAND_BITS;
}

static uint64_t post(struct server *server, uint32_t command)
{
    struct control_mailbox *mailbox = server->mailbox.segment.base;
    uint64_t ticket = current_ticket(server) + 1;
    __atomic_store_n(&mailbox->word, ticket << MAILBOX_COMMAND_BITS | command, __ATOMIC_RELEASE);
    return ticket;
}

static void give(struct server *server, struct server_client *client)
{
    client->ticket = post(server, client->waiting_op == PROTOCOL_ARM     ? COMMAND_ARM
                                  : client->waiting_op == PROTOCOL_RESET ? COMMAND_RESET
                                                                         : COMMAND_TRIP);
}

/* A trip goes before everything else, at once, and stands even if its client is gone the next moment. */
static void give_trip(struct server *server, struct server_client *client)
{
    for (uint32_t i = 0; i < SERVER_CLIENTS_MAX; i++) {
        struct server_client *other = &server->client[i];
        if (other->fd >= 0 && other != client && other->waiting_op != 0 && other->ticket != 0) {
            reply_with(other, -ECANCELED, NULL, 0, "%s: a trip came in between", op_name(other->waiting_op));
            other->waiting_op = 0;
            other->ticket = 0;
        }
    }
    give(server, client);
    server->trip_ticket = client->ticket;
    server->trip_deadline_ns = client->deadline_ns;
}

bool server_commands(struct server *server)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t answered = __atomic_load_n(&server_control_board(server)->answered_ticket, __ATOMIC_ACQUIRE);
    struct server_client *next = NULL;
    bool under_way = answered < server->trip_ticket && now_ns < server->trip_deadline_ns;
    for (uint32_t i = 0; i < SERVER_CLIENTS_MAX; i++) {
        struct server_client *client = &server->client[i];
        if (client->fd < 0 || client->waiting_op == 0) {
            continue;
        }
        if (client->ticket != 0 && client->ticket == answered) {
            answer(server, client);
        } else if (now_ns > client->deadline_ns) {
            reply_with(client, -ETIMEDOUT, NULL, 0, "%s: the control process does not answer; see sluice status",
                       op_name(client->waiting_op));
            if (client->ticket == current_ticket(server) && client->waiting_op != PROTOCOL_TRIP) {
                post(server, COMMAND_NONE); /* withdrawn: it must not be carried out later; a trip may be */
            }
            client->waiting_op = 0;
        } else if (client->ticket != 0) {
            under_way = true;
        } else if (next == NULL) {
            next = client;
        }
    }
    if (!under_way && next != NULL) {
        give(server, next);
        under_way = true;
    }
    return under_way;
}
