/* What every frame of the bench and of sluice-gen holds, and the two things that are done to it: all its bytes are
 * written, and all are read. Word i (little-endian, the last one cut off where the frame ends) of frame `number` is
 * base + i * PAYLOAD_STEP with a base of its own for each number, so that the sum of the words tells whether the
 * frame is the right one and whole. A shorter frame is the beginning of a longer one of the same base.
 */
#ifndef NET_PAYLOAD_H
#define NET_PAYLOAD_H

#include <stdint.h>
#include <string.h>

#define PAYLOAD_STEP        UINT64_C(0x2545f4914f6cdd1d)
#define PAYLOAD_SMALL_BYTES 64u /* frames of this size are written and read inline */

typedef uint64_t payload_v2 __attribute__((vector_size(16), aligned(1), may_alias));

static inline uint64_t payload_base(uint64_t seed, uint64_t number)
{
    return ((number + 1) * UINT64_C(0x9e3779b97f4a7c15)) ^ seed;
}

/* What the words of a frame must add up to. */
static inline uint64_t payload_expected(uint32_t bytes, uint64_t base)
{
    uint64_t words = bytes / 8;
    uint64_t tail = (base + words * PAYLOAD_STEP) & ((UINT64_C(1) << 8 * (bytes % 8)) - 1);
    return words * base + PAYLOAD_STEP * (words * (words - 1) / 2) + tail;
}

/* Chooses the widest instructions of this machine for the two functions below. Once, before threads exist. */
void payload_init(void);
extern void (*payload_fill_long)(uint8_t *payload, uint32_t bytes, uint64_t base);
extern uint64_t (*payload_sum_long)(const uint8_t *payload, uint32_t bytes);

/* Writes every byte. */
static inline void payload_fill(uint8_t *payload, uint32_t bytes, uint64_t base)
{
    if (bytes != PAYLOAD_SMALL_BYTES) {
        payload_fill_long(payload, bytes, base);
        return;
    }
    payload_v2 *to = (payload_v2 *)(void *)payload;
    payload_v2 v = {base, base + PAYLOAD_STEP};
    payload_v2 two = {2 * PAYLOAD_STEP, 2 * PAYLOAD_STEP};
    to[0] = v;
    to[1] = v + two;
    to[2] = v + two + two;
    to[3] = v + two + two + two;
}

/* Reads every byte. */
static inline uint64_t payload_sum(const uint8_t *payload, uint32_t bytes)
{
    if (bytes != PAYLOAD_SMALL_BYTES) {
        return payload_sum_long(payload, bytes);
    }
    const payload_v2 *from = (const payload_v2 *)(const void *)payload;
    payload_v2 sum = from[0] + from[1] + from[2] + from[3];
    return sum[0] + sum[1];
}

#endif
