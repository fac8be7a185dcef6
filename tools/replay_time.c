#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ring/clock.h"
#include "tools/replay_command.h"

#define SECONDS_MAX 1e9

/* ".123456789", at most nine digits; false: anything else. */
static bool read_fraction(const char *text, const char **rest, uint64_t *ns)
{
    uint64_t unit = CLOCK_NS_PER_S;
    *ns = 0;
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9' && unit > 1; text++) {
            unit /= 10;
            *ns += (uint64_t)(*text - '0') * unit;
        }
    }
    *rest = text;
    return true;
}

/* UTC, as ISO 8601 has it, with a Z or without. */
static bool read_utc(const char *text, uint64_t *utc_ns)
{
    struct tm tm = {.tm_isdst = 0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    uint64_t fraction_ns;
    if (rest == NULL || !read_fraction(rest, &rest, &fraction_ns)) {
        return false;
    }
    time_t seconds = timegm(&tm);
    *utc_ns = (uint64_t)seconds * CLOCK_NS_PER_S + fraction_ns;
    return seconds > 0 && (strcmp(rest, "Z") == 0 || *rest == 0);
}

static bool read_tai(const char *text, uint64_t *tai_ns)
{
    char *end;
    errno = 0;
    *tai_ns = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0;
}

int replay_time(const char *text, uint64_t first_tai_ns, int64_t tai_minus_utc_ns, uint64_t *ns)
{
    char *end;
    uint64_t tai_ns = 0;
    uint64_t utc_ns = 0;
    double seconds = strtod(text, &end);
    if (*end == 0 && end != text && seconds >= 0 && seconds <= SECONDS_MAX) {
        *ns = (uint64_t)llround(seconds * (double)CLOCK_NS_PER_S);
        return 0;
    }
    if (text[0] == '@' && read_tai(text + 1, &tai_ns)) {
        *ns = tai_ns > first_tai_ns ? tai_ns - first_tai_ns : 0;
        return 0;
    }
    if (read_utc(text, &utc_ns)) {
        tai_ns = utc_ns + (uint64_t)tai_minus_utc_ns;
        *ns = tai_ns > first_tai_ns ? tai_ns - first_tai_ns : 0;
        return 0;
    }
    return -EINVAL;
}
