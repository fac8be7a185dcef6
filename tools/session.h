/* A tool's view of a running server: every board, table and ring mapped read-only. Cold. */
#ifndef TOOLS_SESSION_H
#define TOOLS_SESSION_H

#include "control/board.h"
#include "control/outbox.h"
#include "daq/blackbox.h"
#include "daq/board.h"
#include "daq/observer.h"
#include "daq/recorder_plan.h"
#include "daq/worker_board.h"
#include "ring/measures.h"
#include "ring/protocol.h"
#include "ring/ring.h"

#define SESSION_WORKERS_MAX   8u
#define SESSION_RECORDERS_MAX 4u

/* Exit codes of every command. */
enum { EXIT_DONE = 0, EXIT_NOT_SO = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

struct session {
    char instance[RING_NAME_BYTES];
    int socket_fd;
    const struct supervisor_board *supervisor;
    const struct control_table *table;
    const struct control_board *control;
    const struct blackbox_board *black_box; /* NULL: there is none */
    const struct observer_board *observer;  /* NULL: there is none */
    struct measures *measures;              /* ours */
    const struct recorder_board *recorder[SESSION_RECORDERS_MAX];
    uint32_t recorders;
    const struct worker_board *worker[SESSION_WORKERS_MAX];
    size_t worker_bytes[SESSION_WORKERS_MAX];         /* of its segment: its histograms lie behind the struct */
    const struct outbox *outbox[CONTROL_DEVICES_MAX]; /* of each actuator */
    struct ring_view ring[CONTROL_RINGS_MAX];
    uint32_t workers;
    uint32_t actuators;
    uint32_t rings;
    void *map[PROTOCOL_FDS_MAX];
    size_t map_bytes[PROTOCOL_FDS_MAX];
    uint32_t maps;
};

/* The instance to talk to: `given`, or the only one that runs. 0, or -ENOENT / -E2BIG with the names in err. */
int session_instance(const char *given, char name[RING_NAME_BYTES], struct error *err);

/* Connects and maps. 0 or -errno. session_close is fine after a failure. */
int session_open(struct session *session, const char *instance, struct error *err);

/* Asks the server to bring its process and reader tables up to date. */
int session_refresh(struct session *session, struct error *err);

/* A board's writer is an ordinary thread, which the kernel may put off in the middle of its writing. For a copy
 * that was not whole: waits a millisecond (not before the first try, with *tries 0) and counts. False: a second of
 * tries is over, which a writer that lives does not need. */
bool session_again(uint32_t *tries);

/* A consistent copy of control's board. 0, or -EAGAIN with words: control stands in the middle of its writing. */
int session_control_board(const struct session *session, struct control_board *copy, struct error *err);
void session_close(struct session *session);

#endif
