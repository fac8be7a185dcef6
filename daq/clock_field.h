/* Reading a time out of a frame (struct clock_field, net/plan.h). Pure. */
#ifndef DAQ_CLOCK_FIELD_H
#define DAQ_CLOCK_FIELD_H

#include <stdbool.h>

#include "net/plan.h"

/* ns per count, times 2^32: exact for units of whole ns and for binary fractions of them. Of a number of text,
 * which is read in ns, one. */
uint64_t clock_field_unit_q32(const struct clock_field *field);

/* The counts of a frame that is long enough; of a number of text whole ns. False: the number is none. */
bool clock_field_read(const struct clock_field *field, const uint8_t *frame, uint64_t *counts);

/* Counts in ns, modulo 2^64: differences of them are right. */
static inline uint64_t clock_field_ns(uint64_t counts, uint64_t unit_q32)
{
    return (uint64_t)((unsigned __int128)counts * unit_q32 >> 32);
}

#endif
