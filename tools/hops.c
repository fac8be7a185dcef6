#include "tools/hops.h"

#include <stdio.h>
#include <string.h>

#define SENT_TO_ARRIVAL ".sent_to_arrival"
#define READER_LAG      ".reader_lag"

/* What an entry's last word means; the names before it say whose. */
static const struct {
    const char *what;
    const char *meaning;
} meanings[] = {
    {"control.arrival_to_seen", "from a frame's stamp until control began the cycle that took it"},
    {"control.arrival_to_decided", "from a frame's stamp until the interlock had decided on it"},
    {"control.arrival_to_output",
     "from a frame's stamp until the outputs that it changed, or that tell of it, were "
     "handed to the system"},
    {"control.loop", "from one cycle of control to the next"},
    {"control.publish_to_seen",
     "from when a frame became visible in its ring until control began the cycle that took "
     "it; of a ring's newest frame only"},
    {"control.seen_to_decided",
     "from the beginning of the cycle that took a frame until the interlock had decided on it"},
    {"control.decided_to_output", "from a decision until the outputs were handed to the system"},
    {"control.busy", "a cycle of control that found a frame or a command, without the idling"},
    {".taken", "from a command until the actuator looked at it for the first time"},
    {".confirmed", "from a command that changed lines until the device had confirmed them"},
    {".round", "from one round of the thread to the next, with what it waited"},
    {".busy", "a round of the thread that found something to do, without what it waited"},
    {SENT_TO_ARRIVAL,
     "from the stamp of a frame's sender or device, or from when its instrument was asked, until the "
     "worker took it over"},
    {".arrival_to_publish", "from when the worker took a frame over until it was visible in its ring"},
    {READER_LAG, "for how long the oldest frame that a reader has not released has lain in the ring: every reader, "
                 "looked at every 10 ms"},
};

static bool ends_in(const char *name, const char *what)
{
    size_t n = strlen(name);
    size_t m = strlen(what);
    return n >= m && strcmp(name + n - m, what) == 0;
}

static const char *meaning_of(const char *name)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (ends_in(name, meanings[i].what)) {
            return meanings[i].meaning;
        }
    }
    return "";
}

const struct worker_thread_hops *hops_of_thread(const struct session *session, uint32_t worker, uint32_t thread)
{
    const struct worker_board *board = session->worker[worker];
    size_t at = worker_thread_hops_at(board, session->worker_bytes[worker], thread);
    return at != 0 ? (const struct worker_thread_hops *)(const void *)((const uint8_t *)board + at) : NULL;
}

uint32_t hops_list(const struct session *session, struct hop hop[], uint32_t max)
{
    const struct measures *measures = session->measures;
    uint32_t count = 0;
    for (uint32_t i = 0; i < measures->count && count < max; i++) {
        const struct measures_entry *entry = &measures->entry[i];
        const void *place = measures_find(entry, session->map, session->map_bytes, session->maps);
        if (entry->kind != MEASURES_HISTOGRAM || place == NULL ||
            (ends_in(entry->name, READER_LAG) && measures_value(entry, place) == 0)) {
            continue; /* no number of a hop; or a ring that nobody has read */
        }
        hop[count] =
            (struct hop){.meaning = meaning_of(entry->name), .histogram = place, .period_ns = entry->period_ns};
        snprintf(hop[count].name, sizeof(hop[count].name), "%s", entry->name);
        if (ends_in(entry->name, SENT_TO_ARRIVAL)) {
            hop[count].apart =
                (const struct ring_hops *)(const void *)((const uint8_t *)place -
                                                         offsetof(struct ring_hops, sent_to_arrival));
        }
        count++;
    }
    return count;
}
