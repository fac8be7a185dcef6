/* What really happened, in the plant's own words, flushed line by line: `tai_ns t_s event key=value...`, then one
 * `key: value` line per fact of the summary. t_s is on the scenario clock, "nan" before that starts. */
#ifndef SLUICE_PLANT_TRUTH_H
#define SLUICE_PLANT_TRUTH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/plant/clock.h"

struct plant_truth {
    FILE *file;
    FILE *echo; /* where the summary goes a second time, or NULL */
    const struct plant_clock *clock;
    uint64_t scenario_start_ns; /* CLOCK_MONOTONIC; 0 = not started */
};

/* path NULL or "-": standard output. 0 or -errno with a message. */
int plant_truth_open(struct plant_truth *truth, const char *path, const struct plant_clock *clock, char *error,
                     size_t error_bytes);
__attribute__((format(printf, 3, 4))) void plant_truth_event(struct plant_truth *truth, uint64_t monotonic_ns,
                                                             const char *format, ...);
__attribute__((format(printf, 3, 4))) void plant_truth_fact(struct plant_truth *truth, const char *key,
                                                            const char *format, ...);
/* 0, or -EIO if not everything could be written. */
int plant_truth_close(struct plant_truth *truth);

#endif
