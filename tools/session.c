#include "tools/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ring/segment.h"

#define TRIES 1000u /* a millisecond each */

int session_instance(const char *given, char name[RING_NAME_BYTES], struct error *err)
{
    return protocol_choose(given, name, err);
}

static int take_segment(struct session *s, int fd, struct error *err)
{
    void *base;
    size_t bytes;
    int code = segment_map(fd, false, sizeof(uint64_t), &base, &bytes, err);
    if (code != 0) {
        return code;
    }
    s->map[s->maps] = base;
    s->map_bytes[s->maps++] = bytes;
    uint64_t magic = *(const uint64_t *)base;
    const struct board *board = base;
    if (magic == RING_MAGIC && s->rings < CONTROL_RINGS_MAX) {
        return ring_attach(&s->ring[s->rings++], base, bytes, err);
    }
    if (magic == MEASURES_MAGIC) {
        free(s->measures);
        return measures_copy(&s->measures, base, bytes, err);
    }
    if (magic == CONTROL_TABLE_MAGIC && bytes >= sizeof(*s->table)) {
        s->table = base;
    } else if (magic == BOARD_MAGIC && board->role == BOARD_SUPERVISOR && bytes >= sizeof(*s->supervisor)) {
        s->supervisor = base;
    } else if (magic == BOARD_MAGIC && board->role == BOARD_CONTROL && bytes >= sizeof(*s->control)) {
        s->control = base;
    } else if (magic == BOARD_MAGIC && board->role == BOARD_BLACK_BOX && bytes >= sizeof(*s->black_box)) {
        s->black_box = base;
    } else if (magic == BOARD_MAGIC && board->role == BOARD_OBSERVER && bytes >= sizeof(*s->observer)) {
        s->observer = base;
    } else if (magic == BOARD_MAGIC && board->role == BOARD_RECORDER && bytes >= sizeof(*s->recorder[0]) &&
               s->recorders < SESSION_RECORDERS_MAX) {
        s->recorder[s->recorders++] = base;
    } else if (magic == BOARD_MAGIC && board->role == BOARD_WORKER && bytes >= sizeof(*s->worker[0]) &&
               s->workers < SESSION_WORKERS_MAX) {
        s->worker_bytes[s->workers] = bytes;
        s->worker[s->workers++] = base;
    } else if (magic == BOARD_MAGIC && board->role == BOARD_ACTUATOR && bytes >= sizeof(struct outbox) &&
               s->actuators < CONTROL_DEVICES_MAX) {
        s->outbox[s->actuators++] = base;
    }
    return 0;
}

static int fetch(struct session *session, bool map, struct error *err)
{
    struct protocol_reply reply;
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 0;
    int code = protocol_call(session->socket_fd, PROTOCOL_BOARDS, NULL, &reply, fds, &count, err);
    for (unsigned i = 0; i < count; i++) {
        if (map && code == 0) {
            code = take_segment(session, fds[i], err);
        }
        close(fds[i]);
    }
    return code;
}

int session_open(struct session *session, const char *instance, struct error *err)
{
    *session = (struct session){.socket_fd = -1};
    snprintf(session->instance, sizeof(session->instance), "%s", instance);
    session->socket_fd = protocol_connect(instance, err);
    if (session->socket_fd < 0) {
        return session->socket_fd;
    }
    int code = fetch(session, true, err);
    if (code == 0 && (session->supervisor == NULL || session->table == NULL || session->control == NULL ||
                      session->measures == NULL || session->table->version != CONTROL_TABLE_VERSION ||
                      session->supervisor->common.version != BOARD_LAYOUT_VERSION)) {
        code = error_set(err, -EPROTO,
                         "the server shows boards of another release; use the same release on both "
                         "sides");
    }
    return code;
}

int session_refresh(struct session *session, struct error *err)
{
    return fetch(session, false, err);
}

bool session_again(uint32_t *tries)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    if (*tries > 0) {
        nanosleep(&pause, NULL);
    }
    return (*tries)++ < TRIES;
}

int session_control_board(const struct session *session, struct control_board *copy, struct error *err)
{
    uint32_t tries = 0;
    while (session_again(&tries)) {
        if (control_board_read(session->control, copy) == 0) {
            return 0;
        }
    }
    return error_set(
        err, -EAGAIN,
        "expected a whole report of the control process within a second, it stands in the middle of one: "
        "it has died or is stopped, the server will say so; try again");
}

void session_close(struct session *session)
{
    for (uint32_t i = 0; i < session->maps; i++) {
        munmap(session->map[i], session->map_bytes[i]);
    }
    if (session->socket_fd >= 0) {
        close(session->socket_fd);
    }
    free(session->measures);
    *session = (struct session){.socket_fd = -1};
}
