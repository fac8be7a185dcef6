#include "control/gpio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static_assert(CONTROL_OUTPUTS_MAX <= GPIO_V2_LINES_MAX, "one request holds the lines of all outputs there can be");

static void fill_request(const struct control_table *table, uint32_t device, struct gpio_v2_line_request *request)
{
    memset(request, 0, sizeof(*request));
    for (uint32_t i = 0; i < table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        if (table->output[i].device == device) {
            request->offsets[request->num_lines++] = table->output[i].line;
        }
    }
    snprintf(request->consumer, sizeof(request->consumer), "sluice:%.24s", table->instance);
    request->config.flags = GPIO_V2_LINE_FLAG_OUTPUT;
    request->config.num_attrs = 1;
    request->config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
    request->config.attrs[0].attr.values = 0; /* safe before anything else */
    request->config.attrs[0].mask = (UINT64_C(1) << request->num_lines) - 1;
}

/* Which line is the trouble, in words. */
static int refused(int chip_fd, const char *target, const struct gpio_v2_line_request *request, int code,
                   struct error *err)
{
    for (uint32_t i = 0; code == -EBUSY && i < request->num_lines; i++) {
        struct gpio_v2_line_info info = {.offset = request->offsets[i]};
        if (ioctl(chip_fd, GPIO_V2_GET_LINEINFO_IOCTL, &info) == 0 && (info.flags & GPIO_V2_LINE_FLAG_USED) != 0) {
            return error_set(err, code,
                             "output gpio %s: line %u is in use by '%.31s'; end that, or use another line", target,
                             request->offsets[i], info.consumer[0] != 0 ? info.consumer : "the kernel");
        }
    }
    return error_set(err, code, "output gpio %s: cannot take its lines as outputs: %s", target, strerror(-code));
}

static int check_chip(int chip_fd, const char *target, const struct gpio_v2_line_request *request,
                      struct error *err)
{
    struct gpiochip_info chip = {.lines = 0};
    if (ioctl(chip_fd, GPIO_GET_CHIPINFO_IOCTL, &chip) != 0) {
        return error_set(err, -errno, "output gpio %s: expected a GPIO chip such as /dev/gpiochip0: %s", target,
                         strerror(errno));
    }
    for (uint32_t i = 0; i < request->num_lines; i++) {
        if (request->offsets[i] >= chip.lines) {
            return error_set(err, -EINVAL,
                             "output gpio %s: expected line %u, found a chip '%.31s' (%.31s) of %u lines; is it "
                             "the right chip?",
                             target, request->offsets[i], chip.name, chip.label, chip.lines);
        }
    }
    return 0;
}

int gpio_open(const struct control_table *table, uint32_t device, struct error *err)
{
    const char *target = table->device[device].target;
    struct gpio_v2_line_request request;
    fill_request(table, device, &request);
    int chip_fd = open(target, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (chip_fd < 0) {
        return error_set(err, -errno, "output gpio %s: cannot open: %s", target, strerror(errno));
    }
    int code = check_chip(chip_fd, target, &request, err);
    if (code == 0 && ioctl(chip_fd, GPIO_V2_GET_LINE_IOCTL, &request) != 0) {
        code = refused(chip_fd, target, &request, -errno, err);
    }
    close(chip_fd);
    if (code != 0) {
        return code;
    }
    if (request.fd <= 0) {
        return error_set(err, -EPROTO, "output gpio %s: the kernel took the lines and gave no descriptor", target);
    }
    (void)fcntl(request.fd, F_SETFD, FD_CLOEXEC);
    // cppcheck-suppress resourceLeak ; it is the caller's
    return request.fd;
}

int gpio_send(int fd, uint32_t lines, uint32_t energised)
{
    struct gpio_v2_line_values values = {.bits = energised & lines, .mask = lines};
    return ioctl(fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &values) == 0 ? 0 : -errno;
}
