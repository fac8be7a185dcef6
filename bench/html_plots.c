/* Which pictures a question has, from its rows and curves. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "bench/decisions.h"
#include "bench/document_get.h"
#include "bench/html.h"
#include "bench/svg.h"

#define BARS_MAX   64u
#define POINTS_MAX 256u
#define US_NS      1e3

static bool is_of(const json_t *document, const json_t *row, const char *question, const char *name)
{
    return strcmp(get_text(row, "name", ""), name) == 0 &&
           strcmp(compare_question_of(document, row), question) == 0;
}

static const char *kind_of(const json_t *row)
{
    const char *kind = get_text(row, "kind", "");
    return strcmp(kind, "floor") == 0 ? "floor" : strcmp(kind, "peer") == 0 ? "peer" : "ours";
}

/* "fifo" of "fifo-epoll". */
static size_t first_word(const char *variant)
{
    return strcspn(variant, "-");
}

/* A picture of bars: those rows of one name, size and (where `word` is not NULL) first word of the variant. */
static void draw_bars(const json_t *document, const char *question, const char *name, json_int_t size,
                      const char *word, FILE *to)
{
    struct svg_bar bars[BARS_MAX];
    uint32_t count = 0;
    const char *unit = "";
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(document, "rows"), i, row)
    {
        const char *variant = get_text(row, "variant", "");
        if (count < BARS_MAX && isfinite(get_number(row, "median")) && is_of(document, row, question, name) &&
            json_integer_value(json_object_get(row, "size_bytes")) == size &&
            (word == NULL ||
             (strncmp(variant, word, first_word(word)) == 0 && first_word(variant) == first_word(word)))) {
            unit = get_text(row, "unit", "");
            bars[count++] =
                (struct svg_bar){.label = variant,
                                 .kind = kind_of(row),
                                 .value = get_number(row, "median"),
                                 .min = fmax(0, get_number(row, "min")), /* the other one where there is none */
                                 .max = fmax(0, get_number(row, "max")),
                                 .stalled = get_number(json_object_get(row, "stalled"), "rounds") > 0};
        }
    }
    if (count > 0) {
        char title[128];
        int n = snprintf(title, sizeof(title), "%s", name);
        if (word != NULL) {
            snprintf(title + n, sizeof(title) - (size_t)n, ", %.*s", (int)first_word(word), word);
        } else {
            snprintf(title + n, sizeof(title) - (size_t)n, ", %lld bytes", (long long)size);
        }
        svg_bars(to, title, unit, bars, count);
    }
}

/* Whether no row before number `end` is of the same picture. */
static bool is_first(const json_t *document, const char *question, const char *name, const json_t *row, size_t end,
                     bool by_word)
{
    const json_t *before;
    const char *variant = get_text(row, "variant", "");
    size_t i;
    json_array_foreach(json_object_get(document, "rows"), i, before)
    {
        const char *other = get_text(before, "variant", "");
        bool same =
            by_word ? first_word(other) == first_word(variant) && strncmp(other, variant, first_word(other)) == 0
                    : json_equal(json_object_get(before, "size_bytes"), json_object_get(row, "size_bytes")) != 0;
        if (i < end && same && is_of(document, before, question, name)) {
            return false;
        }
    }
    return true;
}

/* One picture for each size; or for each first word of a variant. */
static void draw_all(const json_t *document, const char *question, const char *name, bool by_word, FILE *to)
{
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(document, "rows"), i, row)
    {
        if (is_of(document, row, question, name) && is_first(document, question, name, row, i, by_word)) {
            draw_bars(document, question, name, json_integer_value(json_object_get(row, "size_bytes")),
                      by_word ? get_text(row, "variant", "") : NULL, to);
        }
    }
}

static struct svg_point points[SVG_LINES_MAX][POINTS_MAX];

static uint32_t take_points(const json_t *curve, struct svg_point *to)
{
    const json_t *pair;
    uint32_t count = 0;
    size_t i;
    json_array_foreach(curve, i, pair)
    {
        if (count < POINTS_MAX) {
            to[count++] = (struct svg_point){.of = json_number_value(json_array_get(pair, 0)),
                                             .ns = json_number_value(json_array_get(pair, 1))};
        }
    }
    return count;
}

/* All curves whose variant has this place in it: "busy-idle" .. */
static void draw_curves(const json_t *document, const char *question, const char *place, FILE *to)
{
    struct svg_line lines[SVG_LINES_MAX];
    uint32_t count = 0;
    const json_t *histogram;
    size_t i;
    json_array_foreach(json_object_get(document, "histograms"), i, histogram)
    {
        const char *variant = get_text(histogram, "variant", "");
        if (count < SVG_LINES_MAX && strstr(variant, place) != NULL &&
            strcmp(compare_question_of(document, histogram), question) == 0) {
            lines[count] =
                (struct svg_line){.label = variant,
                                  .point = points[count],
                                  .points = take_points(json_object_get(histogram, "curve"), points[count]),
                                  .is_floor = strncmp(variant, "floor", 5) == 0};
            count++;
        }
    }
    if (count > 0) {
        char title[128];
        snprintf(title, sizeof(title), "sample published to output written, %s", place);
        svg_percentiles(to, title, lines, count, DECISION_LATE_US * US_NS);
    }
}

void html_plots(const struct json_t *document, const char *question, FILE *to)
{
    static const char *const places[] = {"busy-idle", "busy-loaded", "duty-idle", "duty-loaded"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        draw_curves(document, question, places[i], to);
    }
    draw_all(document, question, "throughput", false, to);
    draw_all(document, question, "latency_p50", false, to);
    draw_all(document, question, "latency_p99", false, to);
    draw_all(document, question, "loss_free_unstalled", false, to);
    draw_all(document, question, "sum", false, to);
    draw_all(document, question, "overhead", false, to);
    draw_all(document, question, "fold", false, to);
    draw_all(document, question, "impact_ratio", false, to);
    draw_all(document, question, "impact_10g_ratio", false, to);
    draw_all(document, question, "readings", false, to);
    draw_all(document, question, "readings_private", false, to);
    draw_all(document, question, "cpu_percent", true, to);
    draw_all(document, question, "late_p99", true, to);
}
