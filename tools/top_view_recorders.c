/* Recorders: a row each, and below them where each one writes and what is wrong with it. Pure. */
#include <math.h>
#include <string.h>

#include "tools/screens.h"
#include "tools/top.h"

/* A process that is gone leaves its last word on the board. */
static bool is_dead(const json_t *status, const json_t *recorder)
{
    const json_t *processes = json_object_get(status, "processes");
    for (size_t i = 0; i < json_array_size(processes); i++) {
        const json_t *process = json_array_get(processes, i);
        if (strcmp(text_of(process, "name"), text_of(recorder, "name")) == 0) {
            return !true_of(process, "alive");
        }
    }
    return false;
}

static unsigned word_for(const json_t *status, const json_t *recorder, const char **word)
{
    const char *said = text_of(recorder, "state");
    bool failed = strcmp(said, "failed") == 0;
    bool dead = is_dead(status, recorder);
    bool decimates = true_of(recorder, "decimating");
    *word = dead ? "DEAD" : failed ? "FAILED" : decimates ? "DECIMATES" : said;
    return dead || failed                                                ? PAGE_BAD
           : decimates                                                   ? PAGE_WARN
           : strcmp(said, "recording") == 0 || strcmp(said, "post") == 0 ? PAGE_GOOD
                                                                         : PAGE_PLAIN;
}

static const char *count_of(const json_t *of, const char *key, char text[16])
{
    return top_count(number_of(of, key), text);
}

/* The longest of its rings. */
static double lag_of(const json_t *recorder)
{
    const json_t *rings = json_object_get(recorder, "rings");
    double lag = 0;
    for (size_t i = 0; i < json_array_size(rings); i++) {
        lag = fmax(lag, number_of(json_array_get(rings, i), "lag_frames"));
    }
    return lag;
}

void top_head_recorders(struct page *page, unsigned row, const char *title)
{
    static const char *const names[] = {"B/s", "bytes", "frames", "missing", "lag", "free B"};
    unsigned c = page_field(page, row, 1, 17, PAGE_BOLD, title);
    c = page_field(page, row, c, 9, PAGE_BOLD, "");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        c = page_field(page, row, c, -7, PAGE_BOLD, names[i]);
    }
}

void top_row_recorder(struct page *page, unsigned row, const struct top_look *look, const json_t *recorder,
                      const json_t *of)
{
    char text[16];
    const char *word;
    unsigned colour = word_for(look->snapshot->status, recorder, &word);
    (void)of;
    unsigned c = page_field(page, row, 1, 17, PAGE_PLAIN, text_of(recorder, "name"));
    c = page_field(page, row, c, 9, colour, word);
    c = page_field(page, row, c, -7, PAGE_PLAIN, count_of(recorder, "bytes_per_s", text));
    c = page_field(page, row, c, -7, PAGE_PLAIN, count_of(recorder, "run_bytes", text));
    c = page_field(page, row, c, -7, PAGE_PLAIN, count_of(recorder, "run_frames", text));
    c = page_field(page, row, c, -7, number_of(recorder, "missing") > 0 ? PAGE_WARN : PAGE_PLAIN,
                   count_of(recorder, "missing", text));
    c = page_field(page, row, c, -7, PAGE_PLAIN, top_count(lag_of(recorder), text));
    page_field(page, row, c, -7, PAGE_PLAIN, count_of(recorder, "free_bytes", text));
}

static unsigned draw_more(struct page *page, struct top_area area, const json_t *recorder)
{
    char text[16];
    const char *name = text_of(recorder, "name");
    if (text_of(recorder, "run")[0] != 0 && area.first < area.end) {
        unsigned c = page_put(page, area.first, 1, PAGE_PLAIN, "%s: ", name);
        c = page_put(page, area.first, c, PAGE_PLAIN, "%sB not on disk yet, at most for %.0f ms; ",
                     count_of(recorder, "unsynced_bytes", text), number_of(recorder, "durable_ms_max"));
        page_put(page, area.first++, c, PAGE_PLAIN, "%s/%s", text_of(recorder, "directory"),
                 text_of(recorder, "run"));
    }
    if (number_of(recorder, "decimated") > 0 && area.first < area.end) {
        page_put(page, area.first++, 1, PAGE_WARN, "! %s: %s frames left out, the disk is short of room", name,
                 count_of(recorder, "decimated", text));
    }
    if (number_of(recorder, "removed_runs") + number_of(recorder, "removed_segments") > 0 &&
        area.first < area.end) {
        page_put(page, area.first++, 1, PAGE_WARN, "! %s: %.0f runs and %.0f segments removed to make room", name,
                 number_of(recorder, "removed_runs"), number_of(recorder, "removed_segments"));
    }
    if (text_of(recorder, "error")[0] != 0 && area.first < area.end) {
        unsigned c = page_put(page, area.first, 1, PAGE_BAD, "! %s: ", name);
        area.first = page_wrap(page, area.first, area.end, c, PAGE_PLAIN, text_of(recorder, "error"));
    }
    return area.first;
}

unsigned top_draw_recorders_more(struct page *page, struct top_area area, const json_t *recorders)
{
    for (size_t i = 0; i < json_array_size(recorders); i++) {
        area.first = draw_more(page, area, json_array_get(recorders, i));
    }
    return area.first;
}

unsigned top_draw_recorders_line(struct page *page, unsigned row, const struct top_look *look)
{
    const json_t *status = look->snapshot->status;
    const json_t *recorders = json_object_get(status, "recorders");
    char text[16];
    if (json_array_size(recorders) == 0) {
        return row;
    }
    unsigned column = page_put(page, row, 1, PAGE_BOLD, "recorders:");
    for (int bad = 1; bad >= 0; bad--) { /* those in trouble first: the line may be too short */
        for (size_t i = 0; i < json_array_size(recorders); i++) {
            const json_t *recorder = json_array_get(recorders, i);
            const char *word;
            unsigned colour = word_for(status, recorder, &word);
            double missing = number_of(recorder, "missing");
            if ((colour == PAGE_BAD) != (bad != 0)) {
                continue;
            }
            column = page_put(page, row, column, PAGE_PLAIN, " %s ", text_of(recorder, "name"));
            column = page_put(page, row, column, colour, "%s", word);
            if (bad == 0) {
                column = page_put(page, row, column, PAGE_PLAIN, " %sB/s", count_of(recorder, "bytes_per_s", text));
            }
            if (missing > 0) {
                column = page_put(page, row, column, PAGE_WARN, " %s missing", top_count(missing, text));
            }
        }
    }
    return row + 1;
}
