/* What sluiced does for recorders: their segments and descriptors, and the commands that operators give them. A
 * recorder reads rings through the socket, like everybody else; nobody waits for one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daq/server.h"
#include "ring/clock.h"

#define PATIENCE_NS (30 * CLOCK_NS_PER_S) /* a run is ended and synced before it answers */

static int create_one(struct server *server, uint32_t i, struct error *err)
{
    struct server_recorder *recorder = &server->recorder[i];
    struct recorder_plan *plan = &server->plan->recorder[i];
    plan->starter_pid = getpid();
    plan->config_bytes = server->config_bytes;
    int code = shared_create(&recorder->board, "sluice-recorder-board", sizeof(struct recorder_board), err);
    if (code == 0) {
        board_init(recorder->board.segment.base, BOARD_RECORDER, server->plan->instance, plan->name);
        code = shared_create(&recorder->mailbox, "sluice-recorder-mailbox", sizeof(struct recorder_mailbox), err);
    }
    return code == 0 ? shared_create_constant(&recorder->plan, "sluice-recorder-plan", plan, sizeof(*plan), err)
                     : code;
}

int server_create_recorders(struct server *server, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < server->plan->recorders; i++) {
        code = create_one(server, i, err);
    }
    return code;
}

void server_release_recorders(struct server *server)
{
    for (uint32_t i = 0; i < SERVER_RECORDERS_MAX; i++) {
        shared_destroy(&server->recorder[i].board);
        shared_destroy(&server->recorder[i].mailbox);
        shared_destroy(&server->recorder[i].plan);
    }
}

void server_hand_recorder(struct server *server, uint32_t index, struct launch *launch)
{
    const struct server_recorder *recorder = &server->recorder[index];
    launch->program = "sluice-recorder";
    launch_add(launch, recorder->plan.read_only_fd, 3, "plan");
    launch_add(launch, recorder->board.segment.fd, 4, "board");
    launch_add(launch, recorder->mailbox.read_only_fd, 5, "mailbox");
    launch_add(launch, server->config.read_only_fd, 6, "config");
}

void server_recorder_died(struct server *server, uint32_t index)
{
    struct recorder_board *board = server->recorder[index].board.segment.base;
    __atomic_store_n(&board->state, (uint32_t)RECORDER_ENDED, __ATOMIC_RELEASE); /* nobody else writes it now */
}

static void list_names(const struct server *server, char *text, size_t bytes)
{
    size_t n = 0;
    snprintf(text, bytes, "none: the configuration has no `recorders`");
    for (uint32_t i = 0; i < server->plan->recorders && n < bytes; i++) {
        n += (size_t)snprintf(text + n, bytes - n, "%s%s", i > 0 ? ", " : "", server->plan->recorder[i].name);
    }
}

/* The one of this name; without a name the only one. -ENOENT with the names that there are. */
static int find(const struct server *server, const char *name, struct error *err)
{
    char names[200];
    for (uint32_t i = 0; i < server->plan->recorders; i++) {
        if (strcmp(server->plan->recorder[i].name, name) == 0 || (name[0] == 0 && server->plan->recorders == 1)) {
            return (int)i;
        }
    }
    list_names(server, names, sizeof(names));
    return error_set(err, -ENOENT, "record: there is no recorder '%s'; expected one of: %s", name, names);
}

int server_record(struct server *server, struct server_client *client, struct error *err)
{
    struct server_command *command = &client->command;
    if (recorder_verb_name((uint32_t)command->argument) == NULL || command->argument >= RECORDER_VERBS) {
        return error_set(err, -EINVAL, "record: unknown order %llu; use the same release on both sides",
                         (unsigned long long)command->argument);
    }
    int index = find(server, command->name, err);
    if (index < 0) {
        return index;
    }
    struct server_recorder *recorder = &server->recorder[index];
    const struct recorder_board *board = recorder->board.segment.base;
    struct recorder_mailbox *mailbox = recorder->mailbox.segment.base;
    uint64_t done = __atomic_load_n(&board->ticket, __ATOMIC_ACQUIRE);
    uint64_t now_ns = clock_monotonic_ns();
    if (mailbox->ticket > done && now_ns < recorder->free_ns) {
        return error_set(err, -EBUSY, "record: recorder %s still carries out an order; try again",
                         server->plan->recorder[index].name);
    }
    mailbox->verb = (uint32_t)command->argument;
    memcpy(mailbox->person, command->person, sizeof(mailbox->person));
    memcpy(mailbox->text, command->reason, sizeof(mailbox->text));
    __atomic_store_n(&mailbox->ticket, (mailbox->ticket > done ? mailbox->ticket : done) + 1, __ATOMIC_RELEASE);
    command->index = (uint32_t)index;
    client->ticket = mailbox->ticket;
    client->deadline_ns = recorder->free_ns = now_ns + PATIENCE_NS;
    return 0;
}

bool server_record_answered(struct server *server, struct server_client *client, int *code, char *text,
                            size_t bytes)
{
    const struct server_command *command = &client->command;
    const char *name = server->plan->recorder[command->index].name;
    const struct recorder_board *board = server->recorder[command->index].board.segment.base;
    uint64_t done = __atomic_load_n(&board->ticket, __ATOMIC_ACQUIRE);
    if (done >= client->ticket) {
        *code = board->code == 0 ? 0 : -EPERM;
        snprintf(text, bytes, "recorder %s: %.*s", name, (int)sizeof(board->text) - 1, board->text);
        return true;
    }
    if (clock_monotonic_ns() > client->deadline_ns) {
        *code = -ETIMEDOUT;
        snprintf(text, bytes, "recorder %s does not answer; see sluice status", name);
        return true;
    }
    return false;
}
