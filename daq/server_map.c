/* Tells where the bytes are: fills the segment table on our board. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/server.h"
#include "ring/order.h"

static_assert(SEGMENT_TABLE_MAX >= 10 + 2 * SERVER_WORKERS_MAX + 3 * SERVER_RECORDERS_MAX + 2 * CONTROL_RINGS_MAX +
                                       CONTROL_DEVICES_MAX + SUPERVISOR_READERS_MAX,
              "the table has a place for every segment there can be");

static void add(struct segment_table *table, enum segment_kind kind, const struct segment *segment,
                const char *name, const char *owner, pid_t owner_pid)
{
    struct stat st;
    if (segment->base == NULL || table->segments >= SEGMENT_TABLE_MAX || fstat(segment->fd, &st) != 0) {
        return;
    }
    struct segment_entry *entry = &table->entry[table->segments++];
    *entry = (struct segment_entry){.device = st.st_dev,
                                    .inode = st.st_ino,
                                    .bytes = segment->bytes,
                                    .page_bytes = segment->page_bytes,
                                    .owner_pid = (uint64_t)owner_pid,
                                    .kind = kind,
                                    .numa_node = segment->numa_node};
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    snprintf(entry->owner, sizeof(entry->owner), "%s", owner);
}

static pid_t pid_of_one(const struct server *server, enum server_role role, uint32_t index)
{
    for (uint32_t i = 0; i < server->processes; i++) {
        if (server->process[i].role == role && server->process[i].index == index) {
            return server->process[i].pid;
        }
    }
    return 0;
}

static pid_t pid_of_worker(const struct server *server, uint32_t index)
{
    return pid_of_one(server, ROLE_WORKER, index);
}

static void add_recorders(const struct server *server, struct segment_table *table)
{
    for (uint32_t i = 0; i < server->plan->recorders; i++) {
        const char *name = server->plan->recorder[i].name;
        const struct server_recorder *recorder = &server->recorder[i];
        add(table, SEGMENT_KIND_RECORDER_BOARD, &recorder->board.segment, name, name,
            pid_of_one(server, ROLE_RECORDER, i));
        add(table, SEGMENT_KIND_RECORDER_MAILBOX, &recorder->mailbox.segment, name, "sluiced", getpid());
        add(table, SEGMENT_KIND_RECORDER_PLAN, &recorder->plan.segment, name, "", 0);
    }
}

/* Of the only process in this role. */
static pid_t pid_of(const struct server *server, enum server_role role)
{
    for (uint32_t i = 0; i < server->processes; i++) {
        if (server->process[i].role == role) {
            return server->process[i].pid;
        }
    }
    return 0;
}

/* The worker that receives into a ring. */
static uint32_t writer_of(const struct server_plan *plan, const char *ring)
{
    for (uint32_t w = 0; w < plan->workers; w++) {
        for (uint32_t s = 0; s < plan->worker[w].sources; s++) {
            if (strcmp(plan->worker[w].source[s].ring, ring) == 0) {
                return w;
            }
        }
    }
    return 0;
}

static void add_rings(const struct server *server, struct segment_table *table)
{
    const struct server_plan *plan = server->plan;
    for (uint32_t i = 0; i < plan->rings; i++) {
        uint32_t worker = writer_of(plan, plan->ring[i].name);
        add(table, SEGMENT_KIND_RING, &server->ring[i].segment, plan->ring[i].name, plan->worker[worker].name,
            pid_of_worker(server, worker));
        add(table, SEGMENT_KIND_ORDERS, &server->orders[i].segment, plan->ring[i].name, "sluiced", getpid());
    }
}

static void add_lease(void *table, const char *ring, const struct usher_reader *reader)
{
    add(table, SEGMENT_KIND_LEASE, &reader->lease.segment, ring, "reader", reader->pid);
}

void server_fill_segments(struct server *server)
{
    struct segment_table *table = &server_board(server)->segments;
    /* An exchange: nothing below may be seen before it. Pairs with the reader's second look at version. */
    (void)__atomic_exchange_n(&table->version, table->version + 1, __ATOMIC_ACQ_REL);
    ring_writes_behind();
    table->segments = 0;
    add(table, SEGMENT_KIND_BOARD, &server->board.segment, "", "sluiced", getpid());
    add(table, SEGMENT_KIND_TABLE, &server->table.segment, "", "", 0);
    add(table, SEGMENT_KIND_CONTROL_BOARD, &server->control_board.segment, "", "control", server->process[0].pid);
    add(table, SEGMENT_KIND_MAILBOX, &server->mailbox.segment, "", "sluiced", getpid());
    add(table, SEGMENT_KIND_JOURNAL, &server->journal.segment, "", "control", server->process[0].pid);
    add(table, SEGMENT_KIND_BLACK_BOX_BOARD, &server->black_box_board.segment, "", "blackbox",
        pid_of(server, ROLE_BLACK_BOX));
    add(table, SEGMENT_KIND_OBSERVER_BOARD, &server->observer_board.segment, "", "observer",
        pid_of(server, ROLE_OBSERVER));
    add(table, SEGMENT_KIND_BLACK_BOX_PLAN, &server->black_box_plan.segment, "", "", 0);
    add(table, SEGMENT_KIND_CONFIG, &server->config.segment, "", "", 0);
    add(table, SEGMENT_KIND_MEASURES, &server->measures.segment, "", "", 0);
    add_recorders(server, table);
    for (uint32_t i = 0; i < server->plan->workers; i++) {
        const char *name = server->plan->worker[i].name;
        add(table, SEGMENT_KIND_WORKER_PLAN, &server->worker_plan[i].segment, name, "", 0);
        add(table, SEGMENT_KIND_WORKER_BOARD, &server->worker_board[i].segment, name, name,
            pid_of_worker(server, i));
    }
    for (uint32_t i = 0; i < CONTROL_DEVICES_MAX; i++) {
        const struct board *board = server->outbox[i].segment.base;
        if (board != NULL) {
            add(table, SEGMENT_KIND_OUTBOX, &server->outbox[i].segment, board->name, "control",
                server->process[0].pid);
        }
    }
    add_rings(server, table);
    usher_each(&server->usher, add_lease, table);
    __atomic_store_n(&table->version, table->version + 1, __ATOMIC_RELEASE);
}
