#include "tools/plant/clock.h"

#include <time.h>

#define BRACKETS        64
#define STEP_NOTICED_NS 100000

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Reads monotonic, the other, monotonic; the tightest bracket bounds the error by half its width. */
static int64_t ahead_of_monotonic_ns(clockid_t id)
{
    uint64_t tightest_ns = UINT64_MAX;
    int64_t ahead_ns = 0;

    for (unsigned i = 0; i < BRACKETS; i++) {
        uint64_t before_ns = read_ns(CLOCK_MONOTONIC);
        uint64_t there_ns = read_ns(id);
        uint64_t width_ns = read_ns(CLOCK_MONOTONIC) - before_ns;

        if (width_ns < tightest_ns) {
            tightest_ns = width_ns;
            ahead_ns = (int64_t)(there_ns - before_ns - width_ns / 2);
        }
    }
    return ahead_ns;
}

uint64_t plant_clock_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

void plant_clock_init(struct plant_clock *clock)
{
    clock->tai_ahead_ns = ahead_of_monotonic_ns(CLOCK_TAI);
    clock->realtime_ahead_ns = ahead_of_monotonic_ns(CLOCK_REALTIME);
}

void plant_clock_follow_realtime(struct plant_clock *clock)
{
    int64_t ahead_ns = (int64_t)(read_ns(CLOCK_REALTIME) - read_ns(CLOCK_MONOTONIC));
    int64_t moved_ns = ahead_ns - clock->realtime_ahead_ns;

    if (moved_ns > STEP_NOTICED_NS || moved_ns < -STEP_NOTICED_NS)
        clock->realtime_ahead_ns = ahead_of_monotonic_ns(CLOCK_REALTIME);
}
