/* GPIO lines on a chip that is this file: this kernel has none. The ioctl is replaced when the test is linked. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/gpio.h"
#include "control/output.h"

#define CHIP_LINES 32

/* The chip. */
static struct {
    bool is_chip;
    bool gone;
    int taken_error; /* errno of a request for lines */
    uint32_t used;   /* line that somebody else has; CHIP_LINES: none */
    uint8_t level[CHIP_LINES];
    bool output[CHIP_LINES];
    struct gpio_v2_line_request request;
    unsigned sets;
} chip;

static char path[] = "/tmp/sluice-gpio-XXXXXX";
static struct control_table table;
static struct error err;

/* The name is the linker's. NOLINTNEXTLINE(*-reserved-identifier,cert-*,readability-identifier-naming) */
int __wrap_ioctl(int fd, unsigned long request, ...);

static int take_lines(struct gpio_v2_line_request *request)
{
    uint64_t values =
        request->config.num_attrs == 1 && request->config.attrs[0].attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES
            ? request->config.attrs[0].attr.values & request->config.attrs[0].mask
            : UINT64_MAX;
    for (uint32_t i = 0; i < request->num_lines; i++) {
        if (chip.taken_error != 0 || request->offsets[i] == chip.used) {
            errno = chip.taken_error != 0 ? chip.taken_error : EBUSY;
            return -1;
        }
        chip.output[request->offsets[i]] = (request->config.flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0;
        chip.level[request->offsets[i]] = values >> i & 1;
    }
    request->fd = open("/dev/null", O_RDWR); /* the kernel's is not close-on-exec either */
    chip.request = *request;
    return 0;
}

static int set_lines(int fd, const struct gpio_v2_line_values *values)
{
    cr_assert_eq(fd, chip.request.fd, "the request's descriptor, not the chip's");
    cr_assert_eq(values->mask >> chip.request.num_lines, 0);
    chip.sets++;
    for (uint32_t i = 0; i < chip.request.num_lines; i++) {
        if ((values->mask >> i & 1) != 0) {
            chip.level[chip.request.offsets[i]] = values->bits >> i & 1;
        }
    }
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    if (!chip.is_chip || chip.gone) {
        errno = chip.gone ? ENODEV : ENOTTY;
        return -1;
    }
    if (request == GPIO_GET_CHIPINFO_IOCTL) {
        *(struct gpiochip_info *)argument =
            (struct gpiochip_info){.name = "gpiochip9", .label = "fake", .lines = CHIP_LINES};
        return 0;
    }
    if (request == GPIO_V2_GET_LINEINFO_IOCTL) {
        struct gpio_v2_line_info *info = argument;
        info->flags = info->offset == chip.used ? GPIO_V2_LINE_FLAG_USED : 0;
        strcpy(info->consumer, "fan");
        return 0;
    }
    cr_assert(request == GPIO_V2_GET_LINE_IOCTL || request == GPIO_V2_LINE_SET_VALUES_IOCTL, "%#lx", request);
    return request == GPIO_V2_GET_LINE_IOCTL ? take_lines(argument) : set_lines(fd, argument);
}

static void prepare(void)
{
    close(mkstemp(path));
    chip.is_chip = true;
    chip.used = CHIP_LINES;
    memset(chip.level, 1, sizeof(chip.level)); /* the worst that they can be before */
    strcpy(table.instance, "an_instance_with_a_name_of_31_b");
    table.devices = 2;
    table.outputs = 4;
    table.output[0] = (struct control_output){.device = 1, .line = 0};
    table.output[1] = (struct control_output){.device = 0, .line = 17};
    table.output[2] = (struct control_output){.device = 0, .line = 4};
    table.output[3] = (struct control_output){.device = 0, .line = 31};
    table.device[0] = (struct control_device){.kind = DEVICE_GPIO, .lines = 7};
    strcpy(table.device[0].target, path);
}

static void clean_up(void)
{
    unlink(path);
}

TestSuite(gpio, .init = prepare, .fini = clean_up);

Test(gpio, lines_are_taken_as_outputs_that_are_low)
{
    int fd = output_open(&table, 0, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    cr_assert_eq(chip.request.num_lines, 3);
    cr_assert_str_eq(chip.request.consumer, "sluice:an_instance_with_a_name_");
    for (uint32_t i = 0; i < CHIP_LINES; i++) {
        bool ours = i == 17 || i == 4 || i == 31;
        cr_assert_eq(chip.output[i], ours, "line %u", i);
        cr_assert_eq(chip.level[i], !ours, "line %u", i);
    }
    cr_assert_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0, "no other child is to inherit it");
    for (size_t i = 0; i < sizeof(chip.request.padding) / sizeof(chip.request.padding[0]); i++) {
        cr_assert_eq(chip.request.padding[i], 0);
    }
    close(fd);
}

Test(gpio, one_ioctl_sets_all_lines)
{
    int fd = output_open(&table, 0, &err);
    for (uint32_t bits = 0; bits < 16; bits++) {
        struct output_message message = {.energised = output_lines(&table, 0, bits), .origin = OUTPUT_CONTROL};
        unsigned before = chip.sets;
        cr_assert_eq(output_send(&table, 0, fd, &message), 0);
        cr_assert_eq(chip.sets, before + 1);
        cr_assert_eq(chip.level[17], bits >> 1 & 1);
        cr_assert_eq(chip.level[4], bits >> 2 & 1);
        cr_assert_eq(chip.level[31], bits >> 3 & 1);
        cr_assert_eq(chip.level[0], 1, "not ours on this device");
    }
    close(fd);
}

Test(gpio, a_chip_that_vanishes_is_told)
{
    struct output_message message = {.energised = 7, .origin = OUTPUT_CONTROL};
    int fd = output_open(&table, 0, &err);
    chip.gone = true;
    cr_assert_eq(output_send(&table, 0, fd, &message), -ENODEV);
    message.origin = OUTPUT_SUPERVISOR;
    cr_assert_eq(output_send(&table, 0, fd, &message), -ENODEV);
    close(fd);
}

static void expect_refusal(int code, const char *piece)
{
    cr_assert_eq(output_open(&table, 0, &err), code);
    cr_assert_not_null(strstr(err.text, piece), "%s", err.text);
}

Test(gpio, what_cannot_be_taken_is_refused_with_its_reason)
{
    chip.used = 4;
    expect_refusal(-EBUSY, "line 4 is in use by 'fan'");
    chip.used = CHIP_LINES;
    chip.taken_error = EPERM;
    expect_refusal(-EPERM, "cannot take its lines");
    chip.taken_error = 0;
    table.output[2].line = CHIP_LINES;
    expect_refusal(-EINVAL, "expected line 32, found a chip 'gpiochip9' (fake) of 32 lines");
    table.output[2].line = 4;
    chip.is_chip = false;
    expect_refusal(-ENOTTY, "expected a GPIO chip");
    chip.is_chip = true;
    strcpy(table.device[0].target, "/tmp/sluice-no-such-directory/gpiochip0");
    expect_refusal(-ENOENT, "cannot open");
}
