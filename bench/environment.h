/* What the figures were measured on, and how quiet it was meanwhile. */
#ifndef BENCH_ENVIRONMENT_H
#define BENCH_ENVIRONMENT_H

#include <stdint.h>

#include "bench/host.h"
#include "bench/measure.h"

struct environment {
    char machine[128]; /* processor's name */
    char kernel[128];
    char governor[32];   /* empty: the kernel has none */
    uint32_t cpus;       /* that this process may use */
    uint64_t page_bytes; /* that a ring of the bench gets */
    int cores[MEASURE_CORES_MAX];
    uint32_t core_count;
    bool siblings; /* the first two are threads of one core: there was no other */
    double tsc_mhz;
    /* From watching the two cores for a while in each round. */
    double watched_s;
    uint64_t gaps;      /* longer than 10 us: something else had the core */
    uint64_t gaps_long; /* longer than 1 ms */
    double gap_us_max;
    double gap_share; /* of the time watched */
    double steal_s;   /* as the kernel accounts it, all processors, over the whole bench */
    struct host host;
};

/* 0, or -ENODEV with err if there are not two cores. */
int environment_init(struct environment *e, struct error *err);

/* Watches one core of the bench after the other for 20 ms each. */
void environment_watch(struct environment *e);

/* Takes the kernel's steal time up to now. */
void environment_finish(struct environment *e);

#endif
