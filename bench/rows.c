#include "bench/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts what is finite to the front of `sorted`; how many. */
static uint32_t keep_finite(const double *values, uint32_t count, double *sorted)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            sorted[n++] = values[i];
        }
    }
    qsort(sorted, n, sizeof(sorted[0]), compare);
    return n;
}

static double middle(const double *sorted, uint32_t n)
{
    return n == 0 ? NAN : n % 2 != 0 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void describe(struct row *row)
{
    double sorted[ROW_RUNS_MAX] = {0};
    row->runs = keep_finite(row->samples, row->rounds, sorted);
    row->median = middle(sorted, row->runs);
    row->min = row->runs > 0 ? sorted[0] : NAN;
    row->max = row->runs > 0 ? sorted[row->runs - 1] : NAN;
}

static double ratio(const struct row *row, const struct row *to)
{
    if (to == NULL) {
        return NAN;
    }
    double ratios[ROW_RUNS_MAX];
    double sorted[ROW_RUNS_MAX] = {0};
    uint32_t n = row->rounds < to->rounds ? row->rounds : to->rounds;
    for (uint32_t i = 0; i < n; i++) {
        ratios[i] = row->samples[i] / to->samples[i];
    }
    uint32_t found = keep_finite(ratios, n, sorted);
    return middle(sorted, found);
}

static bool same_question(const struct row *a, const struct row *b)
{
    return strcmp(a->name, b->name) == 0 && a->size_bytes == b->size_bytes && a->group == b->group;
}

/* Is `two` the variant `one` with two readers? */
static bool doubles(const struct row *two, const struct row *one)
{
    size_t n = strlen(one->variant);
    return strncmp(two->variant, one->variant, n) == 0 && strcmp(two->variant + n, "-r2") == 0;
}

static bool better(const struct row *a, const struct row *b)
{
    return b == NULL || (a->high ? a->median > b->median : a->median < b->median);
}

/* The peers of a row: same question, same size, and no larger a batch than its own. */
static void compare_with_others(struct row *row, const struct row *rows, uint32_t count)
{
    const struct row *floor = NULL;
    const struct row *live = NULL;
    const struct row *single = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct row *other = &rows[i];
        if (!same_question(row, other) || other->runs == 0) {
            continue;
        }
        floor = other->is_floor ? other : floor;
        live = strcmp(other->variant, "sluice-observer-live") == 0 ? other : live;
        single = doubles(row, other) ? other : single;
        if (other->kind == PEER_OTHER && other != row && other->batch <= row->batch &&
            better(other, row->best_peer)) {
            row->best_peer = other;
        }
    }
    row->floor_ratio = ratio(row, floor);
    row->peer_ratio = ratio(row, row->best_peer);
    row->live_ratio = ratio(row, live);
    row->single_ratio = ratio(row, single);
}

void rows_finish(struct row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        describe(&rows[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        compare_with_others(&rows[i], rows, count);
    }
}
