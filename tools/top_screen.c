/* The terminal: ncurses is used here and nowhere else. Its term.h makes macros of words that everyone uses, so that
 * ours come first. */
#include "tools/top.h"

#include <errno.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#undef columns
#undef lines

#define ESCAPE_MS 50 /* the rest of a key's sequence, also over ssh */

enum { PAIR_GOOD = 1, PAIR_WARN = 2, PAIR_BAD = 3 };

static volatile sig_atomic_t ended;
static struct termios before;
static bool has_before;
static char leave[256]; /* what a fault handler writes: nothing of ncurses may be called there */
static size_t leave_bytes;
static sigset_t open_mask; /* while we wait; otherwise these signals are held back */
static SCREEN *screen;
static bool has_colours;

static void on_end(int signal_number)
{
    (void)signal_number;
    ended = 1;
}

/* A fault of ours must not leave a terminal behind that shows nothing of what is typed. Then it takes its course.
 */
static void on_fault(int signal_number)
{
    ssize_t written = write(STDOUT_FILENO, leave, leave_bytes);
    (void)written;
    if (has_before) {
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
    raise(signal_number); /* SA_RESETHAND: the default action now */
}

/* NULL: this terminal cannot do that. */
static const char *capability(const char *name)
{
    const char *text = tigetstr(name);
    return text == (const char *)-1 ? NULL : text; // NOLINT(performance-no-int-to-ptr): so terminfo says that
}

static void remember(const char *name)
{
    const char *text = capability(name);
    if (text != NULL && strchr(text, '$') == NULL && strlen(text) < sizeof(leave) - leave_bytes) {
        leave_bytes += (size_t)snprintf(leave + leave_bytes, sizeof(leave) - leave_bytes, "%s", text);
    }
}

static void catch_one(int signal_number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(signal_number, &action, NULL);
}

static void catch_all(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGWINCH);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        catch_one(ends[i], on_end, 0);
        sigaddset(&held, ends[i]);
    }
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        catch_one(faults[i], on_fault, (int)SA_RESETHAND);
    }
    catch_one(SIGPIPE, SIG_IGN, 0);
    sigprocmask(SIG_BLOCK, &held, &open_mask);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        sigdelset(&open_mask, ends[i]);
    }
    sigdelset(&open_mask, SIGWINCH);
}

/* Before ncurses, which would end the process with a message of its own. */
static int check_terminal(struct error *err)
{
    const char *term = getenv("TERM");
    int found = 0;
    if (isatty(STDOUT_FILENO) == 0 || isatty(STDIN_FILENO) == 0) {
        return error_set(err, -ENOTTY,
                         "expected a terminal on standard input and output, found none; 'sluice top "
                         "--once' prints one page anywhere");
    }
    if (setupterm(NULL, STDOUT_FILENO, &found) != OK) {
        return error_set(err, -ENOTTY,
                         "expected TERM to name a terminal that is known here, found '%s'; set it, or "
                         "use 'sluice top --once'",
                         term != NULL ? term : "");
    }
    if (capability("cup") == NULL) {
        return error_set(err, -ENOTTY,
                         "expected a terminal with a cursor that can be moved, found TERM='%s'; use "
                         "'sluice top --once'",
                         term != NULL ? term : "");
    }
    return 0;
}

int top_screen_open(struct error *err)
{
    int code = check_terminal(err);
    if (code != 0) {
        return code;
    }
    has_before = tcgetattr(STDIN_FILENO, &before) == 0;
    remember("sgr0");
    remember("rmkx");
    remember("cnorm");
    remember("rmcup");
    catch_all();
    set_escdelay(ESCAPE_MS);
    screen = newterm(NULL, stdout, stdin);
    if (screen == NULL) {
        return error_set(err, -ENOTTY, "this terminal cannot be used; use 'sluice top --once'");
    }
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    has_colours = getenv("NO_COLOR") == NULL && has_colors() && start_color() == OK && use_default_colors() == OK;
    if (has_colours) {
        init_pair(PAIR_GOOD, COLOR_GREEN, -1);
        init_pair(PAIR_WARN, COLOR_YELLOW, -1);
        init_pair(PAIR_BAD, COLOR_RED, -1);
    }
    return 0;
}

void top_screen_close(void)
{
    if (screen != NULL) {
        endwin();
        delscreen(screen);
        screen = NULL;
    }
}

struct top_screen_size top_screen_size(void)
{
    return (struct top_screen_size){.rows = (unsigned)LINES, .columns = (unsigned)COLS};
}

static void set_look(unsigned look)
{
    attr_t attributes = (look & PAGE_BOLD) != 0 ? A_BOLD : A_NORMAL;
    int pair = (look & PAGE_BAD) != 0 ? PAIR_BAD : (look & PAGE_WARN) != 0 ? PAIR_WARN : PAIR_GOOD;
    attributes |= (look & PAGE_INVERSE) != 0 ? A_REVERSE : A_NORMAL;
    if ((look & (PAGE_GOOD | PAGE_WARN | PAGE_BAD)) == 0 || !has_colours) {
        attributes |= (look & (PAGE_WARN | PAGE_BAD)) != 0 ? A_BOLD : A_NORMAL;
        pair = 0;
    }
    attr_set(attributes, (short)pair, NULL);
}

void top_screen_show(const struct page *page)
{
    wchar_t text[PAGE_COLUMNS_MAX + 1];
    erase();
    for (unsigned row = 0; row < page->rows; row++) {
        for (unsigned column = 0; column < page->columns;) {
            unsigned first = column;
            unsigned look = page->cell[row][first].look;
            for (; column < page->columns && page->cell[row][column].look == look; column++) {
                text[column - first] = (wchar_t)page->cell[row][column].code;
            }
            set_look(look);
            mvaddnwstr((int)row, (int)first, text, (int)(column - first));
        }
    }
    set_look(PAGE_PLAIN);
    refresh();
}

int top_screen_key(void)
{
    int key = getch();
    switch (key) {
    case ERR:
        return -1;
    case KEY_UP:
        return TOP_KEY_UP;
    case KEY_DOWN:
        return TOP_KEY_DOWN;
    case KEY_PPAGE:
        return TOP_KEY_PAGE_UP;
    case KEY_NPAGE:
        return TOP_KEY_PAGE_DOWN;
    case KEY_HOME:
        return TOP_KEY_HOME;
    case KEY_END:
        return TOP_KEY_END;
    case '\r':
    case '\n':
    case KEY_ENTER:
        return TOP_KEY_ENTER;
    case 27:
    case KEY_BACKSPACE:
    case 127:
    case 8:
        return TOP_KEY_BACK;
    default:
        return key > 0 && key < 128 ? key : 0;
    }
}

bool top_screen_wait(int fd, int timeout_ms)
{
    struct pollfd watched[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    int ready = ppoll(watched, 2, &timeout, &open_mask);
    /* The terminal has gone, without a SIGHUP for us. */
    return ended != 0 || (ready > 0 && (watched[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0);
}
