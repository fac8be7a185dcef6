#include "bench/payload.h"

/* The remaining words, and four bytes if the size asks for them. */
static inline void fill_rest(uint8_t *payload, uint32_t from_word, uint32_t bytes, uint64_t base)
{
    for (uint32_t i = from_word; i < bytes / 8; i++) {
        uint64_t word = base + i * PAYLOAD_STEP;
        memcpy(payload + (size_t)i * 8, &word, 8);
    }
    if (bytes % 8 != 0) {
        uint32_t half = (uint32_t)base;
        memcpy(payload + bytes / 8 * 8, &half, 4);
    }
}

static inline uint64_t sum_rest(const uint8_t *payload, uint32_t from_word, uint32_t bytes)
{
    uint64_t sum = 0;
    for (uint32_t i = from_word; i < bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, payload + (size_t)i * 8, 8);
        sum += word;
    }
    if (bytes % 8 != 0) {
        uint32_t half;
        memcpy(&half, payload + bytes / 8 * 8, 4);
        sum += half;
    }
    return sum;
}

/* One body for each width of vector: WORDS per vector, four vectors a turn. */
#define DEFINE_LONG(suffix, vector, words)                                                                         \
    static void fill_##suffix(uint8_t *payload, uint32_t bytes, uint64_t base)                                     \
    {                                                                                                              \
        vector v, step, turn;                                                                                      \
        for (uint32_t i = 0; i < (words); i++) {                                                                   \
            v[i] = base + i * PAYLOAD_STEP;                                                                        \
            step[i] = (words)*PAYLOAD_STEP;                                                                        \
            turn[i] = 4 * (words)*PAYLOAD_STEP;                                                                    \
        }                                                                                                          \
        uint32_t turns = bytes / (32 * (words));                                                                   \
        vector *to = (vector *)(void *)payload;                                                                    \
        for (uint32_t i = 0; i < turns; i++, to += 4, v += turn) {                                                 \
            to[0] = v;                                                                                             \
            to[1] = v + step;                                                                                      \
            to[2] = v + step + step;                                                                               \
            to[3] = v + step + step + step;                                                                        \
        }                                                                                                          \
        fill_rest(payload, turns * 4 * (words), bytes, base);                                                      \
    }                                                                                                              \
    static uint64_t sum_##suffix(const uint8_t *payload, uint32_t bytes)                                           \
    {                                                                                                              \
        vector a = {0}, b = {0}, c = {0}, d = {0};                                                                 \
        uint32_t turns = bytes / (32 * (words));                                                                   \
        const vector *from = (const vector *)(const void *)payload;                                                \
        for (uint32_t i = 0; i < turns; i++, from += 4) {                                                          \
            a += from[0];                                                                                          \
            b += from[1];                                                                                          \
            c += from[2];                                                                                          \
            d += from[3];                                                                                          \
        }                                                                                                          \
        a += b + c + d;                                                                                            \
        uint64_t sum = 0;                                                                                          \
        for (uint32_t i = 0; i < (words); i++) {                                                                   \
            sum += a[i];                                                                                           \
        }                                                                                                          \
        return sum + sum_rest(payload, turns * 4 * (words), bytes);                                                \
    }

DEFINE_LONG(v2, payload_v2, 2)

#if defined(__x86_64__)
typedef uint64_t payload_v4 __attribute__((vector_size(32), aligned(1), may_alias));
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
DEFINE_LONG(v4, payload_v4, 4)
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target("avx2")
DEFINE_LONG(v4, payload_v4, 4)
#pragma GCC pop_options
#endif
#endif

void (*payload_fill_long)(uint8_t *payload, uint32_t bytes, uint64_t base) = fill_v2;
uint64_t (*payload_sum_long)(const uint8_t *payload, uint32_t bytes) = sum_v2;

void payload_init(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        payload_fill_long = fill_v4;
        payload_sum_long = sum_v4;
    }
#endif
}
