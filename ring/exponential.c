#include "ring/exponential.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LOG2_E   1.4426950408889634074
#define LN2_HIGH 6.93147180369123816490e-01 /* ln 2 cut to 32 bits: a small whole multiple of it is exact */
#define LN2_LOW  1.90821492927058770002e-10 /* the rest of it */
#define TERMS    14

/* 2^k for -1022 <= k <= 1023, by its bits. */
static double power_of_two(int64_t k)
{
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof(power));
    return power;
}

/* x = k ln 2 + r with |r| <= ln 2 / 2, where the series needs few terms. */
double ring_exponential(double x)
{
    if (!(x >= -RING_EXPONENTIAL_MAX && x <= RING_EXPONENTIAL_MAX)) {
        return (double)NAN;
    }
    int64_t k = (int64_t)(x * LOG2_E + (x < 0 ? -0.5 : 0.5));
    double r = x - (double)k * LN2_HIGH - (double)k * LN2_LOW;
    double sum = 1.0;
    for (int n = TERMS; n > 0; n--) {
        sum = 1.0 + sum * r / n; /* 1 + r (1 + r/2 (1 + r/3 ..)) */
    }
    return sum * power_of_two(k);
}
