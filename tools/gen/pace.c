#include "tools/gen/pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/clock.h"

#define NS_PER_1000_S   (UINT64_C(1000) * CLOCK_NS_PER_S)
#define UNITS_PER_S_MAX 1e12 /* 1 Tbit/s */

static double multiple(const char **text)
{
    const char letters[] = "kMG";
    const char *found = **text != 0 ? strchr(letters, **text) : NULL;
    double by = 1;
    if (found != NULL) {
        (*text)++;
        for (const char *c = letters; c <= found; c++) {
            by *= 1000;
        }
    }
    return by;
}

int pace_rate_parse(struct pace_rate *rate, const char *text, struct error *err)
{
    char *end = NULL;
    double value = strtod(text, &end);
    const char *unit = end;
    bool is_number = end != text && (*text == '.' || (*text >= '0' && *text <= '9'));
    value *= is_number ? multiple(&unit) : 1;
    bool in_bits = strcmp(unit, "bit/s") == 0;
    if (!is_number || (!in_bits && strcmp(unit, "pps") != 0) || !(value >= 1e-3 && value <= UNITS_PER_S_MAX)) {
        return error_set(
            err, -EINVAL,
            "expected a rate such as 1000pps, 14.88Mpps or 9.84Gbit/s (of payload), from 0.001 a second "
            "to 1000G, found '%s'",
            text);
    }
    *rate = (struct pace_rate){.per_1000_s = (uint64_t)(value * 1000 + 0.5), .in_bits = in_bits};
    return 0;
}

void pace_init(struct pace *pace, const struct pace_rate *rate, uint64_t start_ns, uint64_t catch_up_ns)
{
    *pace = (struct pace){.rate = *rate, .start_ns = start_ns, .catch_up_ns = catch_up_ns};
}

uint64_t pace_due_ns(const struct pace *pace, uint64_t units)
{
    uint64_t from_ns = pace->start_ns + pace->skipped_ns;
    if (pace->rate.per_1000_s == 0) {
        return from_ns;
    }
    return from_ns + (uint64_t)((unsigned __int128)units * NS_PER_1000_S / pace->rate.per_1000_s);
}

void pace_begun(struct pace *pace, uint64_t due_ns, uint64_t next_ns, uint64_t now_ns)
{
    uint64_t behind_ns = clock_elapsed_ns(due_ns, now_ns);
    pace->bursts++;
    if (pace->rate.per_1000_s == 0) {
        return;
    }
    pace->late += now_ns >= next_ns && next_ns > due_ns;
    if (behind_ns > pace->longest_ns) {
        pace->longest_ns = behind_ns;
    }
    if (behind_ns > pace->catch_up_ns) {
        pace->skipped_ns += behind_ns;
    }
}
