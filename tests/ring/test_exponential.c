/* e^x of ours against libm's, over all that it takes. */
#include <criterion/criterion.h>
#include <math.h>

#include "ring/channel.h"
#include "ring/exponential.h"

static double off(double x)
{
    double true_one = exp(x);
    return fabs(ring_exponential(x) - true_one) / true_one;
}

Test(exponential, as_good_as_it_says)
{
    for (int i = -200000; i <= 200000; i++) {
        double x = i * 1e-4;
        cr_assert(off(x) < 1e-14, "at %.17g by %g", x, off(x));
    }
    for (int i = -7000; i <= 7000; i++) {
        double x = i * 0.1;
        double inside = fmin(fmax(x, -RING_EXPONENTIAL_MAX), RING_EXPONENTIAL_MAX);
        cr_assert(off(inside) < 1e-13, "at %.17g by %g", inside, off(inside));
    }
}

Test(exponential, exact_and_rising_where_that_can_be)
{
    cr_assert(ring_exponential(0.0) >= 1 && ring_exponential(0.0) <= 1);
    double before = 0;
    for (int i = -5000; i <= 5000; i++) {
        double value = ring_exponential(i * 0.01);
        cr_assert(value > before, "at %d", i);
        before = value;
    }
}

Test(exponential, beyond_it_is_not_a_number)
{
    const double far[] = {700.0000001,      -700.0000001,      1e300,      -1e300,
                          (double)INFINITY, (double)-INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        cr_assert(ring_is_not_finite(ring_exponential(far[i])), "%g", far[i]);
    }
}
