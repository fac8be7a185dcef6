/* A replay by the recording's own times, in every framing: at each moment of a clock that is handed in exactly the
 * frames that are due are in the ring. And stamps of devices, through to the ring. */
#include "tests/daq/stream_rig.h"

#define MS    CLOCK_NS_PER_MS
#define BEGIN UINT64_C(1000000000000)
#define TAI   UINT64_C(1790000000000000000)

/* Times in ms; the frame numbered i is due at times[i]. */
static const uint32_t times[] = {0, 10, 10, 11, 50, 900, 901, 5000};
#define FRAMES (sizeof(times) / sizeof(times[0]))

static uint64_t now_ns;

static void set_up_file(void)
{
    set_up();
    rig.plan.kind = SOURCE_FILE;
    rig.plan.sequence = (struct sequence_spec){.width_bytes = 0};
    rig.plan.checksum = (struct checksum_spec){.kind = CHECKSUM_NONE};
    memset(&rig.plan.file, 0, sizeof(rig.plan.file));
    snprintf(rig.plan.file.path, sizeof(rig.plan.file.path), "%s/recording", rig.directory);
    rig.plan.file.follow = FILE_REPLAY;
    rig.plan.file.speed = 1;
    rig.plan.file.gap_max_ns = 10 * CLOCK_NS_PER_S;
    rig.plan.rate.stamp = RING_STAMP_TAKEN;
    now_ns = BEGIN;
}

static void tear_down_file(void)
{
    unlink(rig.plan.file.path);
    tear_down();
}

TestSuite(replay, .init = set_up_file, .fini = tear_down_file);

/* The plan of the device lies where the path of the file does. */
static void open_file(const void *bytes, size_t n)
{
    struct error err = {{0}};
    int fd = open(rig.plan.file.path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
    stream_fini(&rig.source);
    opener_fini(&rig.opener);
    cr_assert_eq(stream_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, &rig.opener, USER, &err), 0, "%s",
                 err.text);
}

/* As pump_once(), at now_ns. */
static void pump_now(void)
{
    struct uring_event event;
    opener_round(&rig.opener, clock_monotonic_ns());
    stream_arm(&rig.source, now_ns, TAI + now_ns);
    cr_assert_eq(uring_wait(rig.uring, CLOCK_NS_PER_MS), 0);
    while (uring_next(rig.uring, &event)) {
        (void)stream_complete(&rig.source, &event, now_ns, TAI + now_ns);
    }
    cr_assert_eq(ring_ledger_residual(&temporary_header(&rig.ring)->ledger), 0);
}

static void expect_delivered(uint64_t count)
{
    uint64_t since_ns = clock_monotonic_ns();
    while (ledger()->delivered < count || (!rig.source.held && !rig.source.finished)) {
        cr_assert(test_still_patient(since_ns), "never: %lu frames, there are %lu", count, ledger()->delivered);
        pump_now();
    }
    for (uint32_t i = 0; i < 3; i++) {
        pump_now(); /* and no more */
    }
    cr_assert_eq(ledger()->delivered, count, "%lu instead of %lu at %lu ms", ledger()->delivered, count,
                 (now_ns - BEGIN) / MS);
}

/* Just before each frame's time and at it. */
static void expect_paced(void)
{
    for (uint32_t i = 0; i < FRAMES; i++) {
        uint32_t due = i + 1;
        while (due < FRAMES && times[due] == times[i]) {
            due++;
        }
        if (i > 0 && times[i] > times[i - 1]) {
            now_ns = BEGIN + times[i] * MS - 1;
            expect_delivered(i);
            cr_assert_eq(stream_wakes_at(&rig.source), now_ns + 1, "it is woken for the next frame");
        }
        now_ns = BEGIN + times[i] * MS;
        expect_delivered(due);
    }
    cr_assert(rig.source.finished);
    cr_assert_eq(ledger()->noise_bytes, 0);
    cr_assert_eq(temporary_header(&rig.ring)->rate.replay_jumps, 0);
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct sluice_frame frame;
        cr_assert_eq(ring_reader_next(&rig.reader, &frame), 1);
        cr_assert_eq(frame.tai_ns, TAI + BEGIN + times[i] * MS, "frame %u", i);
    }
}

static void put_u32(uint8_t *to, uint32_t n)
{
    for (uint32_t i = 0; i < 4; i++) {
        to[i] = (uint8_t)(n >> (24 - 8 * i));
    }
}

static void time_at(uint32_t at_byte)
{
    rig.plan.file.timing =
        (struct clock_field){.width_bytes = 4, .at_byte = at_byte, .byte_order = RING_BIG_ENDIAN, .unit_ns = 1e6};
}

/* Straight into the slot; and many at a time, fewer or more than there are. */
static void play_binary(uint32_t read_frames)
{
    uint8_t bytes[FRAMES * FRAME_BYTES] = {0};
    for (uint32_t i = 0; i < FRAMES; i++) {
        bytes[i * FRAME_BYTES] = 0xa5;
        bytes[i * FRAME_BYTES + 1] = 0x5a;
        put_u32(bytes + i * FRAME_BYTES + 4, times[i]);
    }
    time_at(4);
    rig.plan.framing.read_frames = read_frames;
    open_file(bytes, sizeof(bytes));
    expect_paced();
}

Test(replay, binary)
{
    play_binary(0);
}

Test(replay, binary_a_few_at_a_time)
{
    play_binary(3);
}

Test(replay, binary_all_at_a_time)
{
    play_binary(64);
}

Test(replay, of_their_own_length)
{
    uint8_t bytes[FRAMES * 40];
    size_t n = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
        uint8_t length = (uint8_t)(7 + i);
        memset(bytes + n, 0xee, length);
        bytes[n] = 0xa5;
        bytes[n + 1] = 0x5a;
        bytes[n + 2] = length;
        put_u32(bytes + n + 3, times[i]);
        n += length;
    }
    rig.plan.framing = (struct framing_plan){.kind = FRAMING_LENGTH,
                                             .sync = {0xa5, 0x5a},
                                             .sync_bytes = 2,
                                             .length_at = 2,
                                             .length_width = 1,
                                             .length_order = RING_BIG_ENDIAN,
                                             .bytes_max = 64};
    rig.plan.frame_bytes = 0;
    time_at(3);
    open_file(bytes, n);
    expect_paced();
}

/* Lines with blanks and carriage returns at their ends, which are taken off and must be there again when a line
 * that was held is read again; and empty ones. */
Test(replay, text)
{
    char text[512];
    size_t n = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.3f, %u%s\n%s", (double)times[i] / 1000, i,
                              i % 3 == 0   ? "  \r"
                              : i % 3 == 1 ? " "
                                           : "",
                              i == 3 ? "\r\n\n" : "");
    }
    rig.plan.framing = (struct framing_plan){.kind = FRAMING_TEXT, .fields = 2, .bytes_max = 16};
    rig.plan.frame_bytes = 16;
    rig.plan.file.timing = (struct clock_field){.width_bytes = 8, .is_real = 1, .unit_ns = 1e9};
    open_file(text, n);
    expect_paced();
    cr_assert_eq(ledger()->refused[RING_REFUSED_SYNTAX], 0);
}

/* More lines than the buffer has room for, each held by the one before it: also when it is full. */
Test(replay, a_full_buffer_of_text)
{
    static char text[16384];
    size_t n = 0;
    for (uint32_t i = 0; i < 60; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%u.000, %0100u\n", i, i);
    }
    rig.plan.framing = (struct framing_plan){.kind = FRAMING_TEXT, .fields = 2, .bytes_max = 16};
    rig.plan.frame_bytes = 16;
    rig.plan.file.timing = (struct clock_field){.width_bytes = 8, .is_real = 1, .unit_ns = 1e9};
    open_file(text, n);
    for (uint32_t i = 0; i < 60; i++) {
        expect_delivered(i + 1);
        now_ns += CLOCK_NS_PER_S;
    }
    cr_assert_eq(ledger()->noise_bytes, 0);
    cr_assert_eq(ledger()->refused[RING_REFUSED_LONG], 0);
}

Test(replay, delimited)
{
    static const uint8_t mark[] = {0xfe, 0xff};
    uint8_t bytes[FRAMES * 10];
    for (size_t i = 0; i < FRAMES; i++) {
        memset(bytes + i * 10, 0x11, 10);
        put_u32(bytes + i * 10 + 4, times[i]);
        memcpy(bytes + i * 10 + 8, mark, sizeof(mark));
    }
    rig.plan.framing = (struct framing_plan){
        .kind = FRAMING_DELIMITED, .delimiter = {0xfe, 0xff}, .delimiter_bytes = 2, .bytes_max = 64};
    rig.plan.frame_bytes = 8;
    time_at(4);
    open_file(bytes, sizeof(bytes));
    expect_paced();
}

/* What a frame that was refused says of time is not asked. */
Test(replay, refused_frames_hold_nothing)
{
    static const char text[] = "0, 1\n99999, x\nnonsense\n0.010, 2\n";
    rig.plan.framing = (struct framing_plan){.kind = FRAMING_TEXT, .fields = 2, .bytes_max = 16};
    rig.plan.frame_bytes = 16;
    rig.plan.file.timing = (struct clock_field){.width_bytes = 8, .is_real = 1, .unit_ns = 1e9};
    open_file(text, sizeof(text) - 1);
    expect_delivered(1);
    now_ns += 10 * MS;
    expect_delivered(2);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SYNTAX], 2);
}

/* A device's stamps reach the ring; one that goes back is marked; a frame too short for its time is refused. */
Test(replay, stamps_of_a_device_in_the_ring)
{
    static const uint32_t at_us[] = {1000, 2000, 1500, 3000};
    static const uint8_t mark[] = {0xfe, 0xff};
    static const uint8_t too_short[] = {1, 2, 3, 0xfe, 0xff};
    uint8_t bytes[64];
    size_t n = 0;
    for (uint32_t i = 0; i < 4; i++) {
        put_u32(bytes + n, at_us[i]);
        memcpy(bytes + n + 4, mark, sizeof(mark));
        n += 6;
    }
    memcpy(bytes + n, too_short, sizeof(too_short));
    n += sizeof(too_short);
    rig.plan.framing = (struct framing_plan){
        .kind = FRAMING_DELIMITED, .delimiter = {0xfe, 0xff}, .delimiter_bytes = 2, .bytes_max = 64};
    rig.plan.frame_bytes = 0;
    rig.plan.rate = (struct rate_plan){.stamp = RING_STAMP_DEVICE,
                                       .clock = STAMP_CLOCK_FREE,
                                       .field = {.width_bytes = 4, .byte_order = RING_BIG_ENDIAN, .unit_ns = 1000},
                                       .lag_max_ns = CLOCK_NS_PER_S};
    open_file(bytes, n);
    struct sluice_frame frame;
    uint64_t since_ns = clock_monotonic_ns();
    while (!rig.source.finished) {
        cr_assert(test_still_patient(since_ns));
        pump_now();
    }
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(ring_reader_next(&rig.reader, &frame), 1);
        cr_assert_leq(frame.tai_ns, TAI + now_ns);
        cr_assert_eq((frame.flags & SLUICE_FRAME_REORDERED) != 0, i == 2, "frame %u", i);
    }
    cr_assert_eq(frame.tai_ns, TAI + now_ns);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SHORT], 1);
    cr_assert_eq(temporary_header(&rig.ring)->rate.backwards, 1);
    cr_assert_eq(ledger()->reordered, 0, "of numbers there are none");
}
