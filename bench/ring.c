/* sluice-bench ring: frames from one core to another. */
#include "bench/bench.h"
#include "bench/options.h"

static void fill(struct plan *plan, const struct environment *environment, const struct bench_options *options)
{
    payload_init();
    plan_ring(plan, environment, options->seconds, options->only);
}

static void table(const struct plan *plan, const struct report *report, FILE *to)
{
    (void)plan;
    report_table(report, to);
}

const struct bench_question question_ring = {.name = "ring", .warms_up = true, .fill = fill, .table = table};

int bench_ring(int argc, char **argv)
{
    return bench_ask(&question_ring, argc, argv);
}
