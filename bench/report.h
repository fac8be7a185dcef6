/* A result as a table for people and as JSON for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench/environment.h"
#include "bench/rows.h"

struct report {
    const struct environment *environment;
    const struct row *rows;
    uint32_t row_count;
    const char *question; /* the subcommand */
};

void report_table(const struct report *report, FILE *to);

/* Writes to the file, or to standard output if path is "-". 0, or -errno with err. */
int report_json(const struct report *report, const char *path, struct error *err);

#endif
