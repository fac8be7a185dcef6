/* UDP_GRO over a real loopback socket: pieces of many datagrams from a sender with UDP_SEGMENT, each datagram of
 * them delivered, refused or explained as if it had come alone. */
#include <netinet/udp.h>
#include <sys/wait.h>

#include "control/seal.h"
#include "net/udp_head.h"
#include "tests/net/udp_gated.h"

#define PIECE_MAX 60u /* datagrams; what every kernel with UDP_SEGMENT takes */

static void open_gro_rig(void)
{
    open_rig();
    rig.plan.udp.gro = 1;
}

TestSuite(udp_gro, .init = open_gro_rig, .fini = close_rig);

/* Sends count datagrams of `words` each in one piece, the last one of last_words. */
static void send_piece(int fd, uint64_t from, uint32_t count, uint32_t words, uint32_t last_words)
{
    static uint64_t piece[65536 / 8];
    union {
        struct cmsghdr head;
        uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control = {.head = {.cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(2)}};
    uint16_t segment = (uint16_t)(words * 8);
    size_t bytes = ((size_t)(count - 1) * words + last_words) * 8;
    cr_assert(count >= 1 && count <= PIECE_MAX && bytes <= 65000 && last_words <= words);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *datagram = piece + (size_t)i * words;
        datagram[0] = from + i;
        pattern_store((uint8_t *)(datagram + 1), SEED, from + i, (i + 1 < count ? words : last_words) - 1);
    }
    memcpy(CMSG_DATA(&control.head), &segment, sizeof(segment));
    struct iovec iov = {.iov_base = piece, .iov_len = bytes};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    cr_assert_eq(sendmsg(fd, &message, 0), (ssize_t)bytes, "%s", strerror(errno));
}

static void send_pieces(uint64_t from, uint64_t count, uint32_t words)
{
    while (count > 0) {
        uint32_t n = count < 20 ? (uint32_t)count : 20;
        send_piece(rig.sender, from, n, words, words);
        from += n;
        count -= n;
    }
}

Test(udp_gro, pieces_arrive_in_slots_of_their_own_across_many_wraps)
{
    struct test_random random = {16};
    uint64_t number = 0;
    start();
    cr_assert_eq(ledger()->is_open, 1);
    while (number < 50 * SLOTS) {
        uint32_t count = 1 + (uint32_t)test_random_below(&random, 20);
        uint32_t words = 1 + (uint32_t)test_random_below(&random, CAPACITY / 8);
        uint32_t last = 1 + (uint32_t)test_random_below(&random, words);
        send_piece(rig.sender, number, count, words, last);
        pump_to(number + count);
        for (uint32_t i = 0; i < count; i++) {
            expect_frame(number + i, i + 1 < count ? words : last);
        }
        number += count;
    }
    cr_assert_gt(rig.source.gro.largest, 10, "the kernel hands pieces over whole");
    cr_assert_eq(ledger()->delivered, number);
    cr_assert_eq(ledger()->sent, number);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

Test(udp_gro, datagrams_that_come_alone)
{
    start();
    for (uint64_t number = 0; number < 3 * SLOTS; number++) {
        send_to(rig.sender, number, 2);
    }
    pump_to(3 * SLOTS);
    cr_assert_eq(ledger()->delivered, 3 * SLOTS);
    cr_assert_eq(rig.source.gro.largest, 1);
}

/* A claim reaches half a ring beyond what is published at most, however large a piece is. */
Test(udp_gro, pieces_as_large_as_the_ring)
{
    start();
    for (uint64_t i = 0; i < 50; i++) {
        send_piece(rig.sender, i * PIECE_MAX, PIECE_MAX, 100, 100);
        pump_to((i + 1) * PIECE_MAX);
    }
    cr_assert_eq(rig.source.gro.largest, PIECE_MAX);
    cr_assert_eq(ledger()->delivered, UINT64_C(50) * PIECE_MAX);
    cr_assert_eq(ledger()->bytes, UINT64_C(50) * PIECE_MAX * 800);
}

/* The same sender, the same ledger, the other way. */
Test(udp_gro, without_it_the_kernel_takes_pieces_apart)
{
    rig.plan.udp.gro = 0;
    start();
    for (uint64_t i = 0; i < 5; i++) {
        send_piece(rig.sender, i * 20, 20, 50, i % 2 == 0 ? 50 : 3);
        pump_to((i + 1) * 20);
        for (uint64_t n = 0; n < 20; n++) {
            expect_frame(i * 20 + n, n + 1 < 20 || i % 2 == 0 ? 50 : 3);
        }
    }
    cr_assert_null(rig.source.gro.buffers);
}

Test(udp_gro, gaps_and_repeats_within_and_between_pieces)
{
    start();
    send_piece(rig.sender, 0, 10, 4, 4);
    send_piece(rig.sender, 15, 10, 4, 4);
    send_piece(rig.sender, 20, 5, 4, 4);
    pump_to(25);
    for (uint64_t n = 0; n < 10; n++) {
        expect_frame(n, 4);
    }
    struct sluice_frame frame = next_frame();
    cr_assert_eq(frame.flags, SLUICE_FRAME_LOST_BEFORE);
    cr_assert_eq(frame.lost_before, 5);
    cr_assert_eq(frame.cause, RING_LOSS_SENDER);
    cr_assert_eq(ledger()->duplicated, 5);
    cr_assert_eq(ledger()->sent, 25);
    cr_assert_eq(ledger()->delivered, 20);
}

static void expect_refused(enum ring_refusal reason, uint64_t count, enum ring_loss cause)
{
    for (uint64_t i = 0; i < count; i++) {
        struct sluice_frame frame = next_frame();
        cr_assert_eq(frame.flags, SLUICE_FRAME_GAP, "positions stay dense: a gap record");
        cr_assert_eq(frame.cause, cause);
    }
    cr_assert_eq(ledger()->refused[reason], count);
}

Test(udp_gro, a_tail_that_is_too_short_is_refused_and_the_rest_is_taken)
{
    rig.plan.frame_bytes = 64;
    start();
    send_piece(rig.sender, 0, 10, 8, 7);
    send_piece(rig.sender, 10, 5, 8, 8);
    pump_to(15);
    for (uint64_t n = 0; n < 9; n++) {
        expect_frame(n, 8);
    }
    expect_refused(RING_REFUSED_SHORT, 1, RING_LOSS_TRUNCATED);
    struct sluice_frame frame = next_frame();
    cr_assert_eq(frame.source_sequence, 10);
    cr_assert_eq(frame.lost_before, 1);
    cr_assert_eq(frame.cause, RING_LOSS_TRUNCATED);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
}

Test(udp_gro, datagrams_longer_than_declared_or_than_a_slot_are_refused)
{
    start();
    send_piece(rig.sender, 0, 5, CAPACITY / 8 + 1, CAPACITY / 8);
    pump_to(5);
    expect_refused(RING_REFUSED_LONG, 4, RING_LOSS_TRUNCATED);
    expect_frame(4, CAPACITY / 8);
    cr_assert_eq(send(rig.sender, "", 0, 0), 0);
    cr_assert_eq(send(rig.sender, "1234567", 7, 0), 7);
    pump_to(7);
    expect_refused(RING_REFUSED_SHORT, 2, RING_LOSS_TRUNCATED);
}

/* No kernel of today sends as much; if one did, what is there is taken and the datagram at the end is refused. */
Test(udp_gro, a_piece_that_was_cut)
{
    const uint32_t each = 800;
    const uint16_t last = UDP_GRO_BUFFERS - 1; /* nothing lies behind it: the sanitizer would see a look there */
    rig.plan.sequence.at_byte = 732;
    start();
    uint8_t *head = rig.source.gro.buffers + (size_t)last * UDP_GRO_STRIDE_BYTES + UDP_GRO_AT_BYTES;
    struct uring_recvmsg_head kernel = {
        .control_bytes = UDP_TOLD_BYTES, .payload_bytes = UDP_GRO_PAYLOAD_BYTES + 900, .flags = MSG_TRUNC};
    struct cmsghdr told = {.cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_GRO, .cmsg_len = CMSG_LEN(sizeof(each))};
    uint8_t *control = head + URING_RECVMSG_HEAD_BYTES + UDP_NAME_BYTES;
    memcpy(head, &kernel, sizeof(kernel));
    memcpy(control, &told, sizeof(told));
    memcpy(control + CMSG_LEN(0), &each, sizeof(each));
    uint64_t whole = UDP_GRO_PAYLOAD_BYTES / each;
    for (uint64_t i = 0; i < whole; i++) {
        memcpy(head + UDP_HEAD_BYTES(UDP_GRO_TOLD_BYTES) + i * each + 732, &i, sizeof(i));
    }
    struct uring_event event = {
        .user = 9, .result = (int32_t)(128 + UDP_GRO_PAYLOAD_BYTES), .buffer = last, .more = true};
    udp_complete(&rig.source, &event, 12345);
    cr_assert_eq(udp_flush(&rig.source, 12345), whole + 1);
    cr_assert_eq(ledger()->delivered, whole);
    cr_assert_eq(ledger()->sent, whole);
    cr_assert_eq(ledger()->refused[RING_REFUSED_LONG], 1);
}

Test(udp_gro, a_stranger_s_piece_is_refused_and_nothing_is_lost)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof(address);
    cr_assert_eq(getsockname(rig.sender, (struct sockaddr *)&address, &bytes), 0);
    rig.plan.udp.from_address = htonl(INADDR_LOOPBACK);
    rig.plan.udp.from_port = ntohs(address.sin_port);
    start();
    int stranger = open_sender(rig.plan.udp.port);
    send_piece(stranger, 1000, 12, 4, 4);
    send_piece(rig.sender, 0, 12, 4, 4);
    pump_to(24);
    expect_refused(RING_REFUSED_STRANGER, 12, RING_LOSS_MALFORMED);
    for (uint64_t n = 0; n < 12; n++) {
        expect_frame(n, 4);
    }
    cr_assert_eq(ledger()->sent, 12);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    close(stranger);
}

/* Nobody takes anything while a sender floods: the kernel drops pieces, and says how many with the next one. */
Test(udp_gro, kernel_drops_are_put_down_to_the_kernel)
{
    rig.plan.udp.receive_buffer_bytes = 4096;
    start();
    const uint64_t flood = 300 * UINT64_C(20);
    send_pieces(0, flood, 16);
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
    send_pieces(flood, 20, 16);
    pump_to(rig.ring.writer.published + 20);
    cr_assert_eq(ledger()->sent, flood + 20);
    cr_assert_eq(ledger()->lost[RING_LOSS_KERNEL], flood - delivered);
    cr_assert_eq(ledger()->lost[RING_LOSS_SENDER], 0);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

Test(udp_gro, frames_without_numbers)
{
    rig.plan.sequence = (struct sequence_spec){.width_bytes = 0, .step = 1};
    rig.plan.frame_bytes = 32;
    start();
    send_piece(rig.sender, 0, 10, 4, 3);
    pump_to(10);
    cr_assert_eq(ledger()->delivered, 9);
    cr_assert_eq(ledger()->sent, 10);
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
}

Test(udp_gro, wait_leaves_what_finds_no_slot_where_it_is)
{
    struct ring_gap gaps = {.count = 0};
    uint64_t number = 0;
    uint64_t records = 0;
    uint64_t frames = 0;
    start_gated(WHEN_FULL_WAIT);
    send_pieces(0, 20 * SLOTS, 2); /* 64 pieces: more than there are buffers */
    pump_to(SLOTS);
    pump_in_vain();
    cr_assert_eq(rig.source.gro.count, UDP_GRO_BUFFERS);
    udp_arm(&rig.source, 12345);
    cr_assert_not(rig.source.armed, "there is no buffer to receive into");
    uint64_t since_ns = clock_monotonic_ns();
    while (frames < 20 * SLOTS && test_still_patient(since_ns)) {
        frames += take_all(&number, &gaps, &records);
        pump_once();
    }
    cr_assert_eq(frames, 20 * SLOTS, "nothing is lost, nothing out of order");
    cr_assert_eq(records, 0);
    cr_assert_eq(ledger()->delivered, 20 * SLOTS);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

/* Between two rounds a worker may sleep: what a reader has released by then is used before. */
Test(udp_gro, what_is_released_between_two_rounds_is_used_at_once)
{
    struct ring_gap gaps = {.count = 0};
    uint64_t number = 0;
    uint64_t records = 0;
    start_gated(WHEN_FULL_WAIT);
    send_piece(rig.sender, 0, 60, 2, 2);
    send_piece(rig.sender, 60, 60, 2, 2);
    pump_to(SLOTS);
    pump_in_vain();
    cr_assert_eq(take_all(&number, &gaps, &records), SLOTS);
    udp_arm(&rig.source, 12345);
    cr_assert_eq(take_all(&number, &gaps, &records), 120 - SLOTS);
}

static void pump_until_owed(uint64_t count)
{
    uint64_t since_ns = clock_monotonic_ns();
    while (rig.ring.writer.owed_count < count && test_still_patient(since_ns)) {
        pump_once();
    }
    pump_in_vain();
    cr_assert_eq(rig.ring.writer.owed_count, count, "each datagram that found no slot");
}

Test(udp_gro, drop_counts_and_records_what_found_no_slot)
{
    struct ring_gap gaps = {.count = 0};
    uint64_t next = 0;
    uint64_t number = 0;
    uint64_t records = 0;
    uint64_t frames = 0;
    start_gated(WHEN_FULL_DROP);
    for (uint64_t round = 0; round < 12; round++) {
        uint64_t count = holder.position + SLOTS - rig.ring.writer.next + 10 + round;
        send_pieces(next, count, 2);
        next += count;
        pump_to(holder.position + SLOTS);
        pump_until_owed(10 + round);
        cr_assert_eq(rig.source.gro.count, 0, "nothing waits");
        frames += take_all(&number, &gaps, &records);
        pump_once(); /* pays the record */
        cr_assert_not(rig.ring.writer.owes);
        frames += take_all(&number, &gaps, &records);
        cr_assert_eq(records, round + 1, "one record for each time");
    }
    send_to(rig.sender, next, 2); /* it tells the ledger's tracker what the records have told already */
    pump_to(rig.ring.writer.published + 1);
    frames += take_all(&number, &gaps, &records);
    cr_assert_eq(number, next + 1);
    cr_assert_eq(frames + gaps.count, next + 1);
    cr_assert_eq(ledger()->sent, next + 1);
    cr_assert_eq(ledger()->delivered, frames);
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], gaps.count);
    cr_assert_eq(ring_ledger_lost(ledger()), gaps.count);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

Test(udp_gro, what_is_refused_without_a_slot_is_refused_not_dropped)
{
    rig.plan.frame_bytes = 16;
    start_gated(WHEN_FULL_DROP);
    send_pieces(0, SLOTS, 2);
    pump_to(SLOTS);
    send_piece(rig.sender, SLOTS, 3, 2, 1);
    pump_until_owed(2);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SHORT], 1);
}

/* A reader that takes and releases at random while pieces keep coming. */
static void run_at_any_pace(enum when_full when_full)
{
    struct test_random random = {17};
    struct ring_gap gaps = {.count = 0};
    uint64_t next = 0;
    uint64_t number = 0;
    uint64_t records = 0;
    uint64_t frames = 0;
    start_gated(when_full);
    uint64_t since_ns = clock_monotonic_ns();
    for (int round = 0; round < 300; round++) {
        uint32_t n = 1 + (uint32_t)test_random_below(&random, PIECE_MAX);
        while (next - arrived() > 600 && test_still_patient(since_ns)) {
            pump_once(); /* what the socket's buffer does not hold the kernel would drop */
            frames += when_full == WHEN_FULL_WAIT ? take_all(&number, &gaps, &records) : 0;
        }
        send_piece(rig.sender, next, n, 2, 2);
        next += n;
        for (uint64_t i = test_random_below(&random, 3); i > 0; i--) {
            pump_once();
        }
        if (test_random_chance(&random, 300)) {
            frames += take_all(&number, &gaps, &records);
        }
    }
    while (number < next && test_still_patient(since_ns)) {
        pump_once();
        frames += take_all(&number, &gaps, &records);
    }
    send_to(rig.sender, next, 2);
    while (number < next + 1 && test_still_patient(since_ns)) {
        pump_once();
        frames += take_all(&number, &gaps, &records);
    }
    cr_assert_eq(frames + gaps.count, next + 1);
    cr_assert_eq(gaps.count > 0, when_full == WHEN_FULL_DROP);
    cr_assert_eq(ledger()->delivered, frames);
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], gaps.count);
    cr_assert_eq(ring_ledger_lost(ledger()), gaps.count);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

Test(udp_gro, drop_is_exact_under_a_reader_of_any_pace)
{
    run_at_any_pace(WHEN_FULL_DROP);
}

Test(udp_gro, wait_is_exact_under_a_reader_of_any_pace)
{
    run_at_any_pace(WHEN_FULL_WAIT);
}

Test(udp_gro, a_new_source_on_a_full_ring_owes_its_restart_first)
{
    struct error err = {{0}};
    struct sluice_frame frame;
    start_gated(WHEN_FULL_WAIT);
    send_pieces(0, SLOTS, 2);
    pump_to(SLOTS);
    udp_close(&rig.source);
    ring_writer_owe_gap(&rig.ring.writer, RING_LOSS_RESTART, 0, 0);
    uring_destroy(rig.uring);
    cr_assert_eq(uring_create(&rig.uring, 64, &err), 0, "%s", err.text);
    cr_assert_eq(udp_open(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, 0, 9, &err), 0, "%s", err.text);
    send_pieces(SLOTS, 5, 2);
    pump_in_vain();
    for (uint64_t p = 0; p < SLOTS; p++) {
        cr_assert_eq(ring_reader_next(&holder, &frame), 1);
    }
    ring_reader_release(&holder);
    pump_to(SLOTS + 1 + 5);
    cr_assert_eq(ring_reader_next(&holder, &frame), 1);
    cr_assert_eq(frame.flags, SLUICE_FRAME_GAP);
    cr_assert_eq(frame.cause, RING_LOSS_RESTART);
    for (uint64_t number = SLOTS; number < SLOTS + 5; number++) {
        cr_assert_eq(ring_reader_next(&holder, &frame), 1);
        cr_assert_eq(frame.source_sequence, number);
    }
}

static void send_sluice(uint64_t sequence, uint32_t payload_bytes, uint32_t flags)
{
    uint8_t datagram[256] = {0};
    format_write_sluice(
        datagram, &(struct format_sluice){.sequence = sequence, .payload_bytes = payload_bytes, .flags = flags});
    cr_assert_eq(send(rig.sender, datagram, FORMAT_SLUICE_BYTES + payload_bytes, 0),
                 (ssize_t)(FORMAT_SLUICE_BYTES + payload_bytes));
}

/* A stream with a header of its own, both ways: heartbeats become records of what is missing. */
Test(udp_gro, heartbeats_become_gap_records)
{
    for (uint32_t gro = 0; gro < 2; gro++) {
        rig.plan.udp.gro = gro;
        rig.plan.format.kind = FORMAT_SLUICE;
        rig.plan.frame_bytes = 132;
        format_sequence(&rig.plan.format, &rig.plan.sequence);
        start();
        send_sluice(1, 100, 0);
        send_sluice(2, 99, 0);
        send_sluice(2, 0, FORMAT_SLUICE_HEARTBEAT);
        send_sluice(3, 0, FORMAT_SLUICE_HEARTBEAT);
        send_sluice(8, 0, FORMAT_SLUICE_HEARTBEAT | FORMAT_SLUICE_END);
        pump_to(5);
        cr_assert_eq(next_frame().source_sequence, 1);
        static const uint64_t counts[] = {1, 0, 0, 5}; /* the short one is told once: when it is refused */
        for (int i = 0; i < 4; i++) {
            struct ring_gap gap;
            struct sluice_frame frame = next_frame();
            cr_assert_eq(frame.flags, SLUICE_FRAME_GAP);
            memcpy(&gap, frame.payload, sizeof(gap));
            cr_assert_eq(gap.count, counts[i], "record %d: %lu", i, gap.count);
        }
        cr_assert_eq(ledger()->sent, 7);
        cr_assert_eq(ledger()->delivered, 1);
        cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 1);
        cr_assert_eq(ledger()->lost[RING_LOSS_SENDER], 5);
        close_rig();
        open_rig();
    }
}

#ifndef SLUICE_SANITIZED
#define SEALED_FRAMES 2000u

/* Takes SEALED_FRAMES under a worker's seal, then ends with 0. */
static void sealed_child(int to_parent)
{
    static struct board board;
    open_gro_rig();
    start();
    seal_process(SEAL_WORKER, true, &board);
    if (board.sealed != 1 ||
        write(to_parent, &rig.plan.udp.port, sizeof(rig.plan.udp.port)) != sizeof(rig.plan.udp.port)) {
        _exit(9);
    }
    uint64_t since_ns = clock_monotonic_ns();
    while (ledger()->delivered < SEALED_FRAMES && test_still_patient(since_ns)) {
        pump_once();
    }
    _exit(ledger()->delivered == SEALED_FRAMES && rig.source.gro.largest == 20 ? 0 : 1);
}

Test(udp_gro, under_the_seal_of_a_worker)
{
    int pipe_fds[2];
    uint16_t port = 0;
    int status = -1;
    rig.source.fd = -1; /* the child has one of its own */
    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        sealed_child(pipe_fds[1]);
    }
    close(pipe_fds[1]);
    cr_assert_eq(read(pipe_fds[0], &port, sizeof(port)), sizeof(port), "the child could not start");
    close(rig.sender);
    rig.sender = open_sender(port);
    send_pieces(0, SEALED_FRAMES, 16); /* 100 pieces of 2560 bytes: the socket's buffer holds them */
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "wait status %x", (unsigned)status);
    close(pipe_fds[0]);
}
#endif
