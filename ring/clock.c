#include "ring/clock.h"

#include <sys/timex.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * (int64_t)CLOCK_NS_PER_S + t.tv_nsec;
}

int64_t clock_measure_tai_offset_ns(void)
{
    int64_t best_width_ns = INT64_MAX;
    int64_t best_offset_ns = 0;
    for (int i = 0; i < 64; i++) {
        int64_t before = read_ns(CLOCK_MONOTONIC);
        int64_t tai = read_ns(CLOCK_TAI);
        int64_t after = read_ns(CLOCK_MONOTONIC);
        if (after - before < best_width_ns) {
            best_width_ns = after - before;
            best_offset_ns = tai - (before + (after - before) / 2);
        }
    }
    return best_offset_ns;
}

int32_t clock_utc_offset_s(void)
{
    struct timex t = {0};
    return adjtimex(&t) < 0 ? 0 : (int32_t)t.tai;
}
