/* AF_XDP with frames of more than a page: they come in pieces and are put together in their slots. */
#include "tests/net/afxdp_rig.h"

#define SLOT       8192u
#define ROOM_WORDS ((SLOT - AFXDP_PAYLOAD_OFFSET_UDP) / 8)
#define LONG_WORDS 629u /* 5032 bytes, as a VDIF frame */

static void open_pieces(void)
{
    enter_namespace();
    make_wire();
    ip("link set wire mtu 9000");
    ip("link set taken mtu 9000");
    make_ring(SLOT, PACKET_UDP);
}

TestSuite(afxdp_pieces, .init = open_pieces, .fini = close_rig);

static void begin(void)
{
    start();
    if (ledger()->is_open == 0 && ledger()->open_errno == EINVAL) {
        cr_assert_not_null(strstr(rig.source.note.text, "Linux 6.6"), "%s", rig.source.note.text);
        cr_skip_test("SKIPPED: this kernel has no AF_XDP frames in pieces (6.6): THEY WERE NOT TESTED");
    }
    cr_assert_eq(ledger()->is_open, 1, "%s", rig.source.note.text);
    cr_assert_not_null(rig.source.pieces.memory);
}

static void send_words(uint64_t number, uint32_t words)
{
    struct test_frame f;
    build(&f, number, (struct test_frame_spec){.payload_bytes = words * 8});
    send_frame(&f);
}

static void send_long(uint64_t first, uint64_t count)
{
    for (uint64_t n = first; n < first + count; n++) {
        send_words(n, LONG_WORDS);
    }
}

Test(afxdp_pieces, of_every_length)
{
    /* 3840 bytes are a piece, headers (42) included: both sides of that, of two, and the ends. */
    static const uint32_t words[] = {2, 100, 471, 474, 475, 480, LONG_WORDS, 954, 955, 960, ROOM_WORDS};
    uint64_t number = 0;
    begin();
    for (uint32_t round = 0; round < 30; round++) {
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            send_words(number, words[i]);
            pump_to(++number);
            expect_frame(number - 1, words[i]);
        }
    }
    cr_assert_eq(ledger()->delivered, number);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    cr_assert_eq(kernel_got(), 0);
}

Test(afxdp_pieces, one_byte_too_many)
{
    struct test_frame f;
    begin();
    send_words(0, LONG_WORDS);
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = ROOM_WORDS * 8 + 1});
    memcpy(f.bytes + f.udp + 8, &(uint64_t){1}, 8);
    frame_sum_udp(&f);
    send_frame(&f);
    send_words(2, LONG_WORDS);
    pump_to(2);
    expect_frame(0, LONG_WORDS);
    struct sluice_frame frame = expect_frame(2, LONG_WORDS);
    cr_assert_eq(frame.lost_before, 1);
    cr_assert_eq(frame.cause, RING_LOSS_TRUNCATED);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
}

/* Slots are free: what found no piece of memory is the kernel's loss, also where a full ring drops on purpose. */
Test(afxdp_pieces, what_the_kernel_drops_is_its_loss)
{
    gate(WHEN_FULL_DROP);
    begin();
    for (int i = 0; i < 20; i++) {
        pump_once();
    }
    send_long(0, 100); /* two pieces each, of 64 */
    for (int i = 0; i < 20; i++) {
        pump_once();
    }
    uint64_t taken = ledger()->delivered;
    cr_assert_lt(taken, 100);
    send_long(100, 1);
    pump_until(&ledger()->delivered, taken + 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_KERNEL], 100 - taken);
    cr_assert_eq(ring_ledger_lost(ledger()), 100 - taken);
    cr_assert_eq(ledger()->gap_records, 0);
}

static void start_gated(enum when_full when_full)
{
    gate(when_full);
    begin();
    for (uint64_t n = 0; n < SLOTS; n += 16) {
        send_long(n, 16);
        pump_to(n + 16);
    }
}

static void release(void)
{
    for (uint64_t n = 0; n < SLOTS; n++) {
        expect_frame(n, LONG_WORDS);
    }
    ring_reader_release(&rig.reader);
}

Test(afxdp_pieces, a_full_ring_that_waits_keeps_what_the_kernel_has)
{
    start_gated(WHEN_FULL_WAIT);
    send_long(SLOTS, 9);
    for (int i = 0; i < 20; i++) {
        pump_once();
    }
    cr_assert_eq(rig.ring.writer.published, SLOTS);
    release();
    pump_to(SLOTS + 9);
    for (uint64_t n = SLOTS; n < SLOTS + 9; n++) {
        expect_frame(n, LONG_WORDS);
    }
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

Test(afxdp_pieces, a_full_ring_that_drops_records_it)
{
    start_gated(WHEN_FULL_DROP);
    send_long(SLOTS, 9);
    pump_until(&ledger()->tracker_pending[RING_LOSS_RING_FULL], 9);
    release();
    pump_once();
    send_long(SLOTS + 9, 3);
    pump_to(SLOTS + 4);
    expect_gap(RING_LOSS_RING_FULL, 9);
    for (uint64_t n = SLOTS + 9; n < SLOTS + 12; n++) {
        expect_frame(n, LONG_WORDS);
    }
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], 9);
    cr_assert_eq(ring_ledger_lost(ledger()), 9);
}

Test(afxdp_pieces, down_and_up_again)
{
    begin();
    send_long(0, 5);
    pump_to(5);
    ip("link set taken down");
    pump_until(&ledger()->disconnects, 1);
    ip("link set taken up");
    pump_until(&ledger()->connects, 2);
    send_long(7, 5);
    pump_to(11);
    for (uint64_t n = 0; n < 5; n++) {
        expect_frame(n, LONG_WORDS);
    }
    expect_gap(RING_LOSS_RESTART, 0);
    struct sluice_frame frame = expect_frame(7, LONG_WORDS);
    cr_assert_eq(frame.lost_before, 2);
    cr_assert_eq(frame.cause, RING_LOSS_RESTART);
}
