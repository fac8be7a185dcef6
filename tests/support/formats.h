/* Headers of each stream format, written by a slow hand with every field as the test wants it. */
#ifndef SUPPORT_FORMATS_H
#define SUPPORT_FORMATS_H

#include <stdint.h>
#include <string.h>

#include "net/format.h"

static inline void formats_put_big(uint8_t *to, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
}

static inline void formats_put_little(uint8_t *to, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

struct test_vdif {
    uint32_t invalid, legacy, seconds, epoch, in_second, length_8, thread;
};

/* 32 bytes, of which a legacy header uses 16. */
static inline void formats_vdif(uint8_t *to, const struct test_vdif *v)
{
    memset(to, 0, 32);
    formats_put_little(to, v->invalid << 31 | v->legacy << 30 | v->seconds, 4);
    formats_put_little(to + 4, 0x80000000u | v->epoch << 24 | v->in_second, 4);
    formats_put_little(to + 8, 1u << 29 | v->length_8, 4);
    formats_put_little(to + 12, 0x80000000u | v->thread << 16 | 0x4142, 4);
}

struct test_vrt {
    uint32_t type, has_class, has_trailer, tsi, tsf, count, words, stream_id;
};

static inline uint32_t formats_vrt(uint8_t *to, const struct test_vrt *v)
{
    formats_put_big(to,
                    v->type << 28 | v->has_class << 27 | v->has_trailer << 26 | v->tsi << 22 | v->tsf << 20 |
                        v->count << 16 | v->words,
                    4);
    formats_put_big(to + 4, v->stream_id, 4);
    return 4 + 4 * (v->type & 1) + 8 * v->has_class + 4 * (v->tsi != 0) + 8 * (v->tsf != 0) + 4 * v->has_trailer;
}

static inline void formats_spead_head(uint8_t *to, uint32_t items)
{
    static const uint8_t head[] = {0x53, 4, 2, 6, 0, 0};
    memcpy(to, head, sizeof(head));
    formats_put_big(to + 6, items, 2);
}

static inline void formats_spead_item(uint8_t *to, uint32_t index, uint32_t immediate, uint32_t id, uint64_t value)
{
    formats_put_big(to + 8 + (size_t)8 * index,
                    (uint64_t)immediate << 63 | (uint64_t)id << 48 | (value & 0xffffffffffff), 8);
}

/* Four items, 40 bytes: what every packet has. */
#define FORMATS_SPEAD_BYTES 40u
static inline void formats_spead(uint8_t *to, uint64_t heap, uint64_t heap_bytes, uint64_t offset, uint64_t payload)
{
    formats_spead_head(to, 4);
    formats_spead_item(to, 0, 1, 1, heap);
    formats_spead_item(to, 1, 1, 2, heap_bytes);
    formats_spead_item(to, 2, 1, 3, offset);
    formats_spead_item(to, 3, 1, 4, payload);
}

#endif
