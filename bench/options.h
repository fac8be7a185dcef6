/* The options that every question of the bench has, and how a question is asked. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench/plan.h"
#include "bench/report.h"

struct bench_options {
    double seconds; /* of one measurement */
    uint32_t runs;
    uint64_t decisions; /* of all runs together; 0: --seconds decides */
    const char *json;   /* NULL: none */
    const char *only;   /* NULL: everything */
    const char *plot;   /* NULL: no picture */
    bool list;
};

struct bench_question {
    const char *name;
    bool has_decisions; /* knows --decisions */
    uint32_t runs;      /* default of --runs; 0: RUNS_DEFAULT */
    const char *ends;   /* who ran where; NULL: as in report.h */
    void (*fill)(struct plan *plan, const struct environment *environment, const struct bench_options *options);
    void (*finish)(struct plan *plan); /* NULL: nothing to do */
    void (*table)(const struct plan *plan, const struct report *report, FILE *to);
    /* A picture of the result: 0 or -errno. NULL: it does not know --plot. */
    int (*plot)(const struct plan *plan, const struct report *report, struct error *err);
};

/* Parses, asks, reports. enum bench_exit. */
int bench_ask(const struct bench_question *question, int argc, char **argv);

#endif
