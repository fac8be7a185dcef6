/* The stall record of a core: a thread that reads the clock all the time sees when something else had the core.
 * What a thread cannot do itself in such a time was done to it: by the kernel, another process, or the hypervisor.
 * One thread writes; read after its end. */
#ifndef BENCH_GAPS_H
#define BENCH_GAPS_H

#include <stdint.h>

#define GAPS_MAX 262144u
#define GAPS_LONG                                                                                                  \
    8u /* limits: once the record is half full, only gaps so long are kept; they are what makes late */

struct gap {
    uint64_t from; /* ticks of the TSC */
    uint64_t to;
};

struct gaps {
    uint64_t last;  /* when the clock was read last; 0: never */
    uint64_t limit; /* a longer time between two looks is a gap, in ticks */
    uint64_t count; /* of all gaps */
    uint64_t kept;  /* entries of gap[] */
    uint64_t ticks; /* all gaps together */
    uint64_t longest;
    struct gap gap[GAPS_MAX];
};

/* Cold. */
void gaps_begin(struct gaps *gaps, double limit_us);

void gaps_note(struct gaps *gaps, uint64_t from, uint64_t to);

static inline void gaps_look(struct gaps *gaps, uint64_t now)
{
    if (__builtin_expect(now - gaps->last > gaps->limit, 0)) {
        gaps_note(gaps, gaps->last, now);
    }
    gaps->last = now;
}

/* Ticks of from .. to that lie in gaps of any of the records (where two overlap, once). Cold, one thread. */
uint64_t gaps_cover(const struct gaps *const *records, uint32_t count, uint64_t from, uint64_t to);

/* Gaps longer than so many us; from GAPS_LONG limits on exact however many there were. Cold. */
uint64_t gaps_longer(const struct gaps *gaps, double us);

#endif
