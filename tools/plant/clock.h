/* One time for everything: CLOCK_MONOTONIC inside, TAI in frames and logs. The distance between the two is taken
 * once at the start, so that a step of the wall clock changes nothing; the kernel's arrival stamps are
 * CLOCK_REALTIME and their distance is taken again whenever it has moved. */
#ifndef SLUICE_PLANT_CLOCK_H
#define SLUICE_PLANT_CLOCK_H

#include <stdint.h>

struct plant_clock {
    int64_t tai_ahead_ns;      /* CLOCK_TAI - CLOCK_MONOTONIC, at the start */
    int64_t realtime_ahead_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC, newest */
};

uint64_t plant_clock_now_ns(void);
void plant_clock_init(struct plant_clock *clock);
/* Looks whether the wall clock was stepped; cheap. */
void plant_clock_follow_realtime(struct plant_clock *clock);

static inline uint64_t plant_clock_tai_ns(const struct plant_clock *clock, uint64_t monotonic_ns)
{
    return monotonic_ns + (uint64_t)clock->tai_ahead_ns;
}

static inline uint64_t plant_clock_from_realtime_ns(const struct plant_clock *clock, uint64_t realtime_ns)
{
    return realtime_ns - (uint64_t)clock->realtime_ahead_ns;
}

#endif
