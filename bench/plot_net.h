/* The picture of `sluice-bench net`: a group of bars for each size, in it one for each wire, on a logarithmic axis.
 */
#ifndef BENCH_PLOT_NET_H
#define BENCH_PLOT_NET_H

#include "bench/plan.h"
#include "bench/report.h"

/* Draws report->plot. 0 or -errno. */
int plot_net(const struct plan *plan, const struct report *report, struct error *err);

#endif
