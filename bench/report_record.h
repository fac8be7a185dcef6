/* The table of `sluice-bench record`. */
#ifndef BENCH_REPORT_RECORD_H
#define BENCH_REPORT_RECORD_H

#include "bench/plan.h"
#include "bench/report.h"

#define REPORT_RECORD_ENDS                                                                                         \
    "a writer on the first core; sluice-recorder, gating, or what it is compared with on the second"

void report_record_table(const struct plan *plan, const struct report *report, FILE *to);

#endif
