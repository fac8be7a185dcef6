/* Instructions of an engine step, counted by valgrind. */
#ifndef BENCH_INSTRUCTIONS_H
#define BENCH_INSTRUCTIONS_H

#include <stdint.h>

#include "ring/error.h"

/* Runs engine-steps, which lies beside this program, under callgrind. steps[i]: instructions per step of path i
 * (bench/engine_paths.h), of the first `count` paths. 0 or -errno with the reason. Cold; takes seconds. */
int instructions_count(uint32_t rules, uint32_t count, double *steps, struct error *err);

#endif
