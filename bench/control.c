/* sluice-bench control: what the interlock adds to the time from a sample to an output, and how often it is late.
 */
#include "bench/bench.h"
#include "bench/options.h"
#include "bench/report_control.h"

static void fill(struct plan *plan, const struct environment *environment, const struct bench_options *options)
{
    uint64_t each = (options->decisions + options->runs - 1) / options->runs;
    plan_control(plan, environment, options->seconds, each, options->only);
}

const struct bench_question question_control = {.name = "control",
                                                .has_decisions = true,
                                                .warms_up = true,
                                                .fill = fill,
                                                .finish = plan_control_finish,
                                                .table = report_control_table};

int bench_control(int argc, char **argv)
{
    return bench_ask(&question_control, argc, argv);
}
