/* How a time was spread: exact to the nanosecond where medians lie, to 3 % beyond. One writer. */
#ifndef BENCH_SPREAD_H
#define BENCH_SPREAD_H

#include <stdint.h>

#include "ring/histogram.h"

#define SPREAD_FINE_NS 8192u

struct spread {
    uint64_t count;
    uint64_t max_ns;
    uint64_t fine[SPREAD_FINE_NS]; /* how many took exactly so many ns */
    struct histogram coarse;       /* those that took longer */
};

static inline void spread_add(struct spread *spread, uint64_t ns)
{
    spread->count++;
    spread->max_ns = ns > spread->max_ns ? ns : spread->max_ns;
    if (ns < SPREAD_FINE_NS) {
        spread->fine[ns]++;
    } else {
        hist_record(&spread->coarse, ns);
    }
}

/* The value that a share q (0 .. 1) of all values does not exceed; 0 if there are none. */
uint64_t spread_quantile_ns(const struct spread *spread, double q);

/* Adds all of `from`. */
void spread_merge(struct spread *to, const struct spread *from);

#endif
