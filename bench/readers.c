/* sluice-bench readers: what programs that analyse get out of a ring, in Python and in C, and what they cost. */
#include "bench/bench.h"
#include "bench/options.h"
#include "bench/report_readers.h"

#define RUNS 3u

static void fill(struct plan *plan, const struct environment *environment, const struct bench_options *options)
{
    plan_readers(plan, environment, options->seconds, options->only);
}

const struct bench_question question_readers = {
    .name = "readers", .runs = RUNS, .fill = fill, .ends = REPORT_READERS_ENDS, .table = report_readers_table};

int bench_readers(int argc, char **argv)
{
    return bench_ask(&question_readers, argc, argv);
}
