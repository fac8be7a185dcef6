/* sluice-bench all: every question in turn. */
#include "bench/ask.h"
#include "bench/bench.h"

int bench_all(int argc, char **argv)
{
    static const struct bench_question *const questions[] = {
        &question_ring, &question_daq, &question_net, &question_control, &question_record, &question_readers};
    return bench_ask_all("all", questions, sizeof(questions) / sizeof(questions[0]), argc, argv);
}
