#include "bench/tsc.h"

double tsc_per_ns(void)
{
    static double per_ns;
    if (per_ns == 0) {
        uint64_t from_ns = clock_monotonic_ns();
        uint64_t from = tsc_now();
        uint64_t now_ns;
        do {
            now_ns = clock_monotonic_ns();
        } while (now_ns - from_ns < 20 * CLOCK_NS_PER_MS);
        per_ns = (double)(tsc_now() - from) / (double)(now_ns - from_ns);
    }
    return per_ns;
}
