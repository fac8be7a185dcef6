/* Numbers out of lines of text: with separators, by a pattern, and patterns that cannot be. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "daq/text.h"
#include "net/plan.h"

static double values[PLAN_FIELDS_MAX];

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-12;
}

Test(text, separators)
{
    static const char *const lines[] = {"1,-2.5,3e2",     "1;-2.5;3e2",     "1 -2.5 3e2",
                                        " 1\t-2.5\t3e2 ", "1 , -2.5 ; 3e2", "+1.0,-2.50,300.0"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        memset(values, 0, sizeof(values));
        cr_assert(text_parse_line(lines[i], 3, values), "'%s'", lines[i]);
        cr_assert(near(values[0], 1) && near(values[1], -2.5) && near(values[2], 300), "'%s'", lines[i]);
    }
    cr_assert(text_parse_line("nan inf", 2, values)); /* the interlock judges them */
    cr_assert(isnan(values[0]) && isinf(values[1]));
}

Test(text, what_is_no_line_of_numbers)
{
    static const struct {
        const char *line;
        uint32_t fields;
    } cases[] = {{"", 1},      {"   ", 1}, {"x", 1},   {"1x", 1},  {"1,,2", 2},    {",1", 1},
                 {"1,2,3", 2}, {"1,2", 3}, {"1,,", 1}, {"1-2", 2}, {"1, 2, x", 2}, {"1;;2", 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert(!text_parse_line(cases[i].line, cases[i].fields, values), "'%s' has %u numbers", cases[i].line,
                  cases[i].fields);
    }
}

Test(text, patterns_that_match)
{
    static const struct {
        const char *pattern;
        const char *line;
        double first;
        double second;
    } cases[] = {
        {"P={} kPa*T={}", "P=101.3 kPa, T=-4.5", 101.3, -4.5},
        {"P={} kPa*T={}", "P=101.3kPa T=-4.5", 101.3, -4.5}, /* a blank: none, too */
        {"P= {};T= {}", "P=  1;T=\t2", 1, 2},
        {"{},{}", "1,2", 1, 2},
        {"*:{} {}*", "channel 7 :1 2 and more", 1, 2},
        {"{}V {}A*", "1.5V 2A", 1.5, 2}, /* the last part may be empty */
        {"[{}|{}]", "[1e3|-0]", 1000, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert(text_match(cases[i].pattern, cases[i].line, 2, values), "'%s' in '%s'", cases[i].pattern,
                  cases[i].line);
        cr_assert(near(values[0], cases[i].first) && near(values[1], cases[i].second), "'%s': %g %g", cases[i].line,
                  values[0], values[1]);
    }
}

Test(text, patterns_that_do_not_match)
{
    static const struct {
        const char *pattern;
        const char *line;
    } cases[] = {
        {"P={}", ""},     {"P={}", "P="},   {"P={}", "P=x"},        {"P={}", "P= 1"},   {"P={}", "Q=1"},
        {"P={}", "P=1 "}, {"P={}", "xP=1"}, {"P={} kPa", "P=1 Pa"}, {"*T={}", "P=1"},   {"*T={}", "T"},
        {"P={}*", "P="},  {"P={};", "P=1"}, {"P={}", "P=1P=2"},     {"P={} x", "P=1 "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert(!text_match(cases[i].pattern, cases[i].line, 1, values), "'%s' in '%s'", cases[i].pattern,
                  cases[i].line);
    }
    cr_assert(!text_match("{} {}", "1 2", 1, values), "more numbers than there is room for");
    cr_assert(!text_match("{}", "1", 2, values), "fewer than are wanted");
}

Test(text, no_more_is_written_than_there_is_room_for)
{
    double three[3] = {0, 0, 42};
    cr_assert(!text_match("{},{},{}", "1,2,3", 2, three));
    cr_assert(near(three[2], 42));
    cr_assert(!text_parse_line("1,2,3", 2, three));
    cr_assert(near(three[2], 42));
}

Test(text, how_many_numbers_a_pattern_has)
{
    struct error err;
    cr_assert_eq(text_pattern_fields("{}", &err), 1);
    cr_assert_eq(text_pattern_fields("P={} kPa*T={} K*", &err), 2);
    static const struct {
        const char *pattern;
        const char *piece;
    } cases[] = {{"", "at least once"},  {"P=", "at least once"}, {"P={", "for a number"}, {"{1}", "for a number"},
                 {"**{}", "to stop at"}, {"*{}", "to stop at"},   {"* {}", "to stop at"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_lt(text_pattern_fields(cases[i].pattern, &err), 0, "'%s'", cases[i].pattern);
        cr_assert_not_null(strstr(err.text, cases[i].piece), "'%s': %s", cases[i].pattern, err.text);
    }
}
