/* Numbers in files of the kernel's: each read gives one, written as text, whole or with a point. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/poller.h"

#define TEXT_BYTES 64

struct sysfs {
    int fd[PLAN_ATTRIBUTES_MAX]; /* plus 1; 0: not open */
};

static void close_sysfs(void *state, const struct source_plan *plan)
{
    struct sysfs *s = state;
    for (uint32_t i = 0; i < plan->sysfs.attributes; i++) {
        if (s->fd[i] > 0) {
            close(s->fd[i] - 1);
            s->fd[i] = 0;
        }
    }
}

static int open_sysfs(void *state, const struct source_plan *plan, struct error *err)
{
    struct sysfs *s = state;
    for (uint32_t i = 0; i < plan->sysfs.attributes; i++) {
        int fd = open(plan->sysfs.path[i], O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) {
            int code = -errno;
            close_sysfs(state, plan);
            return error_set(err, code, "cannot open %s: %s", plan->sysfs.path[i], strerror(-code));
        }
        s->fd[i] = fd + 1;
    }
    return 0;
}

/* The attribute may be a device's: it can fail (a sensor that does not answer) and be well the next time. */
static int read_one(const struct sysfs *s, const struct source_plan *plan, uint32_t i, double *value,
                    struct error *err)
{
    char text[TEXT_BYTES];
    char *end;
    ssize_t n = pread(s->fd[i] - 1, text, sizeof(text) - 1, 0);
    if (n < 0) {
        return error_set(err, -errno, "cannot read %s: %s", plan->sysfs.path[i], strerror(errno));
    }
    text[n] = 0;
    *value = strtod(text, &end);
    end += strspn(end, " \t\r\n");
    if (end == text || *end != 0) {
        (void)error_set(err, -EPROTO, "%s: expected a number, found '%.*s'", plan->sysfs.path[i],
                        (int)strcspn(text, "\r\n"), text);
        return 1;
    }
    return 0;
}

static int poll_all(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    for (uint32_t i = 0; i < plan->sysfs.attributes; i++) {
        double value = 0;
        int code = read_one(state, plan, i, &value, err);
        if (code != 0) {
            return code;
        }
        memcpy(frame + i * sizeof(value), &value, sizeof(value));
    }
    return 0;
}

const struct poller_way poll_sysfs = {
    .state_bytes = sizeof(struct sysfs), .open = open_sysfs, .poll = poll_all, .close = close_sysfs};
