/* The interlock: its state, why, what is bypassed, its outputs, its latency. Pure. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/duration.h"
#include "tools/screens.h"
#include "tools/top.h"

unsigned top_draw_state(struct page *page, unsigned row, const struct top_look *look)
{
    const json_t *status = look->snapshot->status;
    const json_t *interlock = json_object_get(status, "interlock");
    char word[128];
    char gap[16];
    unsigned colour = top_state_word(status, word);
    unsigned column = page_put(page, row, 1, PAGE_BOLD, "interlock%s ", top_is_old(look) ? " WAS" : "");
    column =
        page_put(page, row, column, colour | PAGE_BOLD | (colour == PAGE_BAD ? PAGE_INVERSE : 0), " %s ", word);
    page_put(page, row, column, PAGE_PLAIN, "  trips %.0f  over budget %.0f  worst gap %s us",
             number_of(interlock, "trips"), number_of(interlock, "misses"),
             top_count(number_of(interlock, "worst_gap_ns") / 1e3, gap));
    return row + 1;
}

/* "safe", and everything that is not as it should be. */
static unsigned draw_output(struct page *page, unsigned row, unsigned column, const json_t *output)
{
    bool energised = true_of(output, "energised");
    const char *feedback = text_of(output, "feedback");
    const char *said = energised ? "energised" : "safe";
    column = page_put(page, row, column, PAGE_PLAIN, "%s ", text_of(output, "name"));
    column = page_put(page, row, column, energised ? PAGE_GOOD : PAGE_BOLD, "%s", said);
    if (strcmp(feedback, "none") != 0 && strcmp(feedback, said) != 0) {
        column = page_put(page, row, column, PAGE_BAD, " READ BACK AS %s", feedback);
    }
    column = page_put(page, row, column, PAGE_BAD, "%s%s", true_of(output, "latched") ? " TRIPPED ALONE" : "",
                      true_of(output, "held") ? " HELD SAFE" : "");
    if (number_of(output, "last_errno") != 0) {
        column = page_put(page, row, column, PAGE_BAD, " TAKES NO COMMANDS: %s",
                          strerror((int)number_of(output, "last_errno")));
    }
    return column;
}

unsigned top_draw_outputs(struct page *page, struct top_area area, const struct top_look *look)
{
    const json_t *outputs = json_object_get(look->snapshot->status, "outputs");
    size_t each = area.end - area.first >= json_array_size(outputs) ? 1 : json_array_size(outputs);
    unsigned row = area.first;
    for (size_t i = 0; i < json_array_size(outputs) && row < area.end; row++) {
        unsigned column = page_put(page, row, 1, PAGE_PLAIN, "%s ", each == 1 ? "output" : "outputs:");
        for (size_t n = 0; n < each && i < json_array_size(outputs); n++, i++) {
            column = draw_output(page, row, column, json_array_get(outputs, i));
            column = page_put(page, row, column, PAGE_PLAIN, "  ");
        }
    }
    return row;
}

static unsigned draw_hop(struct page *page, unsigned row, const char *name, const json_t *hop)
{
    unsigned column = page_field(page, row, 1, 22, PAGE_PLAIN, name);
    static const char *const keys[] = {"p50", "p99", "p999", "max"};
    char text[16];
    column = page_field(page, row, column, -9, PAGE_PLAIN, top_count(number_of(hop, "count"), text));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        column = page_field(page, row, column, -8, PAGE_PLAIN, top_count(number_of(hop, keys[i]) / 1e3, text));
    }
    page_field(page, row, column, -7, number_of(hop, "late") > 0 ? PAGE_WARN : PAGE_PLAIN,
               top_count(number_of(hop, "late"), text));
    return row + 1;
}

/* A word for a hop in the strip: sample to .. */
static const char *short_name(const char *hop)
{
    return strncmp(hop, "arrival_to_", 11) == 0 ? hop + 11 : hop;
}

static const char *micros(const json_t *hop, const char *key, char text[16])
{
    double us = number_of(hop, key) / 1e3;
    return top_count(us >= 100 ? floor(us) : us, text);
}

/* The interlock's and the actuators'; those of threads and rings are named "whose.what" and are for sluice latency.
 */
static bool is_shown(const char *key)
{
    return strchr(key, '.') == NULL;
}

/* In one line there is room for what matters most. */
static bool is_of_strip(const char *key)
{
    return is_shown(key) && strncmp(key, "publish_to", 10) != 0 && strncmp(key, "seen_to", 7) != 0 &&
           strncmp(key, "decided_to", 10) != 0 && strcmp(key, "busy") != 0;
}

static unsigned draw_strip(struct page *page, unsigned row, json_t *hops)
{
    const char *key;
    json_t *hop;
    double late = 0;
    char p50[16];
    char p99[16];
    json_object_foreach(hops, key, hop)
    {
        late += is_of_strip(key) ? number_of(hop, "late") : 0;
    }
    unsigned column = page_put(page, row, 1, PAGE_BOLD, "latency, us, p50/p99:");
    json_object_foreach(hops, key, hop)
    {
        if (number_of(hop, "count") > 0 && is_of_strip(key)) {
            column = page_put(page, row, column, PAGE_PLAIN, " %s %s/%s", short_name(key), micros(hop, "p50", p50),
                              micros(hop, "p99", p99));
            /* Behind the first: what is of the interlock comes first, and the line may be too short. */
            column = late >= 0 ? page_put(page, row, column, late > 0 ? PAGE_WARN : PAGE_PLAIN, " late %s",
                                          top_count(late, p50))
                               : column;
            late = -1;
        }
    }
    return row + 1;
}

unsigned top_draw_latency(struct page *page, struct top_area area, const struct top_look *look, bool all)
{
    json_t *hops = json_object_get(look->snapshot->status, "latency_ns");
    const char *key;
    json_t *hop;
    unsigned row = area.first;
    if (!all) {
        return row < area.end ? draw_strip(page, row, hops) : row;
    }
    if (row + 1 < area.end) {
        page_put(page, row++, 1, PAGE_BOLD, "%-22s %9s %8s %8s %8s %8s %7s", "latency, us", "count", "p50", "p99",
                 "p99.9", "max", "late");
    }
    json_object_foreach(hops, key, hop)
    {
        row = row < area.end && is_shown(key) ? draw_hop(page, row, key, hop) : row;
    }
    return row;
}

/* Behind the last row that a text may take. */
static unsigned last_row(struct top_area area, unsigned row, const struct page *page)
{
    unsigned last = row + (page->rows >= 24 ? 3 : 1);
    return last < area.end ? last : area.end;
}

static unsigned draw_texts(struct page *page, struct top_area area, const json_t *list, const char *title,
                           unsigned colour, unsigned most)
{
    size_t count = json_array_size(list);
    unsigned row = area.first;
    for (size_t i = 0; i < count && i < most && row < area.end; i++) {
        unsigned column = page_put(page, row, 1, colour, "%s ", title);
        if (i + 1 == most && count > most) {
            column = page_put(page, row, column, PAGE_BOLD, "(and %zu more) ", count - most);
        }
        row = page_wrap(page, row, last_row(area, row, page), column, PAGE_PLAIN,
                        text_of(json_array_get(list, i), "text"));
    }
    return row;
}

static unsigned draw_bypasses(struct page *page, struct top_area area, const json_t *list, unsigned most)
{
    size_t count = json_array_size(list);
    char left[48];
    unsigned row = area.first;
    for (size_t i = 0; i < count && i < most && row < area.end; i++) {
        const json_t *bypass = json_array_get(list, i);
        duration_words(number_of(bypass, "until_s"), left);
        unsigned column = page_put(page, row, 1, PAGE_WARN | PAGE_INVERSE, "BYPASSED");
        if (i + 1 == most && count > most) {
            column = page_put(page, row, column, PAGE_BOLD, " (and %zu more)", count - most);
        }
        char text[512];
        snprintf(text, sizeof(text), " %s by %s for another %s: %s", text_of(bypass, "rule"),
                 text_of(bypass, "person"), left, text_of(bypass, "reason"));
        row = page_wrap(page, row, last_row(area, row, page), column, PAGE_PLAIN, text);
    }
    return row;
}

static unsigned draw_alarms(struct page *page, struct top_area area, const json_t *list)
{
    unsigned row = area.first;
    for (size_t i = 0; i < json_array_size(list) && row < area.end; i++) {
        const json_t *alarm = json_array_get(list, i);
        page_put(page, row++, 1, PAGE_WARN, "alarm (severity %.0f): %s %s%s", number_of(alarm, "severity"),
                 text_of(alarm, "rule"), text_of(alarm, "state"),
                 number_of(alarm, "shelved_s") > 0 ? ", shelved" : "");
    }
    return row;
}

static unsigned put_names(struct page *page, unsigned row, unsigned column, const char *title, const json_t *list)
{
    if (json_array_size(list) == 0) {
        return column;
    }
    column = page_put(page, row, column, PAGE_WARN, "%s:", title);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        column = page_put(page, row, column, PAGE_PLAIN, " %s", name != NULL ? name : "-");
    }
    return column + 2;
}

/* In one row what the overview has to say of alarms and of the gate: a development mode must be seen. */
static unsigned draw_notes(struct page *page, unsigned row, const json_t *interlock, size_t alarms)
{
    const json_t *gate = json_object_get(interlock, "gate");
    unsigned column = 1;
    if (alarms > 0) {
        column = page_put(page, row, column, PAGE_WARN, "alarms: %zu", alarms) + 2;
    }
    column = put_names(page, row, column, "arming gate misses", json_object_get(gate, "missing"));
    column = put_names(page, row, column, "WAIVED", json_object_get(gate, "waived"));
    return column > 1 ? row + 1 : row;
}

static unsigned draw_test(struct page *page, struct top_area area, const json_t *test)
{
    if (!json_is_object(test) || area.first >= area.end) {
        return area.first;
    }
    page_put(page, area.first, 1, PAGE_PLAIN, "proof test of %s: %s, safe after %.1f ms, back after %.1f ms",
             text_of(test, "output"), text_of(test, "result"), number_of(test, "safe_ns") / 1e6,
             number_of(test, "back_ns") / 1e6);
    return area.first + 1;
}

unsigned top_draw_interlock(struct page *page, struct top_area area, const struct top_look *look,
                            struct top_state *state)
{
    const json_t *interlock = json_object_get(look->snapshot->status, "interlock");
    bool alone = state->view == TOP_INTERLOCK;
    unsigned most = alone ? 8 : area.end - area.first > 30 ? 3 : 1;
    area.first = top_draw_state(page, area.first, look);
    area.first = draw_texts(page, area, json_object_get(interlock, "first_out_all"), "first-out:", PAGE_BAD, most);
    area.first = draw_texts(page, area, json_object_get(interlock, "causes"), "stands:", PAGE_BAD, most);
    area.first = draw_bypasses(page, area, json_object_get(interlock, "bypasses"), alone ? 16 : most);
    bool room = alone || most > 1;
    area.first = room ? draw_alarms(page, area, json_object_get(interlock, "alarms")) : area.first;
    if (area.first < area.end) {
        area.first = draw_notes(page, area.first, interlock,
                                room ? 0 : json_array_size(json_object_get(interlock, "alarms")));
    }
    if (!alone) {
        struct top_area one = {area.first, area.first + 1 < area.end ? area.first + 1 : area.end};
        return top_draw_outputs(page, one, look);
    }
    area.first = draw_test(page, area, json_object_get(interlock, "test"));
    area.first = top_draw_outputs(page, area, look);
    return top_draw_latency(page, area, look, true);
}
