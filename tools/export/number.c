#include "tools/export/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

size_t number_text(double value, char to[NUMBER_BYTES])
{
    to[0] = 0;
    if (!isfinite(value)) {
        return 0;
    }
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(to, NUMBER_BYTES, "%.*g", digits, value);
        if (digits == 17 || strtod(to, NULL) == value) {
            break;
        }
    }
    return (size_t)n;
}

/* Digits of a whole number, with zeros in front. */
static void put_digits(char *to, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        to[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

size_t time_text(uint64_t utc_ns, char to[TIME_TEXT_BYTES])
{
    time_t seconds = (time_t)(utc_ns / NS_PER_S);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t n = strftime(to, TIME_TEXT_BYTES - 11, "%Y-%m-%dT%H:%M:%S", &utc);
    to[n] = '.';
    put_digits(to + n + 1, utc_ns % NS_PER_S, 9);
    memcpy(to + n + 10, "Z", 2);
    return n + 11;
}

/* ".123" in ns, up to nine digits; *text goes behind it. */
static bool take_fraction(const char **text, uint64_t *ns)
{
    *ns = 0;
    if (**text != '.') {
        return true;
    }
    const char *at = *text + 1;
    uint64_t unit = NS_PER_S / 10;
    for (; *at >= '0' && *at <= '9' && unit > 0; at++, unit /= 10) {
        *ns += unit * (uint64_t)(*at - '0');
    }
    bool some = at > *text + 1;
    *text = at;
    return some;
}

static bool take_count(const char **text, uint64_t most, uint64_t *value)
{
    const char *at = *text;
    *value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (*value > (most - digit) / 10) {
            return false;
        }
        *value = *value * 10 + digit;
    }
    bool some = at > *text;
    *text = at;
    return some;
}

static enum time_kind parse_utc(const char *text, uint64_t *ns)
{
    struct tm utc = {0};
    uint64_t fraction;
    const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    if (at == NULL || !take_fraction(&at, &fraction) || (*at != 0 && strcmp(at, "Z") != 0)) {
        return TIME_IS_NONE;
    }
    struct tm told = utc; /* timegm() would make the 31st of February the 3rd of March */
    time_t seconds = timegm(&utc);
    if (seconds < 0 || utc.tm_mday != told.tm_mday || utc.tm_mon != told.tm_mon ||
        (uint64_t)seconds > INT64_MAX / NS_PER_S - 1) {
        return TIME_IS_NONE;
    }
    *ns = (uint64_t)seconds * NS_PER_S + fraction;
    return TIME_IS_UTC;
}

enum time_kind time_parse(const char *text, uint64_t *ns)
{
    uint64_t whole;
    uint64_t fraction;
    if (text[0] == '@') {
        text++;
        return take_count(&text, INT64_MAX, ns) && *text == 0 ? TIME_IS_TAI : TIME_IS_NONE;
    }
    if (strchr(text, 'T') != NULL) {
        return parse_utc(text, ns);
    }
    text += text[0] == '+';
    if (!take_count(&text, INT64_MAX / NS_PER_S - 1, &whole) || !take_fraction(&text, &fraction) || *text != 0) {
        return TIME_IS_NONE;
    }
    *ns = whole * NS_PER_S + fraction;
    return TIME_IS_FROM_BEGIN;
}
