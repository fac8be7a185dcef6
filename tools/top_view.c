/* What stands around each view: title, whether it is current, keys. Pure. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/duration.h"
#include "tools/screens.h"
#include "tools/top.h"

const char *top_view_name(enum top_view view)
{
    static const char *const names[TOP_VIEWS] = {"overview",  "rings",     "channels", "readers",
                                                 "interlock", "processes", "recorders"};
    return view < TOP_VIEWS ? names[view] : "?";
}

const char *top_count(double count, char text[16])
{
    static const char units[] = " kMGTPE";
    unsigned unit = 0;
    double rest = count;
    while ((rest >= 999950 || (unit > 0 && rest >= 999.95)) && units[unit + 1] != 0) {
        rest /= 1000;
        unit++;
    }
    if (unit == 0) {
        snprintf(text, 16, rest == floor(rest) ? "%.0f" : "%.1f", rest);
    } else {
        snprintf(text, 16, "%.1f%c", rest, units[unit]);
    }
    return text;
}

static bool is_late(const struct top_look *look)
{
    double most = TOP_OLD_INTERVALS * look->interval_s;
    return look->age_s > (most > TOP_OLD_S ? most : TOP_OLD_S);
}

bool top_is_old(const struct top_look *look)
{
    return look->frozen || !look->link->connected || is_late(look);
}

unsigned top_state_word(const json_t *status, char text[128])
{
    const json_t *control = json_array_get(json_object_get(status, "processes"), 1);
    const json_t *silent = json_object_get(status, "control_silent_s");
    char said[24];
    snprintf(said, sizeof(said), "%s", text_of(json_object_get(status, "interlock"), "state"));
    for (char *c = said; *c != 0; c++) {
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    }
    if (!true_of(control, "alive")) {
        snprintf(text, 128, "UNKNOWN: control is DEAD, it last said %s", said);
        return PAGE_BAD;
    }
    if (!json_is_number(silent) || json_number_value(silent) > TOP_SILENT_S) {
        snprintf(text, 128, "UNKNOWN: control has been SILENT for %.0f s, it last said %s",
                 json_number_value(silent), said);
        return PAGE_BAD;
    }
    snprintf(text, 128, "%s", said);
    return strcmp(said, "ARMED") == 0                                  ? PAGE_GOOD
           : strcmp(said, "READY") == 0 || strcmp(said, "ARMING") == 0 ? PAGE_WARN
                                                                       : PAGE_BAD;
}

static void draw_title(struct page *page, const struct top_look *look, const struct top_state *state)
{
    const json_t *status = look->snapshot->status;
    char up[48] = "-";
    if (status != NULL) {
        duration_words(number_of(status, "uptime_s"), up);
    }
    unsigned column =
        page_put(page, 0, 0, PAGE_BOLD, "sluice top  %s  ", status != NULL ? text_of(status, "instance") : "-");
    const char *sort = top_sort_name(state->view, state->sort[state->view]);
    column = page_put(page, 0, column, PAGE_BOLD, "%s", state->help ? "help" : top_view_name(state->view));
    if (!state->help && (state->sort[state->view] != 0 || state->reverse) && sort != NULL) {
        column = page_put(page, 0, column, PAGE_BOLD, " by %s%s", sort, state->reverse ? ", reversed" : "");
    }
    column = page_put(page, 0, column, PAGE_BOLD, "  %.1f s ago", look->age_s);
    if (look->link->connects > 1) {
        column = page_put(page, 0, column, PAGE_BOLD, "  connection %u", look->link->connects);
    }
    page_put(page, 0, column, PAGE_BOLD, "  up %s, every %.3g s", up, look->interval_s);
    page_row_look(page, 0, PAGE_INVERSE);
}

/* The row behind it. Nothing there: all is current. */
static unsigned draw_banner(struct page *page, const struct top_look *look)
{
    const struct top_link *link = look->link;
    unsigned row = 1;
    if (look->frozen) {
        page_put(page, row, 0, PAGE_BAD, "FROZEN: %.1f s OLD. NOW: interlock %s. Space goes on", look->age_s,
                 look->state_now != NULL ? look->state_now : "UNKNOWN");
        page_row_look(page, row++, PAGE_INVERSE | PAGE_BOLD);
    }
    if (!link->connected) {
        page_put(page, row, 0, PAGE_BAD, "NO SERVER for %.0f s; what stands below is %.1f s OLD", look->link_s,
                 look->age_s);
        page_row_look(page, row++, PAGE_INVERSE | PAGE_BOLD);
        row = page_wrap(page, row, row + 3, 1, PAGE_PLAIN, link->err.text);
    } else if (is_late(look) && !look->frozen) {
        page_put(page, row, 0, PAGE_BAD, "NO ANSWER for %.1f s; what stands below is that OLD", look->age_s);
        page_row_look(page, row++, PAGE_INVERSE | PAGE_BOLD);
    }
    return row;
}

static void draw_keys(struct page *page, const struct top_state *state)
{
    const char *sort = top_sort_name(state->view, state->sort[state->view]);
    unsigned row = page->rows - 1;
    if (page->columns >= 80) {
        unsigned column =
            page_put(page, row, 0, PAGE_PLAIN,
                     "0 all 1 rings 2 channels 3 readers 4 interlock 5 processes 6 recorders ? help q");
        if (page->columns >= 140) {
            page_put(page, row, column, PAGE_PLAIN, "uit  space freeze  enter deeper  s sort: %s  r reverse%s",
                     sort != NULL ? sort : "-", state->reverse ? " (is)" : "");
        }
    } else {
        page_put(page, row, 0, PAGE_PLAIN, "0-6 view s sort r reverse space freeze enter ? help q quit");
    }
    page_row_look(page, row, PAGE_INVERSE);
}

static void draw_help(struct page *page, struct top_area area)
{
    static const char *const lines[] = {
        "This only looks. Nothing that is typed here commands anything.",
        "",
        "0          overview           1  rings        2  channels",
        "3          readers            4  interlock    5  processes",
        "6          recorders",
        "up, down   choose a section or a row; page up, page down, home, end",
        "enter      look closer: the section; a ring's readers",
        "b, escape  back to the overview",
        "s          sort by the next column          r  the other way round",
        "space      freeze, and go on",
        "?          this, and back                   q  quit",
        "",
        "A line of bars is a channel's last values between their least and their most;",
        "x: it had no good value then. An ! at the left edge of each line: not current.",
    };
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]) && area.first + i < area.end; i++) {
        page_put(page, area.first + i, 1, PAGE_PLAIN, "%s", lines[i]);
    }
}

static void draw_waiting(struct page *page, const struct top_look *look)
{
    page_put(page, 1, 0, PAGE_BAD, "NO SERVER: waiting for one since %.0f s", look->link_s);
    page_row_look(page, 1, PAGE_INVERSE | PAGE_BOLD);
    unsigned row = page_wrap(page, 3, page->rows - 3, 1, PAGE_PLAIN,
                             look->link->err.text[0] != 0 ? look->link->err.text : "asking");
    page_put(page, row + 1, 1, PAGE_PLAIN, "q: quit");
}

static void draw_view(struct page *page, struct top_area area, const struct top_look *look, struct top_state *state)
{
    switch (state->view) {
    case TOP_OVERVIEW:
        top_draw_overview(page, area, look, state);
        break;
    case TOP_INTERLOCK:
        top_draw_interlock(page, area, look, state);
        break;
    default:
        top_draw_list(page, area, look, state, state->view, true);
        break;
    }
}

void top_draw(struct page *page, const struct top_look *look, struct top_state *state)
{
    if (page->rows < TOP_ROWS_MIN || page->columns < TOP_COLUMNS_MIN) {
        page_put(page, 0, 0, PAGE_BOLD, "too small: %u x %u", page->columns, page->rows);
        page_put(page, 1, 0, PAGE_BOLD, "wants %u x %u", TOP_COLUMNS_MIN, TOP_ROWS_MIN);
        page_put(page, 2, 0, PAGE_PLAIN, "q: quit");
        return;
    }
    draw_title(page, look, state);
    draw_keys(page, state);
    if (look->snapshot->status == NULL) {
        draw_waiting(page, look);
        return;
    }
    struct top_area area = {.first = draw_banner(page, look), .end = page->rows - 1};
    if (state->help) {
        draw_help(page, area);
        return;
    }
    draw_view(page, area, look, state);
    for (unsigned row = area.first; row < area.end && top_is_old(look); row++) {
        page_put(page, row, 0, PAGE_BAD | PAGE_INVERSE, "!"); /* the rows are read one by one, too */
    }
}

static void go(struct top_state *state, enum top_view view, const char *focus)
{
    state->view = view;
    state->selected = 0;
    state->help = false;
    snprintf(state->focus, sizeof(state->focus), "%s", focus);
}

static void go_deeper(struct top_state *state, const struct top_look *look)
{
    static struct top_rows rows;
    if (state->view == TOP_OVERVIEW) {
        go(state, top_section(state->selected), "");
    } else if (state->view == TOP_RINGS) {
        top_rows(&rows, look, state, TOP_RINGS);
        if (state->selected < rows.count) {
            go(state, TOP_READERS, text_of(rows.row[state->selected], "name"));
        }
    } else if (state->view == TOP_CHANNELS) {
        go(state, TOP_INTERLOCK, "");
    }
}

static void move_to(struct top_state *state, int key)
{
    unsigned page = key == TOP_KEY_PAGE_UP || key == TOP_KEY_PAGE_DOWN ? 10 : 1;
    if (key == TOP_KEY_UP || key == TOP_KEY_PAGE_UP) {
        state->selected -= page < state->selected ? page : state->selected;
    } else if (key == TOP_KEY_HOME) {
        state->selected = 0;
    } else {
        state->selected = key == TOP_KEY_END ? TOP_LIST_ROWS_MAX : state->selected + page; /* drawing bounds it */
    }
}

void top_press(struct top_state *state, const struct top_look *look, int key)
{
    unsigned sorts = top_sorts(state->view);
    if (key >= '0' && key < '0' + TOP_VIEWS) {
        go(state, (enum top_view)(key - '0'), "");
    } else if (key == 'q' || key == 'Q') {
        state->quit = true;
    } else if (key == '?' || key == 'h') {
        state->help = !state->help;
    } else if (key == ' ') {
        state->frozen = !state->frozen && look->snapshot->status != NULL;
    } else if (key == 's' && sorts > 0) {
        state->sort[state->view] = (state->sort[state->view] + 1) % sorts;
    } else if (key == 'r') {
        state->reverse = !state->reverse;
    } else if (key == TOP_KEY_BACK || key == 'b') {
        go(state, TOP_OVERVIEW, "");
    } else if (key == TOP_KEY_ENTER) {
        go_deeper(state, look);
    } else if (key >= TOP_KEY_UP && key <= TOP_KEY_END) {
        move_to(state, key);
    }
}
