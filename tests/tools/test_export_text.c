#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/bytes.h"
#include "tests/support/random.h"
#include "tools/export/number.h"

static void check_number(double value, const char *expected)
{
    char text[NUMBER_BYTES];
    size_t n = number_text(value, text);
    cr_assert_str_eq(text, expected);
    cr_assert_eq(n, strlen(expected));
}

Test(export_text, numbers_are_short)
{
    check_number(0, "0");
    check_number(-0.0, "-0");
    check_number(0.1, "0.1");
    check_number(101.325, "101.325");
    check_number(0.1 + 0.2, "0.30000000000000004");
    check_number(1e22, "1e+22");
    check_number(9007199254740993.0, "9007199254740992");
    check_number(1.0 / 3, "0.3333333333333333");
    check_number(5e-324, "4.94065645841247e-324");
}

Test(export_text, what_is_not_finite_is_nothing)
{
    check_number((double)NAN, "");
    check_number((double)INFINITY, "");
    check_number(-(double)INFINITY, "");
}

Test(export_text, every_number_reads_back)
{
    struct test_random random = {1};
    for (int i = 0; i < 100000; i++) {
        char text[NUMBER_BYTES];
        double value;
        uint64_t bits = test_random_next(&random);
        memcpy(&value, &bits, sizeof(value));
        size_t n = number_text(value, text);
        cr_assert_lt(n, NUMBER_BYTES);
        if (isfinite(value)) {
            double back = strtod(text, NULL);
            cr_assert(same_bytes(&back, &value, sizeof(value)), "%s", text);
        }
    }
}

Test(export_text, times)
{
    char text[TIME_TEXT_BYTES];
    cr_assert_eq(time_text(0, text), strlen("1970-01-01T00:00:00.000000000Z"));
    cr_assert_str_eq(text, "1970-01-01T00:00:00.000000000Z");
    time_text(UINT64_C(1795703400123456789), text);
    cr_assert_str_eq(text, "2026-11-26T14:30:00.123456789Z");
    time_text(UINT64_MAX, text);
    cr_assert_str_eq(text, "2554-07-21T23:34:33.709551615Z");
}

static void check_time(const char *text, enum time_kind kind, uint64_t expected)
{
    uint64_t ns = 0;
    cr_assert_eq(time_parse(text, &ns), kind, "%s", text);
    cr_assert_eq(ns, expected, "%s: %llu", text, (unsigned long long)ns);
}

Test(export_text, times_are_parsed)
{
    check_time("12.5", TIME_IS_FROM_BEGIN, UINT64_C(12500000000));
    check_time("+12.5", TIME_IS_FROM_BEGIN, UINT64_C(12500000000));
    check_time("0", TIME_IS_FROM_BEGIN, 0);
    check_time("0.000000001", TIME_IS_FROM_BEGIN, 1);
    check_time("2026-11-26T14:30:00.123456789Z", TIME_IS_UTC, UINT64_C(1795703400123456789));
    check_time("2026-11-26T14:30:00", TIME_IS_UTC, UINT64_C(1795703400000000000));
    check_time("2024-02-29T00:00:00Z", TIME_IS_UTC, UINT64_C(1709164800000000000));
    check_time("@1795703437000000000", TIME_IS_TAI, UINT64_C(1795703437000000000));
}

Test(export_text, what_is_no_time)
{
    static const char *const bad[] = {"",
                                      "+",
                                      "x",
                                      "-1",
                                      "1.",
                                      ".5",
                                      "1.0000000001",
                                      "1s",
                                      "@",
                                      "@-1",
                                      "@1.5",
                                      "2026-11-26",
                                      "2026-02-30T00:00:00Z",
                                      "2026-11-26T14:30:00.Z",
                                      "2026-11-26T14:30:00Zx",
                                      "1969-12-31T23:59:59Z",
                                      "99999999999999999999",
                                      "@99999999999999999999",
                                      "9999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns;
        cr_assert_eq(time_parse(bad[i], &ns), TIME_IS_NONE, "%s", bad[i]);
    }
}
