#include <isa-l/crc.h>

#include "daq/record_format.h"

#define PIECE_BYTES ((size_t)1 << 30) /* isa-l counts with an int */

/* isa-l's function neither begins nor ends with the inversion that RFC 3720 asks for. It takes no const, and writes
 * nothing. */
uint32_t record_crc(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t rest = ~crc;
    while (bytes > 0) {
        size_t piece = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;
        /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
        rest = crc32_iscsi((unsigned char *)(uintptr_t)at, (int)piece, rest);
        at += piece;
        bytes -= piece;
    }
    return ~rest;
}
