/* What sluiced does for the observer: its board and its descriptors. */
#include <stdio.h>

#include "daq/observer.h"
#include "daq/server.h"

int server_create_observer(struct server *server, struct error *err)
{
    if (!server->plan->has_observer) {
        return 0;
    }
    int code = shared_create(&server->observer_board, "sluice-observer-board", sizeof(struct observer_board), err);
    if (code == 0) {
        struct observer_board *board = server->observer_board.segment.base;
        board_init(&board->common, BOARD_OBSERVER, server->plan->instance, "observer");
        board->threshold_ns = server->plan->observer_threshold_ns;
    }
    return code;
}

void server_hand_observer(struct server *server, struct launch *launch)
{
    static const char *const names[] = {OBSERVER_WORKER_NAMES};
    static_assert(sizeof(names) / sizeof(names[0]) == SERVER_WORKERS_MAX &&
                      SERVER_WORKERS_MAX == OBSERVER_BOARDS_MAX,
                  "a name for each worker");
    launch->program = "sluice-observer";
    launch_add(launch, server->observer_board.segment.fd, 3, "board");
    launch_add(launch, server->table.read_only_fd, 4, "table");
    launch_add(launch, server->control_board.read_only_fd, 5, "control");
    for (uint32_t i = 0; i < server->plan->workers; i++) {
        launch_add(launch, server->worker_board[i].read_only_fd, SERVER_RING_FD + (int)i, names[i]);
    }
}
