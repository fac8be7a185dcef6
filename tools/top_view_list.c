/* Lists: a heading and a row each. Pure. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/screens.h"
#include "tools/top.h"

static const char *number(const json_t *of, const char *key, char text[16])
{
    const json_t *value = json_object_get(of, key);
    return json_is_number(value) ? top_count(json_number_value(value), text) : "-";
}

/* "12.3s": how old. */
static const char *age(const json_t *of, const char *key, double unit_s, char text[16])
{
    const json_t *value = json_object_get(of, key);
    double s = json_number_value(value) * unit_s;
    if (!json_is_number(value)) {
        return "-";
    }
    if (s < 1) {
        snprintf(text, 16, "%.1fms", s * 1e3);
    } else if (s < 1000) {
        snprintf(text, 16, "%.1fs", s);
    } else {
        snprintf(text, 16, "%.0fmin", s < 6e7 ? s / 60 : 1e6);
    }
    return text;
}

static const json_t *stream_of(const json_t *status, const json_t *ring)
{
    const json_t *streams = json_object_get(status, "streams");
    for (size_t i = 0; i < json_array_size(streams); i++) {
        const json_t *stream = json_array_get(streams, i);
        if (strcmp(text_of(stream, "ring"), text_of(ring, "name")) == 0) {
            return stream;
        }
    }
    return NULL;
}

static void head_rings(struct page *page, unsigned row, const char *title)
{
    unsigned c = page_field(page, row, 1, 17, PAGE_BOLD, title);
    c = page_field(page, row, c, 5, PAGE_BOLD, "");
    c = page_field(page, row, c, -8, PAGE_BOLD, "rate/s");
    c = page_field(page, row, c, -7, PAGE_BOLD, "lost");
    c = page_field(page, row, c, -8, PAGE_BOLD, "residual");
    c = page_field(page, row, c, -5, PAGE_BOLD, "fill");
    c = page_field(page, row, c, -8, PAGE_BOLD, "oldest");
    page_put(page, row, c, PAGE_BOLD, "readers");
}

static void draw_ring_readers(struct page *page, unsigned row, unsigned column, const json_t *ring)
{
    const json_t *readers = json_object_get(ring, "readers");
    double lag = 0;
    bool holds = false;
    char text[16];
    for (size_t i = 0; i < json_array_size(readers); i++) {
        const json_t *reader = json_array_get(readers, i);
        lag = fmax(lag, number_of(reader, "lag_frames"));
        holds |= strcmp(text_of(reader, "mode"), "gating") == 0 &&
                 number_of(reader, "lag_frames") == number_of(ring, "slots");
    }
    column = page_put(page, row, column, PAGE_PLAIN, "%zu", json_array_size(readers));
    if (holds) {
        page_put(page, row, column, PAGE_BAD, " HOLD UP");
    } else if (json_array_size(readers) > 0) {
        page_put(page, row, column, PAGE_PLAIN, " lag %s", top_count(lag, text));
    }
}

static void row_ring(struct page *page, unsigned row, const struct top_look *look, const json_t *ring,
                     const json_t *of)
{
    char text[16];
    const json_t *stream = stream_of(look->snapshot->status, ring);
    bool open = true_of(stream, "open");
    bool off = true_of(json_object_get(stream, "rate"), "off");
    double residual = number_of(stream, "residual");
    (void)of;
    unsigned c = page_field(page, row, 1, 17, PAGE_PLAIN, text_of(ring, "name"));
    c = page_field(page, row, c, 5, open && !off ? PAGE_GOOD : PAGE_BAD, !open ? "DOWN" : off ? "RATE?" : "open");
    c = page_field(page, row, c, -8, PAGE_PLAIN, number(ring, "rate_hz", text));
    c = page_field(page, row, c, -7, number_of(ring, "lost") > 0 ? PAGE_WARN : PAGE_PLAIN,
                   number(ring, "lost", text));
    c = page_field(page, row, c, -8, residual != 0 ? PAGE_BAD : PAGE_PLAIN, number(stream, "residual", text));
    snprintf(text, sizeof(text), "%.0f%%", number_of(ring, "fill_percent"));
    c = page_field(page, row, c, -5, PAGE_PLAIN, text);
    c = page_field(page, row, c, -8, PAGE_PLAIN, age(ring, "oldest_s", 1, text));
    draw_ring_readers(page, row, c, ring);
}

static void head_channels(struct page *page, unsigned row, const char *title)
{
    unsigned c = page_field(page, row, 1, 20, PAGE_BOLD, title);
    c = page_field(page, row, c, -10, PAGE_BOLD, "value");
    c = page_field(page, row, c, 6, PAGE_BOLD, "unit");
    c = page_field(page, row, c, 5, PAGE_BOLD, "");
    c = page_field(page, row, c, -7, PAGE_BOLD, "low");
    c = page_field(page, row, c, -7, PAGE_BOLD, "high");
    c = page_field(page, row, c, -7, PAGE_BOLD, "age");
    page_put(page, row, c, PAGE_BOLD, "trend");
}

static uint32_t history_index(const struct top_history *history, const char *name)
{
    uint32_t i = 0;
    while (i < history->channels && strncmp(history->name[i], name, TOP_NAME_BYTES - 1) != 0) {
        i++;
    }
    return i;
}

/* The last values, the newest at the right, from the least to the most of what is shown. */
static void draw_bars(struct page *page, unsigned row, unsigned column, const struct top_look *look,
                      const char *name)
{
    const struct top_history *history = &look->snapshot->history;
    uint32_t index = history_index(history, name);
    unsigned width = page->columns > column + 1 ? page->columns - 1 - column : 0;
    uint64_t shown = history->looks < width ? history->looks : width;
    shown = shown < TOP_HISTORY ? shown : TOP_HISTORY;
    double low = INFINITY;
    double high = -INFINITY;
    if (index == history->channels) {
        return;
    }
    for (uint64_t n = history->looks - shown; n < history->looks; n++) {
        double value = history->value[index][n % TOP_HISTORY];
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    for (uint64_t i = 0; i < shown; i++) {
        double value = history->value[index][(history->looks - shown + i) % TOP_HISTORY];
        double part = high > low ? (value / 2 - low / 2) / (high / 2 - low / 2) : 0.5;
        unsigned level = isnan(value) ? 9 : 1 + (unsigned)(part * 7);
        page_bar(page, row, column + (unsigned)i, level > 8 ? PAGE_BAD : PAGE_PLAIN, level);
    }
}

/* GOOD is said small; everything that an operator has to do something about, large. */
static unsigned word_for(const json_t *channel, const char **word)
{
    const json_t *low = json_object_get(channel, "low");
    const json_t *high = json_object_get(channel, "high");
    double value = number_of(channel, "value");
    if (strcmp(text_of(channel, "quality"), "good") != 0) {
        *word = strcmp(text_of(channel, "quality"), "bad") == 0 ? "BAD" : "STALE";
        return PAGE_BAD;
    }
    bool is_high = json_is_number(high) && value > json_number_value(high);
    bool is_low = json_is_number(low) && value < json_number_value(low);
    *word = is_high ? "HIGH" : is_low ? "LOW" : "good";
    return is_high || is_low ? PAGE_BAD : PAGE_GOOD;
}

static const char *real(const json_t *of, const char *key, int digits, char text[32])
{
    const json_t *value = json_object_get(of, key);
    snprintf(text, 32, json_is_number(value) ? "%.*g" : "-", digits, json_number_value(value));
    return text;
}

static void row_channel(struct page *page, unsigned row, const struct top_look *look, const json_t *channel,
                        const json_t *of)
{
    char text[32];
    const char *word;
    unsigned colour = word_for(channel, &word);
    (void)of;
    /* A value that is not good is not the process's: it stands in brackets. */
    snprintf(text, sizeof(text), "-");
    if (json_is_number(json_object_get(channel, "value"))) {
        bool good = strcmp(text_of(channel, "quality"), "good") == 0;
        snprintf(text, sizeof(text), good ? "%.6g" : "(%.4g)", number_of(channel, "value"));
    }
    unsigned c = page_field(page, row, 1, 20, PAGE_PLAIN, text_of(channel, "name"));
    c = page_field(page, row, c, -10, colour & PAGE_BAD, text);
    c = page_field(page, row, c, 6, PAGE_PLAIN, text_of(channel, "unit"));
    c = page_field(page, row, c, 5, colour, word);
    c = page_field(page, row, c, -7, PAGE_PLAIN, real(channel, "low", 4, text));
    c = page_field(page, row, c, -7, PAGE_PLAIN, real(channel, "high", 4, text));
    char since[16];
    c = page_field(page, row, c, -7, PAGE_PLAIN, age(channel, "age_ns", 1e-9, since));
    draw_bars(page, row, c, look, text_of(channel, "name"));
}

static void head_readers(struct page *page, unsigned row, const char *title)
{
    unsigned c = page_field(page, row, 1, 17, PAGE_BOLD, title);
    c = page_field(page, row, c, -8, PAGE_BOLD, "pid");
    c = page_field(page, row, c, 8, PAGE_BOLD, "mode");
    c = page_field(page, row, c, -8, PAGE_BOLD, "lag");
    c = page_field(page, row, c, -5, PAGE_BOLD, "");
    c = page_field(page, row, c, -8, PAGE_BOLD, "lost");
    c = page_field(page, row, c, -6, PAGE_BOLD, "waits");
    page_put(page, row, c, PAGE_BOLD, "longest");
}

static void row_reader(struct page *page, unsigned row, const struct top_look *look, const json_t *reader,
                       const json_t *ring)
{
    char text[16];
    const char *mode = text_of(reader, "mode");
    double slots = number_of(ring, "slots");
    double lag = number_of(reader, "lag_frames");
    bool holds = strcmp(mode, "gating") == 0 && lag == slots;
    unsigned colour = holds || strcmp(mode, "demoted") == 0 ? PAGE_BAD : PAGE_PLAIN;
    (void)look;
    unsigned c = page_field(page, row, 1, 17, PAGE_PLAIN, text_of(ring, "name"));
    snprintf(text, sizeof(text), "%.0f", number_of(reader, "pid"));
    c = page_field(page, row, c, -8, PAGE_PLAIN, text);
    c = page_field(page, row, c, 8, colour, holds ? "HOLDS UP" : strcmp(mode, "demoted") == 0 ? "DEMOTED" : mode);
    c = page_field(page, row, c, -8, PAGE_PLAIN, number(reader, "lag_frames", text));
    snprintf(text, sizeof(text), "%.0f%%", slots > 0 ? fmin(100 * lag / slots, 999) : 0);
    c = page_field(page, row, c, -5, PAGE_PLAIN, text);
    c = page_field(page, row, c, -8, number_of(reader, "lost") > 0 ? PAGE_WARN : PAGE_PLAIN,
                   number(reader, "lost", text));
    c = page_field(page, row, c, -6, PAGE_PLAIN, number(reader, "waits", text));
    page_put(page, row, c, PAGE_PLAIN, "%s", age(reader, "waited_ns_max", 1e-9, text));
}

static void head_processes(struct page *page, unsigned row, const char *title)
{
    unsigned c = page_field(page, row, 1, 11, PAGE_BOLD, title);
    c = page_field(page, row, c, 6, PAGE_BOLD, "");
    c = page_field(page, row, c, -7, PAGE_BOLD, "pid");
    c = page_field(page, row, c, -4, PAGE_BOLD, "core");
    c = page_field(page, row, c, 7, PAGE_BOLD, "policy");
    c = page_field(page, row, c, -4, PAGE_BOLD, "busy");
    c = page_field(page, row, c, -6, PAGE_BOLD, "memory");
    c = page_field(page, row, c, -5, PAGE_BOLD, "again");
    page_field(page, row, c, -7, PAGE_BOLD, "stalled");
}

static unsigned process_fields(struct page *page, unsigned row, unsigned c, const json_t *process, bool thread)
{
    char text[24];
    char word[16];
    const json_t *busy = json_object_get(process, "busy_percent");
    snprintf(text, sizeof(text), "%.0f", number_of(process, thread ? "tid" : "pid"));
    c = page_field(page, row, c, -7, PAGE_PLAIN, text);
    snprintf(text, sizeof(text), number_of(process, "core") >= 0 ? "%.0f" : "any", number_of(process, "core"));
    c = page_field(page, row, c, -4, PAGE_PLAIN, text);
    snprintf(text, sizeof(text), "%s %.0f", text_of(process, "policy"), number_of(process, "priority"));
    c = page_field(page, row, c, 7, PAGE_PLAIN, text);
    snprintf(text, sizeof(text), json_is_number(busy) ? "%.0f%%" : "-", json_number_value(busy));
    c = page_field(page, row, c, -4, PAGE_PLAIN, text);
    snprintf(text, sizeof(text), thread ? "-" : "%sB", top_count(number_of(process, "pss_kb") * 1024, word));
    c = page_field(page, row, c, -6, PAGE_PLAIN, text);
    c = page_field(page, row, c, -5, PAGE_PLAIN, thread ? "-" : number(process, "restarts", word));
    const json_t *stalls = json_object_get(process, "stalls");
    return page_field(page, row, c, -7, number_of(stalls, "count") > 0 ? PAGE_WARN : PAGE_PLAIN,
                      age(stalls, "longest_ns", 1e-9, word));
}

/* A process, or below it one of its threads. */
static void row_process(struct page *page, unsigned row, const struct top_look *look, const json_t *process,
                        const json_t *of)
{
    bool alive = of != NULL || true_of(process, "alive");
    bool locked = true_of(process, "locked");
    bool sealed = true_of(process, "sealed");
    bool refused = json_array_size(json_object_get(process, "refusals")) > 0;
    (void)look;
    unsigned c = page_field(page, row, 1, 11, PAGE_PLAIN, text_of(process, "name"));
    c = page_field(page, row, c, 6, alive ? PAGE_GOOD : PAGE_BAD, of != NULL ? "thread" : alive ? "alive" : "DEAD");
    c = process_fields(page, row, c, process, of != NULL);
    c = page_put(page, row, c, PAGE_WARN, "%s", refused ? "! " : "");
    page_put(page, row, c, PAGE_PLAIN, "%s%s%s", locked ? "locked" : "", locked && sealed ? "+" : "",
             sealed ? "sealed" : "");
}

/* What the system refused, below the list. */
static unsigned draw_refusals(struct page *page, struct top_area area, const json_t *processes)
{
    for (size_t i = 0; i < json_array_size(processes); i++) {
        const json_t *process = json_array_get(processes, i);
        const json_t *refusals = json_object_get(process, "refusals");
        for (size_t r = 0; r < json_array_size(refusals) && area.first < area.end; r++) {
            const char *text = json_string_value(json_array_get(refusals, r));
            unsigned c = page_put(page, area.first, 1, PAGE_WARN, "! %s: ", text_of(process, "name"));
            area.first = page_wrap(page, area.first, area.end, c, PAGE_PLAIN, text != NULL ? text : "-");
        }
    }
    return area.first;
}

struct list {
    const char *name;
    void (*head)(struct page *page, unsigned row, const char *title);
    void (*row)(struct page *page, unsigned row, const struct top_look *look, const json_t *item, const json_t *of);
};

static const struct list lists[TOP_VIEWS] = {
    [TOP_RINGS] = {"ring", head_rings, row_ring},
    [TOP_CHANNELS] = {"channel", head_channels, row_channel},
    [TOP_READERS] = {"reader of", head_readers, row_reader},
    [TOP_PROCESSES] = {"process", head_processes, row_process},
    [TOP_RECORDERS] = {"recorder", top_head_recorders, top_row_recorder},
};

unsigned top_draw_list(struct page *page, struct top_area area, const struct top_look *look,
                       struct top_state *state, enum top_view list, bool alone)
{
    static struct top_rows rows;
    char title[48];
    unsigned places = area.end > area.first + 1 ? area.end - area.first - 1 : 0;
    top_rows(&rows, look, state, list);
    if (alone && state->selected >= rows.count) {
        state->selected = rows.count > 0 ? rows.count - 1 : 0;
    }
    unsigned from = alone && state->selected >= places ? state->selected - places + 1 : 0;
    unsigned count = rows.count - from < places ? rows.count - from : places;
    bool some = count < rows.count;
    snprintf(title, sizeof(title), some ? "%s %u-%u/%u" : "%s", lists[list].name, from + 1, from + count,
             rows.count);
    lists[list].head(page, area.first, title);
    for (unsigned i = 0; i < count; i++) {
        unsigned row = area.first + 1 + i;
        lists[list].row(page, row, look, rows.row[from + i], rows.of[from + i]);
        if (alone && from + i == state->selected) {
            page_put(page, row, 0, PAGE_BOLD, ">");
        }
    }
    if (rows.count == 0 && places > 0) {
        page_put(page, area.first + 1, 1, PAGE_PLAIN, "none");
        count = 1;
    }
    area.first += 1 + count;
    const json_t *status = look->snapshot->status;
    return !alone                  ? area.first
           : list == TOP_PROCESSES ? draw_refusals(page, area, json_object_get(status, "processes"))
           : list == TOP_RECORDERS ? top_draw_recorders_more(page, area, json_object_get(status, "recorders"))
                                   : area.first;
}
