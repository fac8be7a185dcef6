#include <criterion/criterion.h>

#include "bench/progress.h"

#define S UINT64_C(1000000000)

static struct progress after(double done_s)
{
    return (struct progress){.start_ns = 5 * S, .whole_s = 100, .done_s = done_s};
}

Test(progress, at_the_beginning_the_guess_stands)
{
    struct progress p = after(0);
    cr_assert_float_eq(progress_rest_s(&p, 5 * S), 100, 1e-9);
    p = after(1);
    cr_assert_float_eq(progress_rest_s(&p, 9 * S), 99, 1e-9, "too early to know better");
}

Test(progress, the_rest_is_stretched_as_the_time_so_far_was)
{
    struct progress p = after(50);
    cr_assert_float_eq(progress_rest_s(&p, 105 * S), 100, 1e-9, "twice as slow as guessed");
    cr_assert_float_eq(progress_rest_s(&p, 30 * S), 25, 1e-9, "twice as fast");
}

Test(progress, more_than_was_expected_leaves_nothing)
{
    struct progress p = after(120);
    cr_assert_float_eq(progress_rest_s(&p, 125 * S), 0, 1e-9);
}
