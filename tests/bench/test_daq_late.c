/* Where a schedule lies, when only the stamps of what kept it are known. */
#include <criterion/criterion.h>
#include <string.h>

#include "bench/daq_late.h"

#define BINS 1000u

static uint32_t phase[BINS];

Test(daq_late, the_first_behind_the_longest_pause_is_punctual)
{
    memset(phase, 0, sizeof(phase));
    phase[300] = 900;
    phase[304] = 50;
    phase[420] = 3;
    cr_assert_eq(daq_late_punctual(phase, BINS), 300);
}

Test(daq_late, a_pause_may_go_over_the_end)
{
    memset(phase, 0, sizeof(phase));
    phase[40] = 5;
    phase[100] = 1;
    phase[600] = 1; /* 501 without any, from here to 40 only 439 */
    cr_assert_eq(daq_late_punctual(phase, BINS), 600);
    phase[350] = 1;
    cr_assert_eq(daq_late_punctual(phase, BINS), 40);
}

Test(daq_late, one_stamp_is_punctual)
{
    for (uint32_t bin = 0; bin < BINS; bin += 111) {
        memset(phase, 0, sizeof(phase));
        phase[bin] = 1;
        cr_assert_eq(daq_late_punctual(phase, BINS), bin);
    }
}

Test(daq_late, stamps_everywhere_have_no_pause)
{
    for (uint32_t i = 0; i < BINS; i++) {
        phase[i] = 1;
    }
    cr_assert_lt(daq_late_punctual(phase, BINS), BINS);
}
