#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/board.h"
#include "daq/recorder.h"
#include "ring/protocol.h"
#include "ring/segment.h"

/* Control's board among those that the server hands out; each says by its role what it is. */
static void find_control(struct recorder *r)
{
    struct protocol_reply reply;
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 0;
    int socket_fd = protocol_connect(r->plan->instance, &r->err);
    if (socket_fd < 0) {
        return;
    }
    int code = protocol_call(socket_fd, PROTOCOL_BOARDS, "", &reply, fds, &count, &r->err);
    for (unsigned i = 0; i < count; i++) {
        void *base = NULL;
        size_t bytes = 0;
        if (code == 0 && r->control == NULL &&
            segment_map(fds[i], false, sizeof(struct board), &base, &bytes, &r->err) == 0) {
            const struct board *board = base;
            bool is_it = bytes >= sizeof(struct control_board) && board->magic == BOARD_MAGIC &&
                         board->version == BOARD_LAYOUT_VERSION && board->role == BOARD_CONTROL;
            if (is_it) {
                r->control = base;
                r->control_base = base;
                r->control_bytes = bytes;
            } else {
                munmap(base, bytes);
            }
        }
        close(fds[i]);
    }
    close(socket_fd);
}

/* The ring that carries the condition's channel. */
static void find_channel(struct recorder *r)
{
    for (uint32_t i = 0; i < r->rings && r->watched == NULL; i++) {
        struct sluice_reader *reader = NULL;
        if (sluice_attach(&reader, r->plan->instance, r->ring[i].shown->name, SLUICE_NEWEST, r->err.text,
                          sizeof(r->err.text)) != 0) {
            continue;
        }
        for (uint32_t c = 0; c < sluice_channels(reader); c++) {
            struct sluice_channel channel;
            if (sluice_channel(reader, c, &channel) == 0 && strcmp(channel.name, r->plan->channel) == 0) {
                r->watched = reader;
                r->watched_channel = (int)c;
            }
        }
        if (r->watched != reader) {
            sluice_detach(reader);
        }
    }
}

void recorder_trigger_attach(struct recorder *r)
{
    if (r->plan->begins == RECORDER_ON_TRIP && r->control == NULL) {
        find_control(r);
        if (r->control != NULL && r->trips_seen == RECORDER_TRIPS_UNKNOWN) {
            r->trips_seen = __atomic_load_n(&r->control->trips, __ATOMIC_ACQUIRE);
        }
    }
    if (r->plan->begins == RECORDER_ON_CONDITION && r->watched == NULL) {
        find_channel(r);
    }
}

void recorder_trigger_detach(struct recorder *r)
{
    if (r->control_base != NULL) {
        munmap(r->control_base, r->control_bytes);
    }
    r->control = NULL;
    r->control_base = NULL;
    sluice_detach(r->watched);
    r->watched = NULL;
}

static bool tripped(struct recorder *r)
{
    if (r->control == NULL) {
        return false;
    }
    uint64_t trips = __atomic_load_n(&r->control->trips, __ATOMIC_ACQUIRE);
    bool come = trips != r->trips_seen;
    r->trips_seen = trips;
    return come;
}

/* It holds, or held since the last look. A value that is none is no reason to record. */
static bool condition_came(struct recorder *r)
{
    struct sluice_frame frame;
    bool come = false;
    while (r->watched != NULL && sluice_reader_next(r->watched, &frame) == 1) {
        double value = sluice_value(r->watched, (uint32_t)r->watched_channel, &frame);
        if (isnan(value) || !sluice_reader_valid(r->watched, &frame)) {
            continue;
        }
        come = come || (r->plan->has_above != 0 && value > r->plan->above) ||
               (r->plan->has_below != 0 && value < r->plan->below);
    }
    return come;
}

bool recorder_trigger_look(struct recorder *r)
{
    return r->plan->begins == RECORDER_ON_TRIP        ? tripped(r)
           : r->plan->begins == RECORDER_ON_CONDITION ? condition_came(r)
                                                      : false;
}
