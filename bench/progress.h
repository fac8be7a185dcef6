/* How far a bench is, on standard error: a line that is written over on a terminal, else a line for each round. */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal;
    bool rounds; /* not a terminal: a line for each round; else it says nothing there */
    uint64_t start_ns;
    double whole_s; /* that all is expected to take, and .. */
    double done_s;  /* .. how much of that is done; real time shows how good a guess it was */
};

void progress_begin(struct progress *progress, bool rounds, double whole_s);

/* round from 0, -1: the one to warm up. */
void progress_round(const struct progress *progress, const char *question, int round, uint32_t rounds);
void progress_case(const struct progress *progress, const char *question, int round, uint32_t rounds,
                   const char *what);
void progress_add(struct progress *progress, double expected_s);
void progress_end(const struct progress *progress);

/* What is left, in s, as it looks now: the guess, stretched as the time so far was. */
double progress_rest_s(const struct progress *progress, uint64_t now_ns);

#endif
