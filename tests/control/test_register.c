/* Bits of a register, in a file: which bytes are stored, what is left alone, and what happens when it is gone. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/output.h"
#include "control/register.h"

#define FILE_BYTES 64

static char path[] = "/tmp/sluice-register-XXXXXX";
static struct control_table table;
static struct error err;
static int file = -1;

static void prepare(void)
{
    uint8_t content[FILE_BYTES];
    memset(content, 0xa5, sizeof(content));
    file = mkstemp(path);
    cr_assert_eq(pwrite(file, content, sizeof(content), 0), sizeof(content));
    table.devices = 1;
    table.outputs = 2;
    table.output[0].line = 1;
    table.output[1].line = 6;
    table.device[0] = (struct control_device){.kind = DEVICE_MEMORY,
                                              .lines = UINT32_C(1) << 1 | UINT32_C(1) << 6,
                                              .register_at = 16,
                                              .register_bytes = 4};
    strcpy(table.device[0].target, path);
}

static void clean_up(void)
{
    unlink(path);
}

TestSuite(memory_register, .init = prepare, .fini = clean_up);

static int open_and_attach(void)
{
    int fd = output_open(&table, 0, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    cr_assert_eq(output_attach(&table, 0, fd, &err), 0, "%s", err.text);
    return fd;
}

static int put(int fd, uint32_t outputs, enum output_origin origin)
{
    struct output_message message = {.energised = output_lines(&table, 0, outputs), .origin = (uint32_t)origin};
    return output_send(&table, 0, fd, &message);
}

/* The byte that the lines are in, and everything else as it was. */
static void expect_bytes(uint32_t at, uint8_t expected)
{
    uint8_t content[FILE_BYTES];
    cr_assert_eq(pread(file, content, sizeof(content), 0), sizeof(content));
    for (uint32_t i = 0; i < FILE_BYTES; i++) {
        cr_assert_eq(content[i], i == at ? expected : 0xa5, "byte %u is %#x", i, content[i]);
    }
}

Test(memory_register, opening_it_changes_nothing)
{
    int fd = open_and_attach();
    expect_bytes(16, 0xa5);
    close(fd);
}

Test(memory_register, each_width_and_order_and_origin)
{
    static const uint32_t widths[] = {1, 2, 4, 8};
    static const enum output_origin origins[] = {OUTPUT_CONTROL, OUTPUT_SUPERVISOR};
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t width = widths[i / 4];
        bool big = (i & 1) != 0;
        enum output_origin origin = origins[i >> 1 & 1];
        table.device[0].register_bytes = width;
        table.device[0].big_endian = big;
        int fd = open_and_attach();
        uint32_t at = 16 + (big ? width - 1 : 0);
        cr_assert_eq(put(fd, 3, origin), 0);
        expect_bytes(at, 0xa5 | 0x42);
        cr_assert_eq(put(fd, 1, origin), 0);
        expect_bytes(at, (0xa5 & ~0x42) | 0x02);
        cr_assert_eq(put(fd, 0, origin), 0);
        expect_bytes(at, 0xa5 & ~0x42);
        cr_assert_eq(pwrite(file, "\xa5", 1, at), 1);
        close(fd);
    }
}

Test(memory_register, bits_of_others_are_kept_as_they_are_now)
{
    int fd = open_and_attach();
    cr_assert_eq(put(fd, 3, OUTPUT_CONTROL), 0);
    cr_assert_eq(pwrite(file, "\x00", 1, 16), 1);
    cr_assert_eq(put(fd, 3, OUTPUT_CONTROL), 0);
    expect_bytes(16, 0x42);
    close(fd);
}

Test(memory_register, one_that_does_not_lie_in_the_device_is_refused)
{
    table.device[0].register_at = FILE_BYTES;
    cr_assert_eq(output_open(&table, 0, &err), -EINVAL);
    cr_assert_not_null(strstr(err.text, "found 64 bytes in all"), "%s", err.text);
    cr_assert_eq(output_attach(&table, 0, file, &err), -EINVAL, "control looks itself");
    table.device[0].register_at = 2;
    cr_assert_eq(output_open(&table, 0, &err), -EINVAL, "not aligned");
    table.device[0].register_at = 0;
    table.device[0].register_bytes = 3;
    cr_assert_eq(output_open(&table, 0, &err), -EINVAL);
    table.device[0].register_bytes = 4;
    strcpy(table.device[0].target, "/tmp");
    cr_assert_lt(output_open(&table, 0, &err), 0);
    strcpy(table.device[0].target, "/tmp/sluice-no-such-directory/register");
    cr_assert_eq(output_open(&table, 0, &err), -ENOENT);
}

/* A file that is truncated under control ends it; the supervisor sees that and makes the register safe all the
 * same. */
Test(memory_register, a_file_that_vanishes_ends_control_and_not_the_supervisor)
{
    int status;
    int fd = open_and_attach();
    cr_assert_eq(put(fd, 3, OUTPUT_CONTROL), 0);
    cr_assert_eq(ftruncate(file, 0), 0);
    pid_t control = fork();
    if (control == 0) {
        signal(SIGBUS, SIG_DFL); /* the test framework has a handler of its own */
        put(fd, 3, OUTPUT_CONTROL);
        _exit(0);
    }
    cr_assert_eq(waitpid(control, &status, 0), control);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %#x", (unsigned)status);
    uint32_t content = 0xffffffff;
    cr_assert_eq(put(fd, 0, OUTPUT_SUPERVISOR), 0);
    cr_assert_eq(pread(file, &content, sizeof(content), 16), 4);
    cr_assert_eq(content, 0, "the other bits were lost with the file");
    close(fd);
}

/* As with a UIO device, which cannot be written but through its map. */
Test(memory_register, a_map_without_anything_behind_it_is_an_error_for_the_supervisor)
{
    void *at;
    cr_assert_eq(register_map(&table.device[0], file, &at, &err), 0);
    cr_assert_eq(register_store_guarded(&table.device[0], at, 0x42), 0);
    expect_bytes(16, 0xa5 | 0x42);
    cr_assert_eq(ftruncate(file, 0), 0);
    cr_assert_eq(register_store_guarded(&table.device[0], at, 0), -EFAULT);
    cr_assert_eq(register_store_guarded(&table.device[0], at, 0), -EFAULT, "and again");
    cr_assert_eq(ftruncate(file, FILE_BYTES), 0);
    cr_assert_eq(register_store_guarded(&table.device[0], at, 0), 0);
}

Test(memory_register, without_a_map_nothing_is_stored)
{
    cr_assert_eq(put(file, 3, OUTPUT_CONTROL), -ENXIO);
}
