/* sluice top: options, and the loop. */
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/clock.h"
#include "tools/session.h"
#include "tools/sluice.h"
#include "tools/top.h"

#define TICK_MS 250 /* ages go on also when nothing else happens */

struct options {
    const char *instance;
    double interval_s;
    unsigned rows;
    unsigned columns;
    bool once;
};

static struct page page;

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: sluice top [--interval SECONDS] [INSTANCE]\n"
            "       sluice top --once [--width COLUMNS] [--height ROWS] [INSTANCE]\n"
            "  a full screen that follows a server; ? there explains its keys, q ends it\n"
            "  --interval SECONDS  0.1 to 60; 1\n"
            "  --once              prints one page and ends; 80 by 24, or --width 60 to 400, --height 15 to 200\n");
    return code;
}

static int refuse(const char *option, const char *expected, const char *found)
{
    fprintf(stderr, "sluice top: expected %s for %s, found '%s'\n", expected, option, found);
    return EXIT_USAGE;
}

static int take_interval(const char *text, struct options *options)
{
    char *end;
    options->interval_s = strtod(text, &end);
    bool good = end != text && *end == 0 && options->interval_s >= 0.1 && options->interval_s <= 60;
    return good ? EXIT_DONE : refuse("--interval", "0.1 to 60 seconds", text);
}

static int take_size(const char *option, const char *text, unsigned least, unsigned most, unsigned *size)
{
    char expected[48];
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    snprintf(expected, sizeof(expected), "a whole number of %u to %u", least, most);
    if (text[0] < '0' || text[0] > '9' || *end != 0 || n < least || n > most) {
        return refuse(option, expected, text);
    }
    *size = (unsigned)n;
    return EXIT_DONE;
}

/* -1: go on. */
static int take_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"interval", required_argument, NULL, 'i'}, {"once", no_argument, NULL, 'o'},
        {"width", required_argument, NULL, 'x'},    {"height", required_argument, NULL, 'y'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    bool sized = false;
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        int code = option == 'i' ? take_interval(optarg, options)
                   : option == 'x'
                       ? take_size("--width", optarg, TOP_COLUMNS_MIN, PAGE_COLUMNS_MAX, &options->columns)
                   : option == 'y' ? take_size("--height", optarg, TOP_ROWS_MIN, PAGE_ROWS_MAX, &options->rows)
                   : option == 'o' ? EXIT_DONE
                   : option == 'h' ? usage(stdout, EXIT_DONE)
                                   : usage(stderr, EXIT_USAGE);
        options->once |= option == 'o';
        sized |= option == 'x' || option == 'y';
        if (code != EXIT_DONE || option == 'h') {
            return code;
        }
    }
    if (argc - optind > 1) {
        return usage(stderr, EXIT_USAGE);
    }
    if (sized && !options->once) {
        fprintf(stderr, "sluice top: --width and --height belong to --once; a screen has the terminal's size\n");
        return EXIT_USAGE;
    }
    options->instance = argc > optind ? argv[optind] : NULL;
    return -1;
}

static double seconds_since(uint64_t ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    return ns != 0 && now_ns > ns ? (double)(now_ns - ns) / 1e9 : 0;
}

static bool is_utf8(void)
{
    setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static int print_once(const struct options *options)
{
    static struct top_snapshot snapshot;
    static char text[PAGE_LINE_BYTES];
    struct error err = {{0}};
    int code = top_data_once(options->instance, &snapshot, &err);
    if (code != 0) {
        return command_fail("top", err.text, code == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    const struct top_link link = {.connected = true, .connects = 1};
    struct top_state state = {.view = TOP_OVERVIEW};
    struct top_look look = {.snapshot = &snapshot, .link = &link, .interval_s = options->interval_s};
    page_init(&page, options->rows, options->columns, is_utf8());
    top_draw(&page, &look, &state);
    for (unsigned row = 0; row < page.rows; row++) {
        page_text(&page, row, text);
        printf("%s\n", text);
    }
    top_snapshot_fini(&snapshot);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_NOT_SO;
}

/* What is shown, and behind it what is newest: the same unless it is frozen. */
struct shown {
    struct top_snapshot newest;
    struct top_snapshot frozen;
    struct top_link link;
    struct top_state state;
    char state_now[128];
};

static struct shown shown;

static struct top_look look_now(double interval_s)
{
    bool frozen = shown.state.frozen;
    struct top_look look = {.snapshot = frozen ? &shown.frozen : &shown.newest,
                            .link = &shown.link,
                            .link_s = seconds_since(shown.link.since_ns),
                            .interval_s = interval_s,
                            .frozen = frozen};
    look.age_s = seconds_since(look.snapshot->at_ns);
    struct top_look newest = look;
    newest.frozen = false;
    newest.age_s = seconds_since(shown.newest.at_ns);
    if (frozen && !top_is_old(&newest)) {
        top_state_word(shown.newest.status, shown.state_now);
        look.state_now = shown.state_now;
    }
    return look;
}

static void press(int key, double interval_s)
{
    bool was = shown.state.frozen;
    struct top_look look = look_now(interval_s);
    top_press(&shown.state, &look, key);
    if (shown.state.frozen && !was) {
        top_snapshot_fini(&shown.frozen);
        shown.frozen = shown.newest;
        json_incref(shown.frozen.status);
    }
}

static void follow(struct top_data *data, const struct options *options, bool utf8)
{
    while (!shown.state.quit) {
        top_data_take(data, &shown.newest, &shown.link);
        struct top_screen_size size = top_screen_size();
        struct top_look look = look_now(options->interval_s);
        page_init(&page, size.rows, size.columns, utf8);
        top_draw(&page, &look, &shown.state);
        top_screen_show(&page);
        if (top_screen_wait(top_data_fd(data), TICK_MS)) {
            return;
        }
        for (int key = top_screen_key(); key >= 0; key = top_screen_key()) {
            press(key, options->interval_s);
        }
    }
}

int command_top(int argc, char **argv)
{
    struct options options = {.interval_s = 1, .rows = 24, .columns = 80};
    struct error err = {{0}};
    int code = take_options(argc, argv, &options);
    if (code >= 0) {
        return code;
    }
    if (options.once) {
        return print_once(&options);
    }
    bool utf8 = is_utf8();
    if (options.instance != NULL) { /* a wrong name is told here and not waited for */
        char name[RING_NAME_BYTES];
        code = session_instance(options.instance, name, &err);
    }
    code = code == -EINVAL ? code : top_screen_open(&err);
    if (code != 0) {
        return command_fail("top", err.text, EXIT_USAGE);
    }
    struct top_data *data = top_data_start(options.instance, options.interval_s, &err);
    if (data != NULL) {
        follow(data, &options, utf8);
        top_data_stop(data);
    }
    top_screen_close();
    return data != NULL ? EXIT_DONE : command_fail("top", err.text, EXIT_NOT_SO);
}
