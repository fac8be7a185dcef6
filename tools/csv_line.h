/* Fields of a line of a table. */
#ifndef TOOLS_CSV_LINE_H
#define TOOLS_CSV_LINE_H

#include <stdbool.h>
#include <stdint.h>

#define CSV_FIELD_BYTES 128u

/* The next field of the line at *at, without quotes and blanks; moves behind the delimiter. False: the line is
 * over. */
bool csv_next_field(const char **at, const char *end, char delimiter, char field[CSV_FIELD_BYTES]);

/* Seconds since 1970, with a fraction, or "2020-03-09 10:14:33.5" (or with a T), in ns. */
bool csv_parse_time(const char *text, uint64_t *ns);

#endif
