/* What a stretch of a thread's time went to: the events that overlap it, put together by culprit. Pure. */
#ifndef CONTROL_CULPRITS_H
#define CONTROL_CULPRITS_H

#include <stdbool.h>

#include "control/late.h"
#include "control/thief.h"

#define CULPRITS_MAX 6u

struct culprit {
    uint64_t ns;   /* of the stretch; where two overlap, an interrupt counts, else the first */
    uint32_t kind; /* enum thief_kind */
    uint32_t pid;
    int32_t what;
    uint32_t times;
    char name[THIEF_NAME_BYTES];
};

struct verdict {
    uint64_t named_ns; /* told by events */
    uint64_t host_ns;  /* the thread's own clock stood still, and no event tells why: the hypervisor, or firmware */
    uint64_t own_ns;   /* the rest: its own work, and waiting for its own turn */
    uint32_t culprits; /* the longest first; host_ns is one of them */
    uint32_t others;   /* further ones, without a place */
    struct culprit culprit[CULPRITS_MAX];
};

/* A stretch during which the thread did not come round. */
struct stall_span {
    uint64_t from_ns;
    uint64_t to_ns;
    uint64_t excused_ns; /* of it, what it would have taken anyway: its planned sleep and its work */
};

/* events: of one thread, in the order of their beginnings (an event may contain those behind it); spans: in order,
 * apart from each other. */
void culprits_find(const struct thief_event *const *events, uint32_t count, const struct stall_span *spans,
                   uint32_t span_count, uint64_t from_ns, uint64_t to_ns, struct verdict *verdict);

/* Was it the same one? For tests and tools too. */
bool culprits_same(const struct culprit *culprit, const struct thief_event *event);

#endif
