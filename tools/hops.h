/* Every place at which a running server measures how long something takes. Cold. */
#ifndef TOOLS_HOPS_H
#define TOOLS_HOPS_H

#include "tools/session.h"

#define HOP_NAME_BYTES 64u

struct hop {
    char name[HOP_NAME_BYTES]; /* who and what: "control.arrival_to_decided"; a stable key */
    const char *meaning;
    const struct histogram *histogram; /* in the session's memory, written meanwhile */
    uint64_t period_ns;                /* of the schedule that it should keep; 0: it has none, or it is not known */
};

/* Fills in at most `max`; how many. */
uint32_t hops_list(const struct session *session, struct hop hop[], uint32_t max);

#endif
