/* Waiting for a condition with a bound so generous that only a defect reaches it. */
#ifndef SUPPORT_WAIT_H
#define SUPPORT_WAIT_H

#include <stdbool.h>
#include <time.h>

#include "ring/clock.h"

#define TEST_PATIENCE_NS (UINT64_C(30) * CLOCK_NS_PER_S)

static inline void test_sleep_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_sec = us / 1000000u, .tv_nsec = (long)(us % 1000000u) * 1000}, NULL);
}

/* True while `since_ns` (CLOCK_MONOTONIC) lies less than the patience back; sleeps a little. */
static inline bool test_still_patient(uint64_t since_ns)
{
    test_sleep_us(200);
    return clock_monotonic_ns() - since_ns < TEST_PATIENCE_NS;
}

#endif
