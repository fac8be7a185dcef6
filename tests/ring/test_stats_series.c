/* Envelopes and crossings against slow and obvious ones, cut at any place, with and without room. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ring/stats.h"
#include "tests/support/bytes.h"
#include "tests/support/random.h"

#define VALUES 3000u

static double values[VALUES];
static uint64_t times[VALUES];
static bool gap_before[VALUES];

/* Steps of 0 .. 2 * step ns; gaps and what is not finite here and there. */
static void fill(uint64_t seed, uint64_t step, unsigned odd_per_mille, unsigned gap_per_mille)
{
    struct test_random random = {seed};
    uint64_t now = 1000003;
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = 1e9 + (double)(int64_t)test_random_next(&random) / 0x1p63;
        if (test_random_chance(&random, odd_per_mille)) {
            values[i] = test_random_chance(&random, 500) ? (double)NAN : -(double)INFINITY;
        }
        now += test_random_below(&random, 2 * step + 1);
        times[i] = now;
        gap_before[i] = test_random_chance(&random, gap_per_mille);
    }
}

/* ---- Envelopes. */

static struct sluice_envelope_point points[VALUES + 1];
static struct sluice_envelope_point should[VALUES + 1];

static struct sluice_envelope_point naive_point(size_t from, size_t to, bool is_after_gap)
{
    struct sluice_envelope_point p = {
        .tai_ns = times[from], .min = (double)INFINITY, .max = -(double)INFINITY, .is_after_gap = is_after_gap};
    long double sum = 0;
    for (size_t i = from; i < to; i++) {
        if (!isfinite(values[i])) {
            p.not_finite++;
            continue;
        }
        p.count++;
        p.min = fmin(p.min, values[i]);
        p.max = fmax(p.max, values[i]);
        sum += (long double)values[i];
    }
    p.mean = (double)(sum / (long double)p.count);
    return p;
}

static size_t naive_envelope(uint64_t every_values, uint64_t every_ns)
{
    size_t n = 0;
    size_t from = 0;
    for (size_t i = 1; i <= VALUES; i++) {
        bool ends = i == VALUES || gap_before[i] || (every_values != 0 && i - from == every_values) ||
                    (every_ns != 0 && times[i] / every_ns > times[from] / every_ns);
        if (ends) {
            should[n++] = naive_point(from, i, from == 0 || gap_before[from]);
            from = i;
        }
    }
    return n;
}

static size_t run_envelope(struct sluice_envelope *e, uint64_t seed, size_t room)
{
    struct test_random random = {seed};
    size_t n = 0;
    for (size_t i = 0; i < VALUES;) {
        size_t count = 1 + test_random_below(&random, 600);
        size_t end = i + 1;
        while (end < VALUES && end < i + count && !gap_before[end]) {
            end++;
        }
        if (gap_before[i]) {
            sluice_envelope_gap(e);
        }
        while (i < end) {
            size_t written;
            size_t left = VALUES + 1 - n;
            size_t taken = sluice_envelope_add(e, times + i, values + i, end - i, points + n,
                                               room < left ? room : left, &written);
            cr_assert(taken == end - i || written == room, "it stops for want of room only");
            n += written;
            i += taken;
        }
    }
    return n + (size_t)sluice_envelope_flush(e, points + n);
}

static void check_points(size_t is, size_t expected, const char *what)
{
    cr_assert_eq(is, expected, "%s: %zu points, not %zu", what, is, expected);
    for (size_t i = 0; i < is; i++) {
        const struct sluice_envelope_point *a = &points[i];
        const struct sluice_envelope_point *b = &should[i];
        cr_assert(a->tai_ns == b->tai_ns && a->count == b->count && a->not_finite == b->not_finite &&
                      a->is_after_gap == b->is_after_gap,
                  "%s: point %zu of %zu", what, i, is);
        if (b->count == 0) {
            cr_assert(isnan(a->min) && isnan(a->max) && isnan(a->mean));
        } else {
            cr_assert(a->min == b->min && a->max == b->max && fabs(a->mean - b->mean) < 3e-7,
                      "%s: point %zu: %.17g, not %.17g", what, i, a->mean, b->mean);
        }
    }
}

Test(envelope, groups_of_values_and_of_time)
{
    const uint64_t every[] = {1, 2, 3, 7, 256, 1000, VALUES, VALUES + 1};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        fill(seed, 100, seed % 2 == 0 ? 200 : 0, seed % 3 == 0 ? 10 : 0);
        for (size_t k = 0; k < sizeof(every) / sizeof(every[0]); k++) {
            struct sluice_envelope e;
            char what[64];
            snprintf(what, sizeof(what), "seed %lu, every %lu", seed, every[k]);
            cr_assert_eq(sluice_envelope_init(&e, every[k], 0), 0);
            check_points(run_envelope(&e, seed, seed % 2 == 0 ? 1 : 10000), naive_envelope(every[k], 0), what);
            cr_assert_eq(sluice_envelope_init(&e, 0, every[k] * 50), 0);
            check_points(run_envelope(&e, seed, seed % 2 == 0 ? 1 : 10000), naive_envelope(0, every[k] * 50), what);
        }
    }
}

Test(envelope, a_reordered_value_counts_in_the_open_step)
{
    const uint64_t t[] = {1000, 1010, 990, 1020, 1100};
    const double v[] = {1, 2, 3, 4, 5};
    struct sluice_envelope e;
    struct sluice_envelope_point p[5];
    size_t written;
    cr_assert_eq(sluice_envelope_init(&e, 0, 100), 0);
    cr_assert_eq(sluice_envelope_add(&e, t, v, 5, p, 5, &written), 5);
    cr_assert(written == 1 && p[0].tai_ns == 1000 && p[0].count == 4 && p[0].max == 4 && p[0].mean == 2.5);
    cr_assert(p[0].is_after_gap == 1, "the first one has nothing before it");
    cr_assert_eq(sluice_envelope_flush(&e, p), 1);
    cr_assert(p[0].tai_ns == 1100 && p[0].count == 1 && p[0].is_after_gap == 0);
    cr_assert_eq(sluice_envelope_flush(&e, p), 0);
}

Test(envelope, without_times_the_number_is_the_time)
{
    const double v[] = {1, 2, 3, 4, 5};
    struct sluice_envelope e;
    struct sluice_envelope_point p[5];
    size_t written;
    cr_assert_eq(sluice_envelope_init(&e, 0, 2), 0);
    cr_assert_eq(sluice_envelope_add(&e, NULL, v, 5, p, 5, &written), 5);
    cr_assert(written == 2 && p[0].tai_ns == 0 && p[0].mean == 1.5 && p[1].tai_ns == 2 && p[1].mean == 3.5);
    const uint64_t last = UINT64_MAX - 3;
    cr_assert_eq(sluice_envelope_init(&e, 0, 100), 0);
    cr_assert_eq(sluice_envelope_add(&e, &last, v, 1, p, 5, &written), 1, "the last step there is");
}

Test(envelope, groups_that_cannot_be)
{
    struct sluice_envelope e;
    cr_assert_eq(sluice_envelope_init(&e, 0, 0), -EINVAL);
    cr_assert_eq(sluice_envelope_init(&e, 1, 1), -EINVAL);
}

/* ---- Edges. */

/* Value by value, as the header says it. */
struct naive {
    int level; /* last known: 0 none, 1, 2 */
    bool broken;
    bool sure;
    uint64_t since, last, above, below, unknown, rising, falling, count, odd;
    size_t edges;
    bool has_last;
};

static struct sluice_edge edges[VALUES];
static struct sluice_edge naive_edges[VALUES];

static void naive_value(struct naive *n, double low, double high, double x, uint64_t t, uint64_t position)
{
    if (!n->has_last) {
        n->last = t;
        n->has_last = true;
    }
    if (t > n->last) {
        uint64_t passed = t - n->last;
        n->last = t;
        *(n->broken || n->level == 0 ? &n->unknown : n->level == 2 ? &n->above : &n->below) += passed;
    }
    if (!isfinite(x)) {
        n->odd++;
        n->broken = true;
        return;
    }
    n->count++;
    int level = x >= high ? 2 : x < low ? 1 : 0;
    if (level == 0) {
        return;
    }
    if (level != n->level) {
        if (n->level != 0) {
            naive_edges[n->edges++] =
                (struct sluice_edge){.position = position,
                                     .tai_ns = n->last,
                                     .held_ns = n->last - n->since,
                                     .level = (uint32_t)level,
                                     .flags = (n->broken ? SLUICE_EDGE_IN_GAP : 0u) |
                                              (n->broken || !n->sure ? SLUICE_EDGE_HELD_UNSURE : 0u)};
            n->rising += level == 2;
            n->falling += level == 1;
        }
        n->sure = n->level != 0 && !n->broken;
        n->since = n->last;
        n->level = level;
    } else if (n->broken) {
        n->sure = false;
    }
    n->broken = false;
}

Test(edges, as_value_by_value)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct test_random random = {seed};
        struct sluice_edges e;
        struct naive n = {0};
        double low = 1e9 - (seed % 3 == 0 ? 0 : 0.3);
        double high = 1e9 + (seed % 3 == 0 ? 0 : 0.3);
        size_t room = seed % 2 == 0 ? 1 : 5000;
        size_t found = 0;
        fill(seed, 100, seed % 4 == 1 ? 30 : 0, seed % 4 == 2 ? 30 : 0);
        if (seed > 12) { /* long stretches, so that much is passed at once */
            for (size_t i = 0; i < VALUES; i++) {
                values[i] =
                    isfinite(values[i]) ? 1e9 + 0.8 * sin((double)i / 150) + 1e-3 * (double)(i % 5) : values[i];
            }
        }
        times[500] = times[100]; /* a stamp that goes back */
        cr_assert_eq(sluice_edges_init(&e, low, high), 0);
        for (size_t i = 0; i < VALUES;) {
            size_t end = i + 1 + test_random_below(&random, 500);
            end = end < VALUES ? end : VALUES;
            for (size_t k = i + 1; k < end; k++) {
                end = gap_before[k] ? k : end;
            }
            if (gap_before[i]) {
                sluice_edges_gap(&e);
                n.broken = true;
            }
            for (size_t k = i; k < end; k++) {
                naive_value(&n, low, high, values[k], times[k], 70 + k);
            }
            while (i < end) {
                size_t written;
                size_t taken =
                    sluice_edges_add(&e, 70 + i, times + i, values + i, end - i, edges + found, room, &written);
                cr_assert(taken == end - i || written == room);
                found += written;
                i += taken;
            }
        }
        cr_assert_gt(n.edges, seed > 12 ? 3 : 100, "the test has edges");
        cr_assert_eq(found, n.edges, "seed %lu: %zu edges, not %zu", seed, found, n.edges);
        cr_assert(same_bytes(edges, naive_edges, found * sizeof(edges[0])), "seed %lu", seed);
        cr_assert(e.rising == n.rising && e.falling == n.falling && e.above_ns == n.above &&
                      e.below_ns == n.below && e.unknown_ns == n.unknown && e.count == n.count &&
                      e.not_finite == n.odd,
                  "seed %lu", seed);
        cr_assert_eq(e.above_ns + e.below_ns + e.unknown_ns, n.last - times[0], "no time is lost");
    }
}

Test(edges, counted_only_and_told_alike)
{
    const double v[] = {0, 5, 0, 5, 5, 0};
    struct sluice_edges e;
    size_t written;
    cr_assert_eq(sluice_edges_init(&e, 2, 3), 0);
    cr_assert_eq(sluice_edges_add(&e, 100, NULL, v, 6, NULL, 0, &written), 6);
    cr_assert(written == 0 && e.rising == 2 && e.falling == 2 && e.above_ns == 3 && e.below_ns == 2);
    cr_assert_eq(sluice_edges_init(&e, 2, 3), 0);
    cr_assert_eq(sluice_edges_add(&e, 100, NULL, v, 6, edges, 0, &written), 1,
                 "no room: it stops before the first");
    cr_assert_eq(sluice_edges_add(&e, 101, NULL, v + 1, 5, edges, 9, &written), 5);
    cr_assert(written == 4 && edges[0].position == 101 && edges[0].level == SLUICE_LEVEL_ABOVE);
    cr_assert(edges[0].flags == SLUICE_EDGE_HELD_UNSURE, "it was low before anybody looked");
    cr_assert(edges[1].flags == 0 && edges[1].held_ns == 1 && edges[3].held_ns == 2);
}

Test(edges, unknown_in_a_gap_until_it_is_seen)
{
    const double before[] = {0, 0};
    const double after[] = {2.5, 2.5, 5};
    struct sluice_edges e;
    size_t written;
    cr_assert_eq(sluice_edges_init(&e, 2, 3), 0);
    (void)sluice_edges_add(&e, 10, NULL, before, 2, edges, 9, &written);
    sluice_edges_gap(&e);
    (void)sluice_edges_add(&e, 20, NULL, after, 3, edges, 9, &written);
    cr_assert(written == 1 && edges[0].position == 22);
    cr_assert(edges[0].flags == (SLUICE_EDGE_IN_GAP | SLUICE_EDGE_HELD_UNSURE),
              "between the thresholds nobody knows on which side it came from");
    cr_assert(e.below_ns == 1 && e.unknown_ns == 11 && e.above_ns == 0);
}

Test(edges, thresholds_that_cannot_be)
{
    struct sluice_edges e;
    cr_assert_eq(sluice_edges_init(&e, 2, 1), -EINVAL);
    cr_assert_eq(sluice_edges_init(&e, (double)NAN, 1), -EINVAL);
    cr_assert_eq(sluice_edges_init(&e, 0, (double)INFINITY), -EINVAL);
}
