/* Registers in mapped memory: of a UIO device, or of a file that stands for one.
 *
 *     wait: until the status has all ready bits, or for the device's interrupt
 *     read: the data, each word once, with its own width
 *     acknowledge: one store; then the ready bits must go now and then, or they are stuck
 *
 * No wait is without an end. An access to memory that is no longer there (a file that was truncated, a device that
 * was pulled) is a SIGBUS, which is caught on the thread that made it: to the others nothing happens.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/register.h"
#include "daq/poll_line.h"
#include "daq/poller.h"
#include "ring/clock.h"

#define SPIN_NS      (20 * CLOCK_NS_PER_US) /* then the core is given away now and then */
#define PAUSE_NS_MIN (20 * CLOCK_NS_PER_US)
#define PAUSE_NS_MAX (1 * CLOCK_NS_PER_MS)
#define PAUSE_PART   8 /* of what was waited for already */

struct registers {
    int fd;    /* plus 1; 0: not open */
    void *map; /* of whole pages */
    size_t map_bytes;
    uint8_t *window;
    uint64_t stays_ns; /* monotonic: since when no acknowledgement took the ready bits away; 0: the last one did */
};

static _Thread_local sigjmp_buf way_out;
static _Thread_local volatile sig_atomic_t is_guarded;

/* Not ours: as it would have been. */
static void on_bus_error(int signal_number)
{
    if (is_guarded != 0) {
        siglongjmp(way_out, 1);
    }
    signal(signal_number, SIG_DFL); /* the access is made again, and ends the process */
}

static void catch_bus_errors(void)
{
    struct sigaction action = {.sa_handler = on_bus_error};
    sigaction(SIGBUS, &action, NULL);
}

static void close_registers(void *state, const struct source_plan *plan)
{
    struct registers *r = state;
    (void)plan;
    if (r->map != NULL) {
        munmap(r->map, r->map_bytes);
    }
    if (r->fd > 0) {
        close(r->fd - 1);
    }
    memset(r, 0, sizeof(*r));
}

static bool writes(const struct registers_plan *plan)
{
    return plan->acknowledge.width_bytes != 0 || plan->interrupt_mask.width_bytes != 0 ||
           plan->wait == REGISTERS_WAIT_INTERRUPT;
}

static int check_device(int fd, const struct registers_plan *plan, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return error_set(err, -errno, "%s: %s", plan->device, strerror(errno));
    }
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
        return error_set(err, -EINVAL, "%s: expected a UIO device or a file", plan->device);
    }
    if (S_ISREG(st.st_mode) && plan->wait == REGISTERS_WAIT_INTERRUPT) {
        return error_set(err, -EINVAL, "%s: expected a UIO device, found a file, which has no interrupt; see wait",
                         plan->device);
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < plan->offset_bytes + plan->window_bytes) {
        return error_set(err, -EINVAL, "%s: expected %u bytes at byte %" PRIu64 ", found a file of %jd",
                         plan->device, plan->window_bytes, plan->offset_bytes, (intmax_t)st.st_size);
    }
    return 0;
}

static int map_window(struct registers *r, const struct registers_plan *plan, struct error *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t within = plan->offset_bytes % page;
    int access = PROT_READ | (writes(plan) ? PROT_WRITE : 0);
    r->map_bytes = (size_t)(within + plan->window_bytes);
    void *map = mmap(NULL, r->map_bytes, access, MAP_SHARED, r->fd - 1, (off_t)(plan->offset_bytes - within));
    if (map == MAP_FAILED) {
        return error_set(err, -errno, "%s: cannot map %u bytes at byte %" PRIu64 ": %s", plan->device,
                         plan->window_bytes, plan->offset_bytes, strerror(errno));
    }
    r->map = map;
    r->window = (uint8_t *)map + within;
    return 0;
}

static uint64_t in_order(const struct register_plan *plan, uint64_t value)
{
    bool foreign = (plan->byte_order == RING_BIG_ENDIAN) != (BYTE_ORDER == BIG_ENDIAN);
    return foreign ? register_swap(plan->width_bytes, value) : value;
}

static uint64_t load(const struct registers *r, const struct register_plan *plan)
{
    return in_order(plan, register_load(plan->width_bytes, r->window + plan->at_byte));
}

static void store(const struct registers *r, const struct register_plan *plan)
{
    if (plan->width_bytes != 0) {
        register_put(plan->width_bytes, r->window + plan->at_byte, in_order(plan, plan->value));
    }
}

/* Until the ready bits are all there, or not all any more. 0, or 1 with words: they are stuck. */
static int wait_for(const struct registers *r, const struct source_plan *plan, bool ready, uint64_t end_ns,
                    struct error *err)
{
    const struct register_plan *status = &plan->registers.status;
    uint64_t began_ns = clock_monotonic_ns();
    for (;;) {
        uint64_t found = load(r, status);
        if (((found & status->value) == status->value) == ready) {
            return 0;
        }
        uint64_t now_ns = clock_monotonic_ns();
        if (now_ns >= end_ns) {
            (void)error_set(err, -ETIMEDOUT,
                            "%s: the status at byte %u is stuck at 0x%" PRIx64 ": the ready bits 0x%" PRIx64 " %s",
                            plan->registers.device, status->at_byte, found, status->value,
                            ready ? "do not come" : "stay though they were acknowledged");
            return 1;
        }
        uint64_t waited_ns = now_ns - began_ns;
        if (waited_ns > SPIN_NS) {
            uint64_t pause_ns = waited_ns / PAUSE_PART;
            pause_ns = pause_ns < PAUSE_NS_MIN ? PAUSE_NS_MIN : pause_ns > PAUSE_NS_MAX ? PAUSE_NS_MAX : pause_ns;
            const struct timespec pause = {.tv_nsec = (long)pause_ns};
            (void)nanosleep(&pause, NULL);
        }
    }
}

/* The kernel disables a device's interrupt when it comes; one that came meanwhile comes now. A driver without such
 * a switch has it on all the time. */
static int wait_for_interrupt(const struct registers *r, const struct source_plan *plan, uint64_t end_ns,
                              struct error *err)
{
    int32_t on = 1;
    uint32_t count;
    int fd = r->fd - 1;
    const char *device = plan->registers.device;
    if (write(fd, &on, sizeof(on)) < 0 && errno != ENOSYS) {
        return error_set(err, -errno, "%s: cannot switch its interrupt on: %s", device, strerror(errno));
    }
    int code = poll_line_wait(fd, POLLIN, end_ns);
    if (code == -ETIMEDOUT) {
        (void)error_set(err, code, "%s: no interrupt came in time", device);
        return 1;
    }
    ssize_t n = code == 0 ? read(fd, &count, sizeof(count)) : -1;
    if (n != (ssize_t)sizeof(count)) {
        code = code != 0 ? code : n < 0 ? -errno : -EIO;
        return error_set(err, code, "%s: no interrupt can be waited for: %s", device, strerror(-code));
    }
    return 0;
}

static void read_data(const struct registers *r, const struct source_plan *plan, uint8_t *frame)
{
    uint32_t width = plan->registers.data_width;
    const uint8_t *from = r->window + plan->registers.data_at;
    for (uint32_t at = 0; at < plan->frame_bytes; at += width) {
        register_put(width, frame + at, register_load(width, from + at));
    }
}

/* A new sample may have come before anyone looked: it is bits that stay all the time that are stuck. Until that is
 * known the same sample may have been read again. */
static int check_cleared(struct registers *r, const struct source_plan *plan, uint64_t began_ns, struct error *err)
{
    uint64_t look_ns =
        plan->poll.period_ns / 2 < plan->poll.timeout_ns ? plan->poll.period_ns / 2 : plan->poll.timeout_ns;
    if (wait_for(r, plan, false, began_ns + look_ns, err) == 0) {
        r->stays_ns = 0;
        return 0;
    }
    r->stays_ns = r->stays_ns != 0 ? r->stays_ns : began_ns;
    return clock_monotonic_ns() - r->stays_ns < plan->poll.timeout_ns ? 0 : 1;
}

static int poll_window(struct registers *r, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    const struct registers_plan *registers = &plan->registers;
    uint64_t began_ns = clock_monotonic_ns();
    uint64_t end_ns = began_ns + plan->poll.timeout_ns;
    bool has_status = registers->status.width_bytes != 0;
    int code = 0;
    if (registers->wait == REGISTERS_WAIT_INTERRUPT) {
        code = wait_for_interrupt(r, plan, end_ns, err);
    }
    if (code == 0 && has_status) {
        code = wait_for(r, plan, true, end_ns, err);
    }
    if (code != 0) {
        return code;
    }
    read_data(r, plan, frame);
    store(r, &registers->acknowledge);
    return has_status && registers->clears != 0 ? check_cleared(r, plan, began_ns, err) : 0;
}

/* What is done with the window, and what it says if that is no longer there. frame NULL: it is opened. */
static int guarded(struct registers *r, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    volatile int code = 0;
    if (sigsetjmp(way_out, 1) != 0) {
        is_guarded = 0;
        return error_set(err, -EFAULT, "%s: its memory is gone (SIGBUS): a file was truncated, or a device pulled",
                         plan->registers.device);
    }
    is_guarded = 1;
    if (frame == NULL) {
        store(r, &plan->registers.interrupt_mask);
    } else {
        code = poll_window(r, plan, frame, err);
    }
    is_guarded = 0;
    return code;
}

static int open_registers(void *state, const struct source_plan *plan, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct registers *r = state;
    const struct registers_plan *registers = &plan->registers;
    int access = writes(registers) ? O_RDWR : O_RDONLY;
    pthread_once(&once, catch_bus_errors);
    int fd = open(registers->device, access | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", registers->device, strerror(errno));
    }
    r->fd = fd + 1;
    int code = check_device(fd, registers, err);
    code = code != 0 ? code : map_window(r, registers, err);
    code = code != 0 ? code : guarded(r, plan, NULL, err);
    if (code != 0) {
        close_registers(r, plan);
    }
    return code;
}

static int poll_registers_once(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    return guarded(state, plan, frame, err);
}

const struct poller_way poll_registers = {.state_bytes = sizeof(struct registers),
                                          .open = open_registers,
                                          .poll = poll_registers_once,
                                          .close = close_registers};
