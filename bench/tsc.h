/* The cheapest clock there is, for gaps and round trips; calibrated against CLOCK_MONOTONIC at the start. */
#ifndef BENCH_TSC_H
#define BENCH_TSC_H

#include <stdint.h>

#include "ring/clock.h"

/* Ticks; what one is worth says tsc_per_ns(). Any thread. */
static inline uint64_t tsc_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return clock_monotonic_ns();
#endif
}

/* The same, neither before what stands in front of it has been done, nor after what stands behind it began. */
static inline uint64_t tsc_ordered(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
    uint64_t now = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return now;
#else
    return clock_monotonic_ns();
#endif
}

/* Ticks per ns, measured over 20 ms the first time. Cold; call it once before threads exist. */
double tsc_per_ns(void);

#endif
