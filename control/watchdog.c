#include "control/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Some drivers set the time, some have one that is fixed: what they say they have counts. */
static int set_timeout(int fd, const char *path, uint32_t timeout_s, struct error *err)
{
    struct watchdog_info info = {.options = 0};
    int has_s = (int)timeout_s;
    if (ioctl(fd, WDIOC_GETSUPPORT, &info) != 0) {
        return error_set(err, -errno, "expected a watchdog device at %s: %s; see control.watchdog.device", path,
                         strerror(errno));
    }
    bool set = (info.options & WDIOF_SETTIMEOUT) != 0 && ioctl(fd, WDIOC_SETTIMEOUT, &has_s) == 0;
    if (ioctl(fd, WDIOC_GETTIMEOUT, &has_s) != 0 && !set) {
        return error_set(err, -errno, "watchdog %s (%.31s): cannot set its timeout, nor ask for it: %s", path,
                         (const char *)info.identity, strerror(errno));
    }
    if (has_s != (int)timeout_s) {
        return error_set(err, -ERANGE,
                         "watchdog %s (%.31s): expected a timeout of %u s, it has %d s and takes no other; set "
                         "control.watchdog.timeout_s to that",
                         path, (const char *)info.identity, timeout_s, has_s);
    }
    return 0;
}

int watchdog_open(const char *path, uint32_t timeout_s, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return error_set(err, -errno, "watchdog %s: cannot open: %s%s", path, strerror(errno),
                         errno == EBUSY ? " (another process has it; systemd's RuntimeWatchdogSec= must be off)"
                                        : "");
    }
    int code = set_timeout(fd, path, timeout_s, err);
    if (code != 0) {
        struct watchdog started = {.fd = fd};
        watchdog_release(&started); /* opening it has started it */
        close(fd);
        return code;
    }
    return fd;
}

void watchdog_init(struct watchdog *watchdog, int fd, uint64_t period_ns)
{
    *watchdog = (struct watchdog){.fd = period_ns != 0 ? fd : -1, .period_ns = period_ns};
}

bool watchdog_is_due(const struct watchdog *watchdog, uint64_t now_ns, bool fresh)
{
    if (watchdog->fd < 0 || !fresh) {
        return false;
    }
    /* A clock that went back must not starve it: the engine's answer to that is FAULT, not a reset. */
    return watchdog->petted_ns == 0 || now_ns < watchdog->petted_ns ||
           now_ns - watchdog->petted_ns >= watchdog->period_ns;
}

bool watchdog_pet(struct watchdog *watchdog, uint64_t now_ns, bool fresh)
{
    static const char pet = 'p'; /* any byte but the magic one */
    if (!watchdog_is_due(watchdog, now_ns, fresh)) {
        return false;
    }
    watchdog->petted_ns = now_ns;
    if (write(watchdog->fd, &pet, 1) != 1) {
        watchdog->errors++;
        return false;
    }
    watchdog->pets++;
    return true;
}

void watchdog_release(struct watchdog *watchdog)
{
    static const char magic = 'V';
    if (watchdog->fd >= 0 && write(watchdog->fd, &magic, 1) != 1) {
        watchdog->errors++;
    }
    watchdog->fd = -1; /* a pet after the magic byte would take it back */
}
