/* Pacing is arithmetic: exact over any time, and what came late is counted. */
#include <criterion/criterion.h>

#include "ring/clock.h"
#include "tools/gen/pace.h"

static struct pace_rate rate_of(const char *text)
{
    struct pace_rate rate;
    struct error err = {{0}};
    cr_assert_eq(pace_rate_parse(&rate, text, &err), 0, "%s: %s", text, err.text);
    return rate;
}

Test(gen_pace, rates_are_read)
{
    const struct {
        const char *text;
        uint64_t per_1000_s;
        bool in_bits;
    } good[] = {
        {"1pps", 1000, false},
        {"0.001pps", 1, false},
        {"1000pps", 1000000, false},
        {"5kpps", 5000000, false},
        {"14.88Mpps", UINT64_C(14880000000), false},
        {"9.84Gbit/s", UINT64_C(9840000000000), true},
        {"100bit/s", 100000, true},
        {".5Mbit/s", 500000000, true},
        {"1000Gbit/s", UINT64_C(1000000000000000), true},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct pace_rate rate = rate_of(good[i].text);
        cr_assert_eq(rate.per_1000_s, good[i].per_1000_s, "%s: %lu", good[i].text, rate.per_1000_s);
        cr_assert_eq(rate.in_bits, good[i].in_bits, "%s", good[i].text);
    }
}

Test(gen_pace, others_are_refused_with_what_was_found)
{
    const char *const bad[] = {"",       "pps",    "10",        "10 pps",   "10Tpps",  "-1pps",
                               "nanpps", "infpps", "10ppsx",    "10kkpps",  "10Kpps",  "1001Gbit/s",
                               "0pps",   "10bps",  "0.0001pps", "1e400pps", "10kbits", "M",
                               "kpps",   "+5pps",  " 5pps",     "5mbit/s"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pace_rate rate = {.per_1000_s = 77};
        struct error err = {{0}};
        cr_assert_lt(pace_rate_parse(&rate, bad[i], &err), 0, "%s", bad[i]);
        cr_assert_eq(rate.per_1000_s, 77, "%s: untouched", bad[i]);
        cr_assert(strstr(err.text, "expected a rate") != NULL && strstr(err.text, bad[i]) != NULL, "%s", err.text);
    }
}

Test(gen_pace, nothing_drifts)
{
    struct pace pace;
    struct pace_rate rate = rate_of("14.88Mpps");
    pace_init(&pace, &rate, 1000, 0);
    cr_assert_eq(pace_due_ns(&pace, 0), 1000);
    cr_assert_eq(pace_due_ns(&pace, 14880000), 1000 + CLOCK_NS_PER_S);
    /* A year of frames. */
    cr_assert_eq(pace_due_ns(&pace, UINT64_C(14880000) * 31536000), 1000 + 31536000 * CLOCK_NS_PER_S);
    rate = rate_of("3pps");
    pace_init(&pace, &rate, 0, 0);
    for (uint64_t s = 0; s < 1000; s++) {
        cr_assert_eq(pace_due_ns(&pace, 3 * s), s * CLOCK_NS_PER_S);
        cr_assert_eq(pace_due_ns(&pace, 3 * s + 1), s * CLOCK_NS_PER_S + 333333333);
    }
    /* 1000 Gbit/s for a week. */
    rate = rate_of("1000Gbit/s");
    pace_init(&pace, &rate, 0, 0);
    cr_assert_eq(pace_due_ns(&pace, UINT64_C(1000000000000) * 604800), 604800 * CLOCK_NS_PER_S);
}

Test(gen_pace, a_burst_is_late_when_the_next_one_is_due_already)
{
    struct pace pace;
    struct pace_rate rate = rate_of("1Mpps");
    pace_init(&pace, &rate, 0, 1000000);
    pace_begun(&pace, 0, 32000, 31999);
    cr_assert_eq(pace.late, 0);
    cr_assert_eq(pace.longest_ns, 31999);
    pace_begun(&pace, 32000, 64000, 64000);
    cr_assert_eq(pace.late, 1);
    pace_begun(&pace, 64000, 96000, 63000); /* never before its time, but a clock may be coarse */
    cr_assert_eq(pace.late, 1);
    cr_assert_eq(pace.bursts, 3);
    cr_assert_eq(pace.skipped_ns, 0);
}

Test(gen_pace, a_long_delay_is_not_made_up_for)
{
    struct pace pace;
    struct pace_rate rate = rate_of("1Mpps");
    pace_init(&pace, &rate, 0, 1000000);
    pace_begun(&pace, 0, 32000, 1000000);
    cr_assert_eq(pace.skipped_ns, 0, "as long as it may be");
    pace_begun(&pace, 32000, 64000, 50000000);
    cr_assert_eq(pace.skipped_ns, 50000000 - 32000);
    cr_assert_eq(pace_due_ns(&pace, 64), 50000000 + 32000, "the next one its time behind this one");
}

Test(gen_pace, as_fast_as_it_goes_is_never_late)
{
    struct pace pace;
    struct pace_rate rate = {0};
    pace_init(&pace, &rate, 500, 0);
    cr_assert_eq(pace_due_ns(&pace, 1000000), 500);
    pace_begun(&pace, 500, 500, 9000000);
    cr_assert_eq(pace.late, 0);
    cr_assert_eq(pace.skipped_ns, 0);
    cr_assert_eq(pace.bursts, 1);
}
