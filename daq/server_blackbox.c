/* What sluiced does for the black box: its segments, its descriptors, and whether it may be relied on. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/server.h"
#include "ring/clock.h"

#define FRESH_NS (5 * CLOCK_NS_PER_S) /* it waits for the disk now and then */

int shared_create_constant(struct shared *shared, const char *name, const void *content, size_t bytes,
                           struct error *err)
{
    int code = segment_create_constant(&shared->segment, name, content, bytes, err);
    if (code == 0) {
        shared->read_only_fd = segment_reopen_read_only(shared->segment.fd, err);
        code = shared->read_only_fd < 0 ? shared->read_only_fd : 0;
    }
    return code;
}

int server_create_black_box(struct server *server, struct error *err)
{
    struct blackbox_plan *plan = &server->plan->black_box;
    if (!server->plan->has_black_box) {
        return 0;
    }
    plan->supervisor_pid = getpid();
    plan->config_bytes = server->config_bytes;
    int code = shared_create(&server->black_box_board, "sluice-blackbox-board", sizeof(struct blackbox_board), err);
    if (code == 0) {
        board_init(server->black_box_board.segment.base, BOARD_BLACK_BOX, server->plan->instance, "blackbox");
        code = shared_create_constant(&server->black_box_plan, "sluice-blackbox-plan", plan, sizeof(*plan), err);
    }
    return code;
}

int server_create_config(struct server *server, struct error *err)
{
    return shared_create_constant(&server->config, "sluice-config", server->config_text, server->config_bytes, err);
}

void server_release_black_box(struct server *server)
{
    shared_destroy(&server->black_box_board);
    shared_destroy(&server->black_box_plan);
    shared_destroy(&server->config);
}

void server_hand_black_box(struct server *server, struct launch *launch)
{
    launch->program = "sluice-blackbox";
    launch_add(launch, server->black_box_plan.read_only_fd, 3, "plan");
    launch_add(launch, server->black_box_board.segment.fd, 4, "board");
    launch_add(launch, server->table.read_only_fd, 5, "table");
    launch_add(launch, server->control_board.read_only_fd, 6, "control");
    launch_add(launch, server->journal.read_only_fd, 7, "journal");
    launch_add(launch, server->config.read_only_fd, 8, "config");
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        uint32_t watched = server->plan->ring[i].watched_as;
        if (watched != 0) {
            launch_add(launch, server->ring[i].read_only_fd, SERVER_RING_FD + (int)watched - 1, NULL);
        }
    }
}

bool server_black_box_ok(const struct server *server)
{
    const struct blackbox_board *board = server->black_box_board.segment.base;
    if (!server->plan->has_black_box) {
        return true;
    }
    for (uint32_t i = 0; i < server->processes; i++) {
        const struct server_process *process = &server->process[i];
        if (process->role == ROLE_BLACK_BOX) {
            uint64_t beat_ns = __atomic_load_n(&board->common.heartbeat_ns, __ATOMIC_ACQUIRE);
            uint64_t now_ns = clock_monotonic_ns();
            return process->pid != 0 && !process->killed && process->has_run &&
                   (beat_ns > now_ns || now_ns - beat_ns < FRESH_NS) &&
                   __atomic_load_n(&board->room, __ATOMIC_ACQUIRE) != 0;
        }
    }
    return false;
}
