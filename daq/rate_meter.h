/* How regularly frames come: counted frame by frame in memory of our own, written to the ring (struct ring_rate)
 * once a window, so that a reader of it costs the worker nothing. No division per frame but where one is missing.
 * Clocks are handed in.
 */
#ifndef DAQ_RATE_METER_H
#define DAQ_RATE_METER_H

#include <stdbool.h>

#include "ring/rate.h"

#define RATE_WINDOW_NS UINT64_C(2000000000) /* at least; 16 nominal intervals if those are longer */

struct rate_meter {
    struct ring_rate *rate; /* NULL: nothing is measured */
    uint64_t nominal_ns;    /* between frames; 0: not declared */
    uint64_t window_ns;
    bool unnumbered;      /* what is missing shows by the time alone */
    bool running;         /* the device is open */
    uint64_t since_ns;    /* when this window began */
    uint64_t sampled_ns;  /* of the last frame; 0: none yet */
    uint64_t arrived_ns;  /* the same */
    uint64_t expected_ns; /* an interval, to measure deviations from; 0: not known yet */
    uint64_t owed;        /* frames that should have come: what comes in a burst pays it back */
    struct ring_rate window;
};

void rate_meter_init(struct rate_meter *meter, struct ring_rate *rate, double nominal_hz, bool unnumbered);

/* The device was opened: what was before is another measurement. It was closed. */
void rate_meter_start(struct rate_meter *meter, uint64_t now_ns);
void rate_meter_stop(struct rate_meter *meter);

/* One frame: what its intervals are measured by, when it came, and how far before that its stamp lies. */
void rate_meter_take(struct rate_meter *meter, uint64_t sampled_ns, uint64_t arrived_ns, uint64_t lag_ns);

/* So many at once, of a stream whose stamps are arrivals. */
void rate_meter_take_batch(struct rate_meter *meter, uint32_t frames, uint64_t arrived_ns);

/* One question to an instrument. */
void rate_meter_asked(struct rate_meter *meter, uint64_t late_ns, uint64_t took_ns);

/* Ends the window if it is over, whatever came. Cheap: call it once a loop. All times are of one clock. */
void rate_meter_look(struct rate_meter *meter, uint64_t now_ns);

#endif
