/* The table of `sluice-bench readers`. */
#ifndef BENCH_REPORT_READERS_H
#define BENCH_REPORT_READERS_H

#include "bench/plan.h"
#include "bench/report.h"

#define REPORT_READERS_ENDS                                                                                        \
    "a ring that the bench writes on the first core; readers in Python, processes, or in C on the second"

void report_readers_table(const struct plan *plan, const struct report *report, FILE *to);

#endif
