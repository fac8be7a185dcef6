/* The pages of sluice top, from snapshots that no server made. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tools/top.h"

static struct page page;
static struct top_snapshot snapshot;
static struct top_link link_now = {.connected = true, .connects = 1};
static struct top_look look = {.snapshot = &snapshot, .link = &link_now, .interval_s = 1, .age_s = 0.1};
static struct top_state state;
static char whole[PAGE_ROWS_MAX * PAGE_LINE_BYTES];

static const char status_text[] =
    "{'instance': 'chamber', 'uptime_s': 200.0, 'control_silent_s': 0.001,"
    " 'processes': ["
    "  {'name': 'sluiced', 'pid': 10, 'core': -1, 'policy': 'other', 'priority': 0, 'pss_kb': 1600, 'alive': true,"
    "   'restarts': 0, 'locked': false, 'sealed': false, 'refusals': [], 'busy_percent': 2.0, 'threads': []},"
    "  {'name': 'control', 'pid': 11, 'core': 1, 'policy': 'fifo', 'priority': 50, 'pss_kb': 1300, 'alive': true,"
    "   'restarts': 0, 'locked': true, 'sealed': true, 'refusals': ['no FIFO: raise the limit'],"
    "   'busy_percent': 98.0, 'stalls': {'count': 3, 'longest_ns': 4000000}, 'threads': []},"
    "  {'name': 'sensors', 'pid': 12, 'core': 0, 'policy': 'other', 'priority': 0, 'pss_kb': 1400, 'alive': true,"
    "   'restarts': 7, 'locked': true, 'sealed': true, 'refusals': [],"
    "   'threads': [{'name': 'poll0', 'tid': 13, 'core': 0, 'policy': 'other', 'priority': 0}]}],"
    " 'rings': ["
    "  {'name': 'udp', 'slots': 4096, 'rate_hz': 1000.0, 'lost': 5, 'fill_percent': 12.0, 'oldest_s': 4.1,"
    "   'readers': [{'pid': 77, 'mode': 'observer', 'lag_frames': 3, 'lost': 0},"
    "               {'pid': 78, 'mode': 'gating', 'lag_frames': 4096, 'lost': 0, 'waits': 9,"
    "                'waited_ns_max': 5000000}]},"
    "  {'name': 'idle', 'slots': 64, 'rate_hz': 0.0, 'lost': 0, 'fill_percent': 0.0, 'oldest_s': null,"
    "   'readers': []}],"
    " 'streams': [{'ring': 'udp', 'open': true, 'residual': -2}, {'ring': 'idle', 'open': false, 'residual': 0}],"
    " 'channels': ["
    "  {'name': 'pressure', 'value': 190.0, 'quality': 'good', 'unit': 'kPa', 'age_ns': 8000000, 'low': null,"
    "   'high': 150.0},"
    "  {'name': 'coolant', 'value': 300.0, 'quality': 'stale', 'unit': 'kPa', 'age_ns': 9000000000, 'low': 100.0,"
    "   'high': null},"
    "  {'name': 'shroud', 'value': 20.0, 'quality': 'good', 'unit': '\\u00b0C', 'age_ns': 8000000, 'low': -100.0,"
    "   'high': null}],"
    " 'interlock': {'state': 'tripped', 'trips': 3, 'misses': 1, 'worst_gap_ns': 51000,"
    "  'first_out_all': [{'text': 'overpressure: pressure is 151 kPa, above its limit of 150 kPa'}],"
    "  'causes': [{'text': 'pressure is high'}, {'text': 'coolant is stale'}],"
    "  'bypasses': [{'rule': 'too_cold', 'person': 'kim', 'until_s': 600.0, 'reason': 'gauge change'}],"
    "  'alarms': [{'rule': 'warm', 'state': 'unacknowledged', 'severity': 2, 'shelved_s': 0}],"
    "  'gate': {'missing': ['locked'], 'waived': ['pages']}, 'test': null},"
    " 'outputs': [{'name': 'relief', 'energised': false, 'feedback': 'energised', 'latched': false, 'held': false},"
    "             {'name': 'heater', 'energised': false, 'feedback': 'none', 'latched': false, 'held': true}],"
    " 'latency_ns': {'arrival_to_decided': {'count': 9, 'p50': 2000, 'p99': 40000, 'p999': 41000, 'max': 42000,"
    "                                       'late': 4}}}";

static void set_up(void)
{
    json_error_t error;
    char text[sizeof(status_text)];
    for (size_t i = 0; i < sizeof(status_text); i++) {
        text[i] = (char)(status_text[i] == '\'' ? '"' : status_text[i]);
    }
    snapshot.status = json_loads(text, 0, &error);
    cr_assert_not_null(snapshot.status, "%s", error.text);
    for (int i = 0; i < 40; i++) {
        top_history_add(&snapshot.history, snapshot.status);
    }
}

static void tear_down(void)
{
    json_decref(snapshot.status);
}

static const char *draw(unsigned columns, unsigned rows)
{
    size_t used = 0;
    page_init(&page, rows, columns, true);
    top_draw(&page, &look, &state);
    for (unsigned row = 0; row < page.rows; row++) {
        page_text(&page, row, whole + used);
        used += strlen(whole + used);
        whole[used++] = '\n';
    }
    whole[used] = 0;
    return whole;
}

static void has(const char *text, const char *word)
{
    cr_assert_not_null(strstr(text, word), "'%s' in\n%s", word, text);
}

static void has_not(const char *text, const char *word)
{
    cr_assert_null(strstr(text, word), "'%s' not in\n%s", word, text);
}

/* The row that a word stands in, and a look of its first letter. */
static unsigned look_of(const char *word)
{
    static char line[PAGE_LINE_BYTES];
    for (unsigned row = 0; row < page.rows; row++) {
        page_text(&page, row, line);
        const char *at = strstr(line, word);
        if (at != NULL) {
            return page.cell[row][at - line].look;
        }
    }
    cr_assert(false, "no '%s'", word);
    return 0;
}

TestSuite(top, .init = set_up, .fini = tear_down);

Test(top, overview_has_what_matters)
{
    static const struct {
        unsigned columns;
        unsigned rows;
    } sizes[] = {{80, 24}, {200, 60}, {60, 15}};
    static const char *const words[] = {"chamber", "TRIPPED",  "overpressure", "BYPASSED", "too_cold",
                                        "udp",     "pressure", "HIGH",         "q"};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const char *text = draw(sizes[i].columns, sizes[i].rows);
        unsigned lines = 0;
        for (const char *at = text; *at != 0; at++) {
            lines += *at == '\n';
        }
        cr_assert_eq(lines, sizes[i].rows);
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
            has(text, words[w]);
        }
        has_not(text, "WAS");
        has_not(text, " OLD");
    }
    has(draw(80, 24), "relief safe READ BACK AS energised  heater safe HELD SAFE");
    has(draw(80, 24), "idle              DOWN");
    has(draw(80, 24), "2 HOLD UP");
    has(draw(80, 24), "(300) kPa    STALE");
    has(draw(80, 24), "arming gate misses: locked");
    has(draw(80, 24), "WAIVED: pages");
    has(draw(80, 24), "decided 2/40 late 4");
    has(draw(80, 24), "alarms: 1");
    has(draw(200, 60), "alarm (severity 2): warm unacknowledged");
    has(draw(200, 60), "2 HOLD UP");
}

static void add_recorders(void);

Test(top, every_size_fits)
{
    add_recorders();
    for (unsigned view = 0; view < TOP_VIEWS; view++) {
        for (unsigned rows = 1; rows <= PAGE_ROWS_MAX + 1; rows += rows < 40 ? 1 : 40) {
            for (unsigned columns = 1; columns <= PAGE_COLUMNS_MAX + 1; columns += columns < 100 ? 7 : 100) {
                state.view = (enum top_view)view;
                draw(columns, rows);
                cr_assert(page.columns <= columns && page.rows <= rows);
                for (unsigned row = 0; row < PAGE_ROWS_MAX; row++) {
                    for (unsigned c = row < page.rows ? page.columns : 0; c < PAGE_COLUMNS_MAX; c++) {
                        cr_assert_eq(page.cell[row][c].code, ' ', "row %u column %u of %u x %u", row, c, columns,
                                     rows);
                    }
                }
            }
        }
    }
    state.view = TOP_OVERVIEW;
    has(draw(59, 24), "too small: 59 x 24");
    has(draw(80, 14), "wants 60 x 15");
}

Test(top, a_trip_is_told_without_colours)
{
    draw(80, 24);
    cr_assert(look_of("TRIPPED") & PAGE_INVERSE);
    cr_assert(look_of("BYPASSED") & PAGE_INVERSE);
    cr_assert(look_of("HIGH") & PAGE_BAD);
}

Test(top, control_that_is_dead_or_silent_is_unknown)
{
    json_object_set_new(json_object_get(snapshot.status, "interlock"), "state", json_string("armed"));
    has(draw(80, 24), " ARMED ");
    cr_assert_eq(look_of("ARMED") & (PAGE_GOOD | PAGE_BAD), PAGE_GOOD);
    json_object_set_new(snapshot.status, "control_silent_s", json_real(2));
    has(draw(80, 24), "UNKNOWN: control has been SILENT for 2 s, it last said ARMED");
    cr_assert(look_of("UNKNOWN") & PAGE_BAD);
    json_object_set_new(snapshot.status, "control_silent_s", json_null());
    has(draw(80, 24), "UNKNOWN");
    json_object_set_new(json_array_get(json_object_get(snapshot.status, "processes"), 1), "alive", json_false());
    has(draw(80, 24), "UNKNOWN: control is DEAD");
    has(draw(80, 24), "control DEAD");
}

Test(top, old_is_never_shown_as_current)
{
    char line[PAGE_LINE_BYTES];
    look.age_s = 3.1;
    cr_assert(top_is_old(&look));
    has(draw(80, 24), "NO ANSWER for 3.1 s; what stands below is that OLD");
    has(whole, "interlock WAS");
    link_now.connected = false;
    snprintf(link_now.err.text, sizeof(link_now.err.text), "nobody\033[2J listens");
    look.link_s = 2;
    has(draw(80, 24), "NO SERVER for 2 s; what stands below is 3.1 s OLD");
    has(whole, "nobody?[2J listens");
    cr_assert(look_of("NO SERVER") & PAGE_INVERSE);
    for (unsigned row = 3; row < 23; row++) {
        page_text(&page, row, line);
        cr_assert_eq(line[0], '!', "row %u: %s", row, line);
    }
    link_now.connected = true;
    look.age_s = 0.1;
    look.frozen = true;
    has(draw(80, 24), "FROZEN: 0.1 s OLD. NOW: interlock UNKNOWN");
    look.state_now = "TRIPPED";
    has(draw(80, 24), "NOW: interlock TRIPPED");
    json_t *status = snapshot.status;
    snapshot.status = NULL;
    look.frozen = false;
    has(draw(80, 24), "NO SERVER: waiting");
    has_not(whole, "ARMED");
    snapshot.status = status;
}

Test(top, what_is_not_printable_stays_out)
{
    const char *hostile = "a\033]0;x\007\nb\t\x7f\xc2\x9b"
                          "31m\xe2\x80\x8d\xf0\x9f\x98\x80z";
    page_init(&page, 3, 80, true);
    cr_assert_eq(page_put(&page, 0, 0, PAGE_PLAIN, "%s \xc2\xb0 \xce\xa9", hostile), 22);
    page_text(&page, 0, whole);
    cr_assert_str_eq(whole, "a?]0;x??b???31m??z \xc2\xb0 \xce\xa9");
    page_init(&page, 3, 80, false);
    page_put(&page, 0, 0, PAGE_PLAIN, "\xc2\xb0\xff\xc2");
    page_text(&page, 0, whole);
    cr_assert_str_eq(whole, "???");
    page_put(&page, 1, 78, PAGE_PLAIN, "long");
    page_put(&page, 9, 0, PAGE_PLAIN, "outside");
    page_put(&page, 2, 200, PAGE_PLAIN, "outside");
    page_text(&page, 1, whole);
    cr_assert_str_eq(whole + 78, "l~");
}

Test(top, texts_go_on_in_the_next_row)
{
    page_init(&page, 4, 20, true);
    cr_assert_eq(page_wrap(&page, 0, 4, 1, PAGE_PLAIN, "one two three four five six"), 2);
    page_text(&page, 0, whole);
    cr_assert_str_eq(whole, " one two three four");
    page_text(&page, 1, whole);
    cr_assert_str_eq(whole, "   five six");
    page_init(&page, 4, 20, true);
    cr_assert_eq(page_wrap(&page, 0, 2, 1, PAGE_PLAIN, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 2);
    page_text(&page, 1, whole);
    cr_assert_str_eq(whole, "   aaaaaaaaaaaaaaaa~");
}

Test(top, keys)
{
    top_press(&state, &look, '1');
    cr_assert_eq(state.view, TOP_RINGS);
    has(draw(80, 24), ">udp");
    top_press(&state, &look, 's');
    has(draw(80, 24), "by rate");
    top_press(&state, &look, 'r');
    has(draw(80, 24), "by rate, reversed");
    has(whole, ">idle");
    top_press(&state, &look, TOP_KEY_END);
    has(draw(80, 24), ">udp");
    top_press(&state, &look, TOP_KEY_ENTER);
    cr_assert_eq(state.view, TOP_READERS);
    cr_assert_str_eq(state.focus, "udp");
    state.reverse = false;
    has(draw(80, 24), "HOLDS UP");
    top_press(&state, &look, TOP_KEY_BACK);
    cr_assert_eq(state.view, TOP_OVERVIEW);
    top_press(&state, &look, TOP_KEY_DOWN);
    has(draw(80, 24), ">processes");
    top_press(&state, &look, TOP_KEY_ENTER);
    cr_assert_eq(state.view, TOP_PROCESSES);
    has(draw(80, 24), "poll0");
    has(whole, "! control: no FIFO: raise the limit");
    top_press(&state, &look, ' ');
    cr_assert(state.frozen);
    top_press(&state, &look, '?');
    has(draw(80, 24), "Nothing that is typed here commands anything");
    top_press(&state, &look, 'q');
    cr_assert(state.quit);
    for (int key = -1; key < 300; key++) {
        top_press(&state, &look, key);
        draw(80, 24);
    }
}

static void add_recorders(void)
{
    static const char text[] =
        "[{'name': 'whole', 'state': 'recording', 'run': 'whole-2026', 'directory': '/data', 'error': '',"
        "  'run_frames': 70000, 'run_bytes': 9400000, 'bytes_per_s': 1250000, 'missing': 0, 'decimated': 0,"
        "  'free_bytes': 5e9, 'removed_runs': 0, 'removed_segments': 0, 'decimating': false, 'durable_ms_max': "
        "12.4,"
        "  'unsynced_bytes': 65536, 'rings': [{'lag_frames': 3}, {'lag_frames': 17}]},"
        " {'name': 'trips', 'state': 'failed', 'run': '', 'directory': '', 'error': 'no room: see room_mb',"
        "  'run_frames': 0, 'run_bytes': 0, 'bytes_per_s': 0, 'missing': 1500, 'decimated': 900, 'free_bytes': 10,"
        "  'removed_runs': 2, 'removed_segments': 4, 'decimating': true, 'rings': []},"
        " {'name': 'sensors', 'state': 'recording', 'rings': []}]";
    char json[sizeof(text)];
    for (size_t i = 0; i < sizeof(text); i++) {
        json[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    }
    json_t *recorders = json_loads(json, 0, NULL);
    cr_assert_not_null(recorders);
    json_object_set_new(snapshot.status, "recorders", recorders);
}

Test(top, recorders)
{
    has_not(draw(80, 24), "recorders:");
    add_recorders();
    json_object_set_new(json_array_get(json_object_get(snapshot.status, "processes"), 2), "alive", json_false());
    has(draw(80, 24), "recorders: trips FAILED 1500 missing sensors DEAD whole recording 1.2MB/s");
    top_press(&state, &look, '6');
    has(draw(80, 24), ">whole             recording    1.2M    9.4M   70000       0      17    5.0G");
    has(whole, " trips             FAILED");
    has(whole, " sensors           DEAD");
    cr_assert(look_of("FAILED") & PAGE_BAD);
    has(whole, " whole: 65536B not on disk yet, at most for 12 ms; /data/whole-2026");
    has(whole, "! trips: 900 frames left out");
    has(whole, "! trips: 2 runs and 4 segments removed");
    has(whole, "! trips: no room: see room_mb");
    top_press(&state, &look, 's');
    top_press(&state, &look, 's');
    has(draw(80, 24), ">trips");
}

Test(top, channels_that_are_wrong_come_first)
{
    state.view = TOP_CHANNELS;
    top_press(&state, &look, 's');
    has(draw(80, 24), ">coolant");
    has(whole, "xxxx");
    has(whole, "\xc2\xb0"
               "C");
}

Test(top, a_long_list_scrolls)
{
    json_t *channels = json_object_get(snapshot.status, "channels");
    for (int i = 0; i < 61; i++) {
        json_array_append_new(
            channels, json_pack("{s:s+, s:s}", "name", "channel_", i % 2 ? "odd" : "even", "quality", "bad"));
    }
    state.view = TOP_CHANNELS;
    has(draw(80, 24), "channel 1-21/64");
    top_press(&state, &look, TOP_KEY_END);
    has(draw(80, 24), "channel 44-64/64");
    has(whole, ">channel_even");
    state.view = TOP_OVERVIEW;
    has(draw(80, 24), "/64");
}

Test(top, history_starts_afresh_with_other_channels)
{
    cr_assert_eq(snapshot.history.looks, 40);
    cr_assert(isnan(snapshot.history.value[1][0]), "stale");
    json_object_set_new(json_array_get(json_object_get(snapshot.status, "channels"), 0), "name",
                        json_string("other"));
    top_history_add(&snapshot.history, snapshot.status);
    cr_assert_eq(snapshot.history.looks, 1);
}

Test(top, nothing_at_all)
{
    json_decref(snapshot.status);
    snapshot.status = json_object();
    for (unsigned view = 0; view < TOP_VIEWS; view++) {
        state.view = (enum top_view)view;
        draw(80, 24);
        top_press(&state, &look, TOP_KEY_ENTER);
    }
    state.view = TOP_OVERVIEW;
    has(draw(80, 24), "UNKNOWN");
}

Test(top, counts)
{
    char text[16];
    cr_assert_str_eq(top_count(0, text), "0");
    cr_assert_str_eq(top_count(999949, text), "999949");
    cr_assert_str_eq(top_count(1e6, text), "1.0M");
    cr_assert_str_eq(top_count(1.5e9, text), "1.5G");
    cr_assert_str_eq(top_count(12.34, text), "12.3");
}
