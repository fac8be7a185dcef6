/* A result as a table for people. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench/environment.h"
#include "bench/rows.h"

/* How the control thread of a measurement ran. */
struct real_time {
    int policy; /* SCHED_OTHER 0, SCHED_FIFO 1, as obtained; -1: nothing was run */
    int priority;
    bool locked; /* its memory */
    int64_t
        rt_runtime_us; /* of a second, for real-time threads; -1: not bounded; INT64_MIN: the kernel does not say */
};

struct report {
    const struct environment *environment;
    const struct row *rows;
    uint32_t row_count;
    const char *question;              /* the subcommand */
    const struct real_time *real_time; /* NULL: nothing runs in real time */
    const char *ends;                  /* what writer and reader are; NULL: two threads of one process */
    const char *plot;                  /* file of its picture; NULL: there is none */
    double seconds;                    /* of each measurement, as asked for */
    bool is_part;                      /* of several: the environment is said already */
};

/* What a writer and a reader are, where nothing says otherwise. */
#define REPORT_ENDS "two threads of one process, each pinned"

/* The lines about the machine in front of a table. */
void report_environment(const struct environment *environment, FILE *to);

/* The same, if they are not said already. */
void report_head(const struct report *report, FILE *to);

/* In front of a row into whose rounds a stall of the machine fell, "! "; else as wide a nothing. */
const char *report_mark(const struct row *row);

/* What the mark means, and of how many rows. */
void report_stalls(const struct report *report, FILE *to);

/* Rows without a value, one line for each reason. */
void report_skipped(const struct report *report, FILE *to);

void report_table(const struct report *report, FILE *to);

#endif
