/* Time: uint64 nanoseconds since 1970 TAI. On the hot path it is CLOCK_MONOTONIC (the kernel's own calibrated TSC
 * conversion, read in the vDSO without a system call) plus an offset that is measured once per server. A wall-clock
 * step therefore changes no stamp and no decision; it is noticed by the supervisor and shown.
 */
#ifndef RING_CLOCK_H
#define RING_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_S  UINT64_C(1000000000)
#define CLOCK_NS_PER_MS UINT64_C(1000000)
#define CLOCK_NS_PER_US UINT64_C(1000)

/* Monotonic nanoseconds. Any thread. */
static inline uint64_t clock_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The wall clock, ns since 1970 UTC: for files that people name and order, never for a decision. Any thread. */
static inline uint64_t clock_realtime_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* How much later `to` is than `from`; 0 if it is not later. Any thread. */
/*@ assigns \nothing;
    ensures \result == (to_ns > from_ns ? to_ns - from_ns : 0); */
static inline uint64_t clock_elapsed_ns(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

/* TAI by the server's fixed offset. Any thread. */
static inline uint64_t clock_tai_ns(int64_t tai_minus_monotonic_ns)
{
    return clock_monotonic_ns() + (uint64_t)tai_minus_monotonic_ns;
}

/* CLOCK_TAI - CLOCK_MONOTONIC now, from the tightest of several bracketed reads (error below a microsecond unless
 * the caller is preempted every time). Any thread; cold. */
int64_t clock_measure_tai_offset_ns(void);

/* TAI - UTC in seconds as the kernel knows it (0: nobody told the kernel). Any thread; cold. */
int32_t clock_utc_offset_s(void);

#endif
