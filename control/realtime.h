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

/* True if a thread that never sleeps would be stopped by RT throttling (sched_rt_runtime_us is not -1). */
bool realtime_is_throttled(void);

#endif
