/* Did a stall of the machine fall into a round? What is measured in it says something of the stall then, and has to
 * be marked: by the measurement's own record where it keeps one, and by what the kernel says that the hypervisor
 * took. */
#ifndef BENCH_STALLS_H
#define BENCH_STALLS_H

#include <stdbool.h>
#include <stdint.h>

#define STALLS_LIMIT_US    1000.0 /* a longer time in which something else had a core is a stall */
#define STALLS_STEAL_SHARE 0.05   /* of a round, taken from one core by the hypervisor .. */
#define STALLS_STEAL_TICKS 2u     /* .. and at least so many of its ticks: one may be a rest of before */

/* Of one round. */
struct stall_evidence {
    double own_us;        /* the longest in the measurement's own record; negative: it keeps none */
    uint64_t steal_ticks; /* of the core that lost most */
    double tick_hz;
    double seconds; /* that the round took */
};

/* Of all rounds of a row. */
struct row_stalls {
    uint32_t rounds; /* into which a stall fell */
    double longest_us;
    double stolen_s; /* in those rounds */
    bool excused;    /* the measurement itself leaves out what stalls did */
};

bool stalls_fell_in(const struct stall_evidence *evidence);
void stalls_add(struct row_stalls *stalls, const struct stall_evidence *evidence);

/* Half of all rounds or more: then the median may be that of one with a stall. */
bool stalls_decide(const struct row_stalls *stalls, uint32_t rounds);

#endif
