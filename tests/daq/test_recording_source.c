/* A recording into a ring, by clocks that are handed in: at each moment exactly the frames that are due are there,
 * as they were, and the ledger balances. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "daq/recording_source.h"
#include "daq/recording_track.h"
#include "ring/clock.h"
#include "ring/reader.h"
#include "tests/support/played.h"
#include "tests/support/temporary_ring.h"

#define MS    CLOCK_NS_PER_MS
#define BEGIN UINT64_C(1000000000000)
#define NOW   UINT64_C(1790000000000000000)
#define THEN  UINT64_C(1700000000000000000)
#define WAITS 5000

static struct played played;
static struct temporary_ring ring;
static struct ring_reader reader;
static struct recording_source source;
static struct recording_start start;
static struct source_plan plan;
static struct uring *uring;
static struct ring_stream stream = {.name = "stream", .source = "test", .sequence_width_bytes = 8};
static struct error err;

static void set_up(void)
{
    struct ring_spec spec = temporary_spec(1024, 192, 32);
    temporary_ring_create(&ring, &spec);
    cr_assert_eq(ring_reader_attach(&reader, ring.segment.base, ring.segment.bytes, SLUICE_OLDEST, &err), 0);
    cr_assert_eq(uring_create(&uring, 8, &err), 0);
    played_directory(&played);
    plan = (struct source_plan){.kind = SOURCE_RECORDING, .name = "stream", .ring = "ring"};
    plan.recording =
        (struct recording_plan){.ring = "ring", .speed = 1, .stamps = RECORDING_STAMPS_MOVED, .paths = 1};
    snprintf(plan.recording.path, sizeof(plan.recording.path), "%s", played.directory);
    start = (struct recording_start){.sources = 0};
    stream.sequence_width_bytes = 8;
}

static void tear_down(void)
{
    recording_fini(&source);
    uring_destroy(uring);
    temporary_ring_destroy(&ring);
    played_remove(&played);
}

TestSuite(recording_source, .init = set_up, .fini = tear_down, .timeout = 60);

static void begin_ring(void)
{
    played_ring(&played, "ring", NULL, 0, NULL, 0, &stream);
}

static void begin_source(void)
{
    cr_assert_eq(recording_init(&source, &plan, &ring.writer, uring, &start, 0, &err), 0, "%s", err.text);
}

static uint32_t take_at(uint64_t since_ns, bool *more)
{
    struct uring_event event;
    recording_arm(&source);
    cr_assert_eq(uring_wait(uring, 0), 0);
    while (uring_next(uring, &event)) {
        recording_complete(&source);
    }
    return recording_take(&source, BEGIN + since_ns, NOW + since_ns, more);
}

/* Until the reader has come with something, or has ended. */
static uint32_t take_first(void)
{
    bool more;
    for (int i = 0; i < WAITS && start.monotonic_ns == 0 && !source.finished; i++) {
        uint32_t frames = take_at(0, &more);
        if (frames > 0) {
            return frames;
        }
        usleep(1000);
    }
    return 0;
}

static void take_all(uint64_t since_ns)
{
    bool more;
    for (int i = 0; i < WAITS && !source.finished; i++) {
        if (take_at(since_ns, &more) == 0) {
            usleep(1000);
        }
    }
    cr_assert(source.finished);
}

static void assert_balanced(void)
{
    const struct ring_ledger *ledger = &temporary_header(&ring)->ledger;
    cr_assert_eq(ring_ledger_residual(ledger), 0);
}

static const struct ring_ledger *ledger(void)
{
    return &temporary_header(&ring)->ledger;
}

Test(recording_source, each_frame_when_it_is_due)
{
    static const uint32_t times[] = {0, 10, 10, 11, 50, 900, 20, 5000}; /* one goes back: with the one before it */
    static const uint32_t due[] = {0, 10, 10, 11, 50, 900, 900, 5000};
    struct sluice_frame frame;
    bool more;
    begin_ring();
    for (uint32_t i = 0; i < 8; i++) {
        played_frame(&played, THEN + times[i] * MS, 70 + i, 0, 0, 0, &i, sizeof(i));
    }
    played_close(&played);
    begin_source();
    uint32_t seen = take_first();
    for (uint64_t ms = 1; ms < 5002; ms++) {
        uint32_t expected = 0;
        for (uint32_t i = 0; i < 8; i++) {
            expected += due[i] <= ms;
        }
        seen += take_at(ms * MS, &more);
        cr_assert_eq(seen, expected, "at %u ms", (unsigned)ms);
        cr_assert(source.finished || recording_wakes_at(&source) > BEGIN + ms * MS);
    }
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(ring_reader_next(&reader, &frame), 1);
        cr_assert_eq(frame.source_sequence, 70 + i);
        cr_assert_eq(frame.tai_ns, NOW + times[i] * MS, "moved by one constant");
        cr_assert_eq(memcmp(frame.payload, &i, sizeof(i)), 0);
    }
    take_all(5002 * MS);
    cr_assert_eq(ledger()->is_open, 0);
    cr_assert_eq(ledger()->connects, 1);
    cr_assert_eq(ledger()->disconnects, 1);
    assert_balanced();
}

Test(recording_source, twice_as_fast_and_half)
{
    struct sluice_frame frame;
    bool more;
    begin_ring();
    for (uint32_t i = 0; i < 3; i++) {
        played_frame(&played, THEN + (uint64_t)i * 100 * MS, i, 0, 0, 0, &i, sizeof(i));
    }
    played_close(&played);
    plan.recording.speed = 2;
    begin_source();
    cr_assert_eq(take_first(), 1);
    cr_assert_eq(take_at(49 * MS, &more), 0);
    cr_assert_eq(take_at(50 * MS, &more), 1);
    cr_assert_eq(take_at(100 * MS, &more), 1);
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert_eq(ring_reader_next(&reader, &frame), 1);
        cr_assert_eq(frame.tai_ns, NOW + i * 50 * MS);
    }
}

Test(recording_source, losses_and_their_causes)
{
    struct sluice_frame frame;
    uint64_t x = 0;
    begin_ring();
    played_frame(&played, THEN, 10, 0, 0, 0, &x, 8);
    played_frame(&played, THEN, 14, RING_FLAG_LOST_BEFORE, RING_LOSS_KERNEL, 3, &x, 8);
    played_gap_record(&played, THEN, RING_LOSS_MALFORMED, 1);
    played_frame(&played, THEN, 16, RING_FLAG_LOST_BEFORE, RING_LOSS_MALFORMED, 1, &x, 8);
    played_frame(&played, THEN, 16, RING_FLAG_DUPLICATE, 0, 0, &x, 8);
    played_frame(&played, THEN, 12, RING_FLAG_REORDERED, 0, 0, &x, 8);
    played_gap_record(&played, THEN, RING_LOSS_SENDER, 2); /* a heartbeat: 17 and 18 */
    played_frame(&played, THEN, 19, 0, 0, 0, &x, 8);
    played_missing(&played, THEN, 5, RECORD_CAUSE_DISK_SLOW);
    played_frame(&played, THEN, 24, 0, 0, 0, &x, 8); /* four of the five were frames */
    played_frame(&played, THEN, 3, 0, 0, 0, &x, 8);  /* the sender begins anew */
    played_close(&played);
    begin_source();
    take_first();
    take_all(MS);
    cr_assert_eq(ledger()->delivered, 7);
    cr_assert_eq(ledger()->duplicated, 1);
    cr_assert_eq(ledger()->reordered, 1);
    cr_assert_eq(ledger()->gap_records, 3);
    cr_assert_eq(ring_ledger_lost(ledger()), 3 + 1 - 1 + 2 + 4);
    cr_assert_eq(ledger()->lost[RING_LOSS_SENDER], 2);
    cr_assert_eq(ledger()->lost[RING_LOSS_KERNEL], 3 - 1, "a straggler takes one off the likeliest cause");
    cr_assert_eq(ledger()->lost[RING_LOSS_RESTART], 4);
    assert_balanced();
    for (uint64_t i = 0; ring_reader_next(&reader, &frame) == 1; i++) {
        if (i == 8) {
            struct ring_gap gap;
            memcpy(&gap, frame.payload, sizeof(gap));
            cr_assert_eq(frame.flags & SLUICE_FRAME_GAP, SLUICE_FRAME_GAP);
            cr_assert_eq(frame.cause, RING_LOSS_RESTART);
            cr_assert_eq(gap.count, 5);
        }
    }
    cr_assert_eq(reader.position, 11);
}

Test(recording_source, an_unnumbered_stream)
{
    uint64_t x = 0;
    stream.sequence_width_bytes = 0;
    begin_ring();
    played_frame(&played, THEN, 0, 0, 0, 0, &x, 8);
    played_gap_record(&played, THEN, RING_LOSS_MALFORMED, 2);
    played_frame(&played, THEN, 2, RING_FLAG_LOST_BEFORE, RING_LOSS_KERNEL, 4, &x, 8);
    played_gap_record(&played, THEN, RING_LOSS_RING_FULL, 3);
    played_frame(&played, THEN, 4, RING_FLAG_LOST_BEFORE, RING_LOSS_RING_FULL, 3, &x, 8); /* the same three */
    played_missing(&played, THEN, 5, RECORD_CAUSE_OVERWRITTEN);
    played_frame(&played, THEN, 10, 0, 0, 0, &x, 8);
    played_close(&played);
    begin_source();
    take_first();
    take_all(MS);
    cr_assert_eq(ledger()->delivered, 4);
    cr_assert_eq(ledger()->lost[RING_LOSS_MALFORMED], 2);
    cr_assert_eq(ledger()->lost[RING_LOSS_KERNEL], 4);
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], 3);
    cr_assert_eq(ledger()->lost[RING_LOSS_RESTART], 5);
    assert_balanced();
}

/* More than a batch, a ring and a round hold: nothing is left out, in order. */
Test(recording_source, more_than_fits)
{
    uint8_t payload[160] = {0};
    struct sluice_frame frame;
    uint64_t expected = 0;
    bool more;
    begin_ring();
    for (uint64_t i = 0; i < 20000; i++) {
        memcpy(payload, &i, sizeof(i));
        played_frame(&played, THEN, i, 0, 0, 0, payload, sizeof(payload));
    }
    played_close(&played);
    plan.recording.speed = 0;
    begin_source();
    for (int i = 0; i < 100 * WAITS && !source.finished; i++) {
        uint32_t frames = take_at(0, &more);
        cr_assert_leq(frames, 256, "a quarter of the ring");
        for (; ring_reader_next(&reader, &frame) == 1; expected++) {
            cr_assert_eq(frame.source_sequence, expected);
            cr_assert_eq(memcmp(frame.payload, &expected, sizeof(expected)), 0);
        }
        if (frames == 0) {
            usleep(100);
        }
    }
    cr_assert_eq(expected, 20000);
    cr_assert_eq(reader.lost, 0);
}

Test(recording_source, a_frame_that_the_slots_are_too_small_for)
{
    struct ring_spec small = temporary_spec(64, 128, 32);
    uint8_t payload[160] = {0};
    temporary_ring_destroy(&ring);
    temporary_ring_create(&ring, &small);
    begin_ring();
    played_frame(&played, THEN, 0, 0, 0, 0, payload, 96);
    played_frame(&played, THEN, 1, 0, 0, 0, payload, 97);
    played_close(&played);
    begin_source();
    take_first();
    take_all(MS);
    cr_assert_eq(ledger()->delivered, 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
    cr_assert_eq(ledger()->gap_records, 1);
    assert_balanced();
}

Test(recording_source, what_cannot_be_played_is_closed)
{
    begin_ring();
    played_close(&played);
    begin_source();
    take_first();
    cr_assert(source.finished, "there is no frame in it");
    cr_assert_neq(ledger()->open_errno, 0);
    cr_assert_eq(ledger()->is_open, 0);
    cr_assert_eq(ledger()->connects, 0);
    recording_fini(&source);
    snprintf(plan.recording.path, sizeof(plan.recording.path), "/tmp/sluice-is-not-there");
    start = (struct recording_start){.sources = 0};
    begin_source();
    take_first();
    cr_assert(source.finished);
    cr_assert_eq(recording_wakes_at(&source), UINT64_MAX);
}

Test(recording_source, another_rings_channels)
{
    const struct ring_channel channel = {.name = "p",
                                         .unit = "kPa",
                                         .type = RING_TYPE_F64,
                                         .byte_order = RING_LITTLE_ENDIAN,
                                         .scale = 1,
                                         .range_low = 0,
                                         .range_high = 1};
    double p = 0;
    played_ring(&played, "ring", &channel, 1, NULL, 0, &stream);
    played_frame(&played, THEN, 0, 0, 0, 0, &p, sizeof(p));
    played_close(&played);
    begin_source();
    take_first();
    cr_assert(source.finished, "this ring has no channels");
    cr_assert_eq(ledger()->delivered, 0);
}

/* Nothing is named: silent, without a thread. */
Test(recording_source, silence)
{
    bool more;
    plan.recording.ring[0] = 0;
    begin_source();
    cr_assert_eq(start.sources, 0);
    cr_assert_eq(take_at(MS, &more), 0);
    cr_assert(source.finished);
}

/* Stopped while its reader waits for room, and while nobody has asked for anything. */
Test(recording_source, is_stopped_at_any_time)
{
    uint8_t payload[160] = {0};
    begin_ring();
    for (uint64_t i = 0; i < 20000; i++) {
        played_frame(&played, THEN + i * MS, i, 0, 0, 0, payload, sizeof(payload));
    }
    played_close(&played);
    plan.recording.loop = 1;
    for (int i = 0; i < 20; i++) {
        start = (struct recording_start){.sources = 0};
        begin_source();
        if (i % 2 != 0) {
            take_first();
        }
        recording_fini(&source);
    }
}
