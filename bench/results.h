/* Where a result goes: table, JSON, HTML, histograms, picture, and beside an older one. */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include "bench/ask.h"
#include "bench/document.h"

#define RESULTS_COMMAND_BYTES 2048u

struct results {
    const char *name; /* the subcommand */
    bool is_all;
    bool interrupted;
    struct bench_options options;
    struct json_t *old;  /* of --compare */
    struct json_t *from; /* of --from */
    char command[RESULTS_COMMAND_BYTES];
    char started[32];
};

/* What can fail is tried before anything is measured. enum bench_exit; results_end() in either case. */
int results_prepare(struct results *results, const struct bench_question *const *questions, uint32_t count,
                    int argc, char **argv);
void results_end(struct results *results);

/* What was measured. enum bench_exit. */
int results_report(const struct results *results, const struct bench_part *parts, uint32_t count,
                   const struct environment *environment);

/* The result of --from in its stead. enum bench_exit. */
int results_from(const struct results *results);

#endif
