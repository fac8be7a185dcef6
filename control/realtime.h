/* Making the calling thread real-time, and saying loudly what the system refuses. Cold. */
#ifndef CONTROL_REALTIME_H
#define CONTROL_REALTIME_H

#include <stdbool.h>

#include "ring/board.h"
#include "ring/thread.h"

/* Call it when everything is mapped: a limit on locked memory then refuses the lock and not a later map. Pins,
 * locks memory, sets the scheduling policy and the timer slack (1 ns) as planned. What the system refuses is
 * written on the board and to standard error, with what it costs; the thread then runs without it. What was
 * obtained stands in board.core, .policy, .priority, .locked. */
void realtime_enter(const struct thread_plan *plan, struct board *board);

/* What a thread obtained. */
struct realtime_thread {
    int32_t core; /* -1: not pinned */
    int32_t policy;
    int32_t priority;
};

/* The same for a further thread of a process that calls realtime_enter in its first one later: what concerns the
 * whole process, and a refusal that the first one meets as well, are left to that. One thread at a time: the board
 * is everyone's. */
void realtime_enter_thread(const struct thread_plan *plan, struct board *board, struct realtime_thread *got);

/* True if a thread that never sleeps would be stopped by RT throttling (sched_rt_runtime_us is not -1). */
bool realtime_is_throttled(void);

#endif
