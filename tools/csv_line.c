#include "tools/csv_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ring/clock.h"

#define SECONDS_MAX 1e10

bool csv_next_field(const char **at, const char *end, char delimiter, char field[CSV_FIELD_BYTES])
{
    size_t n = 0;
    if (*at > end) {
        return false;
    }
    for (; *at < end && **at != delimiter; ++*at) {
        if (n < CSV_FIELD_BYTES - 1 && **at != '"' && **at != '\r' && !(n == 0 && **at == ' ')) {
            field[n++] = **at;
        }
    }
    while (n > 0 && field[n - 1] == ' ') {
        n--;
    }
    field[n] = 0;
    ++*at;
    return true;
}

bool csv_parse_time(const char *text, uint64_t *ns)
{
    struct tm tm = {.tm_isdst = 0};
    char *rest = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    char *end;
    if (rest == NULL) {
        memset(&tm, 0, sizeof(tm));
        rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    if (rest != NULL) {
        time_t seconds = timegm(&tm);
        double fraction = *rest == '.' ? strtod(rest, &end) : 0.0;
        *ns = (uint64_t)seconds * CLOCK_NS_PER_S + (uint64_t)(fraction * 1e9);
        return seconds > 0 && (double)seconds < SECONDS_MAX && fraction >= 0.0 && fraction < 1.0;
    }
    double seconds = strtod(text, &end);
    if (end == text || *end != 0 || !(seconds >= 0.0) || seconds > SECONDS_MAX) {
        return false;
    }
    double whole = floor(seconds);
    *ns = (uint64_t)whole * CLOCK_NS_PER_S + (uint64_t)((seconds - whole) * 1e9);
    return true;
}
