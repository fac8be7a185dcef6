#include "daq/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER "{}"

/* Blanks, at most one comma or semicolon, blanks: an empty field must not let its neighbour slide into its place.
 */
static const char *skip_separator(const char *at)
{
    at += strspn(at, " \t");
    at += *at == ',' || *at == ';';
    return at + strspn(at, " \t");
}

bool text_parse_line(const char *line, uint32_t fields, double *values)
{
    const char *at = line + strspn(line, " \t");
    for (uint32_t i = 0; i < fields; i++) {
        char *end;
        values[i] = strtod(at, &end);
        if (end == at) {
            return false;
        }
        at = skip_separator(end);
        if (i + 1 < fields && at == end) {
            return false;
        }
    }
    return *at == 0;
}

static bool is_number(const char *pattern)
{
    return strncmp(pattern, NUMBER, sizeof(NUMBER) - 1) == 0;
}

/* Where the literal text that begins at pattern is found first from `at` on. NULL: nowhere. */
static const char *find_literal(const char *pattern, const char *at)
{
    size_t n = strcspn(pattern, "*{ ");
    for (; *at != 0; at++) {
        if (strncmp(at, pattern, n) == 0) {
            return at;
        }
    }
    return NULL;
}

bool text_match(const char *pattern, const char *line, uint32_t fields, double *values)
{
    const char *at = line;
    uint32_t found = 0;
    while (*pattern != 0) {
        if (is_number(pattern)) {
            char *end;
            if (found == fields || *at == ' ' || *at == '\t') {
                return false; /* strtod would skip blanks, which the pattern does not have here */
            }
            values[found++] = strtod(at, &end);
            if (end == at) {
                return false;
            }
            at = end;
            pattern += sizeof(NUMBER) - 1;
        } else if (*pattern == '*') {
            pattern++;
            at = *pattern != 0 ? find_literal(pattern, at) : at + strlen(at);
            if (at == NULL) {
                return false;
            }
        } else if (*pattern == ' ') {
            at += strspn(at, " \t");
            pattern++;
        } else if (*at++ != *pattern++) {
            return false;
        }
    }
    return *at == 0 && found == fields;
}

int text_pattern_fields(const char *pattern, struct error *err)
{
    int fields = 0;
    for (const char *at = pattern; *at != 0; at++) {
        if (is_number(at)) {
            fields++;
            at++;
        } else if (*at == '{') {
            return error_set(err, -EINVAL, "expected {} for a number at '%s'", at);
        } else if (*at == '*' && (at[1] == '*' || at[1] == ' ' || at[1] == '{')) {
            return error_set(err, -EINVAL, "expected characters behind * to stop at, found '%s'", at);
        }
    }
    return fields > 0 ? fields : error_set(err, -EINVAL, "expected {} at least once: it is where a number stands");
}
