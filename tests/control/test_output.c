/* What goes out to the relays, byte by byte, and what is said when nobody takes it. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/output.h"
#include "tests/support/table.h"
#include "tests/support/wait.h"

static struct control_table table;

static void set_up(void)
{
    table_make(&table);
}

TestSuite(output, .init = set_up);

static const struct output_message message = {.decided_tai_ns = UINT64_C(0x0102030405060708),
                                              .evaluated = UINT64_C(0x1112131415161718),
                                              .source_sequence = UINT64_C(0x2122232425262728),
                                              .energised = 0x80000003,
                                              .number = 0x31323334,
                                              .origin = OUTPUT_SUPERVISOR};

static const uint8_t laid_out[OUTPUT_DATAGRAM_BYTES] = {
    'S',  'L',  'O',  '1',  0x31, 0x32, 0x33, 0x34, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
    0x80, 0x00, 0x00, 0x05, 0x80, 0x00, 0x00, 0x01, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00};

Test(output, the_datagram_byte_by_byte)
{
    uint8_t bytes[OUTPUT_DATAGRAM_BYTES];
    output_encode(&message, 0x80000005, bytes);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        cr_assert_eq(bytes[i], laid_out[i], "byte %zu is %#x", i, bytes[i]);
    }
}

Test(output, outputs_become_lines_of_their_device)
{
    table.outputs = 4;
    table.devices = 2;
    table.output[0] = (struct control_output){.device = 0, .line = 7};
    table.output[1] = (struct control_output){.device = 1, .line = 0};
    table.output[2] = (struct control_output){.device = 0, .line = 31};
    table.output[3] = (struct control_output){.device = 1, .line = 7};
    table.device[0].lines = UINT32_C(1) << 7 | UINT32_C(1) << 31;
    table.device[1].lines = UINT32_C(1) << 7 | 1;
    cr_assert_eq(output_lines(&table, 0, 0xf), UINT32_C(1) << 7 | UINT32_C(1) << 31);
    cr_assert_eq(output_lines(&table, 1, 0xf), UINT32_C(1) << 7 | 1);
    cr_assert_eq(output_lines(&table, 0, 0x1), UINT32_C(1) << 7);
    cr_assert_eq(output_lines(&table, 1, 0x8), UINT32_C(1) << 7);
    cr_assert_eq(output_lines(&table, 0, 0), 0);
    table.device[0].lines = 0;
    cr_assert_eq(output_lines(&table, 0, 0xf), 0, "never a line that is not ours");
}

static void expect_file(const char *path, int fd, uint32_t energised, const char *expected)
{
    char text[256];
    struct output_message m = {.energised = energised};
    cr_assert_eq(output_send(&table, 0, fd, &m), 0);
    int in = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(in, text, sizeof(text) - 1);
    close(in);
    cr_assert_geq(n, 0);
    text[n] = 0;
    cr_assert_str_eq(text, expected);
}

Test(output, the_file_of_one_line_and_of_several)
{
    char path[] = "/tmp/sluice-output-XXXXXX";
    struct error err = {{0}};
    close(mkstemp(path));
    table.device[0].kind = DEVICE_FILE;
    strcpy(table.device[0].target, path);
    strcpy(table.output[0].name, "relief");
    strcpy(table.output[1].name, "supply");
    int fd = output_open(&table, 0, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    expect_file(path, fd, 3, "relief=1 supply=1\n");
    expect_file(path, fd, 2, "relief=0 supply=1\n");
    expect_file(path, fd, 0, "relief=0 supply=0\n");
    cr_assert_eq(ftruncate(fd, 0), 0);
    table.outputs = 1;
    table.device[0].lines = 1;
    expect_file(path, fd, 1, "1\n");
    expect_file(path, fd, 0, "0\n");
    close(fd);
    unlink(path);
}

static int open_receiver(struct sockaddr_in *address)
{
    socklen_t bytes = sizeof(*address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)address, &bytes), 0);
    return fd;
}

Test(output, a_udp_receiver_gets_it_and_its_absence_is_told)
{
    struct sockaddr_in address;
    struct error err = {{0}};
    uint8_t bytes[OUTPUT_DATAGRAM_BYTES + 1];
    int receiver = open_receiver(&address);
    table.device[0].kind = DEVICE_UDP;
    table.device[0].lines = 0x80000005;
    snprintf(table.device[0].target, sizeof(table.device[0].target), "127.0.0.1:%u", ntohs(address.sin_port));
    int fd = output_open(&table, 0, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    cr_assert_eq(output_send(&table, 0, fd, &message), 0);
    cr_assert_eq(recv(receiver, bytes, sizeof(bytes), 0), OUTPUT_DATAGRAM_BYTES);
    cr_assert_eq(memcmp(bytes, laid_out, sizeof(laid_out)), 0);
    close(receiver);
    uint64_t since_ns = clock_monotonic_ns();
    while (output_send(&table, 0, fd, &message) != -ECONNREFUSED) {
        cr_assert(test_still_patient(since_ns), "nobody listens, and nobody says so");
    }
    receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(receiver, (const struct sockaddr *)&address, sizeof(address)), 0);
    (void)output_send(&table, 0, fd, &message);
    cr_assert_eq(recv(receiver, bytes, sizeof(bytes), 0), OUTPUT_DATAGRAM_BYTES,
                 "sent although the last was refused");
    cr_assert_eq(output_send(&table, 0, fd, &message), 0);
    close(receiver);
    close(fd);
}

Test(output, a_unix_receiver_may_come_later)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct error err = {{0}};
    char directory[] = "/tmp/sluice-output-XXXXXX";
    uint8_t bytes[OUTPUT_DATAGRAM_BYTES];
    cr_assert_not_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/relay", directory);
    table.device[0].kind = DEVICE_UNIX;
    table.device[0].lines = 0x80000005;
    strcpy(table.device[0].target, address.sun_path);
    int fd = output_open(&table, 0, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    cr_assert_eq(output_send(&table, 0, fd, &message), -ENOENT);
    int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(receiver, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(output_send(&table, 0, fd, &message), 0);
    cr_assert_eq(recv(receiver, bytes, sizeof(bytes), 0), OUTPUT_DATAGRAM_BYTES);
    cr_assert_eq(memcmp(bytes, laid_out, sizeof(laid_out)), 0);
    close(receiver);
    cr_assert_eq(output_send(&table, 0, fd, &message), -ECONNREFUSED);
    unlink(address.sun_path);
    rmdir(directory);
    close(fd);
}

/* A receiver that does not read must not hold the loop up. */
Test(output, a_full_receiver_is_an_error_and_not_a_wait)
{
    int fds[2];
    int code = 0;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    table.device[0].kind = DEVICE_UDP;
    for (int i = 0; i < 100000 && code == 0; i++) {
        code = output_send(&table, 0, fds[0], &message);
    }
    cr_assert_eq(code, -EAGAIN);
    close(fds[1]);
}

Test(output, targets_that_cannot_be)
{
    static const char *const bad[] = {
        "",          "localhost", "127.0.0.1",   "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:7000x",
        "host:7000", "::1:7000",  "127.0.0.1:-1"};
    struct error err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        table.device[0].kind = DEVICE_UDP;
        strcpy(table.device[0].target, bad[i]);
        cr_assert_eq(output_open(&table, 0, &err), -EINVAL, "'%s'", bad[i]);
        cr_assert_not_null(strstr(err.text, "ADDRESS:PORT"));
        cr_assert_not(output_target_ok(DEVICE_UDP, bad[i]), "'%s'", bad[i]);
    }
    cr_assert(output_target_ok(DEVICE_UDP, "127.0.0.1:7000"));
    table.device[0].kind = DEVICE_FILE;
    strcpy(table.device[0].target, "/tmp/sluice-no-such-directory/file");
    cr_assert_eq(output_open(&table, 0, &err), -ENOENT);
    table.device[0].kind = 77;
    cr_assert_eq(output_open(&table, 0, &err), -EINVAL);
}
