/* A serial source on a pty with its ring and an observer of that: for test_serial*.c. */
#ifndef DAQ_STREAM_RIG_H
#define DAQ_STREAM_RIG_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "daq/stream.h"
#include "net/sequence.h"
#include "ring/reader.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define FRAME_BYTES ((size_t)16)
#define USER        4u

struct rig {
    struct temporary_ring ring;
    struct uring *uring;
    struct source_plan plan;
    struct stream_source source;
    struct opener opener; /* without its thread: pump_once() does its rounds */
    struct ring_reader reader;
    int master;
    char directory[32];
};

static struct rig rig;

/* The plan's device is a link to the slave, so that a "device" can go away and come back. */
static inline void plug_in(void)
{
    char name[64];
    rig.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert_geq(rig.master, 0);
    cr_assert_eq(grantpt(rig.master), 0);
    cr_assert_eq(unlockpt(rig.master), 0);
    cr_assert_eq(ptsname_r(rig.master, name, sizeof(name)), 0);
    unlink(rig.plan.serial.device);
    cr_assert_eq(symlink(name, rig.plan.serial.device), 0);
}

static inline void unplug(void)
{
    unlink(rig.plan.serial.device);
    close(rig.master);
}

static inline void pump_once(void)
{
    struct uring_event event;
    opener_round(&rig.opener, clock_monotonic_ns());
    stream_arm(&rig.source, clock_monotonic_ns(), 777);
    cr_assert_eq(uring_wait(rig.uring, CLOCK_NS_PER_MS), 0);
    while (uring_next(rig.uring, &event)) {
        if (event.user == UINT64_MAX) {
            continue; /* a read was cancelled */
        }
        cr_assert_eq(event.user, USER);
        (void)stream_complete(&rig.source, &event, clock_monotonic_ns(), 888);
    }
    cr_assert_eq(ring_ledger_residual(&temporary_header(&rig.ring)->ledger), 0);
}

#define PUMP_UNTIL(condition)                                                                                      \
    do {                                                                                                           \
        uint64_t since_ns = clock_monotonic_ns();                                                                  \
        while (!(condition)) {                                                                                     \
            cr_assert(test_still_patient(since_ns), "never: %s", #condition);                                      \
            pump_once();                                                                                           \
        }                                                                                                          \
    } while (0)

static inline void set_up(void)
{
    struct ring_spec spec = temporary_spec(64, 512, 32);
    struct error err = {{0}};
    temporary_ring_create(&rig.ring, &spec);
    cr_assert_eq(uring_create(&rig.uring, 16, &err), 0, "%s", err.text);
    cr_assert_eq(
        ring_reader_attach(&rig.reader, rig.ring.segment.base, rig.ring.segment.bytes, SLUICE_OLDEST, &err), 0);
    strcpy(rig.directory, "/tmp/sluice-serial-XXXXXX");
    cr_assert_not_null(mkdtemp(rig.directory));
    rig.plan = (struct source_plan){
        .name = "test",
        .kind = SOURCE_SERIAL,
        .frame_bytes = FRAME_BYTES,
        .sequence = {.width_bytes = 4, .at_byte = 2, .byte_order = RING_BIG_ENDIAN, .step = 1},
        .checksum = {.kind = CHECKSUM_CRC16_CCITT, .from = 2, .at_byte = 14},
        .framing = {.kind = FRAMING_FIXED, .sync = {0xa5, 0x5a}, .sync_bytes = 2, .bytes_max = FRAME_BYTES},
        .serial = {.baud = 115200, .data_bits = 8, .stop_bits = 1}};
    snprintf(rig.plan.serial.device, sizeof(rig.plan.serial.device), "%s/tty", rig.directory);
    cr_assert_eq(stream_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, &rig.opener, USER, &err), 0);
    plug_in();
}

static inline void tear_down(void)
{
    stream_fini(&rig.source);
    stream_fini(&rig.source);
    opener_fini(&rig.opener);
    uring_destroy(rig.uring);
    unplug();
    rmdir(rig.directory);
    temporary_ring_destroy(&rig.ring);
}

static inline struct ring_ledger *ledger(void)
{
    return &temporary_header(&rig.ring)->ledger;
}

static inline void open_line(void)
{
    PUMP_UNTIL(rig.source.reading);
    cr_assert_eq(ledger()->is_open, 1);
}

static inline void put(const void *bytes, size_t n)
{
    cr_assert_eq(write(rig.master, bytes, n), (ssize_t)n);
}

static inline void make_frame(uint8_t frame[FRAME_BYTES], uint32_t number)
{
    frame[0] = 0xa5;
    frame[1] = 0x5a;
    for (uint32_t i = 0; i < 4; i++) {
        frame[2 + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    for (uint32_t i = 6; i < 14; i++) {
        frame[i] = (uint8_t)(number * 7 + i);
    }
    uint16_t crc = net_crc16_ccitt(frame + 2, 12);
    frame[14] = (uint8_t)(crc >> 8);
    frame[15] = (uint8_t)crc;
}

static inline struct sluice_frame next_frame(void)
{
    struct sluice_frame frame;
    PUMP_UNTIL(ring_reader_next(&rig.reader, &frame) == 1);
    return frame;
}

static inline struct sluice_frame expect_frame(uint32_t number)
{
    uint8_t expected[FRAME_BYTES];
    struct sluice_frame frame = next_frame();
    make_frame(expected, number);
    cr_assert_eq(frame.flags & SLUICE_FRAME_GAP, 0);
    cr_assert_eq(frame.length_bytes, FRAME_BYTES);
    cr_assert_eq(frame.source_sequence, number);
    cr_assert_eq(memcmp(frame.payload, expected, FRAME_BYTES), 0, "frame %u", number);
    return frame;
}

static inline void put_frame(uint32_t number)
{
    uint8_t frame[FRAME_BYTES];
    make_frame(frame, number);
    put(frame, FRAME_BYTES);
}

static inline void open_text(uint32_t fields)
{
    rig.plan.frame_bytes = 8 * fields;
    rig.plan.sequence = (struct sequence_spec){.width_bytes = 0, .step = 1};
    rig.plan.checksum = (struct checksum_spec){.kind = CHECKSUM_NONE};
    rig.plan.framing.kind = FRAMING_TEXT;
    rig.plan.framing.fields = fields;
    rig.plan.framing.sync_bytes = 0;
    stream_fini(&rig.source);
    opener_fini(&rig.opener);
    struct error err = {{0}};
    cr_assert_eq(stream_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, &rig.opener, USER, &err), 0);
    open_line();
}

static inline void expect_numbers(double a, double b)
{
    struct sluice_frame frame = next_frame();
    double values[2];
    cr_assert_eq(frame.length_bytes, sizeof(values));
    memcpy(values, frame.payload, sizeof(values));
    cr_assert(values[0] >= a && values[0] <= a, "%g instead of %g", values[0], a);
    cr_assert(values[1] >= b && values[1] <= b, "%g instead of %g", values[1], b);
}

#endif
