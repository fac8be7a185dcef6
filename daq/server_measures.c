/* The list of what this server counts and measures of itself (ring/measures.h). Cold. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/outbox.h"
#include "daq/server.h"
#include "daq/worker_hops.h"
#include "ring/measures.h"

struct list {
    struct measures *measures;
    bool full;
};

static void add(struct list *list, const char *owner, const char *what, const char *board, size_t at,
                enum measures_kind kind, uint32_t bytes)
{
    list->full = !measures_add(list->measures, owner, what, board, at, kind, bytes) || list->full;
}

static void add_histogram(struct list *list, const char *owner, const char *what, const char *board, size_t at,
                          uint64_t period_ns)
{
    add(list, owner, what, board, at, MEASURES_HISTOGRAM, 0);
    if (!list->full) {
        list->measures->entry[list->measures->count - 1].period_ns = period_ns;
    }
}

#define OF_CONTROL(list, member, kind)                                                                             \
    add(list, "control", #member, "control", offsetof(struct control_board, member), kind,                         \
        sizeof(((struct control_board *)0)->member))

static void add_control(struct list *list)
{
    static const enum engine_state_code codes[] = {ENGINE_INIT,  ENGINE_TRIPPED, ENGINE_READY, ENGINE_ARMING,
                                                   ENGINE_ARMED, ENGINE_TEST,    ENGINE_FAULT};
    OF_CONTROL(list, state, MEASURES_STATE);
    for (uint32_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        list->full = !measures_add_word(list->measures, codes[i], engine_state_name(codes[i])) || list->full;
    }
    OF_CONTROL(list, energised, MEASURES_GAUGE);
    OF_CONTROL(list, trips, MEASURES_COUNTER);
    OF_CONTROL(list, steps, MEASURES_COUNTER);
    OF_CONTROL(list, overruns, MEASURES_COUNTER);
    OF_CONTROL(list, misses, MEASURES_COUNTER);
    OF_CONTROL(list, worst_gap_ns, MEASURES_GAUGE);
    OF_CONTROL(list, cause_count, MEASURES_GAUGE);
    OF_CONTROL(list, latched, MEASURES_GAUGE);
    OF_CONTROL(list, held, MEASURES_GAUGE);
    OF_CONTROL(list, bypasses, MEASURES_GAUGE);
    OF_CONTROL(list, gate_missing, MEASURES_GAUGE);
    OF_CONTROL(list, heartbeats, MEASURES_COUNTER);
    for (uint32_t i = 0; i < HOPS; i++) {
        add_histogram(list, "control", control_hop_name(i), "control",
                      offsetof(struct control_board, hop) + i * sizeof(struct histogram), 0);
    }
}

static void add_actuators(struct list *list, const struct server *server)
{
    char name[RING_NAME_BYTES];
    for (uint32_t i = 0; i < server->plan->table.devices; i++) {
        if (server->plan->table.device[i].kind == DEVICE_MODBUS) {
            server_actuator_name(i, name);
            add_histogram(list, name, "taken", name, offsetof(struct outbox, taken), 0);
            add_histogram(list, name, "confirmed", name, offsetof(struct outbox, confirmed), 0);
        }
    }
}

/* "worker-0.round"; of several threads "worker-0.thread-1.round". */
static void add_threads(struct list *list, const struct worker_board *board)
{
    char owner[MEASURES_NAME_BYTES - 8];
    for (uint32_t t = 0; t < board->hops_threads; t++) {
        size_t at = board->hops_at + t * sizeof(struct worker_thread_hops);
        if (board->hops_threads > 1) {
            snprintf(owner, sizeof(owner), "%s.thread-%u", board->common.name, t);
        } else {
            snprintf(owner, sizeof(owner), "%s", board->common.name);
        }
        add_histogram(list, owner, "round", board->common.name, at + offsetof(struct worker_thread_hops, round), 0);
        add_histogram(list, owner, "busy", board->common.name, at + offsetof(struct worker_thread_hops, busy), 0);
    }
}

static void add_sources(struct list *list, const struct worker_board *board)
{
    for (uint32_t i = 0; i < board->sources; i++) {
        const struct worker_source_place *place = &board->source[i];
        if (place->is_dated != 0) {
            add_histogram(list, place->ring, "sent_to_arrival", board->common.name,
                          place->hops_at + offsetof(struct ring_hops, sent_to_arrival), place->period_ns);
        }
        add_histogram(list, place->ring, "arrival_to_publish", board->common.name,
                      place->hops_at + offsetof(struct ring_hops, arrival_to_publish), place->period_ns);
    }
}

static void add_readers(struct list *list, const struct server *server)
{
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        add_histogram(list, server->plan->ring[i].name, "reader_lag", "sluiced",
                      offsetof(struct supervisor_board, reader_lag) + i * sizeof(struct histogram), 0);
    }
}

static void fill(struct list *list, const struct server *server)
{
    add_control(list);
    add_actuators(list, server);
    for (uint32_t w = 0; w < server->plan->workers; w++) {
        add_threads(list, server->worker_board[w].segment.base);
    }
    for (uint32_t w = 0; w < server->plan->workers; w++) {
        add_sources(list, server->worker_board[w].segment.base);
    }
    add_readers(list, server);
}

int server_create_measures(struct server *server, struct error *err)
{
    struct list list = {.measures = calloc(1, sizeof(struct measures))};
    if (list.measures == NULL) {
        return error_set(err, -ENOMEM, "no memory for the list of measures");
    }
    list.measures->magic = MEASURES_MAGIC;
    list.measures->version = MEASURES_VERSION;
    snprintf(list.measures->instance, sizeof(list.measures->instance), "%s", server->plan->instance);
    fill(&list, server);
    int code = list.full ? error_set(err, -E2BIG, "more is measured than the list has room for (%u)", MEASURES_MAX)
                         : shared_create_constant(&server->measures, "sluice-measures", list.measures,
                                                  measures_bytes(list.measures), err);
    free(list.measures);
    return code;
}
