/* The table of `sluice-bench net`: a line for each path and size. */
#ifndef BENCH_REPORT_NET_H
#define BENCH_REPORT_NET_H

#include "bench/plan.h"
#include "bench/report.h"

/* Who ran where. */
#define REPORT_NET_ENDS                                                                                            \
    "processes: the receiver alone on the first core, sluice-gen on the second; the reader on a third one, with "  \
    "two cores beside sluice-gen (it follows in the variants -read, else it reads what is in the ring after each " \
    "trial)"

void report_net_table(const struct plan *plan, const struct report *report, FILE *to);

#endif
