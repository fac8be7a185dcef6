/* Registers of a device with an interrupt, which no machine without UIO has: a pty stands for the device's file
 * (its other end is the kernel: four bytes in are an interrupt, four bytes out switch it on), memory of the test's
 * for its map. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "daq/poller.h"
#include "ring/clock.h"

#define MAP_OFFSET 8192 /* of the device's third map */

static _Alignas(4096) uint8_t memory[4096];
static off_t mapped_at;
static int kernel_fd;
static struct source_plan plan;
static void *state;
static uint8_t frame[16];
static struct error err;

/* The names are the linker's. */
/* NOLINTNEXTLINE(*-reserved-identifier,cert-*,readability-identifier-naming) */
void *__wrap_mmap(void *at, size_t bytes, int access, int flags, int fd, off_t offset);
/* NOLINTNEXTLINE(*-reserved-identifier,cert-*,readability-identifier-naming) */
void *__real_mmap(void *at, size_t bytes, int access, int flags, int fd, off_t offset);
/* NOLINTNEXTLINE(*-reserved-identifier,cert-*,readability-identifier-naming) */
int __wrap_munmap(void *at, size_t bytes);
/* NOLINTNEXTLINE(*-reserved-identifier,cert-*,readability-identifier-naming) */
int __real_munmap(void *at, size_t bytes);

void *__wrap_mmap(void *at, size_t bytes, int access, int flags, int fd, off_t offset)
{
    if (fd < 0 || isatty(fd) == 0) {
        return __real_mmap(at, bytes, access, flags, fd, offset);
    }
    mapped_at = offset;
    return memory;
}

int __wrap_munmap(void *at, size_t bytes)
{
    return at == memory ? 0 : __real_munmap(at, bytes);
}

static void init(void)
{
    struct termios raw;
    int device_fd;
    cfmakeraw(memset(&raw, 0, sizeof(raw)));
    cr_assert_eq(openpty(&kernel_fd, &device_fd, plan.registers.device, &raw, NULL), 0);
    /* Little-endian status of 4 bytes at 0, ready 0x3; acknowledgement of 2 at 8; mask, big-endian, of 8 at 16. */
    plan.kind = SOURCE_REGISTERS;
    plan.frame_bytes = 12;
    plan.poll = (struct poll_plan){.period_ns = CLOCK_NS_PER_MS, .timeout_ns = 50 * CLOCK_NS_PER_MS};
    plan.registers.offset_bytes = MAP_OFFSET;
    plan.registers.window_bytes = 4096;
    plan.registers.wait = REGISTERS_WAIT_INTERRUPT;
    plan.registers.data_at = 64;
    plan.registers.data_width = 4;
    plan.registers.status =
        (struct register_plan){.at_byte = 0, .width_bytes = 4, .byte_order = RING_LITTLE_ENDIAN, .value = 3};
    plan.registers.acknowledge =
        (struct register_plan){.at_byte = 8, .width_bytes = 2, .byte_order = RING_LITTLE_ENDIAN, .value = 0x0102};
    plan.registers.interrupt_mask =
        (struct register_plan){.at_byte = 16, .width_bytes = 8, .byte_order = RING_BIG_ENDIAN, .value = 0x80};
    state = calloc(1, poll_registers.state_bytes);
    cr_assert_not_null(state);
    cr_assert_eq(poll_registers.open(state, &plan, &err), 0, "%s", err.text);
    close(device_fd); /* the poller has one of its own */
}

static void fini(void)
{
    poll_registers.close(state, &plan);
    free(state);
    close(kernel_fd);
}

TestSuite(poll_registers, .init = init, .fini = fini);

static int ask(void)
{
    err.text[0] = 0;
    return poll_registers.poll(state, &plan, frame, &err);
}

static void interrupt(uint32_t count)
{
    cr_assert_eq(write(kernel_fd, &count, sizeof(count)), (ssize_t)sizeof(count));
}

static int32_t switched(void)
{
    int32_t on = 0;
    struct pollfd ready = {.fd = kernel_fd, .events = POLLIN};
    return poll(&ready, 1, 0) > 0 && read(kernel_fd, &on, sizeof(on)) == (ssize_t)sizeof(on) ? on : -1;
}

Test(poll_registers, opening_writes_the_mask_and_maps_what_was_said)
{
    static const uint8_t mask[8] = {0, 0, 0, 0, 0, 0, 0, 0x80};
    cr_assert_arr_eq(memory + 16, mask, sizeof(mask));
    cr_assert_eq(mapped_at, MAP_OFFSET);
}

Test(poll_registers, an_interrupt_brings_the_data_and_is_acknowledged)
{
    static const uint8_t sample[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    memcpy(memory + 64, sample, sizeof(sample));
    memory[0] = 0x83;
    interrupt(1);
    cr_assert_eq(ask(), 0, "%s", err.text);
    cr_assert_arr_eq(frame, sample, sizeof(sample));
    cr_assert_eq(memory[8], 0x02);
    cr_assert_eq(memory[9], 0x01);
    cr_assert_eq(switched(), 1);
    cr_assert_eq(switched(), -1, "switched on twice");
}

Test(poll_registers, without_an_interrupt_the_poll_fails_and_nothing_is_opened_again)
{
    memory[0] = 3;
    cr_assert_eq(ask(), 1);
    cr_assert_not_null(strstr(err.text, "no interrupt came in time"), "%s", err.text);
    cr_assert_eq(memory[8], 0, "acknowledged");
    interrupt(1);
    cr_assert_eq(ask(), 0, "%s", err.text);
    cr_assert_eq(switched(), 1);
    cr_assert_eq(switched(), 1);
}

Test(poll_registers, an_interrupt_without_its_ready_bits)
{
    memory[0] = 1; /* one of two */
    interrupt(1);
    cr_assert_eq(ask(), 1);
    cr_assert_not_null(strstr(err.text, "stuck at 0x1: the ready bits 0x3 do not come"), "%s", err.text);
}

Test(poll_registers, bits_that_stay_are_stuck_when_they_stay_for_the_timeout)
{
    plan.registers.clears = 1;
    memory[0] = 3;
    int good = 0;
    int code = 0;
    for (; code == 0 && good < 100000; good++) {
        interrupt(1);
        code = ask();
        (void)switched();
    }
    cr_assert_eq(code, 1);
    cr_assert_not_null(strstr(err.text, "stay though they were acknowledged"), "%s", err.text);
}

Test(poll_registers, a_device_that_is_gone_is_opened_again)
{
    close(kernel_fd);
    cr_assert_lt(ask(), 0);
    cr_assert_neq(err.text[0], 0);
}
