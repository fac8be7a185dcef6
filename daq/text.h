/* Numbers out of lines of text. Pure. */
#ifndef DAQ_TEXT_H
#define DAQ_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/error.h"

/* Parses up to `fields` numbers separated by commas, semicolons, blanks or tabs. True if there are exactly as many,
 * and nothing else. "nan" and "inf" are numbers (the interlock judges them). */
bool text_parse_line(const char *line, uint32_t fields, double *values);

/* Matches a line with a pattern: `{}` is a number, `*` any characters up to what comes next in the pattern, a blank
 * any number of blanks and tabs, none included, and every other character itself. "P={} kPa*T={}" finds two numbers
 * in "P=101.3 kPa, T=-4.5". True if the whole line matches. */
bool text_match(const char *pattern, const char *line, uint32_t fields, double *values);

/* How many numbers a pattern has, or -EINVAL and what is wrong with it. Cold. */
int text_pattern_fields(const char *pattern, struct error *err);

#endif
