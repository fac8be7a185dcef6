#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/outbox.h"
#include "control/output.h"
#include "control/watchdog.h"
#include "daq/server.h"
#include "daq/worker_hops.h"
#include "ring/clock.h"
#include "ring/numa.h"
#include "ring/ring.h"

#define WATCHED_BYTES_MAX ((size_t)128 << 20)

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

static int share_on(struct shared *shared, const char *name, size_t bytes, enum segment_pages pages, int node,
                    struct error *err)
{
    *shared = (struct shared){.segment = {.fd = -1}, .read_only_fd = -1};
    return also_read_only(shared, segment_create_on(&shared->segment, name, bytes, pages, node, err), err);
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
    const struct ring_plan *plan = &server->plan->ring[i];
    char name[64];
    struct ring_spec spec = {.instance = server->plan->instance,
                             .name = plan->name,
                             .streams = &plan->stream,
                             .stream_count = 1,
                             .numa_node = plan->numa_node,
                             .slots = plan->slots,
                             .slot_bytes = plan->slot_bytes,
                             .payload_offset = plan->payload_offset,
                             .channels = plan->channel,
                             .channel_count = plan->channel_count,
                             .numbers = &server->plan->table.number[plan->first_number],
                             .number_count = plan->number_count,
                             .tai_minus_monotonic_ns = server->tai_minus_monotonic_ns};
    snprintf(name, sizeof(name), "sluice-ring:%s", plan->name);
    int code = share_on(&server->ring[i], name, ring_segment_bytes(&spec), plan->pages, plan->numa_node, err);
    if (code != 0) {
        return code;
    }
    spec.page_bytes = server->ring[i].segment.page_bytes;
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

/* The usher must know which of the sources of which polling thread writes a ring. */
static void show_rings_to_usher(struct server *server)
{
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        for (uint32_t w = 0; w < server->plan->workers; w++) {
            const struct worker_plan *worker = &server->plan->worker[w];
            uint32_t of_thread[PLAN_THREADS_MAX] = {0};
            for (uint32_t s = 0; s < worker->sources; s++) {
                uint32_t thread = worker->source[s].thread;
                if (strcmp(worker->source[s].ring, server->plan->ring[i].name) == 0) {
                    usher_add_ring(&server->usher, &server->plan->ring[i], &server->ring[i], &server->orders[i],
                                   usher_line(w, thread), of_thread[thread]);
                }
                of_thread[thread]++;
            }
        }
    }
}

/* A ring below the pages that were asked for: one sentence per step down, naming the rings, so that many rings do
 * not use up the places for refusals. */
static bool is_below(const struct server *server, uint32_t ring, size_t page_bytes)
{
    enum segment_pages pages = server->plan->ring[ring].pages;
    return segment_pages_bytes(pages) >= page_bytes && server->ring[ring].segment.page_bytes < page_bytes;
}

static void say_step_down(struct server *server, size_t page_bytes, const char *cost)
{
    char names[128] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        if (is_below(server, i, page_bytes) && n < sizeof(names)) {
            n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n > 0 ? ", " : "",
                                  server->plan->ring[i].name);
        }
    }
    if (n > 0) {
        board_refuse(&server_board(server)->common, "ring %s%s: no %s pages free, %s", names,
                     n >= sizeof(names) ? ".." : "", segment_page_name(page_bytes), cost);
    }
}

/* A process that ends gives its pages back before its parent is told. With 1 GiB on small pages the outputs were
 * driven safe 20 to 40 ms after a kill -9 of control, on huge ones 0.5 to 6 ms (10 ms are allowed). */
static void say_slow_end(struct server *server)
{
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        const struct segment *segment = &server->ring[i].segment;
        if (server->plan->ring[i].watched_as != 0 && segment->page_bytes == SEGMENT_PAGE_BYTES &&
            segment->bytes > WATCHED_BYTES_MAX) {
            board_refuse(
                &server_board(server)->common,
                "ring %s: the interlock watches %zu MiB on 4 KiB pages; if control is killed, the outputs go "
                "safe later by some 10 ms per 256 MiB (use huge pages or fewer slots)",
                server->plan->ring[i].name, segment->bytes >> 20);
        }
    }
}

/* The kernel is asked where the pages are: what was asked for is not yet what is. */
static void say_node(struct server *server, uint32_t i)
{
    struct board *board = &server_board(server)->common;
    const struct ring_plan *plan = &server->plan->ring[i];
    const struct segment *segment = &server->ring[i].segment;
    uint64_t elsewhere = 0;
    int example = 0;
    if (plan->numa_node == NUMA_ANY) {
        return;
    }
    int code = numa_verify(segment->fd, segment->bytes, segment->page_bytes, plan->numa_node, &elsewhere, &example);
    if (segment->bind_error != 0) {
        board_refuse(board,
                     "ring %s: cannot bind to NUMA node %d: %s; its pages lie wherever the kernel puts them "
                     "(needs a kernel with NUMA and, in a container, CAP_SYS_NICE)",
                     plan->name, plan->numa_node, strerror(-segment->bind_error));
    }
    if (code != 0) {
        board_refuse(board, "ring %s: cannot see whether its pages are on NUMA node %d: %s", plan->name,
                     plan->numa_node, strerror(-code));
    } else if (elsewhere > 0) {
        board_refuse(board,
                     "ring %s: %" PRIu64 " of its %zu pages are not on NUMA node %d, the first of them on node %d; "
                     "expect remote memory's latency",
                     plan->name, elsewhere, segment->bytes / segment->page_bytes, plan->numa_node, example);
    }
}

static int create_rings(struct server *server, struct error *err)
{
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        int code = create_ring(server, i, err);
        if (code != 0) {
            return code;
        }
        say_node(server, i);
    }
    say_step_down(server, SEGMENT_PAGE_1G_BYTES,
                  "using smaller ones (raise /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages)");
    say_step_down(server, SEGMENT_PAGE_2M_BYTES,
                  "using 4 KiB ones; large rings run at about two thirds of the bandwidth (raise "
                  "/proc/sys/vm/nr_hugepages)");
    say_slow_end(server);
    return 0;
}

static int create_worker(struct server *server, uint32_t i, struct error *err)
{
    struct worker_plan *plan = &server->plan->worker[i];
    int code = shared_create(&server->worker_board[i], "sluice-worker-board", worker_board_bytes(plan), err);
    if (code != 0) {
        return code;
    }
    plan->tai_minus_monotonic_ns = server->tai_minus_monotonic_ns;
    plan->supervisor_pid = getpid();
    for (uint32_t s = 0; s < plan->sources; s++) {
        plan->source[s].ring_fd = SERVER_RING_FD + s;
        plan->source[s].orders_fd = SERVER_ORDERS_FD + s;
    }
    worker_board_lay_out(server->worker_board[i].segment.base, plan);
    board_init(server->worker_board[i].segment.base, BOARD_WORKER, server->plan->instance, plan->name);
    return share_constant(&server->worker_plan[i], "sluice-worker-plan", plan, worker_plan_bytes(plan), err);
}

static int create_table(struct server *server, struct error *err)
{
    struct control_table *table = &server->plan->table;
    table->tai_minus_monotonic_ns = server->tai_minus_monotonic_ns;
    table->supervisor_pid = getpid();
    for (uint32_t i = 0; i < table->rings; i++) {
        table->ring[i].fd = SERVER_RING_FD + i;
    }
    for (uint32_t i = 0; i < table->devices; i++) {
        table->device[i].fd = SERVER_DEVICE_FD + i;
    }
    table->watchdog_fd = SERVER_WATCHDOG_FD;
    table->hash = control_table_hash(table);
    return share_constant(&server->table, "sluice-table", table, sizeof(*table), err);
}

void server_actuator_name(uint32_t device, char name[RING_NAME_BYTES])
{
    snprintf(name, RING_NAME_BYTES, "actuator-%u", device);
}

/* The hand-over to an actuator, which is what we and control speak to in the device's place. */
static int create_outbox(struct server *server, uint32_t device, struct error *err)
{
    char name[RING_NAME_BYTES];
    struct shared *shared = &server->outbox[device];
    server_actuator_name(device, name);
    int code = shared_create(shared, "sluice-outbox", sizeof(struct outbox), err);
    if (code != 0) {
        return code;
    }
    board_init(shared->segment.base, BOARD_ACTUATOR, server->plan->instance, name);
    ((struct outbox *)shared->segment.base)->answer.error = -ENOTCONN; /* nobody has confirmed anything */
    int fd = fcntl(shared->segment.fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 ? fd : error_set(err, -errno, "cannot hand over an output: %s", strerror(errno));
}

static int open_devices(struct server *server, struct error *err)
{
    const struct control_table *table = &server->plan->table;
    for (uint32_t i = 0; i < table->devices; i++) {
        if (table->device[i].kind == DEVICE_SHADOW) {
            continue;
        }
        server->device_fd[i] =
            table->device[i].kind == DEVICE_MODBUS ? create_outbox(server, i, err) : output_open(table, i, err);
        if (server->device_fd[i] < 0) {
            return server->device_fd[i];
        }
        int code = output_attach(table, i, server->device_fd[i], err);
        if (code != 0) {
            return code;
        }
    }
    server_outputs_safe(server);
    if (server->plan->watchdog_path[0] != 0) { /* last: it runs from here on */
        server->watchdog_fd = watchdog_open(server->plan->watchdog_path, server->plan->watchdog_timeout_s, err);
        return server->watchdog_fd < 0 ? server->watchdog_fd : 0;
    }
    return 0;
}

int server_create_shared(struct server *server, struct error *err)
{
    int code = shared_create(&server->board, "sluice-board", sizeof(struct supervisor_board), err);
    if (code != 0) {
        return code;
    }
    struct board *board = &server_board(server)->common;
    board_init(board, BOARD_SUPERVISOR, server->plan->instance, "sluiced");
    board->pid = (uint64_t)getpid();
    board->started_tai_ns = clock_tai_ns(server->tai_minus_monotonic_ns);
    code = create_rings(server, err);
    if (code == 0) {
        code = usher_init(&server->usher, server->plan->readers_max, server_board(server),
                          server->tai_minus_monotonic_ns, err);
        show_rings_to_usher(server);
    }
    for (uint32_t i = 0; code == 0 && i < server->plan->workers; i++) {
        code = create_worker(server, i, err);
    }
    if (code == 0) {
        code = shared_create(&server->control_board, "sluice-control-board", sizeof(struct control_board), err);
    }
    if (code == 0) {
        board_init(&server_control_board(server)->common, BOARD_CONTROL, server->plan->instance, "control");
        server_control_board(server)->state = ENGINE_INIT;
        code = shared_create(&server->mailbox, "sluice-mailbox", sizeof(struct control_mailbox), err);
    }
    if (code == 0) {
        code = shared_create(&server->journal, "sluice-journal", sizeof(struct control_journal), err);
    }
    if (code == 0) {
        code = create_table(server, err);
    }
    if (code == 0) {
        code = server_create_config(server, err);
    }
    if (code == 0) {
        code = server_create_black_box(server, err);
    }
    if (code == 0) {
        code = server_create_recorders(server, err);
    }
    if (code == 0) {
        code = server_create_observer(server, err);
    }
    if (code == 0) {
        code = server_create_measures(server, err);
    }
    return code == 0 ? open_devices(server, err) : code;
}

void server_release_shared(struct server *server)
{
    shared_destroy(&server->board);
    shared_destroy(&server->table);
    shared_destroy(&server->control_board);
    shared_destroy(&server->mailbox);
    shared_destroy(&server->journal);
    shared_destroy(&server->measures);
    server_release_black_box(server);
    server_release_recorders(server);
    shared_destroy(&server->observer_board);
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
        shared_destroy(&server->outbox[i]);
    }
    if (server->watchdog_fd >= 0) { /* control has written the magic byte if the stop was orderly */
        close(server->watchdog_fd);
        server->watchdog_fd = -1;
    }
}
