/* What is asked of histograms that are not written to any more: copies, differences, corrections. Pure. Cold. */
#ifndef TOOLS_HIST_READ_H
#define TOOLS_HIST_READ_H

#include <stdbool.h>

#include "ring/histogram.h"

/* What was counted between two copies. False: something is less than before, so that its writer has begun anew;
 * then it is all of `now`. *exact: its max_ns is the value itself (the whole run had none so high before), not the
 * top of the highest bucket that grew. */
bool hist_subtract(const struct histogram *now, const struct histogram *before, struct histogram *difference,
                   bool *exact);

/* Coordinated omission: who measures its own rounds counts one that took ten periods once, although everyone who
 * would have come in the nine rounds that were left out had to wait as well. Adds to each value v above period_ns
 * what they waited: v - period, v - 2 periods .. down to the period, as HdrHistogram's
 * copyCorrectedForCoordinatedOmission does. A bucket counts with its highest value. period_ns 0: a plain copy. */
void hist_correct(const struct histogram *from, uint64_t period_ns, struct histogram *corrected);

#endif
