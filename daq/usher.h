/* The usher: shows readers to their rings and out again. A thread of sluiced's own, so that a reader that dies
 * frees its gate at once and a sleeping one is woken whatever else the supervisor is doing. It owns the readers'
 * sockets; the main thread hands them over when a client asks to attach. Cold: the writers never wait for it.
 *
 *   usher.c        start and stop, attach, gates, what the board shows
 *   usher_lag.c    how far behind the readers are
 *   usher_wake.c   the thread: wakes sleepers, notes who has gone, demoted or has to be evicted
 */
#ifndef DAQ_USHER_H
#define DAQ_USHER_H

#include <pthread.h>
#include <sys/types.h>

#include "daq/board.h"
#include "daq/compile.h"
#include "ring/protocol.h"
#include "ring/ring.h"

/* A segment and the read-only descriptor of it that others are given. */
struct shared {
    struct segment segment;
    int read_only_fd;
};

/* See struct supervisor_reader. */
struct usher_lag {
    uint64_t frames;
    uint64_t frames_max;
    uint64_t ns;
    uint64_t ns_max;
};

struct usher_reader {
    int fd; /* -1: free place */
    pid_t pid;
    uid_t uid;
    uint32_t ring;
    struct shared lease;
    uint64_t generation; /* of its gate; 0: an observer */
    uint32_t gate;
    bool waiting;
    uint64_t wanted;         /* position it waits for */
    bool demoted;            /* has been noted */
    uint64_t stuck_since_ns; /* monotonic; when its position was last seen to move after the demotion */
    uint64_t stuck_position;
    struct usher_lag lag;
};

struct usher_ring {
    const struct ring_plan *plan;
    struct ring_header *header; /* we write nothing there */
    struct ring_view view;
    struct ring_orders *orders;
    int ring_fd;     /* read-only */
    uint32_t line;   /* over which its writer gets leases: usher_line */
    uint32_t source; /* which of the sources of that thread writes it */
    bool armed;      /* its writer will ring the bell after its next publish */
};

#define USHER_BELL UINT32_MAX /* in place of a reader's index, in epoll */
#define USHER_STOP (UINT32_MAX - 1)

/* Each polling thread of a worker has its own line, so that no thread handles what is another's. */
#define USHER_LINES_MAX (SERVER_WORKERS_MAX * PLAN_THREADS_MAX)

static inline uint32_t usher_line(uint32_t worker, uint32_t thread)
{
    return worker * PLAN_THREADS_MAX + thread;
}

struct usher {
    pthread_mutex_t turn; /* whoever waits for the lock holds it: nobody overtakes */
    pthread_mutex_t lock; /* of everything below */
    pthread_t thread;
    bool running;
    int epoll_fd;
    int bell_fd;                  /* eventfd: writers ring it */
    int stop_fd;                  /* eventfd */
    int line_fd[USHER_LINES_MAX]; /* where a polling thread's leases are sent; -1: nowhere */
    uint32_t rings;
    struct usher_ring ring[CONTROL_RINGS_MAX];
    uint32_t readers_max;
    struct usher_reader *reader; /* readers_max of them */
    uint64_t generation;         /* last one given */
    uint64_t lags_looked_ns;     /* monotonic */
    uint64_t told_since_ns;      /* monotonic; in this second .. */
    uint32_t told;               /* .. so many observers that came or left were put into the log, */
    uint32_t untold;             /* .. so many were not */
    struct supervisor_board *board;
    int64_t tai_minus_monotonic_ns;
};

#define USHER_TOLD_IN_S 10u

/* Tells the log how many came and left without being told by name. With the lock. */
void usher_tell_rest(struct usher *usher, uint64_t now_ns);

/* Everything but the rings, which are added one by one before the thread starts. 0 or -errno. */
int usher_init(struct usher *usher, uint32_t readers_max, struct supervisor_board *board,
               int64_t tai_minus_monotonic_ns, struct error *err);
void usher_add_ring(struct usher *usher, const struct ring_plan *plan, const struct shared *ring,
                    const struct shared *orders, uint32_t line, uint32_t source);
int usher_start(struct usher *usher, struct error *err);

/* Ends the thread and drops every reader; fine after a failure or on a zeroed struct. */
void usher_stop(struct usher *usher);

/* Answers an ATTACH or GATE request. True: the client is a reader now, and its socket the usher's. Any thread. */
bool usher_attach(struct usher *usher, int fd, pid_t pid, uid_t uid, const struct protocol_request *request);

/* The end of a new socket that the thread of a worker about to start is to be given; the leases that stand lie in
 * it already. -errno. The caller closes it. Main thread. */
int usher_leases_for(struct usher *usher, uint32_t line, struct error *err);

/* Brings the readers of the board up to date. Main thread. */
void usher_fill(struct usher *usher);

/* Visits every reader, with the name of its ring. Main thread. */
void usher_each(struct usher *usher,
                void (*visit)(void *argument, const char *ring, const struct usher_reader *reader), void *argument);

/* A mutex goes to whoever comes first, so that the thread, when readers keep it busy, would leave the main thread
 * waiting for round after round, and with it the outputs of a control that died. This one waits for one round. */
void usher_lock(struct usher *usher);
void usher_unlock(struct usher *usher);

/* For usher_wake.c; the lock is held. */
void usher_drop(struct usher *usher, struct usher_reader *reader);
uint64_t usher_lost(const struct usher *usher, const struct usher_reader *reader);
void usher_note(struct usher *usher, const struct usher_reader *reader, uint32_t event, uint32_t reason);
void *usher_main(void *argument);

/* Looks how far behind the readers are, if that is due. How many there are. */
uint32_t usher_look_at_lags(struct usher *usher, uint64_t monotonic_ns);

/* One small segment with its read-only descriptor. */
int shared_create(struct shared *shared, const char *name, size_t bytes, struct error *err);
void shared_destroy(struct shared *shared);

#endif
