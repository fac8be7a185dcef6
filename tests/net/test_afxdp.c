/* AF_XDP into a ring, over a real interface of the kernel's: what arrives lies where it was received, what is not
 * the stream's stays the kernel's, and every frame is accounted for. */
#include "tests/net/afxdp_rig.h"
#include "tests/support/huge_pages.h"

TestSuite(afxdp, .init = open_rig, .fini = close_rig);

static void pass_rounds(uint64_t rounds, uint32_t words)
{
    struct test_frame f;
    for (uint64_t n = 0; n < rounds * SLOTS; n++) {
        build(&f, n, (struct test_frame_spec){.payload_bytes = words * 8});
        send_frame(&f);
        if (n % 32 == 31) {
            pump_to(n + 1);
            for (uint64_t k = n - 31; k <= n; k++) {
                expect_frame(k, words);
            }
        }
    }
    cr_assert_eq(ledger()->delivered, rounds * SLOTS);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    cr_assert_eq(kernel_got(), 0);
}

Test(afxdp, frames_lie_where_they_were_received)
{
    start();
    cr_assert_eq(rig.source.note.text[0], 0, "%s", rig.source.note.text);
    cr_assert_eq(ledger()->is_open, 1);
    pass_rounds(5, WORDS);
}

Test(afxdp, slots_of_a_page)
{
    temporary_ring_destroy(&rig.ring);
    uring_destroy(rig.uring);
    make_ring(4096, PACKET_UDP);
    start();
    cr_assert_not(rig.source.xsk.unaligned);
    pass_rounds(3, 180);
}

Test(afxdp, slots_that_are_no_chunks_of_the_kernels)
{
    temporary_ring_destroy(&rig.ring);
    uring_destroy(rig.uring);
    make_ring(2048 + 64, PACKET_UDP);
    start();
    cr_assert(rig.source.xsk.unaligned);
    pass_rounds(3, 180);
}

/* Where rings lie in earnest. */
Test(afxdp, a_ring_on_huge_pages)
{
    struct ring_spec spec = temporary_spec(SLOTS, 2048, AFXDP_PAYLOAD_OFFSET_UDP);
    struct error err = {{0}};
    struct temporary_ring ordinary = rig.ring;
    long pages = huge_pages_add(SEGMENT_PAGE_2M_BYTES, 1);
    spec.page_bytes = SEGMENT_PAGE_2M_BYTES;
    if (segment_create(&rig.ring.segment, "test", ring_segment_bytes(&spec), SEGMENT_HUGE, &err) != 0) {
        huge_pages_take_back(SEGMENT_PAGE_2M_BYTES, pages);
        cr_skip_test("SKIPPED: no huge pages can be reserved here: AF_XDP WAS NOT TESTED ON THEM");
    }
    cr_assert_eq(ring_create(rig.ring.segment.base, rig.ring.segment.bytes, &spec, &err), 0);
    cr_assert_eq(ring_writer_attach(&rig.ring.writer, rig.ring.segment.base, rig.ring.segment.bytes, 1, NULL, &err),
                 0);
    cr_assert_eq(
        ring_reader_attach(&rig.reader, rig.ring.segment.base, rig.ring.segment.bytes, SLUICE_OLDEST, &err), 0);
    start();
    pass_rounds(3, WORDS);
    afxdp_fini(&rig.source);
    temporary_ring_destroy(&rig.ring);
    rig.ring = ordinary;
    huge_pages_take_back(SEGMENT_PAGE_2M_BYTES, pages);
}

Test(afxdp, the_largest_frame_fits_and_one_byte_more_is_refused)
{
    struct test_frame f;
    uint32_t most = 2048 - AFXDP_PAYLOAD_OFFSET_UDP;
    ip("link set wire mtu 1900");
    ip("link set taken mtu 1900");
    start();
    send_number(0);
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = most - 8});
    memcpy(f.bytes + f.udp + 8, &(uint64_t){1}, 8);
    frame_sum_udp(&f);
    send_frame(&f);
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = most});
    memcpy(f.bytes + f.udp + 8, &(uint64_t){2}, 8);
    frame_sum_udp(&f);
    send_frame(&f);
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = most + 1});
    memcpy(f.bytes + f.udp + 8, &(uint64_t){3}, 8);
    frame_sum_udp(&f);
    send_frame(&f);
    send_number(4);
    pump_to(4);
    expect_frame(0, WORDS);
    cr_assert_eq(next_frame().length_bytes, most - 8);
    cr_assert_eq(next_frame().length_bytes, most);
    struct sluice_frame frame = expect_frame(4, WORDS);
    cr_assert_eq(frame.lost_before, 1);
    cr_assert_eq(frame.cause, RING_LOSS_TRUNCATED);
    cr_assert_eq(ledger()->refused[RING_REFUSED_LONG], 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
    cr_assert_eq(kernel_got(), 0);
}

Test(afxdp, whole_frames)
{
    struct test_frame f;
    temporary_ring_destroy(&rig.ring);
    uring_destroy(rig.uring);
    make_ring(2048, PACKET_ETHERNET);
    start();
    for (uint64_t n = 0; n < 10; n++) {
        build(&f, n, (struct test_frame_spec){.payload_bytes = 64});
        send_frame(&f);
    }
    pump_to(10);
    for (uint64_t n = 0; n < 10; n++) {
        struct sluice_frame frame = next_frame();
        build(&f, n, (struct test_frame_spec){.payload_bytes = 64});
        cr_assert_eq(frame.length_bytes, f.count);
        cr_assert_eq((uintptr_t)frame.payload % 64, 0);
        cr_assert_eq(memcmp(frame.payload, f.bytes, f.count), 0);
    }
}

/* ---- Whose frames they are. */

Test(afxdp, what_is_not_the_streams_stays_the_kernels)
{
    struct test_frame f;
    start();
    send_number(0);
    build(&f, 100, (struct test_frame_spec){.payload_bytes = 64}); /* another port */
    frame_put16(f.bytes + f.udp + 2, FRAME_TO_PORT + 1);
    frame_sum_udp(&f);
    send_frame(&f);
    build(&f, 101, (struct test_frame_spec){.payload_bytes = 64}); /* another address */
    frame_put32(f.bytes + f.ip + 16, FRAME_TO + 1);
    frame_sum_ip(&f);
    frame_sum_udp(&f);
    send_frame(&f);
    build(&f, 102, (struct test_frame_spec){.payload_bytes = 64}); /* another protocol */
    f.bytes[f.ip + 9] = 6;
    frame_sum_ip(&f);
    send_frame(&f);
    build(&f, 103, (struct test_frame_spec){.payload_bytes = 64}); /* a later piece of a datagram */
    frame_put16(f.bytes + f.ip + 6, 100);
    frame_sum_ip(&f);
    send_frame(&f);
    send_number(1);
    pump_to(2);
    expect_frame(0, WORDS);
    expect_frame(1, WORDS);
    cr_assert_eq(kernel_got(), 4);
    for (uint32_t i = 0; i < RING_REFUSALS; i++) {
        cr_assert_eq(ledger()->refused[i], 0, "%s", ring_refusal_name(i));
    }
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

Test(afxdp, a_vlan_is_matched_and_its_payload_lies_aligned)
{
    struct test_frame f;
    rig.plan.packet.match |= PACKET_MATCH_VLAN;
    rig.plan.packet.vlan = 77;
    start();
    send_number(50); /* without a tag */
    build(&f, 51, (struct test_frame_spec){.payload_bytes = 64, .tags = 1, .vlan = {78}});
    send_frame(&f);
    build(&f, 0, (struct test_frame_spec){.payload_bytes = 64, .tags = 1, .vlan = {0xe000 | 77}});
    send_frame(&f);
    build(&f, 1, (struct test_frame_spec){.payload_bytes = 64, .tags = 2, .tag_type = {0x88a8}, .vlan = {5, 77}});
    send_frame(&f);
    pump_to(2);
    expect_frame(0, 8);
    expect_frame(1, 8);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

Test(afxdp, options_move_the_payload_to_its_place)
{
    struct test_frame f;
    start();
    for (uint32_t n = 0; n < 10; n++) {
        build(&f, n, (struct test_frame_spec){.payload_bytes = 800, .option_bytes = 4 * n, .padding_bytes = n});
        send_frame(&f);
    }
    pump_to(10);
    for (uint32_t n = 0; n < 10; n++) {
        expect_frame(n, 100);
    }
}

Test(afxdp, what_is_broken_is_refused_by_its_reason)
{
    struct test_frame f;
    start();
    send_number(0);
    build(&f, 1, (struct test_frame_spec){.payload_bytes = 64});
    f.bytes[f.udp + 20] ^= 1; /* a bit flipped */
    send_frame(&f);
    build(&f, 2, (struct test_frame_spec){.payload_bytes = 64});
    frame_put16(f.bytes + f.ip + 6, 0x2000); /* the first piece of a datagram */
    frame_sum_ip(&f);
    send_frame(&f);
    build(&f, 3, (struct test_frame_spec){.payload_bytes = 64});
    frame_put16(f.bytes + f.udp + 4, 100); /* longer than IP says */
    send_frame(&f);
    build(&f, 4, (struct test_frame_spec){.payload_bytes = 64});
    f.count -= 10; /* the end is missing */
    send_frame(&f);
    send_number(5);
    pump_to(6);
    expect_frame(0, WORDS);
    expect_gap(RING_LOSS_MALFORMED, 1);
    expect_gap(RING_LOSS_MALFORMED, 1);
    expect_gap(RING_LOSS_MALFORMED, 1);
    expect_gap(RING_LOSS_TRUNCATED, 1);
    expect_frame(5, WORDS);
    cr_assert_eq(ledger()->refused[RING_REFUSED_CHECKSUM], 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_FRAGMENT], 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SYNTAX], 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SHORT], 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_MALFORMED], 3);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
    cr_assert_eq(ledger()->sent, 6);
    cr_assert_eq(kernel_got(), 0);
}

/* A local sender's kernel leaves the sum over the payload to a device; a veth has none. */
Test(afxdp, a_checksum_that_was_left_to_a_device_is_taken)
{
    struct test_frame f;
    start();
    build(&f, 0, (struct test_frame_spec){.payload_bytes = 64});
    uint8_t pseudo[12];
    memcpy(pseudo, f.bytes + f.ip + 12, 8);
    frame_put16(pseudo + 8, 17);
    frame_put16(pseudo + 10, 72);
    frame_put16(f.bytes + f.udp + 6, frame_sum(0, pseudo, sizeof(pseudo)));
    send_frame(&f);
    pump_to(1);
    expect_frame(0, 8);
}

/* ---- Interfaces of other kinds. */

Test(afxdp, jumbo_frames_on_the_interface_do_not_hurt)
{
    uint8_t jumbo[9000];
    struct test_frame f;
    ip("link set wire mtu 9000");
    ip("link set taken mtu 9000");
    start();
    cr_assert_eq(rig.source.note.text[0], 0, "%s", rig.source.note.text);
    send_number(0);
    build(&f, 1, (struct test_frame_spec){.payload_bytes = 64});
    memcpy(jumbo, f.bytes, f.count);
    memset(jumbo + f.count, 0x55, sizeof(jumbo) - f.count);
    cr_assert_eq(send(rig.wire, jumbo, sizeof(jumbo), 0), (ssize_t)sizeof(jumbo));
    send_number(2);
    build(&f, 3, (struct test_frame_spec){.payload_bytes = 1600});
    send_frame(&f);
    pump_to(3);
    expect_frame(0, WORDS);
    cr_assert_eq(expect_frame(2, WORDS).lost_before, 1);
    expect_frame(3, 200);
    cr_assert_eq(ledger()->refused[RING_REFUSED_LONG], 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
}

Test(afxdp, a_multicast_group_is_joined)
{
    struct test_frame f;
    rig.plan.packet.to_address = inet_addr("239.1.2.3");
    ip("addr add 10.99.0.2/24 dev taken");
    start();
    cr_assert(shell("ip maddr show dev taken | grep -q 239.1.2.3"), "the device and the switches know");
    for (uint64_t n = 0; n < 5; n++) {
        build(&f, n, (struct test_frame_spec){.payload_bytes = 64});
        frame_put32(f.bytes + f.ip + 16, 0xef010203);
        frame_sum_ip(&f);
        frame_sum_udp(&f);
        send_frame(&f);
    }
    pump_to(5);
    expect_frame(0, 8);
}

Test(afxdp, a_worker_that_never_sleeps_needs_no_word_of_the_kernels)
{
    struct error err = {{0}};
    bool more;
    uint64_t since_ns = clock_monotonic_ns();
    cr_assert_eq(afxdp_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, USER, rig.steers, false, &err), 0);
    for (uint64_t n = 0; n < 3 * SLOTS; n++) {
        send_number(n);
        while (rig.ring.writer.published <= n && test_still_patient(since_ns)) {
            afxdp_arm(&rig.source, clock_monotonic_ns(), 12345);
            (void)afxdp_take(&rig.source, 12345, &more);
        }
        expect_frame(n, WORDS);
    }
    cr_assert_not(rig.source.polling);
}

/* Two queues of one interface, each into its own ring, by one program. */
Test(afxdp, two_queues_of_one_interface)
{
    const uint64_t frames = 200;
    struct afxdp_source other;
    struct source_plan other_plan;
    struct temporary_ring other_ring;
    struct test_frame f;
    struct error err = {{0}};
    bool more;
    unmake_wire();
    ip("link add wire numtxqueues 2 numrxqueues 2 type veth peer name taken numtxqueues 2 numrxqueues 2");
    ip("link set wire up");
    ip("link set taken up");
    rig.wire = raw_socket("wire", 0);
    rig.plan.sequence.width_bytes = 0;
    rig.plan.afxdp.descriptors = 128;
    start();
    other_plan = rig.plan;
    other_plan.afxdp.queue = 1;
    struct ring_spec spec = temporary_spec(SLOTS * 2, 2048, AFXDP_PAYLOAD_OFFSET_UDP);
    temporary_ring_create(&other_ring, &spec);
    cr_assert_eq(afxdp_init(&other, &other_plan, &other_ring.writer, rig.uring, USER + 1, rig.steers, false, &err),
                 0, "%s", err.text);
    cr_assert_eq(other.note.text[0], 0, "%s", other.note.text);
    cr_assert_null(rig.steers[1].queue, "one program");
    const struct ring_ledger *others = &temporary_header(&other_ring)->ledger;
    uint64_t since_ns = clock_monotonic_ns();
    for (uint64_t n = 0; n < frames; n++) {
        build(&f, n, (struct test_frame_spec){.payload_bytes = 64});
        frame_put16(f.bytes + f.udp, (uint32_t)(1000 + n)); /* the sender spreads its flows over the queues */
        frame_sum_udp(&f);
        send_frame(&f);
        while (ledger()->delivered + others->delivered <= n && test_still_patient(since_ns)) {
            pump_once();
            (void)afxdp_take(&other, 12345, &more);
            afxdp_arm(&other, clock_monotonic_ns(), 12345);
        }
    }
    cr_assert_eq(ledger()->delivered + others->delivered, frames);
    cr_assert_gt(ledger()->delivered, 0);
    cr_assert_gt(others->delivered, 0);
    afxdp_fini(&other);
    temporary_ring_destroy(&other_ring);
}
