/* sluice top: what its parts share. Cold.
 *
 *   top_data.c   asks the server from a thread of its own: a server that hangs must not stop the clock that says so
 *   top_view*.c  pure: (snapshot, its age, what the user has chosen, size) -> a page of cells
 *   top_screen.c ncurses, and nothing else does
 *   top.c        options, the loop
 *
 * It only looks: nothing here sends a command.
 */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include <jansson.h>

#include "control/table.h"
#include "ring/error.h"
#include "tools/top_page.h"

#define TOP_HISTORY       256u /* values of each channel, one per look at the server */
#define TOP_ROWS_MIN      15u
#define TOP_COLUMNS_MIN   60u
#define TOP_SILENT_S      1.0 /* control's loop comes round a thousand times in it */
#define TOP_OLD_INTERVALS 3.0
#define TOP_OLD_S         1.5
#define TOP_LIST_ROWS_MAX 1024u
#define TOP_NAME_BYTES    64u

struct top_history {
    uint32_t channels;
    uint64_t looks; /* value n of a channel stands at n % TOP_HISTORY */
    char name[CONTROL_CHANNELS_MAX][TOP_NAME_BYTES];
    double value[CONTROL_CHANNELS_MAX][TOP_HISTORY]; /* NaN: was not good */
};

/* One look at the server. */
struct top_snapshot {
    json_t *status; /* `sluice status --json`, and what top_data.c adds; NULL: there has not been one yet */
    uint64_t at_ns; /* monotonic */
    struct top_history history;
};

struct top_link {
    bool connected;
    uint32_t connects;
    uint64_t since_ns; /* monotonic: connected, or not, since then */
    struct error err;  /* why not */
};

/* What a view draws from. */
struct top_look {
    const struct top_snapshot *snapshot;
    const struct top_link *link;
    double age_s;      /* of the snapshot that is shown */
    double link_s;     /* since the link is what it is */
    double interval_s; /* asked for */
    bool frozen;
    const char *state_now; /* frozen: the interlock's state in the newest snapshot; NULL: not known */
};

enum top_view {
    TOP_OVERVIEW,
    TOP_RINGS,
    TOP_CHANNELS,
    TOP_READERS,
    TOP_INTERLOCK,
    TOP_PROCESSES,
    TOP_RECORDERS,
    TOP_VIEWS
};

/* What the user has chosen. */
struct top_state {
    enum top_view view;
    unsigned selected; /* row of a list; section of the overview */
    unsigned sort[TOP_VIEWS];
    bool reverse;
    bool frozen;
    bool help;
    bool quit;
    char focus[TOP_NAME_BYTES]; /* readers: of this ring only; empty: of all */
};

enum top_key {
    TOP_KEY_UP = 256,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_BACK
};

/* ---- top_view.c: pure. */
void top_draw(struct page *page, const struct top_look *look, struct top_state *state);
void top_press(struct top_state *state, const struct top_look *look, int key);

/* Is what stands there what is? Everything else says from when it is. */
bool top_is_old(const struct top_look *look);
const char *top_view_name(enum top_view view);

/* ---- Its parts. Each draws rows first .. end - 1 and returns the first one that it left free. */
struct top_area {
    unsigned first;
    unsigned end;
};
unsigned top_draw_overview(struct page *page, struct top_area area, const struct top_look *look,
                           struct top_state *state);
unsigned top_draw_interlock(struct page *page, struct top_area area, const struct top_look *look,
                            struct top_state *state);
unsigned top_draw_state(struct page *page, unsigned row, const struct top_look *look);
unsigned top_draw_latency(struct page *page, struct top_area area, const struct top_look *look, bool all);
unsigned top_draw_outputs(struct page *page, struct top_area area, const struct top_look *look);
unsigned top_draw_list(struct page *page, struct top_area area, const struct top_look *look,
                       struct top_state *state, enum top_view list, bool alone);
enum top_view top_section(unsigned selected);
void top_head_recorders(struct page *page, unsigned row, const char *title);
void top_row_recorder(struct page *page, unsigned row, const struct top_look *look, const json_t *recorder,
                      const json_t *of);

/* Below the rows of recorders: where each one writes, what it left out, removed and complains of. */
unsigned top_draw_recorders_more(struct page *page, struct top_area area, const json_t *recorders);

/* One line; none where nothing records. */
unsigned top_draw_recorders_line(struct page *page, unsigned row, const struct top_look *look);

/* Rows of a list in the order that is chosen. */
struct top_rows {
    unsigned count;
    const json_t *row[TOP_LIST_ROWS_MAX];
    const json_t *of[TOP_LIST_ROWS_MAX]; /* readers: the ring */
};
void top_rows(struct top_rows *rows, const struct top_look *look, const struct top_state *state,
              enum top_view list);
const char *top_sort_name(enum top_view list, unsigned sort);
unsigned top_sorts(enum top_view list);

/* Control's word, or why it is not to be believed: "ARMED", "UNKNOWN: control is dead". */
unsigned top_state_word(const json_t *status, char text[128]);

/* "12.3 k" in at most seven characters. */
const char *top_count(double count, char text[16]);

/* ---- top_data.c */
struct top_data;

/* Starts to look, every so many seconds. NULL with err. instance NULL: the only one that runs; once one is found it
 * stays with its name. */
struct top_data *top_data_start(const char *instance, double interval_s, struct error *err);
void top_data_stop(struct top_data *data);

/* Takes the newest snapshot, if there is a newer one, and how the connection is. The descriptor becomes readable
 * when there is. */
bool top_data_take(struct top_data *data, struct top_snapshot *snapshot, struct top_link *link);
int top_data_fd(const struct top_data *data);

/* One look, here and now. 0 or -errno. */
int top_data_once(const char *instance, struct top_snapshot *snapshot, struct error *err);
void top_snapshot_fini(struct top_snapshot *snapshot);

/* The good values of a status, one more of each channel. Other channels than before: starts afresh. */
void top_history_add(struct top_history *history, const json_t *status);

/* ---- top_screen.c */
struct top_screen_size {
    unsigned rows;
    unsigned columns;
};

/* Takes the terminal. 0, or -errno: this one cannot be used, with what to do. It is given back at the end, at a
 * signal and after a fault. */
int top_screen_open(struct error *err);
void top_screen_close(void);
struct top_screen_size top_screen_size(void);
void top_screen_show(const struct page *page);

/* A key of enum top_key or a character; -1: none. */
int top_screen_key(void);

/* True: the user, or the system, wants an end. Waits for a key, the descriptor or so many ms. */
bool top_screen_wait(int fd, int timeout_ms);

#endif
