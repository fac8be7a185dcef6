/* The 32 bytes in front of a frame of format sluice, network byte order:
 *
 *    0 u32 magic 0x534c5543 | 4 u16 version 1 | 6 u16 flags | 8 u64 sequence
 *   16 u64 TAI of the sender in ns | 24 u32 stream id | 28 u32 bytes of payload behind the header
 */
#ifndef TOOLS_GEN_HEADER_H
#define TOOLS_GEN_HEADER_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define HEADER_BYTES 32u
#define HEADER_MAGIC 0x534c5543u

enum header_flag {
    HEADER_HEARTBEAT = 1, /* no frame: `sequence` is the next number to be sent */
    HEADER_END = 2        /* nothing will follow */
};

struct header {
    uint64_t sequence;
    uint64_t tai_ns;
    uint32_t stream;
    uint32_t flags;
    uint32_t payload_bytes;
};

static inline void header_write(uint8_t to[HEADER_BYTES], const struct header *header)
{
    const uint64_t words[HEADER_BYTES / 8] = {
        htobe64((uint64_t)HEADER_MAGIC << 32 | UINT64_C(1) << 16 | header->flags),
        htobe64(header->sequence),
        htobe64(header->tai_ns),
        htobe64((uint64_t)header->stream << 32 | header->payload_bytes),
    };
    memcpy(to, words, sizeof(words));
}

#endif
