/* For how long, as operators say it. */
#include <criterion/criterion.h>

#include "tools/duration.h"

Test(duration, good)
{
    uint64_t ns = 0;
    cr_assert(duration_parse("90s", &ns));
    cr_assert_eq(ns, UINT64_C(90000000000));
    cr_assert(duration_parse("30m", &ns));
    cr_assert_eq(ns, UINT64_C(1800000000000));
    cr_assert(duration_parse("8h", &ns));
    cr_assert_eq(ns, UINT64_C(28800000000000));
    cr_assert(duration_parse("8760h", &ns), "a year");
}

Test(duration, bad)
{
    static const char *const bad[] = {"",    "s",     "10",    "0s",          "-1s", "1.5h", "10 s",
                                      "10d", "10sec", "8761h", "9999999999s", " 1s", "1s ",  "0x10s"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns;
        cr_assert(!duration_parse(bad[i], &ns), "'%s'", bad[i]);
    }
}

Test(duration, words)
{
    char text[48];
    duration_words(0.9, text);
    cr_assert_str_eq(text, "0 s");
    duration_words(200, text);
    cr_assert_str_eq(text, "3 min 20 s");
    duration_words(7500, text);
    cr_assert_str_eq(text, "2 h 5 min");
    duration_words(-5, text);
    cr_assert_str_eq(text, "0 s");
}
