#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/output.h"
#include "daq/server.h"
#include "ring/clock.h"
#include "ring/ring.h"

struct supervisor_board *server_board(struct server *server)
{
    return server->board.segment.base;
}

struct control_board *server_control_board(struct server *server)
{
    return server->control_board.segment.base;
}

/* The descriptor that others are given. `code` is what creating the segment gave. */
static int also_read_only(struct shared *shared, int code, struct error *err)
{
    if (code != 0) {
        return code;
    }
    shared->read_only_fd = segment_reopen_read_only(shared->segment.fd, err);
    return shared->read_only_fd < 0 ? shared->read_only_fd : 0;
}

static int share_on(struct shared *shared, const char *name, size_t bytes, enum segment_pages pages,
                    struct error *err)
{
    *shared = (struct shared){.segment = {.fd = -1}, .read_only_fd = -1};
    return also_read_only(shared, segment_create(&shared->segment, name, bytes, pages, err), err);
}

/* A table that nobody can write any more, not even we. */
static int share_constant(struct shared *shared, const char *name, const void *content, size_t bytes,
                          struct error *err)
{
    *shared = (struct shared){.segment = {.fd = -1}, .read_only_fd = -1};
    return also_read_only(shared, segment_create_constant(&shared->segment, name, content, bytes, err), err);
}

static int create_ring(struct server *server, uint32_t i, struct error *err)
{
    const struct ring_plan *plan = &server->plan.ring[i];
    char name[64];
    struct ring_spec spec = {.instance = server->plan.instance,
                             .name = plan->name,
                             .streams = &plan->stream,
                             .stream_count = 1,
                             .numa_node = -1,
                             .slots = plan->slots,
                             .slot_bytes = plan->slot_bytes,
                             .payload_offset = plan->payload_offset,
                             .channels = plan->channel,
                             .channel_count = plan->channel_count,
                             .tai_minus_monotonic_ns = server->tai_minus_monotonic_ns};
    snprintf(name, sizeof(name), "sluice-ring:%s", plan->name);
    int code = share_on(&server->ring[i], name, ring_segment_bytes(&spec), server->plan.pages, err);
    if (code != 0) {
        return code;
    }
    spec.page_bytes = server->ring[i].segment.page_bytes;
    if (server->plan.pages == SEGMENT_HUGE_OR_NORMAL && spec.page_bytes == 4096) {
        board_refuse(&server_board(server)->common,
                     "ring %s: no 2 MiB pages free, using 4 KiB ones; large rings run at about two thirds of the "
                     "bandwidth (raise /proc/sys/vm/nr_hugepages)",
                     plan->name);
    }
    code = ring_create(server->ring[i].segment.base, server->ring[i].segment.bytes, &spec, err);
    struct ring_identity *id = &((struct ring_header *)server->ring[i].segment.base)->identity;
    id->created_tai_ns = clock_tai_ns(server->tai_minus_monotonic_ns);
    id->utc_offset_s = clock_utc_offset_s();
    if (code == 0) {
        snprintf(name, sizeof(name), "sluice-orders:%s", plan->name);
        code = shared_create(&server->orders[i], name, RING_ORDERS_BYTES, err);
    }
    if (code == 0) {
        ring_orders_create(server->orders[i].segment.base, plan->gates);
    }
    return code;
}

/* The usher must know which of which worker's sources writes a ring. */
static void show_rings_to_usher(struct server *server)
{
    for (uint32_t i = 0; i < server->plan.rings; i++) {
        for (uint32_t w = 0; w < server->plan.workers; w++) {
            for (uint32_t s = 0; s < server->plan.worker[w].sources; s++) {
                if (strcmp(server->plan.worker[w].source[s].ring, server->plan.ring[i].name) == 0) {
                    usher_add_ring(&server->usher, &server->plan.ring[i], &server->ring[i], &server->orders[i], w,
                                   s);
                }
            }
        }
    }
}

static int create_worker(struct server *server, uint32_t i, struct error *err)
{
    struct worker_plan *plan = &server->plan.worker[i];
    int code = shared_create(&server->worker_board[i], "sluice-worker-board", sizeof(struct board), err);
    if (code != 0) {
        return code;
    }
    plan->tai_minus_monotonic_ns = server->tai_minus_monotonic_ns;
    plan->supervisor_pid = getpid();
    for (uint32_t s = 0; s < plan->sources; s++) {
        plan->source[s].ring_fd = SERVER_RING_FD + s;
        plan->source[s].orders_fd = SERVER_ORDERS_FD + s;
    }
    board_init(server->worker_board[i].segment.base, BOARD_WORKER, server->plan.instance, plan->name);
    return share_constant(&server->worker_plan[i], "sluice-worker-plan", plan, sizeof(*plan), err);
}

static int create_table(struct server *server, struct error *err)
{
    struct control_table *table = &server->plan.table;
    table->tai_minus_monotonic_ns = server->tai_minus_monotonic_ns;
    table->supervisor_pid = getpid();
    for (uint32_t i = 0; i < table->rings; i++) {
        table->ring[i].fd = SERVER_RING_FD + i;
    }
    for (uint32_t i = 0; i < table->devices; i++) {
        table->device[i].fd = SERVER_DEVICE_FD + i;
    }
    table->hash = control_table_hash(table);
    return share_constant(&server->table, "sluice-table", table, sizeof(*table), err);
}

static int open_devices(struct server *server, struct error *err)
{
    for (uint32_t i = 0; i < server->plan.table.devices; i++) {
        server->device_fd[i] = output_open(&server->plan.table.device[i], err);
        if (server->device_fd[i] < 0) {
            return server->device_fd[i];
        }
    }
    server_outputs_safe(server);
    return 0;
}

int server_create_shared(struct server *server, struct error *err)
{
    int code = shared_create(&server->board, "sluice-board", sizeof(struct supervisor_board), err);
    if (code != 0) {
        return code;
    }
    struct board *board = &server_board(server)->common;
    board_init(board, BOARD_SUPERVISOR, server->plan.instance, "sluiced");
    board->pid = (uint64_t)getpid();
    board->started_tai_ns = clock_tai_ns(server->tai_minus_monotonic_ns);
    for (uint32_t i = 0; code == 0 && i < server->plan.rings; i++) {
        code = create_ring(server, i, err);
    }
    if (code == 0) {
        code = usher_init(&server->usher, server->plan.readers_max, server_board(server),
                          server->tai_minus_monotonic_ns, err);
        show_rings_to_usher(server);
    }
    for (uint32_t i = 0; code == 0 && i < server->plan.workers; i++) {
        code = create_worker(server, i, err);
    }
    if (code == 0) {
        code = shared_create(&server->control_board, "sluice-control-board", sizeof(struct control_board), err);
    }
    if (code == 0) {
        board_init(&server_control_board(server)->common, BOARD_CONTROL, server->plan.instance, "control");
        server_control_board(server)->state = ENGINE_INIT;
        code = shared_create(&server->mailbox, "sluice-mailbox", sizeof(struct control_mailbox), err);
    }
    if (code == 0) {
        code = create_table(server, err);
    }
    return code == 0 ? open_devices(server, err) : code;
}

void server_release_shared(struct server *server)
{
    shared_destroy(&server->board);
    shared_destroy(&server->table);
    shared_destroy(&server->control_board);
    shared_destroy(&server->mailbox);
    for (uint32_t i = 0; i < SERVER_WORKERS_MAX; i++) {
        shared_destroy(&server->worker_plan[i]);
        shared_destroy(&server->worker_board[i]);
    }
    for (uint32_t i = 0; i < CONTROL_RINGS_MAX; i++) {
        shared_destroy(&server->ring[i]);
        shared_destroy(&server->orders[i]);
    }
    for (uint32_t i = 0; i < CONTROL_DEVICES_MAX; i++) {
        if (server->device_fd[i] >= 0) {
            close(server->device_fd[i]);
            server->device_fd[i] = -1;
        }
    }
}
