/* The tables of sluice latency: one column of figures for each percentile, a block of lines for each owner of hops.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/duration.h"
#include "tools/latency.h"

#define NAME_CHARACTERS 22
#define PAIR_CHARACTERS 20
#define WIDE_COLUMNS    116u

void latency_span(double seconds, char text[48])
{
    if (seconds < 60) {
        snprintf(text, 48, "%.1f s", seconds);
    } else {
        duration_words(seconds, text);
    }
}

void latency_value_words(const struct histogram *values, uint64_t ns, unsigned characters, char text[16])
{
    double us = (double)ns / 1e3;
    double ones_us = characters < 6 ? 100 : 1000; /* from there on without a fraction */
    if (values->count == 0) {
        snprintf(text, 16, "-");
    } else if (us < ones_us - 0.05) {
        snprintf(text, 16, "%.1f", us);
    } else if (us < 1e5 - 0.5) {
        snprintf(text, 16, "%.0f", us);
    } else {
        double s = us / 1e6;
        snprintf(text, 16, "%.*fs", s < 9.995 ? 2 : s < 99.95 ? 1 : 0, s);
    }
}

void latency_count_words(uint64_t count, unsigned characters, char text[24])
{
    static const char units[] = "kMGTPE";
    int n = snprintf(text, 24, "%" PRIu64, count);
    if (n <= (int)characters) {
        return;
    }
    double left = (double)count / 1e3;
    const char *unit = units;
    while (left >= 999.5 && unit[1] != 0) {
        left /= 1e3;
        unit++;
    }
    snprintf(text, 24, "%.*f%c", left < 9.995 ? 2 : left < 99.95 ? 1 : 0, left, *unit);
}

/* What stands before the last dot. */
static int owner_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL ? (int)(dot - name) : 0;
}

/* The line of the owner, if the one before has another. */
static void print_owner(const struct latency_view *view, uint32_t i, FILE *to)
{
    const char *name = view->line[i].hop->name;
    const char *last = i > 0 ? view->line[i - 1].hop->name : "";
    int length = owner_length(name);
    if (length > 0 && (owner_length(last) != length || strncmp(last, name, (size_t)length) != 0)) {
        fprintf(to, "%.*s\n", length, name);
    }
}

/* The hop's own part of its name, in a field that nothing leaves. */
static void print_name(const struct latency_line *line, int characters, FILE *to)
{
    char text[LATENCY_LINE_BYTES + 32];
    const char *name = line->hop->name;
    int length = owner_length(name);
    snprintf(text, sizeof(text), "  %s", length > 0 ? name + length + 1 : name);
    if (line->corrected) {
        double us = (double)line->hop->period_ns / 1e3;
        snprintf(text, sizeof(text), "   corrected %.3g %s",
                 us < 1e3   ? us
                 : us < 1e6 ? us / 1e3
                            : us / 1e6,
                 us < 1e3   ? "us"
                 : us < 1e6 ? "ms"
                            : "s");
    }
    if (strlen(text) > (size_t)characters) {
        snprintf(text + characters - 1, 2, "~");
    }
    fprintf(to, "%-*s", characters, text);
}

/* With a sign before it if the value itself is not known. */
static void print_max(const struct latency_line *line, unsigned characters, int field, FILE *to)
{
    char words[16];
    char text[20];
    latency_value_words(line->values, line->values->max_ns, characters, words);
    snprintf(text, sizeof(text), "%s%s", line->exact || line->values->count == 0 ? "" : "<", words);
    fprintf(to, "%*s", field, text);
}

static void print_figures(const struct latency_line *line, FILE *to)
{
    char text[24];
    latency_count_words(line->values->count, 8, text);
    fprintf(to, "%9s", text);
    for (uint32_t n = 0; n < LATENCY_QUANTILES; n++) {
        latency_value_words(line->values, hist_quantile_ns(line->values, latency_quantile(n)), 6, text);
        fprintf(to, "%7s", text);
    }
    print_max(line, 6, 8, to);
    latency_count_words(line->values->late, 5, text);
    fprintf(to, "%6s\n", text);
}

static bool has(const struct latency_view *view, bool (*is)(const struct latency_line *line))
{
    for (uint32_t i = 0; view != NULL && i < view->lines; i++) {
        if (is(&view->line[i])) {
            return true;
        }
    }
    return false;
}

static bool is_corrected(const struct latency_line *line)
{
    return line->corrected && !line->idle;
}

static bool is_bound(const struct latency_line *line)
{
    return !line->exact && line->values->count > 0;
}

/* What the signs mean, where they stand. */
static void print_notes(const struct latency_view *view, FILE *to)
{
    if (has(view, is_corrected)) {
        fprintf(to, "corrected: with the rounds that a long one kept from beginning; see sluice(1)\n");
    }
    if (has(view, is_bound)) {
        fprintf(to, "<: at most this, and up to 3.2 %% less\n");
    }
    if (view != NULL && view->anew[0] != 0) {
        fprintf(to,
                "! counts went back, of %s among others;\n  its process was started again, and they begin anew\n",
                view->anew);
    }
}

void latency_table(const struct latency_view *view, FILE *to)
{
    char span[48];
    latency_span(view->seconds, span);
    fprintf(to, "%s: latency in us, %s%s\n", view->at->instance,
            view->interval ? "of an interval of " : "since the start, ", span);
    fprintf(to, "%-*s%9s%7s%7s%7s%7s%7s%8s%6s\n", NAME_CHARACTERS, "", "count", "p50", "p90", "p99", "p99.9",
            "p99.99", "max", "late");
    for (uint32_t i = 0; i < view->lines; i++) {
        if (view->line[i].idle) {
            continue;
        }
        print_owner(view, i, to);
        print_name(&view->line[i], NAME_CHARACTERS, to);
        print_figures(&view->line[i], to);
    }
    print_notes(view, to);
}

/* Half a line. */
static void print_half(const struct latency_line *line, bool wide, FILE *to)
{
    char text[24];
    latency_count_words(line->values->count, 5, text);
    fprintf(to, "%6s", text);
    for (uint32_t n = 0; n < LATENCY_QUANTILES; n++) {
        bool narrow_too = n == 0 || n == 2; /* p50, p99 */
        if (wide ? n != 1 : narrow_too) {
            latency_value_words(line->values, hist_quantile_ns(line->values, latency_quantile(n)), 5, text);
            fprintf(to, wide ? "%7s" : "%6s", text);
        }
    }
    print_max(line, 5, wide ? 8 : 7, to);
    latency_count_words(line->values->late, 4, text);
    fprintf(to, wide ? "%6s" : "%5s", text);
}

void latency_pair_table(const struct latency_view *interval, const struct latency_view *total, unsigned columns,
                        FILE *to)
{
    static const struct histogram empty;
    const struct latency_line nothing = {.values = &empty, .exact = true};
    bool wide = columns >= WIDE_COLUMNS;
    const char *heads =
        wide ? " count    p50    p99  p99.9 p99.99     max  late" : " count   p50   p99    max late";
    char words[2][80] = {"the first interval"};
    char span[48];
    if (interval != NULL) {
        latency_span(interval->seconds, span);
        snprintf(words[0], sizeof(words[0]), "the last %s", span);
    }
    latency_span(total->seconds, span);
    snprintf(words[1], sizeof(words[1]), "since the start, %s", span);
    fprintf(to, "%-*.*s%*s%*s\n", PAIR_CHARACTERS, PAIR_CHARACTERS - 1, total->at->instance, (int)strlen(heads),
            words[0], (int)strlen(heads), words[1]);
    fprintf(to, "%-*s%s%s\n", PAIR_CHARACTERS, "us", heads, heads);
    for (uint32_t i = 0; i < total->lines; i++) {
        if (total->line[i].idle) {
            continue;
        }
        print_owner(total, i, to);
        print_name(&total->line[i], PAIR_CHARACTERS, to);
        print_half(interval != NULL ? &interval->line[i] : &nothing, wide, to);
        print_half(&total->line[i], wide, to);
        fprintf(to, "\n");
    }
    print_notes(interval != NULL ? interval : total, to);
}
