/* The table of `sluice-bench daq`. */
#ifndef BENCH_REPORT_DAQ_H
#define BENCH_REPORT_DAQ_H

#include "bench/plan.h"
#include "bench/report.h"

#define REPORT_DAQ_ENDS                                                                                            \
    "a receiver's process on the first core, sluice-worker in wait mode or what it is compared with; the sensors " \
    "on the second"

void report_daq_table(const struct plan *plan, const struct report *report, FILE *to);

#endif
