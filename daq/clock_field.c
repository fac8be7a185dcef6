#include "daq/clock_field.h"

#include <string.h>

#include "ring/channel.h"

#define NS_MOST 9e18 /* below 2^63 */

uint64_t clock_field_unit_q32(const struct clock_field *field)
{
    return field->is_real != 0 ? UINT64_C(1) << 32 : (uint64_t)(field->unit_ns * 4294967296.0 + 0.5);
}

static bool read_real(const struct clock_field *field, const uint8_t *frame, uint64_t *counts)
{
    double value;
    memcpy(&value, frame + field->at_byte, sizeof(value));
    double ns = value * field->unit_ns;
    if (ring_is_not_finite(ns) || ns < 0 || ns > NS_MOST) {
        return false;
    }
    *counts = (uint64_t)(ns + 0.5);
    return true;
}

bool clock_field_read(const struct clock_field *field, const uint8_t *frame, uint64_t *counts)
{
    uint64_t n = 0;
    if (field->is_real != 0) {
        return read_real(field, frame, counts);
    }
    for (uint32_t i = 0; i < field->width_bytes; i++) {
        uint32_t at = field->byte_order == RING_BIG_ENDIAN ? i : field->width_bytes - 1 - i;
        n = n << 8 | frame[field->at_byte + at];
    }
    *counts = n;
    return true;
}
