/* The polling threads of one process. The first is the process's own; each further one is started, pinned,
 * scheduled and sealed before the first seals itself, and waits until that one gives the word. A thread has
 * sources, rings, a descriptor for its leases of its own, so that threads share nothing but the words here, each of
 * which has one writer:
 *
 *   word                      writer           reader
 *   order                     the first        the others
 *   thread[i].state           thread i         the first
 *   board.thread[i]           thread i         the first (its heartbeat), and whoever maps the board
 *   board.common's heartbeat  the first        sluiced
 *
 * The process's heartbeat goes on only when every thread has come round since it last did, and its time is that of
 * the thread which came round longest ago: one thread that hangs is a silent process, and killed as such. No thread
 * ends by itself: one that does ends the process.
 */
#ifndef DAQ_POLL_THREADS_H
#define DAQ_POLL_THREADS_H

#include <pthread.h>
#include <stdalign.h>

#include "control/seal.h"
#include "daq/worker_board.h"
#include "ring/error.h"

enum poll_order { POLL_WAIT = 0, POLL_GO = 1, POLL_STOP = 2 };
enum poll_state { POLL_STARTS = 0, POLL_READY = 1, POLL_FAILED = 2, POLL_DONE = 3 };

/* What a thread does. `index`: which, from 0 */
struct poll_work {
    /* In the thread itself, before its seal. 0 or -errno. Not called for the first. */
    int (*begin)(void *context, uint32_t index, struct error *err);
    /* Until poll_threads_stopping, and then what has been received already. */
    void (*run)(void *context, uint32_t index);
};

struct poll_threads;

struct poll_thread {
    alignas(128) struct poll_threads *all;
    uint32_t index;
    uint32_t state; /* enum poll_state */
    enum seal_profile profile;
    struct error err; /* why it is POLL_FAILED */
};

struct poll_threads {
    const struct worker_plan *plan;
    struct worker_board *board;
    const struct poll_work *work;
    void *context;
    uint32_t count;
    uint64_t seen[PLAN_THREADS_MAX]; /* the first's: heartbeats when the process's last went on */
    struct poll_thread thread[PLAN_THREADS_MAX];
    alignas(128) uint32_t order; /* enum poll_order */
};

/* Fills the struct and clears the threads' parts of the board. Starts nothing. */
void poll_threads_init(struct poll_threads *threads, const struct worker_plan *plan, struct worker_board *board);

/* Starts all but the first, one after the other; when it returns each is ready and waits. 0 or -errno. Cold. */
int poll_threads_start(struct poll_threads *threads, enum seal_profile profile, const struct poll_work *work,
                       void *context, struct error *err);

/* The first thread, sealed itself now: all begin. */
void poll_threads_go(struct poll_threads *threads);

/* The first thread, at the end: the others stop. poll_threads_join waits until each has taken what it had. */
void poll_threads_stop(struct poll_threads *threads);
void poll_threads_join(struct poll_threads *threads);

/* Asked by the others, once a round. */
static inline bool poll_threads_stopping(const struct poll_threads *threads)
{
    return __atomic_load_n(&threads->order, __ATOMIC_ACQUIRE) == POLL_STOP;
}

/* True if every other thread has come round since this last was true; *oldest_ns becomes the time of the one that
 * did so longest ago, if that is earlier. */
bool poll_threads_all_round(struct poll_threads *threads, uint64_t *oldest_ns);

static inline void poll_threads_beat_board(struct board *board, bool busy, uint64_t monotonic_ns)
{
    if (busy) {
        board_beat_busy(board, monotonic_ns);
    } else {
        board_beat(board, monotonic_ns);
    }
}

/* A thread's round is over. */
static inline void poll_threads_beat(struct poll_threads *threads, uint32_t index, uint64_t monotonic_ns)
{
    bool busy = threads->plan->thread.idle != IDLE_DUTY; /* with `wait` it sleeps for much less than a stall is */
    if (__builtin_expect(threads->count > 1, 0)) {
        struct worker_thread *part = &threads->board->thread[index];
        if (busy) {
            stall_look(&part->stalls, part->heartbeat_ns, monotonic_ns);
        }
        __atomic_store_n(&part->heartbeat_ns, monotonic_ns, __ATOMIC_RELAXED);
        __atomic_store_n(&part->heartbeat, part->heartbeat + 1, __ATOMIC_RELEASE);
        if (index != 0 || !poll_threads_all_round(threads, &monotonic_ns)) {
            return;
        }
    }
    poll_threads_beat_board(&threads->board->common, busy, monotonic_ns);
}

#endif
