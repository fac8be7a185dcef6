/* When the next burst is due. Exact: whole numbers, and always from the start, so that nothing drifts. Pure. */
#ifndef TOOLS_GEN_PACE_H
#define TOOLS_GEN_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/error.h"

struct pace_rate {
    uint64_t per_1000_s; /* frames, or bits of payload; 0: as fast as possible */
    bool in_bits;
};

struct pace {
    struct pace_rate rate;
    uint64_t start_ns;
    uint64_t catch_up_ns; /* what is later than this is not made up for */
    uint64_t skipped_ns;  /* not made up for */
    uint64_t bursts;
    uint64_t late;       /* bursts that began after the following one was due */
    uint64_t longest_ns; /* behind its time */
};

/* "14.88Mpps", "500pps", "9.84Gbit/s": a number, k M G or nothing, pps or bit/s. 0 or -EINVAL. */
int pace_rate_parse(struct pace_rate *rate, const char *text, struct error *err);

void pace_init(struct pace *pace, const struct pace_rate *rate, uint64_t start_ns, uint64_t catch_up_ns);

/* When what comes after so many units (frames or bits) is due. */
uint64_t pace_due_ns(const struct pace *pace, uint64_t units);

/* A burst begins now that was due then; the one behind it is due at next_ns. */
void pace_begun(struct pace *pace, uint64_t due_ns, uint64_t next_ns, uint64_t now_ns);

#endif
