#include "daq/poll_line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "daq/ways.h"
#include "ring/clock.h"

#define SILENCE_WITHIN 4 /* timeouts: who speaks for longer does not wait to be asked */

int poll_line_wait(int fd, short events, uint64_t until_ns)
{
    struct pollfd ready = {.fd = fd, .events = events};
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t left_ns = now_ns < until_ns ? until_ns - now_ns : 0;
        struct timespec left = {.tv_sec = (time_t)(left_ns / CLOCK_NS_PER_S),
                                .tv_nsec = (long)(left_ns % CLOCK_NS_PER_S)};
        int n = ppoll(&ready, 1, &left, NULL);
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0 && left_ns == 0) {
            return -ETIMEDOUT;
        }
    }
}

static int wait_for_silence(int fd, const struct source_plan *plan, struct error *err)
{
    uint8_t bytes[256];
    uint64_t end_ns = clock_monotonic_ns() + SILENCE_WITHIN * plan->poll.timeout_ns;
    while (clock_monotonic_ns() < end_ns) {
        int code = poll_line_wait(fd, POLLIN, clock_monotonic_ns() + plan->poll.timeout_ns);
        if (code == -ETIMEDOUT) {
            return 0;
        }
        ssize_t n = code == 0 ? read(fd, bytes, sizeof(bytes)) : code;
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            code = code != 0 ? code : n == 0 ? -EIO : -errno;
            return error_set(err, code, "cannot read %s: %s", plan->serial.device, strerror(-code));
        }
    }
    return error_set(err, -EBUSY,
                     "%s: expected an instrument that speaks when it is asked, found bytes that never end",
                     plan->serial.device);
}

int poll_line_open(const struct source_plan *plan, struct error *err)
{
    int fd = way_serial_open(plan, err);
    if (fd < 0) {
        return fd;
    }
    int flags = fcntl(fd, F_GETFL);
    int code = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ? -errno : 0;
    code = code != 0 ? error_set(err, code, "%s: %s", plan->serial.device, strerror(-code))
                     : wait_for_silence(fd, plan, err);
    if (code != 0) {
        close(fd);
        return code;
    }
    return fd;
}
