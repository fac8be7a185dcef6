#include "daq/gpio_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daq/poller.h"
#include "daq/ways.h"

#define EVENTS_MAX (16 * GPIO_V2_LINES_MAX) /* what the kernel keeps of a request, at most */

static_assert(sizeof(struct gpio_v2_line_event) == 48, "an edge is a frame of 48 bytes");

static uint64_t flags_of(const struct gpio_plan *plan, bool edges)
{
    uint64_t flags = GPIO_V2_LINE_FLAG_INPUT;
    if (edges) {
        flags |= plan->edges != GPIO_EDGES_FALLING ? (uint64_t)GPIO_V2_LINE_FLAG_EDGE_RISING : 0;
        flags |= plan->edges != GPIO_EDGES_RISING ? (uint64_t)GPIO_V2_LINE_FLAG_EDGE_FALLING : 0;
        flags |= plan->monotonic == 0 ? (uint64_t)GPIO_V2_LINE_FLAG_EVENT_CLOCK_REALTIME : 0;
    }
    flags |= plan->bias == GPIO_BIAS_UP ? (uint64_t)GPIO_V2_LINE_FLAG_BIAS_PULL_UP : 0;
    flags |= plan->bias == GPIO_BIAS_DOWN ? (uint64_t)GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN : 0;
    flags |= plan->bias == GPIO_BIAS_OFF ? (uint64_t)GPIO_V2_LINE_FLAG_BIAS_DISABLED : 0;
    return flags | (plan->active_low != 0 ? (uint64_t)GPIO_V2_LINE_FLAG_ACTIVE_LOW : 0);
}

/* A chip without such a line is the wrong chip. */
static int check_chip(int chip_fd, const struct gpio_plan *plan, struct error *err)
{
    struct gpiochip_info chip = {.lines = 0};
    if (ioctl(chip_fd, GPIO_GET_CHIPINFO_IOCTL, &chip) != 0) {
        return error_set(err, -errno, "expected a GPIO chip such as /dev/gpiochip0 at %s: %s", plan->device,
                         strerror(errno));
    }
    for (uint32_t i = 0; i < plan->lines; i++) {
        if (plan->line[i] >= chip.lines) {
            return error_set(err, -EINVAL, "%s: expected line %u, found a chip '%.31s' of %u lines", plan->device,
                             plan->line[i], chip.label, chip.lines);
        }
    }
    return 0;
}

static int request_lines(int chip_fd, const struct gpio_plan *plan, const char *consumer, bool edges,
                         struct error *err)
{
    struct gpio_v2_line_request request = {.num_lines = plan->lines, .config.flags = flags_of(plan, edges)};
    memcpy(request.offsets, plan->line, sizeof(plan->line));
    request.event_buffer_size = edges ? EVENTS_MAX : 0; /* the kernel's own choice is 16 for each line */
    snprintf(request.consumer, sizeof(request.consumer), "sluice:%.24s", consumer);
    if (plan->debounce_us > 0) {
        request.config.num_attrs = 1;
        request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE;
        request.config.attrs[0].attr.debounce_period_us = plan->debounce_us;
        request.config.attrs[0].mask = (UINT64_C(1) << plan->lines) - 1;
    }
    if (ioctl(chip_fd, GPIO_V2_GET_LINE_IOCTL, &request) != 0) {
        return error_set(err, -errno, "%s: cannot take its lines as inputs: %s", plan->device,
                         errno == EBUSY ? "one of them is in use (gpioinfo)" : strerror(errno));
    }
    (void)fcntl(request.fd, F_SETFD, FD_CLOEXEC);
    return request.fd;
}

int gpio_lines_open(const struct gpio_plan *plan, const char *consumer, bool edges, struct error *err)
{
    int chip_fd = open(plan->device, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (chip_fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", plan->device, strerror(errno));
    }
    int code = check_chip(chip_fd, plan, err);
    code = code == 0 ? request_lines(chip_fd, plan, consumer, edges, err) : code;
    close(chip_fd);
    // cppcheck-suppress resourceLeak ; the request's descriptor is the caller's
    return code;
}

int gpio_lines_read(int fd, const struct gpio_plan *plan, uint32_t *levels)
{
    struct gpio_v2_line_values values = {.mask = (UINT64_C(1) << plan->lines) - 1};
    if (ioctl(fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) != 0) {
        return -errno;
    }
    *levels = (uint32_t)(values.bits & values.mask);
    return 0;
}

/* ---- Edges: a stream of struct gpio_v2_line_event. */

static int open_edges(struct opening *opening, struct error *err)
{
    if (opening->held_fd >= 0) {
        close(opening->held_fd); /* or its lines would still be in use */
    }
    int fd = gpio_lines_open(&opening->plan->gpio, opening->plan->name, true, err);
    opening->held_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        int code = -errno;
        close(fd);
        return error_set(err, code, "%s: cannot read its edges: %s", opening->plan->gpio.device, strerror(-code));
    }
    return fd;
}

/* A chip that has gone wakes nobody who waits for its edges (Linux 6.1): its lines say it when they are asked. */
static bool check_edges(struct opening *opening)
{
    uint32_t levels;
    return opening->held_fd >= 0 && gpio_lines_read(opening->held_fd, &opening->plan->gpio, &levels) == 0;
}

const struct opener_way way_gpio_edges = {.open = open_edges, .check = check_edges};

/* ---- Levels: polled, a word of 32 bits. */

struct levels {
    int fd;
};

static int open_levels(void *state, const struct source_plan *plan, struct error *err)
{
    struct levels *l = state;
    l->fd = gpio_lines_open(&plan->gpio, plan->name, false, err);
    return l->fd < 0 ? l->fd : 0;
}

static int poll_levels(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    const struct levels *l = state;
    uint32_t levels = 0;
    int code = gpio_lines_read(l->fd, &plan->gpio, &levels);
    if (code != 0) {
        return error_set(err, code, "%s: cannot read its lines: %s", plan->gpio.device,
                         code == -ENODEV ? "the chip is gone" : strerror(-code));
    }
    memcpy(frame, &levels, sizeof(levels));
    return 0;
}

static void close_levels(void *state, const struct source_plan *plan)
{
    const struct levels *l = state;
    (void)plan;
    close(l->fd);
}

const struct poller_way poll_gpio_levels = {
    .state_bytes = sizeof(struct levels), .open = open_levels, .poll = poll_levels, .close = close_levels};
