/* Whether what was recorded means what a configuration says. */
#ifndef DAQ_RECORDING_AGREE_H
#define DAQ_RECORDING_AGREE_H

#include "daq/record_read.h"

/* The channels of a recorded ring against those of a ring that it is to be played into: the same names in the same
 * order, types, places, calibrations, units. Valid ranges may differ: they are the interlock's. 0, or -EINVAL with
 * the first difference. */
int recording_agrees(const struct record_ring *recorded, const struct ring_channel *channel, uint32_t channels,
                     const double *number, uint32_t numbers, struct error *err);

/* One channel. A reference counts within the ring. */
int recording_channel_agrees(const char *ring, const struct ring_channel *recorded, const double *recorded_number,
                             const struct ring_channel *channel, const double *number, struct error *err);

#endif
