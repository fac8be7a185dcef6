/* sluice-bench daq: samples from sensors into rings: what each costs, and how late it is. */
#include "bench/bench.h"
#include "bench/options.h"
#include "bench/report_daq.h"

static void fill(struct plan *plan, const struct environment *environment, const struct bench_options *options)
{
    plan_daq(plan, environment, options->seconds, options->only);
}

const struct bench_question question_daq = {
    .name = "daq", .fill = fill, .ends = REPORT_DAQ_ENDS, .table = report_daq_table};

int bench_daq(int argc, char **argv)
{
    return bench_ask(&question_daq, argc, argv);
}
