/* How questions are asked, one after the other, and what is made of the answers. */
#ifndef BENCH_ASK_H
#define BENCH_ASK_H

#include "bench/options.h"

/* One question of a bench. */
struct bench_part {
    const struct bench_question *question;
    struct bench_options options; /* as they are for this question */
    struct plan plan;
    uint32_t rounds; /* begun */
    bool warmed;     /* by a round that does not count */
};

/* Parses, asks each of the questions, reports. `name` is the subcommand. enum bench_exit. */
int bench_ask_all(const char *name, const struct bench_question *const *questions, uint32_t count, int argc,
                  char **argv);

#endif
