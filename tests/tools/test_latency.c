/* What sluice latency prints, from snapshots that are made here: choice, tables, curves, JSON. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"
#include "tools/latency.h"

static struct latency_snapshot first, second;
static struct latency_view total, interval;
static struct latency_options options;
static char *text;
static size_t text_bytes;

static struct histogram *add(struct latency_snapshot *s, const char *name, uint64_t period_ns)
{
    struct latency_hop *hop = &s->hop[s->hops++];
    snprintf(hop->name, sizeof(hop->name), "%s", name);
    snprintf(hop->meaning, sizeof(hop->meaning), "what %s means", name);
    hop->period_ns = period_ns;
    return &hop->values;
}

static void fill(struct histogram *h, uint64_t seed, uint32_t values, uint64_t around_ns)
{
    struct test_random random = {seed};
    for (uint32_t i = 0; i < values; i++) {
        hist_record(h, around_ns + test_random_below(&random, around_ns * (i % 1000 == 999 ? 100 : 2)));
    }
}

/* Two looks at one server, 2 s apart. */
static void make(void)
{
    for (struct latency_snapshot *s = &first; s != NULL; s = s == &first ? &second : NULL) {
        snprintf(s->instance, sizeof(s->instance), "stand");
        s->started_tai_ns = 1000000000;
        s->tai_ns = s == &first ? 8000000000 : 10000000000;
        s->monotonic_ns = s->tai_ns;
        add(s, "control.arrival_to_decided", 0)->limit_ns = 500000;
        add(s, "control.loop", 100000);
        add(s, "worker-0.round", 1000000);
        add(s, "a_source_with_a_long_name.arrival_to_publish_to_a_reader", 0);
        add(s, "control.never", 0);
        fill(&s->hop[0].values, 1, 20000, 40000);
        fill(&s->hop[1].values, 2, 50000, 90000);
        fill(&s->hop[2].values, 3, 3000, 1000000);
        fill(&s->hop[3].values, 4, 100, 900);
    }
    fill(&second.hop[0].values, 5, 10000, 40000);
}

static FILE *begin(void)
{
    free(text);
    text = NULL;
    FILE *to = open_memstream(&text, &text_bytes);
    cr_assert_not_null(to);
    return to;
}

static bool has(const char *what)
{
    return strstr(text, what) != NULL;
}

/* Characters, not bytes. */
static unsigned width_of(const char *line, size_t bytes)
{
    unsigned width = 0;
    for (size_t i = 0; i < bytes; i++) {
        width += ((unsigned char)line[i] & 0xc0) != 0x80;
    }
    return width;
}

static unsigned assert_fits(unsigned columns)
{
    unsigned lines = 0;
    for (const char *line = text; *line != 0; lines++) {
        size_t bytes = strcspn(line, "\n");
        cr_assert_leq(width_of(line, bytes), columns, "%.*s", (int)bytes, line);
        cr_assert_eq(line[bytes], '\n');
        line += bytes + 1;
    }
    return lines;
}

TestSuite(latency, .init = make);

Test(latency, a_hop_is_chosen_by_its_beginning_or_its_last_part)
{
    cr_assert(latency_chosen(NULL, "control.loop"));
    cr_assert(latency_chosen("control", "control.loop"));
    cr_assert(latency_chosen("control.loop", "control.loop"));
    cr_assert(latency_chosen("worker,loop", "control.loop"));
    cr_assert(latency_chosen("worker-1", "worker-1.round"));
    cr_assert_not(latency_chosen("loo", "control.loop"));
    cr_assert_not(latency_chosen("oop", "control.loop"));
    cr_assert_not(latency_chosen("control.loops", "control.loop"));
    cr_assert_not(latency_chosen("", "control.loop"));
    cr_assert(latency_chosen("plain", "plain"));
}

Test(latency, an_unknown_hop_is_named_with_those_that_there_are)
{
    struct error err = {{0}};
    cr_assert(latency_all_known(NULL, &first, &err));
    cr_assert(latency_all_known("loop,worker", &first, &err));
    cr_assert_not(latency_all_known("loop,rounds,worker", &first, &err));
    cr_assert_not_null(strstr(err.text, "found 'rounds'; there are control.arrival_to_decided, control.loop, "),
                       "%s", err.text);
}

Test(latency, the_table)
{
    latency_view_make(&options, &second, NULL, &total);
    FILE *to = begin();
    latency_table(&total, to);
    fclose(to);
    cr_assert_eq(assert_fits(80), 2 + 3 + 5 + 2 + 1 + 1, "%s", text); /* control stands there twice */
    cr_assert(has("stand: latency in us, since the start, 9.0 s\n"));
    cr_assert(has("\ncontrol\n  arrival_to_decided      30000"), "%s", text);
    cr_assert(has("   corrected 100 us"));
    cr_assert(has("   corrected 1 ms"));
    cr_assert(has("corrected: with the rounds"));
    cr_assert(has("  arrival_to_publish_~"));
    cr_assert(has("  never                       0      -      -      -      -      -       -     0\n"));
    cr_assert_not(has("<"));
}

Test(latency, raw_corrects_nothing)
{
    options.raw = true;
    latency_view_make(&options, &second, NULL, &total);
    cr_assert_eq(total.lines, 5);
    FILE *to = begin();
    latency_table(&total, to);
    fclose(to);
    cr_assert_not(has("corrected"));
}

Test(latency, an_interval_beside_the_total)
{
    for (unsigned columns = 80; columns <= 116; columns += 36) {
        latency_view_make(&options, &second, NULL, &total);
        latency_view_make(&options, &second, &first, &interval);
        cr_assert_eq(interval.line[0].values->count, 10000);
        cr_assert_float_eq(interval.seconds, 2, 1e-9);
        FILE *to = begin();
        latency_pair_table(&interval, &total, columns, to);
        fclose(to);
        assert_fits(columns);
        cr_assert(has("the last 2.0 s"));
        cr_assert(has("since the start, 9.0 s"));
        cr_assert_eq(has("p99.9"), columns == 116);
        cr_assert(has("  arrival_to_decided 10000"), "%s", text);
        cr_assert(has(" 30000 "));
        to = begin();
        latency_pair_table(NULL, &total, columns, to);
        fclose(to);
        assert_fits(columns);
        cr_assert(has("the first interval"));
        cr_assert(has("   corrected 100 us "), "%s", text);
    }
}

Test(latency, a_maximum_that_is_not_known_says_so)
{
    hist_record(&first.hop[4].values, 4000000);
    hist_record(&second.hop[4].values, 4000000);
    hist_record(&second.hop[4].values, 3000000);
    latency_view_make(&options, &second, &first, &interval);
    FILE *to = begin();
    latency_table(&interval, to);
    fclose(to);
    char bound[32];
    snprintf(bound, sizeof(bound), "<%.0f", (double)hist_bucket_high_ns(hist_bucket(3000000)) / 1e3);
    cr_assert(has(bound), "%s in %s", bound, text);
    cr_assert(has("<: at most this"));
    cr_assert(has("of an interval of 2.0 s"));
}

Test(latency, counts_that_went_back_are_told)
{
    second.hop[2].values = (struct histogram){0};
    hist_record(&second.hop[2].values, 5000);
    latency_view_make(&options, &second, NULL, &total);
    latency_view_make(&options, &second, &first, &interval);
    FILE *to = begin();
    latency_pair_table(&interval, &total, 80, to);
    fclose(to);
    cr_assert(has("! counts went back, of worker-0.round among others"), "%s", text);
    assert_fits(80);
}

Test(latency, a_hop_that_is_new_has_all_of_it_in_the_interval)
{
    fill(add(&second, "worker-1.round", 0), 9, 77, 1000);
    latency_view_make(&options, &second, &first, &interval);
    cr_assert_eq(interval.line[interval.lines - 1].values->count, 77);
}

static const struct {
    uint64_t ns;
    const char *five, *six;
} value_words[] = {{0, "0.0", "0.0"},
                   {1234, "1.2", "1.2"},
                   {99949, "99.9", "99.9"},
                   {99960, "100", "100.0"},
                   {999940, "1000", "999.9"},
                   {999960, "1000", "1000"},
                   {99999400, "99999", "99999"},
                   {99999600, "0.10s", "0.10s"},
                   {9994000000, "9.99s", "9.99s"},
                   {99940000000, "99.9s", "99.9s"},
                   {1099511627775, "1100s", "1100s"}};

Test(latency, values_fit_their_columns)
{
    char words[16];
    for (size_t i = 0; i < sizeof(value_words) / sizeof(value_words[0]); i++) {
        latency_value_words(&first.hop[0].values, value_words[i].ns, 5, words);
        cr_assert_str_eq(words, value_words[i].five);
        latency_value_words(&first.hop[0].values, value_words[i].ns, 6, words);
        cr_assert_str_eq(words, value_words[i].six);
    }
    for (uint64_t count = 1; count < UINT64_MAX / 10; count = count * 10 + 9) {
        char counted[24];
        latency_count_words(count, 5, counted);
        cr_assert_leq(strlen(counted), 5, "%s", counted);
    }
}

static void draw(const struct latency_view *view, unsigned rows, unsigned columns, bool utf8)
{
    struct terminal terminal = {.rows = rows, .columns = columns, .utf8 = utf8};
    FILE *to = begin();
    latency_curve(view, &terminal, to);
    fclose(to);
}

Test(latency, curves_fit_the_terminal)
{
    static const unsigned sizes[][2] = {{24, 80}, {60, 200}, {20, 60}, {1000, 1000}, {40, 133}};
    latency_view_make(&options, &second, NULL, &total);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (unsigned utf8 = 0; utf8 < 2; utf8++) {
            draw(&total, sizes[i][0], sizes[i][1], utf8);
            cr_assert_leq(assert_fits(sizes[i][1]), sizes[i][0] - 1);
            cr_assert(has("control.loop"));
            cr_assert(has("control.loop.corrected"));
            cr_assert(has("late: over 500 us"), "%s", text);
            cr_assert(has("99.99%"));
            cr_assert_not(has("control.never"));
        }
    }
}

Test(latency, without_utf8_all_is_ascii)
{
    latency_view_make(&options, &second, NULL, &total);
    draw(&total, 24, 80, false);
    for (const char *at = text; *at != 0; at++) {
        cr_assert((*at >= 0x20 && *at < 0x7f) || *at == '\n', "%s", at);
    }
    draw(&total, 24, 80, true);
    cr_assert(has("\u25cf"));
    cr_assert(has("\u2502"));
}

/* A percentile is never below a smaller one: the curve's signs do not come down on their way to the right. */
Test(latency, a_curve_only_rises)
{
    options.hops = "arrival_to_decided";
    latency_view_make(&options, &second, NULL, &total);
    draw(&total, 40, 100, false);
    unsigned row_of[100];
    unsigned found = 0;
    memset(row_of, 0, sizeof(row_of));
    unsigned row = 0;
    for (const char *line = text; *line != 0; row++) {
        size_t bytes = strcspn(line, "\n");
        for (size_t column = 9; row >= 1 && row < 36 && column < bytes; column++) {
            if (line[column] == 'o' && line[column + 1] != 'v') { /* not of "over" */
                row_of[column] = row;
                found++;
            }
        }
        line += bytes + 1;
    }
    cr_assert_gt(found, 70, "%s", text);
    unsigned before = UINT32_MAX;
    for (unsigned column = 9; column < 100; column++) {
        if (row_of[column] > 0) {
            cr_assert_leq(row_of[column], before, "column %u of\n%s", column, text);
            before = row_of[column];
        }
    }
}

Test(latency, curves_beyond_eight_are_counted)
{
    for (unsigned i = 0; i < 9; i++) {
        char name[32];
        snprintf(name, sizeof(name), "worker-%u.round", i + 1);
        fill(add(&second, name, 0), i + 1, 1000, UINT64_C(1000) * (i + 1));
    }
    options.raw = true;
    latency_view_make(&options, &second, NULL, &total);
    draw(&total, 24, 80, true);
    cr_assert_leq(assert_fits(80), 23);
    cr_assert(has("and 5 more: choose with --hop"), "%s", text);
}

Test(latency, curves_of_odd_counts)
{
    static struct latency_snapshot odd;
    snprintf(odd.instance, sizeof(odd.instance), "odd");
    latency_view_make(&options, &odd, NULL, &total);
    draw(&total, 24, 80, true);
    cr_assert(has("odd: nothing was counted since the start"), "%s", text);
    hist_record(add(&odd, "a.one", 0), 0);
    latency_view_make(&options, &odd, NULL, &total);
    draw(&total, 24, 80, true);
    cr_assert_eq(assert_fits(80), 23);
    add(&odd, "a.far", 0)->limit_ns = 1;
    hist_record(&odd.hop[1].values, UINT64_C(1) << 50);
    latency_view_make(&options, &odd, NULL, &total);
    draw(&total, 24, 80, true);
    cr_assert_eq(assert_fits(80), 23);
}

Test(latency, json_has_the_figures_and_where_asked_the_buckets)
{
    latency_view_make(&options, &second, NULL, &total);
    latency_view_make(&options, &second, &first, &interval);
    json_t *report = latency_json(&total, &interval, true);
    cr_assert_not_null(report);
    json_t *hops = json_object_get(report, "hops");
    cr_assert_eq(json_array_size(hops), 5);
    json_t *hop = json_array_get(hops, 1);
    cr_assert_str_eq(json_string_value(json_object_get(hop, "name")), "control.loop");
    cr_assert_eq(json_integer_value(json_object_get(hop, "period_ns")), 100000);
    json_t *figures = json_object_get(hop, "total");
    cr_assert_eq(json_integer_value(json_object_get(figures, "count")), 50000);
    cr_assert_gt(json_integer_value(json_object_get(json_object_get(figures, "corrected"), "count")), 50000);
    json_int_t sum = 0;
    size_t i;
    json_t *bucket;
    json_array_foreach(json_object_get(figures, "buckets"), i, bucket)
    {
        sum += json_integer_value(json_object_get(bucket, "count"));
    }
    cr_assert_eq(sum, 50000);
    hop = json_array_get(hops, 0);
    cr_assert(json_is_null(json_object_get(json_object_get(hop, "total"), "corrected")));
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(hop, "interval"), "count")), 10000);
    json_decref(report);
    report = latency_json(&total, NULL, false);
    hop = json_array_get(json_object_get(report, "hops"), 0);
    cr_assert(json_is_null(json_object_get(hop, "interval")));
    cr_assert_null(json_object_get(json_object_get(hop, "total"), "buckets"));
    cr_assert(json_is_null(json_object_get(report, "interval_s")));
    json_decref(report);
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Nearest rank, over what was recorded. */
Test(latency, percentiles_are_those_of_the_values_sorted)
{
    static uint64_t values[30000];
    static struct latency_snapshot sorted;
    struct test_random random = {11};
    struct histogram *h = add(&sorted, "a.b", 0);
    for (size_t i = 0; i < 30000; i++) {
        values[i] = test_random_below(&random, UINT64_C(1) << (10 + i % 20));
        hist_record(h, values[i]);
    }
    qsort(values, 30000, sizeof(values[0]), by_value);
    for (uint32_t n = 0; n < LATENCY_QUANTILES; n++) {
        uint64_t exact = values[(size_t)(latency_quantile(n) * 30000 + 0.5) - 1];
        uint64_t found = hist_quantile_ns(h, latency_quantile(n));
        cr_assert_geq(found, exact, "%s", latency_quantile_name(n));
        cr_assert_leq((double)(found - exact), LATENCY_TOO_HIGH * (double)exact + 1);
    }
}

Test(latency, a_correction_that_adds_nothing_is_left_out)
{
    first.hop[1].period_ns = UINT64_C(1) << 40;
    latency_view_make(&options, &first, NULL, &total);
    cr_assert_eq(total.lines, 7);
    FILE *to = begin();
    latency_table(&total, to);
    fclose(to);
    cr_assert(has("   corrected 1 ms"));
    cr_assert_not(has("corrected 1.1"), "%s", text);
    draw(&total, 24, 80, false);
    cr_assert_not(has("loop.corrected"));
    cr_assert(has("round.corrected"));
}
