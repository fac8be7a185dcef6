/* Everything that matters on one screen: what does not fit is counted. Pure. */
#include <stdio.h>
#include <string.h>

#include "tools/screens.h"
#include "tools/top.h"

#define TALL_ROWS 34u /* from there on processes and readers have rows of their own */

static const enum top_view sections[] = {TOP_INTERLOCK, TOP_PROCESSES, TOP_RINGS, TOP_CHANNELS, TOP_READERS};
#define SECTIONS ((unsigned)(sizeof(sections) / sizeof(sections[0])))

enum top_view top_section(unsigned selected)
{
    return sections[selected < SECTIONS ? selected : SECTIONS - 1];
}

/* One line: who is dead, and how busy the others are. */
static unsigned draw_processes_line(struct page *page, unsigned row, const struct top_look *look)
{
    const json_t *processes = json_object_get(look->snapshot->status, "processes");
    unsigned column = page_put(page, row, 1, PAGE_BOLD, "processes:");
    for (int dead = 1; dead >= 0; dead--) { /* the dead first: the line may be too short */
        for (size_t i = 0; i < json_array_size(processes); i++) {
            const json_t *process = json_array_get(processes, i);
            const json_t *busy = json_object_get(process, "busy_percent");
            if (true_of(process, "alive") == (dead != 0)) {
                continue;
            }
            column = page_put(page, row, column, PAGE_PLAIN, " %s", text_of(process, "name"));
            if (dead != 0) {
                column = page_put(page, row, column, PAGE_BAD, " DEAD");
            } else if (json_is_number(busy)) {
                column = page_put(page, row, column, PAGE_PLAIN, " %.0f%%", json_number_value(busy));
            }
        }
    }
    return row + 1;
}

static unsigned rows_of(const struct top_look *look, const struct top_state *state, enum top_view list)
{
    static struct top_rows rows;
    top_rows(&rows, look, state, list);
    return rows.count > 0 ? rows.count : 1;
}

/* How many of the rows that are left the rings may have: a third, or what the channels leave. */
static unsigned ring_places(const struct top_look *look, const struct top_state *state, unsigned left)
{
    unsigned wanted = rows_of(look, state, TOP_RINGS);
    unsigned channels = rows_of(look, state, TOP_CHANNELS) + 2; /* the two headings */
    unsigned third = left / 3 > 0 ? left / 3 : 1;
    unsigned most = left > channels + third ? left - channels : third;
    return wanted < most ? wanted : most;
}

static unsigned section_list(struct page *page, struct top_area area, unsigned places, const struct top_look *look,
                             struct top_state *state, enum top_view list)
{
    unsigned end = area.first + 1 + places < area.end ? area.first + 1 + places : area.end;
    if (area.first + 1 >= area.end) {
        return area.first;
    }
    if (state->view == TOP_OVERVIEW && top_section(state->selected) == list) {
        page_put(page, area.first, 0, PAGE_BOLD, ">");
    }
    return top_draw_list(page, (struct top_area){area.first, end}, look, state, list, false);
}

unsigned top_draw_overview(struct page *page, struct top_area area, const struct top_look *look,
                           struct top_state *state)
{
    bool tall = area.end - area.first >= TALL_ROWS;
    state->selected = state->selected < SECTIONS ? state->selected : SECTIONS - 1;
    if (top_section(state->selected) == TOP_INTERLOCK) {
        page_put(page, area.first, 0, PAGE_BOLD, ">");
    }
    area.first = top_draw_interlock(page, area, look, state);
    area.first = top_draw_latency(page, area, look, tall);
    if (tall) {
        area.first = section_list(page, area, rows_of(look, state, TOP_PROCESSES), look, state, TOP_PROCESSES);
    } else if (area.first < area.end) {
        if (top_section(state->selected) == TOP_PROCESSES) {
            page_put(page, area.first, 0, PAGE_BOLD, ">");
        }
        area.first = draw_processes_line(page, area.first, look);
    }
    if (area.first < area.end) {
        area.first = top_draw_recorders_line(page, area.first, look);
    }
    unsigned left = area.end > area.first ? area.end - area.first : 0;
    area.first = section_list(page, area, ring_places(look, state, left), look, state, TOP_RINGS);
    area.first = section_list(page, area, rows_of(look, state, TOP_CHANNELS), look, state, TOP_CHANNELS);
    return section_list(page, area, rows_of(look, state, TOP_READERS), look, state, TOP_READERS);
}
