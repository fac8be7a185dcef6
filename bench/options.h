/* The options that every question of the bench has, and how a question is asked. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench/plan.h"
#include "bench/report.h"

struct bench_options {
    double seconds;        /* of one measurement */
    uint32_t runs;         /* 0: each question's own */
    uint64_t decisions;    /* of all runs together; 0: --seconds decides */
    const char *json;      /* NULL: none */
    const char *only;      /* NULL: everything */
    const char *plot;      /* NULL: no picture */
    const char *html;      /* NULL: no report */
    const char *hgrm;      /* folder for histograms; NULL: none */
    const char *compare;   /* an older result; NULL: none */
    const char *from;      /* the result, which is not measured; NULL: it is */
    const char *directory; /* that the recorder writes below */
    bool list;
};

struct bench_question {
    const char *name;
    bool has_decisions; /* knows --decisions, and has histograms */
    bool has_directory; /* knows --directory */
    bool warms_up;      /* by a round that does not count; else each measurement does it itself */
    uint32_t runs;      /* default of --runs; 0: RUNS_DEFAULT */
    const char *ends;   /* who ran where; NULL: as in report.h */
    void (*fill)(struct plan *plan, const struct environment *environment, const struct bench_options *options);
    void (*finish)(struct plan *plan); /* NULL: nothing to do */
    void (*table)(const struct plan *plan, const struct report *report, FILE *to);
    /* A picture of the result: 0 or -errno. NULL: it does not know --plot. */
    int (*plot)(const struct plan *plan, const struct report *report, struct error *err);
};

/* In the files of their names. */
extern const struct bench_question question_ring;
extern const struct bench_question question_daq;
extern const struct bench_question question_net;
extern const struct bench_question question_control;
extern const struct bench_question question_record;
extern const struct bench_question question_readers;

/* What a subcommand knows beside what all know. */
struct bench_abilities {
    const char *name;
    bool decisions, plot, directory;
    uint32_t runs; /* default; 0: each question's own */
};

uint32_t bench_runs_default(const struct bench_question *question);

/* True: go on; else the exit status is in *code. */
bool bench_options_parse(const struct bench_abilities *abilities, int argc, char **argv,
                         struct bench_options *options, int *code);

/* Parses, asks, reports. enum bench_exit. */
int bench_ask(const struct bench_question *question, int argc, char **argv);

#endif
