#include "daq/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 1024 /* below PIPE_BUF: a pipe that polls writable takes it whole */

static unsigned long dropped;

static void write_line(const char *text, size_t bytes)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0 || write(STDERR_FILENO, text, bytes) < 0) {
        dropped++;
    }
}

void log_line(const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    if (dropped > 0) {
        unsigned long before = dropped;
        int n = snprintf(text, sizeof(text), "sluiced: %lu lines were lost here: nobody read them\n", dropped);
        dropped = 0;
        write_line(text, (size_t)n);
        if (dropped > 0) {
            dropped = before + 1;
            return;
        }
    }
    int head = snprintf(text, sizeof(text), "sluiced: ");
    va_start(args, format);
    int n = head + vsnprintf(text + head, sizeof(text) - (size_t)head - 1, format, args);
    va_end(args);
    n = n < LINE_BYTES - 1 ? n : LINE_BYTES - 2;
    text[n] = '\n';
    write_line(text, (size_t)n + 1);
}
