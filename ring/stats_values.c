/* Numbers of any kind as doubles. Hot (HOT_SOURCES). */
#include "ring/stats.h"

#include <errno.h>
#include <string.h>

#include "ring/layout.h"
#include "ring/raw_loops.h"

/* Of one type and byte order, with any stride. */
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

RAW_LOOPS(VALUES_LOOP)

typedef void values_loop(const uint8_t *from, ptrdiff_t stride, size_t count, double *out);
static values_loop *const little[RING_TYPES] = RAW_LITTLE;
static values_loop *const big[RING_TYPES] = RAW_BIG;

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
