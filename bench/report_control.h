/* The result of `sluice-bench control` as a table for people. */
#ifndef BENCH_REPORT_CONTROL_H
#define BENCH_REPORT_CONTROL_H

#include "bench/plan.h"
#include "bench/report.h"

void report_control_table(const struct plan *plan, const struct report *report, FILE *to);

#endif
