/* Numbers of any kind as doubles. Hot (HOT_SOURCES). */
#include "ring/stats.h"

#include <errno.h>
#include <string.h>

#include "ring/layout.h"

/* One type and byte order: both are constants, so that what is left of it is a load. As linear_*() of
 * sluice_values.c, with any stride and no length to look at. */
#define VALUES_LOOP(name, type, word, load)                                                                        \
    static void name(const uint8_t *from, ptrdiff_t stride, size_t count, double *out)                             \
    {                                                                                                              \
        for (size_t i = 0; i < count; i++, from += stride) {                                                       \
            word w;                                                                                                \
            type raw;                                                                                              \
            memcpy(&w, from, sizeof(w));                                                                           \
            w = load(w);                                                                                           \
            memcpy(&raw, &w, sizeof(raw));                                                                         \
            out[i] = (double)raw;                                                                                  \
        }                                                                                                          \
    }

#define AS_IT_IS(w) (w)
VALUES_LOOP(little_i8, int8_t, uint8_t, AS_IT_IS)
VALUES_LOOP(little_u8, uint8_t, uint8_t, AS_IT_IS)
VALUES_LOOP(little_i16, int16_t, uint16_t, AS_IT_IS)
VALUES_LOOP(little_u16, uint16_t, uint16_t, AS_IT_IS)
VALUES_LOOP(little_i32, int32_t, uint32_t, AS_IT_IS)
VALUES_LOOP(little_u32, uint32_t, uint32_t, AS_IT_IS)
VALUES_LOOP(little_i64, int64_t, uint64_t, AS_IT_IS)
VALUES_LOOP(little_u64, uint64_t, uint64_t, AS_IT_IS)
VALUES_LOOP(little_f32, float, uint32_t, AS_IT_IS)
VALUES_LOOP(little_f64, double, uint64_t, AS_IT_IS)
VALUES_LOOP(big_i16, int16_t, uint16_t, __builtin_bswap16)
VALUES_LOOP(big_u16, uint16_t, uint16_t, __builtin_bswap16)
VALUES_LOOP(big_i32, int32_t, uint32_t, __builtin_bswap32)
VALUES_LOOP(big_u32, uint32_t, uint32_t, __builtin_bswap32)
VALUES_LOOP(big_i64, int64_t, uint64_t, __builtin_bswap64)
VALUES_LOOP(big_u64, uint64_t, uint64_t, __builtin_bswap64)
VALUES_LOOP(big_f32, float, uint32_t, __builtin_bswap32)
VALUES_LOOP(big_f64, double, uint64_t, __builtin_bswap64)

typedef void values_loop(const uint8_t *from, ptrdiff_t stride, size_t count, double *out);
static values_loop *const little[RING_TYPES] = {NULL,       little_i8,  little_u8,  little_i16,
                                                little_u16, little_i32, little_u32, little_i64,
                                                little_u64, little_f32, little_f64};
static values_loop *const big[RING_TYPES] = {NULL,    little_i8, little_u8, big_i16, big_u16, big_i32,
                                             big_u32, big_i64,   big_u64,   big_f32, big_f64};

int sluice_values_from(const void *first, uint32_t type, uint32_t big_endian, ptrdiff_t stride_bytes, size_t count,
                       double *out)
{
    if (type == RING_TYPE_NONE || type >= RING_TYPES) {
        return -EINVAL;
    }
    if (type == RING_TYPE_F64 && big_endian == 0 && stride_bytes == (ptrdiff_t)sizeof(double)) {
        memcpy(out, first, count * sizeof(double));
    } else {
        (big_endian != 0 ? big : little)[type](first, stride_bytes, count, out);
    }
    return 0;
}
