#include "net/payload.h"

#define WORDS      ((size_t)4) /* of a vector; where there are no such registers the compiler makes two of one */
#define TURN_WORDS (4 * WORDS)

typedef uint64_t payload_v4 __attribute__((vector_size(8 * WORDS), aligned(1), may_alias));

/* Words from `word` on, and the first bytes of one more if the size asks for them: most often four, without a call.
 */
static inline void fill_rest(uint8_t *payload, size_t word, size_t bytes, uint64_t base)
{
    for (; word < bytes / 8; word++) {
        uint64_t value = base + word * PAYLOAD_STEP;
        memcpy(payload + word * 8, &value, 8);
    }
    if (bytes % 8 != 0) {
        uint64_t value = base + word * PAYLOAD_STEP;
        if (bytes % 8 == 4) {
            memcpy(payload + word * 8, &value, 4);
        } else {
            memcpy(payload + word * 8, &value, bytes % 8);
        }
    }
}

static inline uint64_t sum_rest(const uint8_t *payload, size_t word, size_t bytes)
{
    uint64_t sum = 0;
    for (; word < bytes / 8; word++) {
        uint64_t value;
        memcpy(&value, payload + word * 8, 8);
        sum += value;
    }
    if (bytes % 8 != 0) {
        uint64_t value = 0;
        if (bytes % 8 == 4) {
            memcpy(&value, payload + word * 8, 4);
        } else {
            memcpy(&value, payload + word * 8, bytes % 8);
        }
        sum += value;
    }
    return sum;
}

/* The bodies, compiled once for any machine and once for AVX2. */
__attribute__((always_inline)) static inline void fill_body(uint8_t *payload, uint32_t bytes, uint64_t base)
{
    const uint64_t s = PAYLOAD_STEP;
    const payload_v4 step = {WORDS * s, WORDS * s, WORDS * s, WORDS * s};
    const payload_v4 turn = {TURN_WORDS * s, TURN_WORDS * s, TURN_WORDS * s, TURN_WORDS * s};
    payload_v4 v = {base, base + s, base + 2 * s, base + 3 * s};
    payload_v4 *to = (payload_v4 *)(void *)payload;
    size_t turns = bytes / (8 * TURN_WORDS);
    for (size_t i = 0; i < turns; i++, to += 4, v += turn) {
        to[0] = v;
        to[1] = v + step;
        to[2] = v + step + step;
        to[3] = v + step + step + step;
    }
    fill_rest(payload, turns * TURN_WORDS, bytes, base);
}

__attribute__((always_inline)) static inline uint64_t sum_body(const uint8_t *payload, uint32_t bytes)
{
    payload_v4 a = {0, 0, 0, 0}, b = a, c = a, d = a;
    const payload_v4 *from = (const payload_v4 *)(const void *)payload;
    size_t turns = bytes / (8 * TURN_WORDS);
    for (size_t i = 0; i < turns; i++, from += 4) {
        a += from[0];
        b += from[1];
        c += from[2];
        d += from[3];
    }
    a += b + c + d;
    return a[0] + a[1] + a[2] + a[3] + sum_rest(payload, turns * TURN_WORDS, bytes);
}

static void fill_any(uint8_t *payload, uint32_t bytes, uint64_t base)
{
    fill_body(payload, bytes, base);
}

static uint64_t sum_any(const uint8_t *payload, uint32_t bytes)
{
    return sum_body(payload, bytes);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void fill_avx2(uint8_t *payload, uint32_t bytes, uint64_t base)
{
    fill_body(payload, bytes, base);
}

__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *payload, uint32_t bytes)
{
    return sum_body(payload, bytes);
}
#endif

void (*payload_fill_long)(uint8_t *payload, uint32_t bytes, uint64_t base) = fill_any;
uint64_t (*payload_sum_long)(const uint8_t *payload, uint32_t bytes) = sum_any;

void payload_init(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        payload_fill_long = fill_avx2;
        payload_sum_long = sum_avx2;
    }
#endif
}
