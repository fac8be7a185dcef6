#include "tools/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LEAST 3ul
#define MOST  1000ul

static unsigned size_of(unsigned asked, const char *variable, unsigned usual)
{
    const char *text = getenv(variable);
    unsigned long n = asked > 0 ? asked : text != NULL ? strtoul(text, NULL, 10) : usual;
    return n >= LEAST && n <= MOST ? (unsigned)n : usual;
}

void terminal_look(struct terminal *terminal)
{
    struct winsize size = {0};
    const char *term = getenv("TERM");
    bool is_one = isatty(STDOUT_FILENO) != 0;
    if (is_one && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) {
        size = (struct winsize){0};
    }
    terminal->columns = size_of(size.ws_col, "COLUMNS", 80);
    terminal->rows = size_of(size.ws_row, "LINES", 24);
    setlocale(LC_CTYPE, "");
    terminal->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    terminal->cursor = is_one && term != NULL && term[0] != 0 && strcmp(term, "dumb") != 0;
}
