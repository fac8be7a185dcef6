/* sluice-bench all: every question in turn. There is no recorder yet; when there is one, its question joins here.
 */
#include "bench/ask.h"
#include "bench/bench.h"

int bench_all(int argc, char **argv)
{
    static const struct bench_question *const questions[] = {&question_ring, &question_daq, &question_net,
                                                             &question_control};
    return bench_ask_all("all", questions, sizeof(questions) / sizeof(questions[0]), argc, argv);
}
