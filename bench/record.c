/* sluice-bench record: rings onto the disk: how fast, what it costs, what is lost; and out of the recording again.
 */
#include "bench/bench.h"
#include "bench/options.h"
#include "bench/report_record.h"

#define RUNS 3u

static void fill(struct plan *plan, const struct environment *environment, const struct bench_options *options)
{
    plan_record(plan, environment, options->seconds, options->directory, options->only);
}

const struct bench_question question_record = {.name = "record",
                                               .has_directory = true,
                                               .runs = RUNS,
                                               .fill = fill,
                                               .finish = plan_record_finish,
                                               .ends = REPORT_RECORD_ENDS,
                                               .table = report_record_table};

int bench_record(int argc, char **argv)
{
    return bench_ask(&question_record, argc, argv);
}
