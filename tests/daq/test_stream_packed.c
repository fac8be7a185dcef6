/* Small frames, many of which are read at a time: the same lines and faults as frames that are read one by one. */
#include "tests/daq/stream_rig.h"
#include "tests/support/gates.h"

#define SLOTS       UINT64_C(64)
#define READ_FRAMES 16u

static struct test_gates server;
static struct ring_gates gates;
static struct ring_reader holder; /* the gating reader */

static void begin_again(void)
{
    struct error err = {{0}};
    rig.plan.framing.read_frames = READ_FRAMES;
    stream_fini(&rig.source);
    opener_fini(&rig.opener);
    cr_assert_eq(stream_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, &rig.opener, USER, &err), 0);
}

static void set_up_packed(void)
{
    set_up();
    begin_again();
}

TestSuite(stream_packed, .init = set_up_packed, .fini = tear_down);

Test(stream_packed, many_frames_come_with_one_read)
{
    static uint8_t bytes[READ_FRAMES * FRAME_BYTES];
    open_line();
    uint8_t *to;
    cr_assert_eq(stream_wants(&rig.source, &to), sizeof(bytes));
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < READ_FRAMES; i++) {
            make_frame(bytes + i * FRAME_BYTES, round * READ_FRAMES + i);
        }
        put(bytes, sizeof(bytes));
        for (uint32_t i = 0; i < READ_FRAMES; i++) {
            cr_assert_eq(expect_frame(round * READ_FRAMES + i).tai_ns, 888);
        }
    }
    cr_assert_eq(ledger()->bytes, 20 * sizeof(bytes));
    cr_assert_eq(ledger()->noise_bytes, 0);
}

/* Of scans and edges each is a message for itself, and yet a read brings several. */
Test(stream_packed, messages_that_come_with_one_read)
{
    static uint8_t bytes[READ_FRAMES * FRAME_BYTES];
    rig.plan.framing.kind = FRAMING_MESSAGE;
    rig.plan.framing.sync_bytes = 0;
    begin_again();
    open_line();
    for (uint32_t i = 0; i < READ_FRAMES; i++) {
        make_frame(bytes + i * FRAME_BYTES, i);
    }
    put(bytes, sizeof(bytes));
    for (uint32_t i = 0; i < READ_FRAMES; i++) {
        (void)expect_frame(i);
    }
    cr_assert_eq(ledger()->refused[RING_REFUSED_LONG], 0);
}

/* At every byte: the rest of a frame comes with the next read, together with the one behind it. */
Test(stream_packed, frames_in_pieces_of_any_size)
{
    struct test_random random = {1};
    static uint8_t bytes[200 * FRAME_BYTES];
    for (uint32_t i = 0; i < 200; i++) {
        make_frame(bytes + i * FRAME_BYTES, i);
    }
    open_line();
    uint32_t seen = 0;
    for (size_t at = 0; at < sizeof(bytes);) {
        size_t n = 1 + test_random_below(&random, 100);
        n = n < sizeof(bytes) - at ? n : sizeof(bytes) - at;
        put(bytes + at, n);
        at += n;
        while (seen < at / FRAME_BYTES) {
            (void)expect_frame(seen++);
        }
    }
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    cr_assert_eq(ledger()->noise_bytes, 0);
}

Test(stream_packed, noise_and_flipped_bits_cost_their_frames_only)
{
    static const uint8_t noise[] = {0x00, 0xa5, 0xa5, 0x00, 0x5a, 0xff, 0xa5};
    uint8_t bytes[5 * FRAME_BYTES + sizeof(noise)];
    open_line();
    make_frame(bytes, 0);
    memcpy(bytes + FRAME_BYTES, noise, sizeof(noise));
    for (uint32_t i = 1; i < 5; i++) {
        make_frame(bytes + sizeof(noise) + i * FRAME_BYTES, i);
    }
    bytes[sizeof(noise) + 2 * FRAME_BYTES + 9] ^= 0x10; /* of frame 2 */
    put(bytes, sizeof(bytes));
    (void)expect_frame(0);
    (void)expect_frame(1);
    struct sluice_frame after = expect_frame(3);
    cr_assert_eq(after.lost_before, 1);
    cr_assert_eq(after.cause, RING_LOSS_MALFORMED);
    (void)expect_frame(4);
    cr_assert_eq(ledger()->refused[RING_REFUSED_CHECKSUM], 1);
    cr_assert_eq(ledger()->noise_bytes, sizeof(noise) + FRAME_BYTES);
}

/* Without a mark every byte of noise is tried as a frame's begin: not all of them in one go, which would hold up
 * the worker's other sources. What comes behind has the time at which it came, not at which it was found. */
Test(stream_packed, noise_without_a_mark_is_tried_a_part_at_a_time)
{
    static uint8_t bytes[3000 + FRAME_BYTES];
    const uint64_t at_a_time = 4096 / FRAME_BYTES;
    uint64_t before = 0;
    uint64_t most = 0;
    rig.plan.framing.sync_bytes = 0;
    rig.plan.framing.read_frames = 256;
    stream_fini(&rig.source);
    opener_fini(&rig.opener);
    struct error err = {{0}};
    cr_assert_eq(stream_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, &rig.opener, USER, &err), 0);
    open_line();
    make_frame(bytes + 3000, 0);
    put(bytes, sizeof(bytes));
    while (ledger()->refused[RING_REFUSED_CHECKSUM] < 3000) {
        pump_once(); /* looks at what is held once, and at one read */
        uint64_t tried = ledger()->refused[RING_REFUSED_CHECKSUM] - before;
        most = tried > most ? tried : most;
        before += tried;
        cr_assert_leq(before, 3000);
    }
    cr_assert_gt(most, 0);
    cr_assert_leq(most, 2 * at_a_time);
    cr_assert_eq(expect_frame(0).tai_ns, 888);
    cr_assert_eq(ledger()->noise_bytes, 3000);
    cr_assert_not(rig.source.held);
}

/* The tail of a frame is missing, cut at every byte: the next one begins inside what was taken for it. */
Test(stream_packed, half_a_frame_costs_itself_only)
{
    uint8_t bytes[2 * FRAME_BYTES];
    uint32_t number = 0;
    open_line();
    for (size_t cut = 1; cut < FRAME_BYTES; cut++) {
        make_frame(bytes, number++);
        make_frame(bytes + cut, number);
        put(bytes, cut + FRAME_BYTES);
        put_frame(number + 1);
        cr_assert_eq(next_frame().source_sequence, number);
        cr_assert_eq(next_frame().source_sequence, number + 1);
        number += 2;
    }
    cr_assert_eq(ledger()->delivered, 2 * (FRAME_BYTES - 1));
    cr_assert_eq(ledger()->duplicated, 0);
}

Test(stream_packed, half_a_frame_goes_with_its_connection)
{
    uint8_t frame[FRAME_BYTES];
    open_line();
    put_frame(0);
    make_frame(frame, 1);
    put(frame, 9);
    (void)expect_frame(0);
    PUMP_UNTIL(rig.source.have == 9);
    unplug();
    PUMP_UNTIL(ledger()->disconnects == 1);
    cr_assert_eq(ledger()->noise_bytes, 9);
    plug_in();
    PUMP_UNTIL(ledger()->connects == 2);
    put_frame(2);
    cr_assert_neq(next_frame().flags & SLUICE_FRAME_GAP, 0); /* what was missed is not known */
    (void)expect_frame(2);
}

static void gate(enum when_full when_full)
{
    test_gates_set_up(&server, &gates, &rig.ring.writer);
    rig.plan.gates = 1;
    rig.plan.when_full = when_full;
    begin_again();
    holder = rig.reader;
    test_gates_let_in(&server, &gates, &rig.ring.writer, &holder);
    open_line();
}

/* Takes what is there, as the gating reader; the number of the next frame expected. Records of a gap are counted.
 */
static uint64_t take_all(uint64_t number, uint64_t *missing)
{
    struct sluice_frame frame;
    while (ring_reader_next(&holder, &frame) == 1) {
        if ((frame.flags & SLUICE_FRAME_GAP) != 0) {
            struct ring_gap gap;
            memcpy(&gap, frame.payload, sizeof(gap));
            cr_assert_eq(gap.cause, RING_LOSS_RING_FULL);
            *missing += gap.count;
            number += gap.count;
            continue;
        }
        cr_assert_eq(frame.source_sequence, number);
        number++;
    }
    ring_reader_release(&holder);
    return number;
}

/* No more is read than there are slots for: the rest stays in the line, whole. */
Test(stream_packed, a_full_ring_waits)
{
    uint64_t missing = 0;
    gate(WHEN_FULL_WAIT);
    for (uint32_t number = 0; number < 2 * SLOTS; number++) {
        put_frame(number);
    }
    PUMP_UNTIL(rig.ring.writer.next == SLOTS);
    for (int i = 0; i < 20; i++) {
        pump_once();
    }
    cr_assert_eq(rig.ring.writer.next, SLOTS);
    uint64_t number = 0;
    PUMP_UNTIL((number = take_all(number, &missing)) == 2 * SLOTS);
    cr_assert_eq(missing, 0);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    stream_fini(&rig.source);
}

Test(stream_packed, a_full_ring_drops_and_says_how_many)
{
    uint64_t missing = 0;
    gate(WHEN_FULL_DROP);
    for (uint32_t number = 0; number < 2 * SLOTS; number++) {
        put_frame(number);
    }
    PUMP_UNTIL(rig.ring.writer.owed_count == SLOTS);
    uint64_t number = take_all(0, &missing);
    cr_assert_eq(number, SLOTS);
    put_frame((uint32_t)(2 * SLOTS));
    PUMP_UNTIL((number = take_all(number, &missing)) == 2 * SLOTS + 1);
    cr_assert_eq(missing, SLOTS);
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], SLOTS);
    stream_fini(&rig.source);
}

/* A source that was read empty is left alone for a while, so that the next read brings more. */
Test(stream_packed, reads_are_coalesced)
{
    open_line();
    rig.source.coalesce_ns = 3600 * CLOCK_NS_PER_S;
    put_frame(0);
    (void)expect_frame(0);
    put_frame(1);
    for (int i = 0; i < 20; i++) {
        pump_once();
    }
    cr_assert_not(rig.source.reading);
    cr_assert_eq(ledger()->delivered, 1);
    uint64_t wakes_ns = stream_wakes_at(&rig.source);
    cr_assert_gt(wakes_ns, clock_monotonic_ns() + 3000 * CLOCK_NS_PER_S);
    cr_assert_lt(wakes_ns, clock_monotonic_ns() + 3601 * CLOCK_NS_PER_S);
    rig.source.again_ns = 0;
    (void)expect_frame(1);
}
