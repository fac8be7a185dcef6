/* sluice latency --watch: what came in the last interval beside all of it, until interrupted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ring/clock.h"
#include "tools/latency.h"
#include "tools/sluice.h"

struct watch {
    const struct latency_options *options;
    const char *instance;
    struct session session;
    bool connected;
    struct latency_snapshot snapshot[2];
    struct latency_snapshot *now, *before; /* before->hops is 0: there is none yet */
    struct latency_view total, interval;
    struct terminal terminal;
};

static void swap(struct watch *w)
{
    struct latency_snapshot *was = w->before;
    w->before = w->now;
    w->now = was;
}

/* The next snapshot, from whichever server has the name now. */
static int look(struct watch *w, struct error *err)
{
    if (!w->connected) {
        int code = session_open(&w->session, w->instance, err);
        if (code != 0) {
            session_close(&w->session);
            return code;
        }
        w->connected = true;
    }
    int code = latency_take(&w->session, w->now, err);
    if (code != 0) {
        session_close(&w->session);
        w->connected = false;
    }
    return code;
}

/* Where the screen can be written over, it is; elsewhere block follows block. */
static void begin_screen(const struct watch *w)
{
    printf("%s", w->terminal.cursor ? "\033[H\033[J" : ""); /* home, and clear */
}

static void say_gone(const struct watch *w, const char *why)
{
    if (w->options->json) {
        json_t *line = json_pack("{s:s, s:n, s:s}", "instance", w->instance, "hops", "text", why);
        json_dumpf(line, stdout, JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(line);
        return;
    }
    begin_screen(w);
    printf("%s: ! the server is not there; waiting for it. %s\n", w->instance, why);
}

static int show_json(struct watch *w, bool has_interval)
{
    json_t *report = latency_json(&w->total, has_interval ? &w->interval : NULL, w->options->buckets);
    bool failed = report == NULL || json_dumpf(report, stdout, JSON_PRESERVE_ORDER) != 0;
    printf("\n");
    json_decref(report);
    return failed ? -EIO : 0;
}

/* As much of a text as the screen has rows for, so that its beginning does not scroll away. */
static void print_rows(const char *text, unsigned rows)
{
    unsigned lines = 0;
    for (const char *at = text; *at != 0; at++) {
        lines += *at == '\n';
    }
    if (lines <= rows) {
        fputs(text, stdout);
        return;
    }
    unsigned printed = 0;
    for (; printed + 1 < rows; printed++) {
        size_t bytes = strcspn(text, "\n") + 1;
        fwrite(text, 1, bytes, stdout);
        text += bytes;
    }
    printf("%u more lines: choose with --hop, or a higher terminal\n", lines - printed);
}

static int show_text(struct watch *w, bool has_interval, bool anew)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (to == NULL) {
        return -ENOMEM;
    }
    if (anew) {
        fprintf(to, "! the server was started again: everything is counted anew\n");
    }
    if (w->options->curve) {
        struct terminal terminal = w->terminal;
        terminal.rows -= anew;
        latency_curve(has_interval ? &w->interval : &w->total, &terminal, to);
    } else {
        latency_pair_table(has_interval ? &w->interval : NULL, &w->total, w->terminal.columns, to);
    }
    int code = fclose(to) != 0 ? -ENOMEM : 0;
    if (code == 0 && w->terminal.cursor) {
        begin_screen(w);
        print_rows(text, w->terminal.rows - 1); /* the cursor's is the last */
    } else if (code == 0) {
        printf("%s\n", text);
    }
    free(text);
    return code;
}

static int show(struct watch *w)
{
    bool known = w->before->hops > 0;
    bool anew = known && w->before->started_tai_ns != w->now->started_tai_ns;
    bool has_interval = known && !anew;
    terminal_look(&w->terminal); /* it may have been resized */
    latency_view_make(w->options, w->now, NULL, &w->total);
    if (has_interval) {
        latency_view_make(w->options, w->now, w->before, &w->interval);
    }
    if (w->options->json) {
        return show_json(w, has_interval);
    }
    return show_text(w, has_interval, anew);
}

static void wait_for(uint64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
                                   .tv_nsec = (long)(until_ns % CLOCK_NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

int latency_watch(const struct latency_options *options, struct session *session, const char *instance)
{
    static struct watch w; /* too large for a stack */
    struct error err = {{0}};
    uint64_t period_ns = (uint64_t)(options->watch_s * 1e9);
    w.options = options; /* the rest is zero, and as long as it is, takes no memory */
    w.instance = instance;
    w.session = *session;
    w.connected = true;
    *session = (struct session){.socket_fd = -1}; /* it is ours now */
    w.now = &w.snapshot[0];
    w.before = &w.snapshot[1];
    terminal_look(&w.terminal);
    int code = 0;
    for (uint64_t next_ns = clock_monotonic_ns(); code == 0;) {
        if (look(&w, &err) != 0) {
            say_gone(&w, err.text);
        } else if (w.before->hops == 0 && !latency_all_known(options->hops, w.now, &err)) {
            session_close(&w.session);
            return command_fail("latency", err.text, EXIT_USAGE);
        } else {
            code = show(&w);
            swap(&w);
        }
        code = fflush(stdout) != 0 ? -errno : code;
        uint64_t now_ns = clock_monotonic_ns();
        next_ns = next_ns + period_ns > now_ns ? next_ns + period_ns : now_ns + period_ns;
        wait_for(next_ns);
    }
    session_close(&w.session);
    return command_fail("latency", "cannot write to standard output", EXIT_NOT_SO);
}
