/* A gating reader leaves a serial source no slot: it waits, or it drops, counts and records. */
#include "tests/daq/stream_rig.h"
#include "tests/support/gates.h"

#define SLOTS UINT64_C(64)

TestSuite(stream_full, .init = set_up, .fini = tear_down);

static struct test_gates server;
static struct ring_gates gates;
static struct ring_reader holder; /* the gating reader */

/* The source as it would have been set up for a ring that takes a gating reader. */
static void gate(enum when_full when_full)
{
    struct error err = {{0}};
    test_gates_set_up(&server, &gates, &rig.ring.writer);
    rig.plan.gates = 1;
    rig.plan.when_full = when_full;
    stream_fini(&rig.source);
    opener_fini(&rig.opener);
    cr_assert_eq(stream_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, &rig.opener, USER, &err), 0);
    holder = rig.reader;
    test_gates_let_in(&server, &gates, &rig.ring.writer, &holder);
}

static void end(void)
{
    stream_fini(&rig.source);
}

static void pump_some(void)
{
    for (int i = 0; i < 20; i++) {
        pump_once();
    }
}

struct taken {
    uint64_t frames;
    uint64_t records;
    uint64_t missing; /* as the records say */
    uint64_t number;  /* next one expected */
};

/* Takes at most `most` of what is there, as the gating reader, and releases it. */
static void take(struct taken *taken, uint64_t most, uint64_t (*number_of)(const struct sluice_frame *))
{
    struct sluice_frame frame;
    while (most-- > 0 && ring_reader_next(&holder, &frame) == 1) {
        if ((frame.flags & SLUICE_FRAME_GAP) != 0) {
            struct ring_gap gap;
            memcpy(&gap, frame.payload, sizeof(gap));
            cr_assert_eq(gap.cause, RING_LOSS_RING_FULL);
            cr_assert_gt(gap.count, 0);
            taken->missing += gap.count;
            taken->number += gap.count; /* exactly these are missing here */
            taken->records++;
            continue;
        }
        uint64_t number = number_of(&frame);
        cr_assert_eq(number, taken->number, "%lu instead of %lu", number, taken->number);
        taken->number++;
        taken->frames++;
    }
    cr_assert_eq(holder.lost, 0);
    ring_reader_release(&holder);
}

static uint64_t binary_number(const struct sluice_frame *frame)
{
    uint8_t expected[FRAME_BYTES];
    make_frame(expected, (uint32_t)frame->source_sequence);
    cr_assert_eq(memcmp(frame->payload, expected, FRAME_BYTES), 0);
    return frame->source_sequence;
}

static uint64_t text_number(const struct sluice_frame *frame)
{
    double values[2];
    memcpy(values, frame->payload, sizeof(values));
    return (uint64_t)values[0];
}

static void put_line(uint64_t number)
{
    char line[32];
    int n = snprintf(line, sizeof(line), "%lu,0\n", number);
    put(line, (size_t)n);
}

Test(stream_full, wait_leaves_frames_in_the_line)
{
    struct taken taken = {.number = 0};
    uint32_t number = 0;
    gate(WHEN_FULL_WAIT);
    open_line();
    while (number < 2 * SLOTS) { /* a tty holds 4095 bytes */
        put_frame(number++);
    }
    PUMP_UNTIL(rig.ring.writer.published == SLOTS);
    pump_some();
    cr_assert_eq(rig.ring.writer.published, SLOTS);
    cr_assert_not(rig.source.reading, "no slot, no read");
    while (taken.number < 2 * SLOTS) {
        take(&taken, 7, binary_number);
        PUMP_UNTIL(rig.ring.writer.next == holder.position + SLOTS || rig.ring.writer.next == 2 * SLOTS);
    }
    cr_assert_eq(taken.records, 0);
    cr_assert_eq(ledger()->delivered, 2 * SLOTS);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    cr_assert_eq(ledger()->noise_bytes, 0);
    end();
}

/* It must not wait for a frame behind it, which may be long in coming: the interlock goes by it. */
Test(stream_full, a_record_in_the_last_slot_is_seen_at_once)
{
    struct taken taken = {.number = 0};
    uint32_t next = 0;
    gate(WHEN_FULL_DROP);
    open_line();
    while (next < SLOTS + 3) {
        put_frame(next++);
    }
    PUMP_UNTIL(rig.ring.writer.owed_count == 3 && rig.source.reading);
    take(&taken, 1, binary_number);
    put_frame(next++);
    PUMP_UNTIL(rig.ring.writer.owed_count == 1);
    cr_assert_eq(rig.ring.writer.next, SLOTS + 1);
    cr_assert_eq(rig.ring.writer.published, SLOTS + 1);
    end();
}

Test(stream_full, drop_counts_and_records_frames)
{
    struct taken taken = {.number = 0};
    uint32_t next = 0;
    gate(WHEN_FULL_DROP);
    open_line();
    for (uint32_t round = 0; round < 10; round++) {
        uint64_t room = holder.position + SLOTS - rig.ring.writer.next;
        for (uint64_t n = room; n > 0; n--) {
            put_frame(next++);
        }
        PUMP_UNTIL(rig.ring.writer.next == holder.position + SLOTS);
        for (uint32_t n = 3 + round; n > 0; n--) {
            put_frame(next++);
        }
        PUMP_UNTIL(rig.ring.writer.owed_count == 3 + round);
        pump_some();
        cr_assert_eq(rig.ring.writer.owed_count, 3 + round);
        take(&taken, SLOTS, binary_number);
        /* The next frame began in scratch, and still finds its place behind the record. */
        put_frame(next++);
        PUMP_UNTIL(rig.ring.writer.next == holder.position + 2);
        take(&taken, SLOTS, binary_number);
        cr_assert_eq(taken.number, next);
        cr_assert_eq(taken.records, round + 1);
    }
    cr_assert_eq(taken.missing, 10 * 3 + 45);
    cr_assert_eq(ledger()->delivered, taken.frames);
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], taken.missing);
    cr_assert_eq(ledger()->sent, next);
    end();
}

/* Half a frame lies in scratch when a slot becomes free: it is finished there, and placed. */
Test(stream_full, a_frame_that_began_in_scratch_is_not_lost)
{
    struct taken taken = {.number = 0};
    uint8_t frame[FRAME_BYTES];
    gate(WHEN_FULL_DROP);
    open_line();
    for (uint32_t number = 0; number < SLOTS; number++) {
        put_frame(number);
    }
    PUMP_UNTIL(rig.ring.writer.next == SLOTS);
    make_frame(frame, SLOTS);
    put(frame, 9);
    PUMP_UNTIL(rig.source.have == 9);
    cr_assert(rig.source.into_scratch);
    take(&taken, SLOTS, binary_number);
    put(frame + 9, FRAME_BYTES - 9);
    PUMP_UNTIL(rig.ring.writer.next == SLOTS + 1);
    take(&taken, SLOTS, binary_number);
    cr_assert_eq(taken.frames, SLOTS + 1);
    cr_assert_eq(taken.records, 0);
    end();
}

Test(stream_full, noise_in_scratch_is_noise)
{
    struct taken taken = {.number = 0};
    gate(WHEN_FULL_DROP);
    open_line();
    for (uint32_t number = 0; number < SLOTS; number++) {
        put_frame(number);
    }
    PUMP_UNTIL(rig.ring.writer.next == SLOTS);
    put("\x01\x02\x03", 3);
    put_frame(SLOTS);
    PUMP_UNTIL(rig.ring.writer.owed_count == 1);
    cr_assert_eq(ledger()->noise_bytes, 3);
    take(&taken, SLOTS, binary_number);
    put_frame(SLOTS + 1);
    PUMP_UNTIL(rig.ring.writer.next == SLOTS + 2);
    take(&taken, SLOTS, binary_number);
    cr_assert_eq(taken.number, SLOTS + 2);
    end();
}

Test(stream_full, wait_leaves_lines_in_the_line)
{
    struct taken taken = {.number = 0};
    struct test_random random = {3};
    uint64_t number = 0;
    gate(WHEN_FULL_WAIT);
    open_text(2);
    while (number < 4 * SLOTS) {
        put_line(number++);
    }
    PUMP_UNTIL(rig.ring.writer.next == SLOTS);
    pump_some();
    cr_assert_eq(rig.ring.writer.next, SLOTS);
    while (taken.number < 4 * SLOTS) {
        take(&taken, test_random_below(&random, 12), text_number);
        pump_once();
    }
    cr_assert_eq(taken.records, 0);
    cr_assert_eq(ledger()->delivered, 4 * SLOTS);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    end();
}

Test(stream_full, drop_counts_and_records_lines)
{
    struct taken taken = {.number = 0};
    uint64_t number = 0;
    gate(WHEN_FULL_DROP);
    rig.plan.frame_bytes = 16;
    open_text(2);
    while (number < 2 * SLOTS) {
        put_line(number++);
    }
    PUMP_UNTIL(rig.ring.writer.owed_count == SLOTS);
    take(&taken, SLOTS, text_number);
    PUMP_UNTIL(!rig.ring.writer.owes);
    put_line(number++);
    PUMP_UNTIL(rig.ring.writer.next == SLOTS + 2);
    take(&taken, SLOTS, text_number);
    cr_assert_eq(taken.number, number);
    cr_assert_eq(taken.missing, SLOTS);
    cr_assert_eq(taken.records, 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], SLOTS);
    cr_assert_eq(ledger()->delivered, taken.frames);
    end();
}

/* What a text source reserves ahead is lost to observers: on a small ring that must not be all there is. */
static void expect_most_of_the_ring_to_stay(void)
{
    struct sluice_frame frame;
    for (uint64_t number = 0; number < 40; number++) {
        put_line(number);
    }
    PUMP_UNTIL(rig.ring.writer.next == 40);
    pump_some(); /* the next read is outstanding */
    cr_assert(rig.source.reading);
    for (uint64_t number = 0; number < 40; number++) {
        cr_assert_eq(ring_reader_next(&rig.reader, &frame), 1);
        cr_assert_eq(frame.position, number, "%lu were lost", frame.position - number);
        cr_assert(ring_reader_valid(&rig.reader, number));
    }
}

Test(stream_full, observers_of_a_small_ring_of_lines_see_them)
{
    open_text(2);
    expect_most_of_the_ring_to_stay();
}

Test(stream_full, observers_of_a_small_ring_that_gates_see_them_too)
{
    gate(WHEN_FULL_WAIT);
    open_text(2);
    test_gates_close(&server, 0);
    ring_writer_look(&rig.ring.writer, 2);
    expect_most_of_the_ring_to_stay();
    end();
}
