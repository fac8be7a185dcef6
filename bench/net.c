/* sluice-bench net: packets from a wire into a ring: the highest rate without loss. */
#include "bench/bench.h"
#include "bench/options.h"
#include "bench/plot_net.h"
#include "bench/report_net.h"

static void fill(struct plan *plan, const struct environment *environment, const struct bench_options *options)
{
    plan_net(plan, environment, options->seconds, options->only);
}

const struct bench_question question_net = {
    .name = "net", .runs = 1, .fill = fill, .ends = REPORT_NET_ENDS, .table = report_net_table, .plot = plot_net};

int bench_net(int argc, char **argv)
{
    return bench_ask(&question_net, argc, argv);
}
