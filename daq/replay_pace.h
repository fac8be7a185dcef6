/* When a frame of a recording is due, by the times that lie in it. Clocks are handed in.
 *
 * A time that goes back, or is further on than gap_max after the one before it, is not waited for: the frame is due
 * at once and the ones behind it are counted from there (counted: replay_jumps). So no recording can make a replay
 * hang, or pass at once.
 */
#ifndef DAQ_REPLAY_PACE_H
#define DAQ_REPLAY_PACE_H

#include <stdbool.h>

#include "net/plan.h"

struct replay_pace {
    const struct file_plan *plan;
    struct ring_rate *counts;
    uint64_t unit_q32;
    bool started;
    bool asked;         /* due_ns is of the frame that waits */
    uint64_t seen;      /* counts of the frame before */
    uint64_t passed_ns; /* of the recording, since the anchor */
    uint64_t anchor_ns; /* monotonic: when passed_ns was 0 */
    uint64_t due_ns;
};

void replay_pace_init(struct replay_pace *pace, const struct file_plan *plan, struct ring_rate *counts);

/* Whether the frame may be published; if not, pace->due_ns says when to ask again for the same one. It is long
 * enough for its time. */
bool replay_pace_is_due(struct replay_pace *pace, const uint8_t *frame, uint64_t monotonic_ns);

#endif
