/* How late samples were, from the stamps in the rings. */
#ifndef BENCH_DAQ_LATE_H
#define BENCH_DAQ_LATE_H

#include "bench/daq_rig.h"

struct daq_late {
    struct spread spread;
    uint64_t right; /* samples that are what was sent */
    uint64_t wrong;
};

/* Of what each ring has from position from[] on, or as much of that as is still there. The bare receiver's are in
 * its tally. */
void daq_late_of(const struct daq_rig *rig, const uint64_t *from, struct daq_late *late);

/* Of polls: when each was due is not known, but that they are due at even times is. The schedule is laid where the
 * longest stretch without any stamp ends, modulo the period, so that the most punctual poll is not late at all.
 * `phase[bin]`: how many stamps there are in each of `bins` parts of a period. The bin that is punctual. */
uint32_t daq_late_punctual(const uint32_t *phase, uint32_t bins);

#endif
