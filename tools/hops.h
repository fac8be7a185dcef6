/* Every place at which a running server measures how long something takes. Cold. */
#ifndef TOOLS_HOPS_H
#define TOOLS_HOPS_H

#include "tools/session.h"

#define HOP_NAME_BYTES 64u
#define HOPS_LIST_MAX  512u /* more than a server can have */

struct hop {
    char name[HOP_NAME_BYTES]; /* who and what: "control.arrival_to_decided"; a stable key */
    const char *meaning;
    const struct histogram *histogram; /* in the session's memory, written meanwhile */
    uint64_t period_ns;                /* of the schedule that it should keep; 0: it has none, or it is not known */
    const struct ring_hops *apart;     /* of sent_to_arrival: counts what is not in the histogram; else NULL */
};

/* Fills in at most `max`, as the server lists them (ring/measures.h): control's first, then the actuators', the
 * threads' of each worker, and for each ring in the order of its workers the way that its frames take; how far
 * behind readers are, of rings that have had any. How many. */
uint32_t hops_list(const struct session *session, struct hop hop[], uint32_t max);

/* What a thread of a worker measures of itself; NULL: nothing. */
const struct worker_thread_hops *hops_of_thread(const struct session *session, uint32_t worker, uint32_t thread);

#endif
