/* The tables of the HTML report: a section for each question. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "bench/document_get.h"
#include "bench/html.h"
#include "bench/stalls.h"
#include "bench/svg.h"

void html_cell(FILE *to, const char *class, const char *text)
{
    fprintf(to, class[0] != 0 ? "<td class=\"%s\">" : "<td>%s", class);
    svg_text(to, text);
    fputs("</td>", to);
}

void html_number(FILE *to, const char *prefix, double value)
{
    char number[40];
    char text[48];
    svg_number(number, sizeof(number), value);
    snprintf(text, sizeof(text), "%s%s", prefix, number);
    html_cell(to, "", isfinite(value) ? text : "-");
}

void html_whole(FILE *to, double value)
{
    char text[48];
    snprintf(text, sizeof(text), "%.0f", value);
    html_cell(to, "", isfinite(value) ? text : "-");
}

static void stall_cell(FILE *to, const json_t *row)
{
    const json_t *stalled = json_object_get(row, "stalled");
    double rounds = get_number(stalled, "rounds");
    double longest_us = get_number(stalled, "longest_us");
    char text[96];
    if (!(rounds > 0)) {
        html_cell(to, "", isfinite(rounds) ? "" : "not known");
        return;
    }
    int n = snprintf(text, sizeof(text), "! %.0f of %lld", rounds, get_whole(row, "runs"));
    if (isfinite(longest_us)) {
        snprintf(text + n, sizeof(text) - (size_t)n, ", %.3g ms", longest_us / 1e3);
    }
    html_cell(to, "stall", text);
}

static void write_row(FILE *to, const json_t *row)
{
    const char *kind = get_text(row, "kind", "");
    fprintf(to, "<tr class=\"%s\">",
            strcmp(kind, "floor") == 0  ? "floor"
            : strcmp(kind, "peer") == 0 ? "peer"
                                        : "ours");
    html_cell(to, "word", get_text(row, "name", ""));
    html_cell(to, "word", get_text(row, "variant", ""));
    html_whole(to, get_whole(row, "size_bytes") > 0 ? get_number(row, "size_bytes") : NAN);
    html_number(to, get_true(row, "capped") ? ">" : "", get_number(row, "median"));
    html_cell(to, "word", get_text(row, "unit", ""));
    html_number(to, "", get_number(row, "min"));
    html_number(to, "", get_number(row, "max"));
    html_whole(to, get_number(row, "runs"));
    html_number(to, "", get_number(row, "pooled"));
    html_number(to, "", get_number(row, "floor_ratio"));
    html_number(to, "", get_number(row, "peer_ratio"));
    html_cell(to, "word", get_text(row, "best_peer", ""));
    stall_cell(to, row);
    html_cell(to, "word", get_text(row, "note", ""));
    fputs("</tr>\n", to);
}

static void write_table(FILE *to, const json_t *document, const char *question)
{
    static const struct {
        const char *class;
        const char *word;
    } heads[] = {{"word", "name"}, {"word", "variant"},   {"", "bytes"},   {"", "median"},  {"word", "unit"},
                 {"", "min"},      {"", "max"},           {"", "runs"},    {"", "pooled"},  {"", "/floor"},
                 {"", "/peer"},    {"word", "best peer"}, {"", "stalled"}, {"word", "note"}};
    const json_t *row;
    size_t i;
    fprintf(to, "<details open><summary>%u rows</summary><div class=\"wide\"><table><tr>",
            compare_rows_of(document, question));
    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        fprintf(to, "<th class=\"%s\">%s</th>", heads[i].class, heads[i].word);
    }
    fputs("</tr>\n", to);
    json_array_foreach(json_object_get(document, "rows"), i, row)
    {
        if (strcmp(compare_question_of(document, row), question) == 0) {
            write_row(to, row);
        }
    }
    fputs("</table></div></details>\n", to);
}

static void write_skipped(FILE *to, const json_t *document, const char *question)
{
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(document, "skipped"), i, row)
    {
        if (strcmp(compare_question_of(document, row), question) == 0) {
            fputs("<p class=\"dim\">skipped: <code>", to);
            svg_text(to, get_text(row, "name", ""));
            fputc(' ', to);
            svg_text(to, get_text(row, "variant", ""));
            fputs("</code> ", to);
            svg_text(to, get_text(row, "why", "no run"));
            fputs("</p>\n", to);
        }
    }
}

/* A report must not keep quiet about it. */
static void write_stalls(FILE *to, const json_t *document, const char *question)
{
    uint32_t marked = 0;
    uint32_t decided = 0;
    uint32_t rows = compare_rows_of(document, question);
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(document, "rows"), i, row)
    {
        const json_t *stalled = json_object_get(row, "stalled");
        if (strcmp(compare_question_of(document, row), question) == 0) {
            marked += get_number(stalled, "rounds") > 0;
            decided += get_true(stalled, "decide");
        }
    }
    if (marked > 0) {
        fprintf(to,
                "<p class=\"warn\">The machine stalled in rounds of %u of %u rows (marked !): something else had a "
                "core for over %.0f ms, or the hypervisor took over %.0f %% of a round.",
                marked, rows, STALLS_LIMIT_US / 1e3, 100 * STALLS_STEAL_SHARE);
        if (decided > 0) {
            fprintf(to, " In %u of them half of the rounds or more: their medians may be a stall&#39;s.", decided);
        }
        fputs("</p>\n", to);
    }
}

static void write_question(FILE *to, const json_t *document, const json_t *part, const char *question)
{
    fputs("<h2>", to);
    svg_text(to, question);
    fputs("</h2>\n", to);
    if (part != NULL) {
        double warm = get_number(part, "warm_up_rounds");
        fprintf(to, "<p class=\"dim\">%.0f rounds of %g s each%s. ", get_number(part, "rounds"),
                get_number(part, "seconds"),
                warm > 0 ? ", after a round to warm up that does not count" : "; each measurement warms itself up");
        svg_text(to, get_text(part, "ends", ""));
        fputs("</p>\n", to);
    }
    write_stalls(to, document, question);
    html_plots(document, question, to);
    write_table(to, document, question);
    write_skipped(to, document, question);
}

void html_questions(const struct json_t *document, FILE *to)
{
    const json_t *parts = json_object_get(document, "questions");
    const json_t *part;
    size_t i;
    json_array_foreach(parts, i, part)
    {
        write_question(to, document, part, get_text(part, "name", ""));
    }
    if (json_array_size(parts) == 0) {
        write_question(to, document, NULL, get_text(document, "bench", ""));
    }
}
