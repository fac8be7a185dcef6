/* Whether a channel that came from elsewhere may be decoded with. Cold. */
#ifndef RING_CHANNEL_CHECK_H
#define RING_CHANNEL_CHECK_H

#include "ring/error.h"
#include "ring/layout.h"

/* The channel is one of `count` that adjoin, `stride` bytes from each to the next, from `first` on; numbers: those
 * of all their calibrations. Names that end, a type, a calibration whose numbers lie inside and make sense, a
 * reference that is one of them and has no reference of its own. After this decoding stays inside whatever the
 * payload says. 0 or -EPROTO with what is wrong. Pure. */
int ring_channel_check(const struct ring_channel *first, uint32_t count, size_t stride, uint32_t index,
                       const double *numbers, uint32_t number_count, struct error *err);

#endif
