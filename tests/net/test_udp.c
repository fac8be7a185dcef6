/* UDP into ring slots over a real loopback socket: every datagram is delivered, refused or explained. */
#include "tests/net/udp_rig.h"

TestSuite(udp, .init = open_rig, .fini = close_rig);

Test(udp, frames_arrive_in_their_slots_across_many_wraps)
{
    struct test_random random = {6};
    uint64_t number = 0;
    start();
    cr_assert_eq(ledger()->is_open, 1);
    while (number < 50 * SLOTS) {
        uint32_t words[20];
        uint64_t n = 1 + test_random_below(&random, 20);
        for (uint64_t i = 0; i < n; i++) {
            words[i] = 1 + (uint32_t)test_random_below(&random, CAPACITY / 8);
            send_to(rig.sender, number + i, words[i]);
        }
        pump_to(number + n);
        for (uint64_t i = 0; i < n; i++) {
            expect_frame(number + i, words[i]);
        }
        number += n;
    }
    cr_assert_eq(ledger()->delivered, number);
    cr_assert_eq(ledger()->sent, number);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

/* The multishot ends when the kernel has no buffer left; what waits in the socket comes after the next arm. */
Test(udp, more_frames_than_buffers)
{
    start();
    for (uint64_t number = 0; number < 3 * SLOTS; number++) {
        send_to(rig.sender, number, 2);
    }
    pump_to(3 * SLOTS);
    cr_assert_eq(ledger()->delivered, 3 * SLOTS);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

Test(udp, gaps_in_the_numbers_are_told_with_the_next_frame)
{
    start();
    send_to(rig.sender, 0, 2);
    send_to(rig.sender, 5, 2);
    pump_to(2);
    expect_frame(0, 2);
    struct sluice_frame frame = next_frame();
    cr_assert_eq(frame.flags, SLUICE_FRAME_LOST_BEFORE);
    cr_assert_eq(frame.lost_before, 4);
    cr_assert_eq(frame.cause, RING_LOSS_SENDER);
    send_to(rig.sender, 5, 2);
    pump_to(3);
    cr_assert_eq(ledger()->duplicated, 1);
}

static void expect_refused(enum ring_refusal reason, uint64_t count, enum ring_loss cause)
{
    struct sluice_frame frame = next_frame();
    cr_assert_eq(frame.flags, SLUICE_FRAME_GAP, "positions stay dense: a gap record");
    cr_assert_eq(frame.cause, cause);
    cr_assert_eq(ledger()->refused[reason], count);
}

Test(udp, short_and_long_datagrams_are_refused)
{
    rig.plan.frame_bytes = 64;
    start();
    send_to(rig.sender, 0, 8);
    send_to(rig.sender, 1, 7);
    send_to(rig.sender, 2, 9);
    send_to(rig.sender, 3, CAPACITY / 8 + 3); /* longer than the slot: cut by the kernel */
    cr_assert_eq(send(rig.sender, "", 0, 0), 0);
    send_to(rig.sender, 4, 8);
    pump_to(6);
    expect_frame(0, 8);
    expect_refused(RING_REFUSED_SHORT, 2, RING_LOSS_TRUNCATED);
    expect_refused(RING_REFUSED_LONG, 2, RING_LOSS_TRUNCATED);
    expect_refused(RING_REFUSED_LONG, 2, RING_LOSS_TRUNCATED);
    expect_refused(RING_REFUSED_SHORT, 2, RING_LOSS_TRUNCATED);
    struct sluice_frame frame = next_frame();
    cr_assert_eq(frame.lost_before, 3);
    cr_assert_eq(frame.cause, RING_LOSS_TRUNCATED);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 3);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

Test(udp, too_short_for_its_number)
{
    start();
    cr_assert_eq(send(rig.sender, "1234567", 7, 0), 7);
    pump_to(1);
    expect_refused(RING_REFUSED_SHORT, 1, RING_LOSS_TRUNCATED);
}

Test(udp, a_stranger_is_refused_and_nothing_is_lost)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    cr_assert_eq(getsockname(rig.sender, (struct sockaddr *)&address, &bytes), 0);
    rig.plan.udp.from_address = htonl(INADDR_LOOPBACK);
    rig.plan.udp.from_port = ntohs(address.sin_port);
    start();
    int stranger = open_sender(rig.plan.udp.port);
    send_to(stranger, 1000, 4);
    send_to(rig.sender, 0, 4);
    send_to(stranger, 2000, 4);
    send_to(rig.sender, 1, 4);
    pump_to(4);
    expect_refused(RING_REFUSED_STRANGER, 2, RING_LOSS_MALFORMED);
    expect_frame(0, 4);
    expect_refused(RING_REFUSED_STRANGER, 2, RING_LOSS_MALFORMED);
    expect_frame(1, 4);
    cr_assert_eq(ledger()->sent, 2);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    close(stranger);
}

static void send_with_checksum(uint8_t number, bool good)
{
    uint8_t frame[12] = {number, 0, 0, 0, 0, 0, 0, 0, 1, 2};
    uint16_t crc = net_crc16_ccitt(frame, 10);
    frame[10] = (uint8_t)(crc >> 8);
    frame[11] = (uint8_t)(crc ^ (good ? 0 : 1));
    cr_assert_eq(send(rig.sender, frame, sizeof(frame), 0), sizeof(frame));
}

Test(udp, a_bad_checksum_is_refused_and_explains_the_gap)
{
    rig.plan.frame_bytes = 12;
    rig.plan.checksum = (struct checksum_spec){.kind = CHECKSUM_CRC16_CCITT, .from = 0, .at_byte = 10};
    start();
    send_with_checksum(1, true);
    send_with_checksum(2, false);
    send_with_checksum(3, true);
    pump_to(3);
    (void)next_frame();
    expect_refused(RING_REFUSED_CHECKSUM, 1, RING_LOSS_MALFORMED);
    struct sluice_frame frame = next_frame();
    cr_assert_eq(frame.lost_before, 1);
    cr_assert_eq(frame.cause, RING_LOSS_MALFORMED);
    cr_assert_eq(ledger()->lost[RING_LOSS_MALFORMED], 1);
}

/* Nobody takes datagrams while a sender floods: the kernel drops, and says so with the next one. */
Test(udp, kernel_drops_are_put_down_to_the_kernel)
{
    rig.plan.udp.receive_buffer_bytes = 4096;
    start();
    const uint64_t flood = 5000;
    for (uint64_t number = 0; number < flood; number++) {
        send_to(rig.sender, number, 16);
    }
    uint64_t since_ns = clock_monotonic_ns();
    uint64_t quiet = 0;
    while (quiet < 20 && test_still_patient(since_ns)) {
        uint64_t before = rig.ring.writer.published;
        pump_once();
        quiet = rig.ring.writer.published == before ? quiet + 1 : 0;
    }
    uint64_t delivered = ledger()->delivered;
    cr_assert_lt(delivered, flood, "a socket buffer of 4 KiB cannot hold the flood");
    cr_assert_gt(delivered, 0);
    send_to(rig.sender, flood, 16);
    pump_to(rig.ring.writer.published + 1);
    cr_assert_eq(ledger()->sent, flood + 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_KERNEL], flood - delivered);
    cr_assert_eq(ledger()->lost[RING_LOSS_SENDER], 0);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

Test(udp, frames_without_numbers)
{
    rig.plan.sequence = (struct sequence_spec){.width_bytes = 0, .step = 1};
    rig.plan.frame_bytes = 32;
    start();
    for (uint64_t i = 0; i < 10; i++) {
        send_to(rig.sender, i, i == 4 ? 3 : 4);
    }
    pump_to(10);
    cr_assert_eq(ledger()->delivered, 9);
    cr_assert_eq(ledger()->sent, 10);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
}

Test(udp, what_cannot_be_opened_is_said)
{
    struct error err = {{0}};
    struct udp_source other;
    start();
    cr_assert_eq(udp_open(&other, &rig.plan, &rig.ring.writer, rig.uring, 1, 10, &err), -EADDRINUSE);
    cr_assert_not_null(strstr(err.text, "another program"), "%s", err.text);
    rig.ring.writer.view.payload_offset = 32;
    cr_assert_eq(udp_open(&other, &rig.plan, &rig.ring.writer, rig.uring, 1, 10, &err), -EINVAL);
    rig.ring.writer.view.payload_offset = UDP_PAYLOAD_OFFSET;
    rig.plan.udp.multicast_address = htonl(INADDR_LOOPBACK);
    cr_assert_lt(udp_open(&other, &rig.plan, &rig.ring.writer, rig.uring, 1, 10, &err), 0);
}

static void send_sluice(uint64_t number, uint64_t sender_tai_ns)
{
    uint8_t datagram[FORMAT_SLUICE_BYTES + 8] = {0};
    format_write_sluice(
        datagram, &(struct format_sluice){.sequence = number, .sender_tai_ns = sender_tai_ns, .payload_bytes = 8});
    cr_assert_eq(send(rig.sender, datagram, sizeof(datagram), 0), (ssize_t)sizeof(datagram));
}

/* The rig's frames arrive at 12345 ns. */
Test(udp, the_way_from_the_sender_and_into_the_ring_is_counted)
{
    static struct ring_hops hops;
    rig.plan.format = (struct format_spec){.kind = FORMAT_SLUICE};
    format_sequence(&rig.plan.format, &rig.plan.sequence);
    start();
    ring_writer_measure(&rig.ring.writer, &hops, true, true);
    send_sluice(0, 12000);
    pump_to(1);
    cr_assert_eq(hops.sent_to_arrival.count, 1);
    cr_assert_eq(hops.sent_to_arrival.sum_ns, 345);
    send_sluice(1, 12346);
    pump_to(2);
    cr_assert_eq(hops.ahead, 1);
    send_sluice(2, 0);
    pump_to(3);
    cr_assert_eq(hops.undated, 1);
    send_sluice(2, 12345);
    pump_to(4);
    cr_assert_eq(ledger()->duplicated, 1);
    cr_assert_eq(hops.sent_to_arrival.count, 1, "it has come before");
    cr_assert_eq(hops.arrival_to_publish.count, 3);
    cr_assert_eq(ledger()->delivered, 3);
    cr_assert_neq(ring_newest_ns(temporary_header(&rig.ring), 3, clock_monotonic_ns()), 0);
}
