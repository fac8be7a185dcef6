/* A gating reader leaves a UDP source no slot: it waits, or it drops, counts and records. */
#include "tests/net/udp_gated.h"

TestSuite(udp_full, .init = open_rig, .fini = close_rig);

static void send_some(uint64_t from, uint64_t count)
{
    for (uint64_t number = from; number < from + count; number++) {
        send_to(rig.sender, number, 2);
    }
}

Test(udp_full, wait_leaves_everything_with_the_kernel)
{
    struct ring_gap gaps = {.count = 0};
    uint64_t number = 0;
    uint64_t records = 0;
    uint64_t frames = 0;
    start_gated(WHEN_FULL_WAIT);
    send_some(0, 5 * SLOTS); /* the socket's buffer holds them */
    pump_to(SLOTS);
    pump_in_vain();
    uint64_t since_ns = clock_monotonic_ns();
    while (frames < 5 * SLOTS && test_still_patient(since_ns)) {
        frames += take_all(&number, &gaps, &records);
        pump_once();
    }
    cr_assert_eq(frames, 5 * SLOTS, "nothing is lost, nothing out of order");
    cr_assert_eq(records, 0);
    cr_assert_eq(ledger()->delivered, 5 * SLOTS);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

/* Between two rounds a worker may sleep: what a reader has released by then must be in the kernel's hands. */
Test(udp_full, what_is_released_between_two_rounds_is_used_at_once)
{
    struct ring_gap gaps = {.count = 0};
    uint64_t number = 0;
    uint64_t records = 0;
    start_gated(WHEN_FULL_WAIT);
    send_some(0, 2 * SLOTS);
    pump_to(SLOTS);
    pump_in_vain();
    cr_assert_not(rig.source.armed);
    cr_assert_eq(take_all(&number, &gaps, &records), SLOTS);
    udp_arm(&rig.source, 12345);
    cr_assert(rig.source.armed);
    pump_to(2 * SLOTS);
    cr_assert_eq(take_all(&number, &gaps, &records), SLOTS);
}

Test(udp_full, drop_counts_and_records_what_found_no_slot_and_returns_to_the_slots)
{
    struct ring_gap gaps = {.count = 0};
    uint64_t next = 0;
    uint64_t number = 0;
    uint64_t records = 0;
    uint64_t frames = 0;
    uint64_t rounds = 12;
    start_gated(WHEN_FULL_DROP);
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t room = holder.position + SLOTS - rig.ring.writer.next;
        send_some(next, room + 10 + round);
        next += room + 10 + round;
        pump_to(holder.position + SLOTS);
        uint64_t since_ns = clock_monotonic_ns();
        while (rig.ring.writer.owed_count < 10 + round && test_still_patient(since_ns)) {
            pump_once();
        }
        pump_in_vain();
        cr_assert_eq(rig.ring.writer.owed_count, 10 + round, "each datagram that found no slot");
        frames += take_all(&number, &gaps, &records);
        while (!rig.source.armed && test_still_patient(since_ns)) {
            pump_once(); /* ends the receive into scratch, pays the record, arms the slots */
        }
        cr_assert(rig.source.armed);
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

Test(udp_full, what_is_refused_in_scratch_is_refused_not_dropped)
{
    rig.plan.frame_bytes = 16;
    start_gated(WHEN_FULL_DROP);
    send_some(0, SLOTS);
    pump_to(SLOTS);
    send_to(rig.sender, SLOTS, 3);
    send_to(rig.sender, SLOTS + 1, 2);
    uint64_t since_ns = clock_monotonic_ns();
    while ((rig.ring.writer.owed_count == 0 || ledger()->refused[RING_REFUSED_LONG] == 0) &&
           test_still_patient(since_ns)) {
        pump_once();
    }
    cr_assert_eq(rig.ring.writer.owed_count, 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_LONG], 1);
}

/* A reader that takes and releases at random while frames keep coming: whatever is dropped is recorded where it is
 * missing, and the numbers add up at the end. */
Test(udp_full, drop_is_exact_under_a_reader_of_any_pace)
{
    struct test_random random = {14};
    struct ring_gap gaps = {.count = 0};
    uint64_t next = 0;
    uint64_t number = 0;
    uint64_t records = 0;
    uint64_t frames = 0;
    start_gated(WHEN_FULL_DROP);
    for (int round = 0; round < 300; round++) {
        uint64_t n = test_random_below(&random, SLOTS);
        while (next - arrived() > 300) {
            pump_once(); /* what the socket's buffer does not hold the kernel would drop */
        }
        send_some(next, n);
        next += n;
        for (uint64_t i = test_random_below(&random, 3); i > 0; i--) {
            pump_once();
        }
        if (test_random_chance(&random, 300)) {
            frames += take_all(&number, &gaps, &records);
        }
    }
    uint64_t since_ns = clock_monotonic_ns();
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
    cr_assert_gt(gaps.count, 0);
    cr_assert_eq(ledger()->delivered, frames);
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], gaps.count);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

Test(udp_full, a_new_source_on_a_full_ring_owes_its_restart_first)
{
    struct error err = {{0}};
    struct sluice_frame frame;
    start_gated(WHEN_FULL_WAIT);
    send_some(0, SLOTS);
    pump_to(SLOTS);
    udp_close(&rig.source);
    cr_assert_eq(uring_wait(rig.uring, 0), 0);
    ring_writer_owe_gap(&rig.ring.writer, RING_LOSS_RESTART, 0, 0);
    cr_assert_eq(udp_open(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, 1, 9, &err), 0, "%s", err.text);
    send_some(SLOTS, 5);
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
