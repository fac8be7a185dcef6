/* sluiced's state: every segment, descriptor, process and client of one instance. Single-threaded, but for the
 * usher, which has a thread and a lock of its own. Cold.
 *
 *   server_segments.c   creates and frees what is shared
 *   server_map.c        tells which segment is what
 *   server_clients.c    the Unix socket: boards; who attaches goes on to the usher (daq/usher.h)
 *   server_commands.c   who may command; one command at a time to control, and its answer; a trip before all
 *   server_events.c     what control has done, to the log and the audit log
 *   server_blackbox.c   what the black box needs
 *   server_observer.c   what the observer needs
 *   server_recorder.c   what recorders need, and are told
 *   server_watch.c      processes: start, watch, restart, drive outputs safe
 *   server.c            the order of it all, and the event loop
 */
#ifndef DAQ_SERVER_H
#define DAQ_SERVER_H

#include <sys/types.h>

#include "control/board.h"
#include "daq/arming_gate.h"
#include "daq/audit.h"
#include "daq/board.h"
#include "daq/command.h"
#include "daq/compile.h"
#include "daq/launch.h"
#include "daq/usher.h"

#define SERVER_CLIENTS_MAX 128u
#define SERVER_WATCHDOG_FD 9   /* of /dev/watchdog in control, if there is one */
#define SERVER_DEVICE_FD   10  /* first output device's descriptor number in a child */
#define SERVER_LEASES_FD   20  /* first polling thread's leases; further ones follow */
#define SERVER_RING_FD     64  /* first ring's */
#define SERVER_ORDERS_FD   128 /* first page of orders */
static_assert(SERVER_DEVICE_FD + CONTROL_DEVICES_MAX <= SERVER_LEASES_FD &&
                  SERVER_LEASES_FD + PLAN_THREADS_MAX <= SERVER_RING_FD &&
                  SERVER_RING_FD + CONTROL_RINGS_MAX <= SERVER_ORDERS_FD,
              "no two of a child's descriptors have the same number");

enum server_role {
    ROLE_CONTROL = 0,
    ROLE_WORKER = 1,
    ROLE_ACTUATOR = 2,
    ROLE_BLACK_BOX = 3,
    ROLE_OBSERVER = 4,
    ROLE_RECORDER = 5
};

struct server_process {
    enum server_role role;
    uint32_t index; /* of the worker, of the actuator's device, of the recorder */
    pid_t pid;      /* 0: not running */
    uint64_t started_ns;
    uint64_t start_at_ns; /* when to start it (again) */
    uint64_t last_beat;   /* heartbeat count when the silence began to be measured */
    uint64_t last_beat_ns;
    uint64_t restarts;
    uint64_t backoff_ns;
    bool killed;  /* by us for its silence, and not reaped yet */
    bool has_run; /* its heartbeat has been seen in this life */
};

struct server_client {
    int fd; /* -1: free place */
    pid_t pid;
    uid_t uid;
    struct server_command command; /* asked for and not yet answered; op 0: none */
    uint64_t ticket;               /* of the command under way; 0: not given yet */
    uint64_t deadline_ns;
};

struct server_recorder {
    struct shared board;
    struct shared mailbox;
    struct shared plan;
    uint64_t free_ns; /* monotonic: an order that is under way is given up then */
};

/* What was last seen and told of a ring's rate. */
struct server_rate {
    uint64_t position;
    uint64_t windows;
    uint32_t windows_off; /* in a row */
    uint32_t told;        /* a bit for each kind of stamp */
    bool is_off;          /* told */
};

struct server {
    struct server_plan *plan; /* the caller's; descriptors, clock and hash are filled in */
    char run_dir[256];
    int lock_fd;
    int listen_fd;
    int64_t tai_minus_monotonic_ns;
    struct shared board; /* ours */
    struct shared table;
    struct shared control_board;
    struct shared mailbox;
    struct shared journal;
    struct shared black_box_board;
    struct shared black_box_plan;
    struct shared observer_board; /* nothing with `watch: false` */
    struct shared measures;       /* the list of what is counted and measured, sealed */
    struct shared config;         /* the text, for the black box, recorders and clients */
    const char *config_text;      /* the caller's */
    size_t config_bytes;
    struct shared worker_plan[SERVER_WORKERS_MAX];
    struct shared worker_board[SERVER_WORKERS_MAX];
    struct shared ring[CONTROL_RINGS_MAX];
    struct shared orders[CONTROL_RINGS_MAX]; /* of each ring */
    struct server_recorder recorder[SERVER_RECORDERS_MAX];
    struct usher usher;
    int device_fd[CONTROL_DEVICES_MAX];
    struct shared outbox[CONTROL_DEVICES_MAX]; /* of each Modbus device */
    int watchdog_fd;                           /* -1: none */
    uint32_t safe_number;                      /* datagrams sent by us */
    struct server_process process[3 + SERVER_WORKERS_MAX + CONTROL_DEVICES_MAX + SERVER_RECORDERS_MAX];
    uint32_t processes;
    struct server_client client[SERVER_CLIENTS_MAX];
    struct audit audit;
    struct gate_system gate_system;
    bool (*black_box_ok)(const struct server *server); /* NULL: there is none */
    struct server_command last_bypass;                 /* that was given to control */
    uint64_t shown_events;                             /* of control's board */
    uint64_t shown_events_lost;
    uint64_t shown_trips;
    uint32_t shown_state;
    uint64_t rated_ns; /* when the rings' rates were last taken */
    struct server_rate rate[CONTROL_RINGS_MAX];
    uint64_t filled_ns; /* when the processes' memory was last measured */
    uint64_t tick_ns;   /* when the last round of the event loop began */
    bool no_descriptor; /* the last connection could not be taken: not before the next tick again */
    uint64_t clock_checked_ns;
    uint64_t trip_ticket; /* of the last trip: nothing else is posted before control has taken it */
    uint64_t trip_deadline_ns;
    bool failed; /* a child could not start at all: end with exit code 2 */
};

struct supervisor_board *server_board(struct server *server);
struct control_board *server_control_board(struct server *server);

/* Creates every segment, opens every output device (and sends it the safe state). 0 or -errno;
 * server_release_shared is fine after a failure. */
int server_create_shared(struct server *server, struct error *err);
void server_release_shared(struct server *server);

/* Its segments; nothing without `black_box` in the configuration. */
int server_create_black_box(struct server *server, struct error *err);
/* A segment with constant content, and a read-only descriptor of it; server_blackbox.c. */
int shared_create_constant(struct shared *shared, const char *name, const void *content, size_t bytes,
                           struct error *err);
int server_create_config(struct server *server, struct error *err);
/* The list of what is counted and measured, once the workers' boards are there. 0 or -errno. */
int server_create_measures(struct server *server, struct error *err);
/* What the process that speaks to a device in control's place is called. */
void server_actuator_name(uint32_t device, char name[RING_NAME_BYTES]);
void server_release_black_box(struct server *server);
void server_hand_black_box(struct server *server, struct launch *launch);
/* The same of the observer. */
int server_create_observer(struct server *server, struct error *err);
void server_hand_observer(struct server *server, struct launch *launch);
/* The same of recorders. */
int server_create_recorders(struct server *server, struct error *err);
void server_release_recorders(struct server *server);
void server_hand_recorder(struct server *server, uint32_t index, struct launch *launch);
/* It no longer records, whatever its board says. */
void server_recorder_died(struct server *server, uint32_t index);
/* Gives client->command to the recorder that it names. 0 or -errno. */
int server_record(struct server *server, struct server_client *client, struct error *err);
/* True: it has been carried out, or given up; *code and text are the answer. */
bool server_record_answered(struct server *server, struct server_client *client, int *code, char *text,
                            size_t bytes);
/* It runs, its directory can be written and has room: what GATE_BLACK_BOX asks. True if none is configured. */
bool server_black_box_ok(const struct server *server);

int server_listen(struct server *server, struct error *err);
void server_accept(struct server *server);
void server_serve(struct server *server, struct server_client *client);
void server_drop(struct server_client *client);
__attribute__((format(printf, 5, 6))) void server_reply(const struct server_client *client, int code,
                                                        const int *fds, unsigned count, const char *format, ...);

/* A command has come in. */
void server_command(struct server *server, struct server_client *client, enum authority_act act,
                    const struct protocol_request *request);
/* Gives commands to control and answers those it has carried out. True while one is under way. */
bool server_commands(struct server *server);

/* Trips, states and events of control's board that have not been told yet. */
void server_events(struct server *server);
/* A line of the audit log about something that nobody commanded. */
void server_audit(struct server *server, const char *what, uint64_t tai_ns, const char *text);
/* Control has taken the last bypass that it was given: who answers for it is shown from now on. */
void server_bypass_began(struct server *server, uint32_t rule, uint64_t duration_ns);
/* The control process has ended: its bypasses with it. */
void server_events_control_died(struct server *server, uint64_t tai_ns);

/* Drives every output safe through our own descriptors. */
void server_outputs_safe(struct server *server);
void server_start_due(struct server *server);
/* After SIGCHLD: who died, and what that means. */
void server_reap(struct server *server);
/* Heartbeats, the clock, what control has done, the arming gate. */
void server_look(struct server *server);
/* server_rates.c: now and then, the rings' rates. */
void server_look_at_rates(struct server *server, uint64_t now_ns);
void server_stop_all(struct server *server);
/* Brings the process and reader tables of our board up to date. */
void server_fill_board(struct server *server);
/* The same for its segment table. */
void server_fill_segments(struct server *server);

/* The whole life of a server; the text is the configuration's as loaded. Exit code. */
int server_run(struct server_plan *plan, const char *config_text, size_t config_bytes);

#endif
