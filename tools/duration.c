#include "tools/duration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S    UINT64_C(1000000000)
#define SECONDS_MAX UINT64_C(31536000)

bool duration_parse(const char *text, uint64_t *ns)
{
    size_t digits = strspn(text, "0123456789");
    char unit = text[digits];
    uint64_t unit_s = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 0;
    if (digits == 0 || digits > 9 || unit_s == 0 || text[digits + 1] != 0) {
        return false;
    }
    uint64_t seconds = strtoull(text, NULL, 10) * unit_s;
    if (seconds == 0 || seconds > SECONDS_MAX) {
        return false;
    }
    *ns = seconds * NS_PER_S;
    return true;
}

void duration_words(double seconds, char text[48])
{
    unsigned s = seconds > 0 ? (unsigned)seconds : 0;
    if (s >= 3600) {
        snprintf(text, 48, "%u h %u min", s / 3600, s % 3600 / 60);
    } else if (s >= 60) {
        snprintf(text, 48, "%u min %u s", s / 60, s % 60);
    } else {
        snprintf(text, 48, "%u s", s);
    }
}
