#include "tools/hops.h"

#include <stdio.h>

static const char *const control_meaning[HOPS] = {
    [HOP_ARRIVAL_TO_SEEN] = "from a frame's stamp until control began the cycle that took it",
    [HOP_ARRIVAL_TO_DECIDED] = "from a frame's stamp until the interlock had decided on it",
    [HOP_ARRIVAL_TO_OUTPUT] = "from a frame's stamp until the outputs that it changed, or that tell of it, were "
                              "handed to the system",
    [HOP_LOOP] = "from one cycle of control to the next",
    [HOP_PUBLISH_TO_SEEN] = "from when a frame became visible in its ring until control began the cycle that took "
                            "it; of a ring's newest frame only",
    [HOP_SEEN_TO_DECIDED] =
        "from the beginning of the cycle that took a frame until the interlock had decided on it",
    [HOP_DECIDED_TO_OUTPUT] = "from a decision until the outputs were handed to the system",
    [HOP_BUSY] = "a cycle of control that found a frame or a command, without the idling",
};

struct list {
    struct hop *hop;
    uint32_t count, max;
};

/* NULL: there is no place for it any more. */
static struct hop *add(struct list *list, const char *owner, const char *what, const char *meaning,
                       const struct histogram *histogram, uint64_t period_ns)
{
    if (list->count >= list->max) {
        return NULL;
    }
    struct hop *hop = &list->hop[list->count++];
    *hop = (struct hop){.meaning = meaning, .histogram = histogram, .period_ns = period_ns};
    snprintf(hop->name, sizeof(hop->name), "%s.%s", owner, what);
    return hop;
}

/* A name that another process wrote has its end here. */
static const char *name_of(const char *from, char name[RING_NAME_BYTES])
{
    snprintf(name, RING_NAME_BYTES, "%.*s", (int)RING_NAME_BYTES - 1, from);
    return name;
}

/* The loops of control and of workers sleep for a while, not until a time: they have no schedule that a long round
 * could have missed. */
static void add_control(struct list *list, const struct session *s)
{
    for (uint32_t i = 0; i < HOPS; i++) {
        add(list, "control", control_hop_name(i), control_meaning[i], &s->control->hop[i], 0);
    }
}

static void add_actuators(struct list *list, const struct session *s)
{
    char name[RING_NAME_BYTES];
    for (uint32_t i = 0; i < s->actuators; i++) {
        const struct outbox *outbox = s->outbox[i];
        name_of(outbox->common.name, name);
        add(list, name, "taken", "from a command until the actuator looked at it for the first time",
            &outbox->taken, 0);
        add(list, name, "confirmed", "from a command that changed lines until the device had confirmed them",
            &outbox->confirmed, 0);
    }
}

const struct worker_thread_hops *hops_of_thread(const struct session *session, uint32_t worker, uint32_t thread)
{
    const struct worker_board *board = session->worker[worker];
    size_t at = worker_thread_hops_at(board, session->worker_bytes[worker], thread);
    return at != 0 ? (const struct worker_thread_hops *)(const void *)((const uint8_t *)board + at) : NULL;
}

/* "worker-0.round"; of several threads "worker-0.thread-1.round". */
static void add_threads(struct list *list, const struct session *s, uint32_t worker)
{
    const struct worker_board *board = s->worker[worker];
    char name[RING_NAME_BYTES];
    char owner[HOP_NAME_BYTES - 8];
    name_of(board->common.name, name);
    for (uint32_t t = 0; t < board->hops_threads && t < PLAN_THREADS_MAX; t++) {
        const struct worker_thread_hops *hops = hops_of_thread(s, worker, t);
        if (hops == NULL) {
            continue;
        }
        if (board->hops_threads > 1) {
            snprintf(owner, sizeof(owner), "%s.thread-%u", name, t);
        } else {
            snprintf(owner, sizeof(owner), "%s", name);
        }
        add(list, owner, "round", "from one round of the thread to the next, with what it waited", &hops->round, 0);
        add(list, owner, "busy", "a round of the thread that found something to do, without what it waited",
            &hops->busy, 0);
    }
}

static void add_source(struct list *list, const struct session *s, uint32_t worker, uint32_t source)
{
    const struct worker_board *board = s->worker[worker];
    const struct worker_source_place *place = &board->source[source];
    bool is_dated;
    size_t at = worker_source_hops_at(board, s->worker_bytes[worker], source, &is_dated);
    char name[RING_NAME_BYTES];
    if (at == 0) {
        return;
    }
    const struct ring_hops *hops = (const struct ring_hops *)(const void *)((const uint8_t *)board + at);
    name_of(place->ring, name);
    if (is_dated) {
        struct hop *hop =
            add(list, name, "sent_to_arrival",
                "from the stamp of a frame's sender or device, or from when its instrument was asked, "
                "until the worker took it over",
                &hops->sent_to_arrival, place->period_ns);
        if (hop != NULL) {
            hop->apart = hops;
        }
    }
    add(list, name, "arrival_to_publish", "from when the worker took a frame over until it was visible in its ring",
        &hops->arrival_to_publish, place->period_ns);
}

static void add_readers(struct list *list, const struct session *s)
{
    char name[RING_NAME_BYTES];
    for (uint32_t i = 0; i < s->rings && i < SUPERVISOR_RINGS_MAX; i++) {
        const struct histogram *lag = &s->supervisor->reader_lag[i];
        if (ring_count_read(&lag->count) > 0) {
            name_of(s->ring[i].header->identity.name, name);
            add(list, name, "reader_lag",
                "for how long the oldest frame that a reader has not released has lain in the ring: every reader, "
                "looked at every 10 ms",
                lag, 0);
        }
    }
}

uint32_t hops_list(const struct session *session, struct hop hop[], uint32_t max)
{
    struct list list = {.hop = hop, .max = max};
    add_control(&list, session);
    add_actuators(&list, session);
    for (uint32_t w = 0; w < session->workers; w++) {
        add_threads(&list, session, w);
    }
    for (uint32_t w = 0; w < session->workers; w++) {
        for (uint32_t i = 0; i < session->worker[w]->sources && i < PLAN_SOURCES_MAX; i++) {
            add_source(&list, session, w, i);
        }
    }
    add_readers(&list, session);
    return list.count;
}
