#include "bench/gaps.h"

#include <stdlib.h>

#include "bench/tsc.h"

#define COVER_MAX 4096u

void gaps_begin(struct gaps *gaps, double limit_us)
{
    gaps->limit = (uint64_t)(limit_us * 1e3 * tsc_per_ns());
    gaps->count = 0;
    gaps->kept = 0;
    gaps->ticks = 0;
    gaps->longest = 0;
    gaps->last = tsc_now();
}

void gaps_note(struct gaps *gaps, uint64_t from, uint64_t to)
{
    if (gaps->kept < GAPS_MAX / 2 || (gaps->kept < GAPS_MAX && to - from > GAPS_LONG * gaps->limit)) {
        gaps->gap[gaps->kept] = (struct gap){from, to};
        gaps->kept++;
    }
    gaps->count++;
    gaps->ticks += to - from;
    gaps->longest = to - from > gaps->longest ? to - from : gaps->longest;
}

static int compare(const void *a, const void *b)
{
    const struct gap *x = a;
    const struct gap *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* Those of one record that touch from .. to, cut to it. */
static uint32_t clip(const struct gaps *gaps, uint64_t from, uint64_t to, struct gap *found, uint32_t n)
{
    for (uint64_t i = 0; i < gaps->kept && n < COVER_MAX; i++) {
        const struct gap *g = &gaps->gap[i];
        if (g->to > from && g->from < to) {
            found[n++] = (struct gap){g->from > from ? g->from : from, g->to < to ? g->to : to};
        }
    }
    return n;
}

uint64_t gaps_cover(const struct gaps *const *records, uint32_t count, uint64_t from, uint64_t to)
{
    static struct gap found[COVER_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        n = clip(records[i], from, to, found, n);
    }
    qsort(found, n, sizeof(found[0]), compare);
    uint64_t covered = 0;
    uint64_t end = from;
    for (uint32_t i = 0; i < n; i++) {
        if (found[i].to > end) {
            covered += found[i].to - (found[i].from > end ? found[i].from : end);
            end = found[i].to;
        }
    }
    return covered;
}

uint64_t gaps_longer(const struct gaps *gaps, double us)
{
    uint64_t limit = (uint64_t)(us * 1e3 * tsc_per_ns());
    uint64_t n = 0;
    if (limit <= gaps->limit) {
        return gaps->count;
    }
    for (uint64_t i = 0; i < gaps->kept; i++) {
        n += gaps->gap[i].to - gaps->gap[i].from > limit;
    }
    return n;
}
