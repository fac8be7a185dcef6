#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daq/log.h"
#include "daq/server.h"
#include "ring/clock.h"

#define ANSWER_PATIENCE_NS CLOCK_NS_PER_S
#define TEXT_BYTES         ERROR_TEXT_BYTES

/* What changed nothing is told only so many times a second: a client could fill the disk with it. */
static bool may_be_told(struct server *server)
{
    uint64_t now_ns = clock_monotonic_ns();
    return audit_allows(&server->audit, now_ns, now_ns + (uint64_t)server->tai_minus_monotonic_ns);
}

static void audit_command(struct server *server, const char *what, const struct server_command *command,
                          uint64_t ticket, const char *text)
{
    char room[AUDIT_ENTRY_BYTES];
    struct json_line line;
    audit_begin(&line, room, what, clock_tai_ns(server->tai_minus_monotonic_ns));
    json_line_text(&line, "command", command_name(command->op));
    if (command->name[0] != 0) {
        json_line_text(&line, "name", command->name);
    }
    json_line_text(&line, "user", command->user);
    json_line_count(&line, "uid", command->uid);
    json_line_count(&line, "pid", (uint64_t)command->pid);
    json_line_text(&line, "person", command->person);
    if (command->reason[0] != 0) {
        json_line_text(&line, "reason", command->reason);
    }
    if (command->op == PROTOCOL_BYPASS || command->op == PROTOCOL_SHELVE) {
        json_line_real(&line, "seconds", (double)command->argument / 1e9);
    }
    if (ticket != 0) {
        json_line_count(&line, "ticket", ticket);
    }
    json_line_text(&line, "text", text);
    audit_end(&server->audit, &line);
}

/* A client is told when what he did may never be found in the log. */
static const char *audit_warning(const struct server *server)
{
    const struct supervisor_audit *shown = server->audit.shown;
    return server->audit.running && __atomic_load_n(&shown->last_errno, __ATOMIC_RELAXED) != 0
               ? " (not in the audit log yet: it cannot be written, see sluice status)"
               : "";
}

static void finish(struct server *server, struct server_client *client, int code, const char *what, bool changed,
                   const char *text)
{
    const struct server_command *c = &client->command;
    server_reply(client, code, NULL, 0, "%s%s", text, audit_warning(server));
    if (changed || may_be_told(server)) {
        audit_command(server, what, c, client->ticket, text);
        log_line("%s%s%s by %s (uid %u, pid %d): %s", command_name(c->op), c->name[0] != 0 ? " " : "", c->name,
                 c->person, (unsigned)c->uid, c->pid, code == 0 ? "done" : "refused");
    }
    client->command.op = 0;
    client->ticket = 0;
}

/* False: control is in the middle of its report, ask again. An answer is never given from an old copy. */
static bool answer(struct server *server, struct server_client *client)
{
    static struct control_board board;
    char text[TEXT_BYTES];
    const struct server_command *c = &client->command;
    if (control_board_read(server_control_board(server), &board) != 0) {
        return false;
    }
    server_events(server); /* so that the end of an earlier bypass is not taken for that of this one */
    int code = command_answer(&server->plan->table, &board, server_board(server)->bypass, c, text, sizeof(text));
    bool done = board.answer == ANSWER_DONE;
    if (c->op == PROTOCOL_BYPASS && done) {
        server_bypass_began(server, c->index, c->argument);
    }
    finish(server, client, code, code == 0 ? "answer" : "refused", done, text);
    return true;
}

static uint64_t current_ticket(struct server *server)
{
    const struct control_mailbox *mailbox = server->mailbox.segment.base;
    return mailbox->word >> MAILBOX_COMMAND_BITS;
}

/* The operands lie there before the word that names them; control reads the word first. */
static uint64_t post(struct server *server, uint32_t command, uint32_t index, uint64_t duration_ns)
{
    struct control_mailbox *mailbox = server->mailbox.segment.base;
    uint64_t ticket = current_ticket(server) + 1;
    mailbox->operand[ticket % CONTROL_OPERANDS] =
        (struct control_operand){.ticket = ticket, .duration_ns = duration_ns, .index = index};
    __atomic_store_n(&mailbox->word, ticket << MAILBOX_COMMAND_BITS | command, __ATOMIC_RELEASE);
    return ticket;
}

static void give(struct server *server, struct server_client *client)
{
    const struct server_command *c = &client->command;
    if (c->op == PROTOCOL_BYPASS) {
        server->last_bypass = *c; /* its client may be gone when it begins */
    }
    client->ticket = post(server, command_of(c->op), c->index, c->argument);
}

static void tell_given(struct server *server, const struct server_client *client)
{
    if (may_be_told(server)) {
        audit_command(server, "command", &client->command, client->ticket, "given to control");
    }
}

/* A trip goes before everything else, at once, and stands even if its client is gone the next moment. */
static void give_trip(struct server *server, struct server_client *client)
{
    give(server, client);
    server->trip_ticket = client->ticket;
    server->trip_deadline_ns = client->deadline_ns;
    for (uint32_t i = 0; i < SERVER_CLIENTS_MAX; i++) {
        struct server_client *other = &server->client[i];
        bool with_control = other->command.op != 0 && other->command.op != PROTOCOL_RECORD;
        if (other->fd >= 0 && other != client && with_control && other->ticket != 0) {
            char text[TEXT_BYTES];
            snprintf(text, sizeof(text), "%s: a trip came in between", command_name(other->command.op));
            finish(server, other, -ECANCELED, "refused", false, text);
        }
    }
}

static void refuse_authority(struct server *server, struct server_client *client, enum authority_act act)
{
    char text[TEXT_BYTES];
    const struct server_command *c = &client->command;
    const char *key = authority_key(act);
    snprintf(text, sizeof(text),
             "%s refused: user '%s' (uid %u) may not; it would take this user under authority.%s.users in the "
             "configuration, or one of its groups under authority.%s.groups",
             command_name(c->op), c->user, (unsigned)c->uid, key, key);
    finish(server, client, -EACCES, "refused", false, text);
}

/* The one command that is not for control. */
static void acknowledge_config(struct server *server, struct server_client *client)
{
    char text[TEXT_BYTES];
    const struct server_command *c = &client->command;
    struct supervisor_board *board = server_board(server);
    uint64_t checksum = server->plan->table.checksum;
    if (c->argument != checksum) {
        snprintf(text, sizeof(text),
                 "acknowledge refused: this server runs the configuration %016" PRIx64 ", found %016" PRIx64
                 "; look at the file that it was started with (sluice check FILE prints its checksum)",
                 checksum, c->argument);
        finish(server, client, -EPERM, "refused", false, text);
        return;
    }
    bool changed = board->config_acknowledged == 0;
    if (changed) {
        memcpy(board->config_acknowledged_by, c->person, sizeof(board->config_acknowledged_by));
        board->config_acknowledged_tai_ns = clock_tai_ns(server->tai_minus_monotonic_ns);
        __atomic_store_n(&board->config_acknowledged, 1, __ATOMIC_RELEASE);
        gate_look(server);
    }
    snprintf(text, sizeof(text), "acknowledge: configuration %016" PRIx64 " is acknowledged by %s", checksum,
             board->config_acknowledged_by);
    finish(server, client, 0, "answer", changed, text);
}

static void name_user(struct server_client *client)
{
    struct server_command *c = &client->command;
    authority_user_name(c->uid, c->user);
    snprintf(c->person, sizeof(c->person), "%s", c->user);
}

/* Given before anything that might take its time. */
static void trip(struct server *server, struct server_client *client, bool allowed)
{
    if (allowed) {
        client->deadline_ns = clock_monotonic_ns() + ANSWER_PATIENCE_NS;
        give_trip(server, client);
    }
    name_user(client);
    if (allowed) {
        tell_given(server, client);
    } else {
        refuse_authority(server, client, AUTHORITY_TRIP);
    }
}

static void take(struct server *server, struct server_client *client, const struct protocol_request *request)
{
    struct error err = {{0}};
    int code = command_parse(&server->plan->table, request, &client->command, &err);
    if (code != 0) {
        finish(server, client, code, "refused", false, err.text);
    } else if (request->op == PROTOCOL_ACKNOWLEDGE_CONFIG) {
        acknowledge_config(server, client);
    } else if (request->op == PROTOCOL_RECORD) {
        code = server_record(server, client, &err);
        if (code != 0) {
            finish(server, client, code, "refused", false, err.text);
        }
    } else {
        client->deadline_ns = clock_monotonic_ns() + ANSWER_PATIENCE_NS;
    }
}

void server_command(struct server *server, struct server_client *client, enum authority_act act,
                    const struct protocol_request *request)
{
    struct authority_peer peer;
    if (client->command.op != 0 && request->op != PROTOCOL_TRIP) {
        server_reply(client, -EBUSY, NULL, 0, "%s: the %s of this connection is under way",
                     command_name(request->op), command_name(client->command.op));
        return;
    }
    client->ticket = 0;
    client->command =
        (struct server_command){.op = request->op, .index = ENGINE_NONE, .uid = client->uid, .pid = client->pid};
    (void)authority_peer_of(client->fd, &peer); /* without groups then, or without a user: it may less */
    bool allowed = authority_allows(&server->plan->authority.act[act], &peer, geteuid());
    if (request->op == PROTOCOL_TRIP) {
        trip(server, client, allowed);
        return;
    }
    name_user(client);
    if (allowed) {
        take(server, client, request);
    } else {
        refuse_authority(server, client, act);
    }
}

static void time_out(struct server *server, struct server_client *client)
{
    char text[TEXT_BYTES];
    const struct server_command *c = &client->command;
    snprintf(text, sizeof(text), "%s: the control process does not answer; see sluice status", command_name(c->op));
    if (client->ticket == current_ticket(server) && c->op != PROTOCOL_TRIP) {
        post(server, COMMAND_NONE, ENGINE_NONE, 0); /* withdrawn: it must not be carried out later; a trip may be */
    }
    finish(server, client, -ETIMEDOUT, "refused", false, text);
}

/* False: the recorder is still at it. */
static bool answer_record(struct server *server, struct server_client *client)
{
    char text[TEXT_BYTES];
    int code;
    if (!server_record_answered(server, client, &code, text, sizeof(text))) {
        return false;
    }
    finish(server, client, code, code == 0 ? "answer" : "refused", code == 0, text);
    return true;
}

bool server_commands(struct server *server)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t answered = __atomic_load_n(&server_control_board(server)->answered_ticket, __ATOMIC_ACQUIRE);
    struct server_client *next = NULL;
    bool under_way_elsewhere = false; /* with a recorder: nobody else's order waits for that */
    bool under_way = answered < server->trip_ticket;
    if (under_way && now_ns > server->trip_deadline_ns) {
        /* Until control has taken it nothing takes its place; anew, for a new control process heeds no old word. */
        server->trip_ticket = post(server, COMMAND_TRIP, ENGINE_NONE, 0);
        server->trip_deadline_ns = now_ns + ANSWER_PATIENCE_NS;
    }
    for (uint32_t i = 0; i < SERVER_CLIENTS_MAX; i++) {
        struct server_client *client = &server->client[i];
        if (client->fd < 0 || client->command.op == 0) {
            continue;
        }
        if (client->command.op == PROTOCOL_RECORD) {
            under_way_elsewhere = !answer_record(server, client) || under_way_elsewhere;
            continue;
        }
        if (client->ticket != 0 && client->ticket == answered && answer(server, client)) {
            continue;
        }
        if (now_ns > client->deadline_ns) {
            time_out(server, client);
        } else if (client->ticket != 0) {
            under_way = true;
        } else if (next == NULL) {
            next = client;
        }
    }
    if (!under_way && next != NULL) {
        give(server, next);
        tell_given(server, next);
        under_way = true;
    }
    return under_way || under_way_elsewhere;
}
