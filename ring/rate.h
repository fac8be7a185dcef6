/* How regularly one stream's frames come, and what their stamps were worth. Single writer (the ring's writer); read
 * by anyone. What belongs to a window is written when the window is over, between two changes of `windows`, so that
 * counting costs the writer's readers no cache line; the counts are written as they happen.
 */
#ifndef RING_RATE_H
#define RING_RATE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct ring_rate {
    uint64_t windows; /* odd: a window is being written; else twice the windows so far */
    /* The last whole window. */
    uint64_t window_ns; /* how long it was; 0: none since the device was opened, or it is closed */
    uint64_t frames;
    uint64_t intervals; /* between frames, each in the window in which it ended */
    uint64_t
        arrived_ns; /* from the arrival of the first of them to that of the last: intervals / this is the rate */
    uint64_t interval_ns_min; /* by the stamps if they are the device's, else by the arrivals */
    uint64_t interval_ns_max;
    uint64_t deviation_ns; /* sum of |interval - the nominal one, or the mean of the window before| */
    uint64_t deviations;   /* so many were added up */
    uint64_t lag_ns_max;   /* from a stamp to the frame's arrival */
    uint64_t polls;        /* of what is asked: */
    uint64_t late_ns;      /* sum of how late it was asked */
    uint64_t late_ns_max;  /* */
    uint64_t took_ns;      /* sum of how long the answers took */
    uint64_t took_ns_max;  /* */
    uint64_t missed;       /* since the start: frames that should have come by the nominal rate, where they carry
                              no number */
    uint64_t ahead;        /* stamps later than the arrival: the arrival was given, or, far ahead, no age at all */
    uint64_t too_old;      /* stamps older than rate.lag_max_ms */
    uint64_t backwards;    /* stamps before that of an earlier frame */
    uint64_t relocks;      /* times a clock that runs freely, or the rate, was set against arrivals anew */
    uint64_t replay_jumps; /* times in a replayed file that went back, or too far ahead */
    uint64_t reserved[3];
};
static_assert(sizeof(struct ring_rate) == 192, "three lines");

/* A whole window, or all zero but for the counts if the writer died, or was put off, in the middle of one:
 * `windows` is odd then. Any thread. */
void ring_rate_read(const struct ring_rate *rate, struct ring_rate *copy);

/* Frames per second over the last window of a copy; 0: none came, or there is no window. Pure. */
double ring_rate_measured_hz(const struct ring_rate *copy);

/* Whether that misses a nominal rate by more than a tolerance, as a fraction of it. Without a nominal rate, a
 * tolerance or a window nothing is missed. Pure. */
bool ring_rate_is_off(const struct ring_rate *copy, double nominal_hz, double tolerance);

/* "arrival", "device", "reconstructed", "asked" for enum ring_stamp. */
const char *ring_stamp_name(uint32_t stamp);

#endif
