/* Histograms of a result as files in HdrHistogram's text format. */
#ifndef BENCH_HGRM_H
#define BENCH_HGRM_H

#include "bench/ask.h"

/* Before anything is measured: is there such a folder, and may it be written to? 0 or -errno. */
int bench_hgrm_ready(const char *folder, struct error *err);

/* One for each variant that has a histogram, FOLDER/QUESTION-VARIANT.hgrm, in us. How many, or -errno. */
int bench_hgrm_write(const struct bench_part *parts, uint32_t count, const char *folder, struct error *err);

#endif
