/* A histogram in the text format of HdrHistogram's percentile output (.hgrm), which its plotters read. Cold. */
#ifndef TOOLS_HGRM_H
#define TOOLS_HGRM_H

#include <stdio.h>

#include "ring/histogram.h"

/* Values are printed in units of unit_ns. Each line: a value, the share of values that are not above it, how many
 * those are, 1 / (1 - share). Shares come closer to 1 by halves, in `ticks` steps each. The histogram should be a
 * copy, not be written to meanwhile. Format: HdrHistogram, AbstractHistogram.outputPercentileDistribution. */
void hgrm_print(const struct histogram *histogram, double unit_ns, uint32_t ticks, FILE *to);

/* Standard deviation, by the middle of each bucket, in ns; 0 if there are none. */
double hgrm_deviation_ns(const struct histogram *histogram);

#endif
