#include "daq/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 1024 /* below PIPE_BUF: a pipe that polls writable takes it whole */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the usher speaks too */
static unsigned long dropped;

static void write_line(const char *text, size_t bytes)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0 || write(STDERR_FILENO, text, bytes) < 0) {
        dropped++;
    }
}

/* What was lost goes first. False: nobody reads still. */
static bool tell_dropped(void)
{
    char text[LINE_BYTES];
    unsigned long before = dropped;
    if (before == 0) {
        return true;
    }
    int n = snprintf(text, sizeof(text), "sluiced: %lu lines were lost here: nobody read them\n", before);
    dropped = 0;
    write_line(text, (size_t)n);
    if (dropped > 0) {
        dropped = before + 1;
        return false;
    }
    return true;
}

void log_line(const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    int head = snprintf(text, sizeof(text), "sluiced: ");
    va_start(args, format);
    int n = head + vsnprintf(text + head, sizeof(text) - (size_t)head - 1, format, args);
    va_end(args);
    n = n < LINE_BYTES - 1 ? n : LINE_BYTES - 2;
    text[n] = '\n';
    pthread_mutex_lock(&lock);
    if (tell_dropped()) {
        write_line(text, (size_t)n + 1);
    }
    pthread_mutex_unlock(&lock);
}
