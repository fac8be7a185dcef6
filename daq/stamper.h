/* Which time a frame is given: its arrival, its device's own, or one that is reconstructed from its number and the
 * nominal rate. Pure but for the counts; the clock is handed in.
 *
 * The interlock takes a sample's age from its stamp, and people rely on old samples being STALE. A device's clock
 * may stand still, jump, run backwards or lie. So, whatever it says:
 *
 *   1. No stamp is later than its frame's arrival: nothing looks fresher than it would with stamps: arrival.
 *   2. No stamp lies more than lag_max before the arrival. What is older is given that age (counted: too_old). The
 *      configuration has lag_max above every stale_ms of the stream, so that such a frame is STALE on arrival.
 *   3. What lies before an earlier frame of its device (backwards), is ahead of us by more than ahead_max, or is no
 *      number, makes nothing fresher: it is marked as older than a frame before it, which the interlock takes for a
 *      peak that counts but refreshes nothing, and gets the last good stamp at most. A clock that is ahead by up to
 *      ahead_max is taken for now (counted: ahead); what is old is noticed later by as much.
 *   4. Stamps never go back within a device's connection, so that a ring can be searched by time.
 *
 * A clock that counts from anywhere (free) is set against ours by the least delay seen: offset = min(arrival -
 * device) over the last 5 to 10 s (longer if lag_max is). The minimum is taken at once, so a clock that jumps ahead
 * or runs fast is delay 0 at the least (rule 1); it rises only when the window is over, so one that stands still,
 * runs slow or starts again from 0 looks old for 5 to 10 s, and one that goes on standing still always does: its
 * lag never falls below half a window, which is not below lag_max. What a free clock cannot tell: how old the very
 * first frame is, nor, once the window is over, that somebody plays an old recording to it from the device itself.
 * There it is no better than the arrival, and no worse.
 * A free counter of 32 bits that was not seen for a quarter of its turn may be any number of turns further: the
 * last turn that is not ahead of us is taken.
 *
 * Reconstructed stamps are the same with the frame's number for a clock and 1 / nominal_hz for its unit: they take
 * the jitter out and say nothing of a frame's age. Beyond lag_max they are set to the arrival (relocks), and
 * lag_max is below every stale_ms: frames that come in time are not made STALE by a rate that is declared a little
 * wrong.
 */
#ifndef DAQ_STAMPER_H
#define DAQ_STAMPER_H

#include <stdbool.h>

#include "net/plan.h"

#define STAMPER_HALF_NS UINT64_C(5000000000) /* half the window of the least delay, at least */

struct stamper {
    const struct rate_plan *plan;
    struct ring_rate *counts;
    uint64_t unit_q32;
    uint64_t fixed_offset_ns; /* TAI - device of a clock that is not free */
    uint64_t half_ns;
    uint64_t half_since_ns; /* TAI: since when the newer half of the window */
    bool started;
    uint64_t offset_ns[2]; /* least of arrival - device in the newer and the older half; modulo 2^64 */
    uint64_t newest_ns[2]; /* the newest time of the device in each */
    uint64_t counts_seen;  /* unwrapped */
    uint64_t arrived_ns;   /* TAI: of the last frame */
    uint64_t stamped_ns;   /* TAI: the last stamp */
};

struct stamp {
    uint64_t tai_ns; /* what the frame is given */
    uint64_t
        sampled_ns; /* what its intervals are measured by: the device's own time, or the arrival; 0: not known */
    bool old;       /* rule 3 */
    bool is_dated;  /* the device says when, */
    int64_t lag_ns; /* so long before the arrival, by its word: of a free clock, as far as it is known */
};

/* The plan must outlive it. utc_offset_s: TAI - UTC; counts: of the ring. */
void stamper_init(struct stamper *stamper, const struct rate_plan *plan, struct ring_rate *counts,
                  int64_t tai_minus_monotonic_ns, int32_t utc_offset_s);

/* The frame is long enough for its clock; number: its sender's, or a count of frames. */
struct stamp stamper_take(struct stamper *stamper, const uint8_t *frame, uint64_t number, uint64_t arrival_tai_ns);

/* The device was opened anew: stamps may go back. What is known of its clock stays: what it kept while it was not
 * connected is as old as it is. */
void stamper_reopened(struct stamper *stamper);

/* Bytes that a frame must have. */
static inline uint32_t stamper_needs(const struct rate_plan *plan)
{
    return plan->stamp == RING_STAMP_DEVICE ? plan->field.at_byte + plan->field.width_bytes : 0;
}

#endif
