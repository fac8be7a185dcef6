/* The observer: in order, exact about what it lost, and safe against a header that lies. */
#include <criterion/criterion.h>

#include "ring/reader.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"

#define SLOTS UINT64_C(64)
#define WORDS 4u
#define SEED  5u

static struct temporary_ring t;
static struct ring_reader reader;

static void attach(int start)
{
    struct error err = {{0}};
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, start, &err), 0, "%s", err.text);
}

static void open_ring(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    temporary_ring_create(&t, &spec);
}

static void close_ring(void)
{
    temporary_ring_destroy(&t);
}

TestSuite(reader, .init = open_ring, .fini = close_ring);

Test(reader, frames_come_in_order_with_all_their_fields)
{
    struct sluice_frame frame;
    attach(SLUICE_OLDEST);
    for (uint64_t round = 0; round < 20 * SLOTS; round++) {
        pattern_store(ring_writer_reserve(&t.writer), SEED, round, WORDS);
        ring_writer_commit(&t.writer, (uint32_t)(round % 33), 5 * round, 7 * round,
                           RING_FLAG_LOST_BEFORE | RING_LOSS_TRUNCATED << RING_FLAG_CAUSE_SHIFT, round % 1000);
        ring_writer_publish(&t.writer);
        cr_assert_eq(ring_reader_next(&reader, &frame), 1);
        cr_assert_eq(frame.position, round);
        cr_assert_eq(frame.tai_ns, 5 * round);
        cr_assert_eq(frame.source_sequence, 7 * round);
        cr_assert_eq(frame.length_bytes, round % 33);
        cr_assert_eq(frame.flags, SLUICE_FRAME_LOST_BEFORE);
        cr_assert_eq(frame.cause, RING_LOSS_TRUNCATED);
        cr_assert_eq(frame.lost_before, round % 1000);
        cr_assert(pattern_matches(frame.payload, SEED, round, WORDS));
        cr_assert(ring_reader_valid(&reader, round));
        cr_assert_eq(ring_reader_next(&reader, &frame), 0);
    }
    cr_assert_eq(reader.lost + reader.corrupt, 0);
}

Test(reader, a_frame_is_valid_until_its_slot_is_claimed_again)
{
    struct sluice_frame frame;
    attach(SLUICE_OLDEST);
    temporary_publish(&t.writer, SEED, WORDS, 1);
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    while (t.writer.claimed < SLOTS) {
        temporary_publish(&t.writer, SEED, WORDS, 1);
        cr_assert(ring_reader_valid(&reader, 0));
    }
    ring_writer_claim(&t.writer, SLOTS + 1);
    cr_assert_not(ring_reader_valid(&reader, 0), "claimed, not even written yet");
    cr_assert(ring_reader_valid(&reader, 1));
}

Test(reader, oldest_is_the_oldest_whole_frame_and_newest_waits)
{
    struct sluice_frame frame;
    attach(SLUICE_OLDEST);
    cr_assert_eq(reader.position, 0);
    temporary_publish(&t.writer, SEED, WORDS, 10);
    attach(SLUICE_OLDEST);
    cr_assert_eq(reader.position, 0);
    attach(SLUICE_NEWEST);
    cr_assert_eq(reader.position, 10);
    cr_assert_eq(ring_reader_next(&reader, &frame), 0);
    temporary_publish(&t.writer, SEED, WORDS, 1000);
    attach(SLUICE_OLDEST);
    cr_assert_eq(reader.position, t.writer.claimed - SLOTS);
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    cr_assert_eq(frame.position, t.writer.claimed - SLOTS);
    cr_assert_eq(reader.lost, 0, "what was before the start is not lost");
}

/* Reads all there is; checks content and that positions and losses add up. Returns frames read. */
static uint64_t drain(void)
{
    struct sluice_frame frame;
    uint64_t frames = 0;
    for (;;) {
        uint64_t before = reader.position + 0;
        uint64_t lost = reader.lost;
        if (ring_reader_next(&reader, &frame) == 0) {
            return frames;
        }
        cr_assert_eq(frame.position - before, reader.lost - lost, "positions are dense but for what was lost");
        cr_assert(pattern_matches(frame.payload, SEED, frame.position, WORDS));
        cr_assert(ring_reader_valid(&reader, frame.position));
        frames++;
    }
}

Test(reader, a_lapped_reader_knows_exactly_what_it_lost)
{
    struct test_random random = {4};
    uint64_t read = 0;
    attach(SLUICE_OLDEST);
    for (int round = 0; round < 2000; round++) {
        temporary_publish(&t.writer, SEED, WORDS, test_random_below(&random, 4 * SLOTS));
        read += drain();
        cr_assert_eq(read + reader.lost, t.writer.next);
    }
    cr_assert_gt(reader.lost, 0);
    cr_assert_gt(read, 0);
    cr_assert_eq(reader.corrupt, 0);
}

Test(reader, lapped_while_nothing_new_is_there_is_seen_too)
{
    struct sluice_frame frame;
    attach(SLUICE_OLDEST);
    temporary_publish(&t.writer, SEED, WORDS, 2 * SLOTS);
    /* The slot of position 0 holds a later one: its word is not 1, and yet the reader must not wait for ever. */
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    cr_assert_gt(frame.position, SLOTS);
    cr_assert_eq(reader.lost, frame.position);
}

Test(reader, the_lease_tells_where_it_is)
{
    static struct ring_lease lease;
    attach(SLUICE_OLDEST);
    ring_reader_release(&reader);
    reader.lease = &lease;
    temporary_publish(&t.writer, SEED, WORDS, 3 * SLOTS);
    (void)drain();
    ring_reader_release(&reader);
    cr_assert_eq(lease.position, 3 * SLOTS);
    cr_assert_eq(lease.lost, reader.lost);
}

static const uint64_t lies[] = {0,
                                1,
                                SLOTS - 1,
                                SLOTS,
                                10 * SLOTS,
                                UINT64_C(1) << 40,
                                (UINT64_C(1) << 62) - 1,
                                UINT64_C(1) << 62,
                                (UINT64_C(1) << 62) + 1,
                                UINT64_C(1) << 63,
                                UINT64_MAX - SLOTS,
                                UINT64_MAX};
#define LIES (sizeof(lies) / sizeof(lies[0]))

/* Whatever the two words say: it ends, stays inside, and does not pretend that nothing happened. */
static void live_with(uint64_t claimed, uint64_t published, uint64_t truth)
{
    struct ring_progress *progress = &temporary_header(&t)->progress;
    struct sluice_frame frame;
    __atomic_store_n(&progress->claimed, claimed, __ATOMIC_RELEASE);
    __atomic_store_n(&progress->published, published, __ATOMIC_RELEASE);
    uint64_t before = reader.lost + reader.corrupt;
    for (int i = 0; i < 300; i++) {
        if (ring_reader_next(&reader, &frame) == 1) {
            cr_assert(pattern_matches(frame.payload, SEED, frame.position, WORDS));
            cr_assert_lt(frame.position, truth, "no frame that was never written");
        }
    }
    bool told = reader.lost + reader.corrupt > before;
    bool harmless = claimed - reader.position <= SLOTS;
    cr_assert(told || harmless, "claimed %#lx published %#lx: silent", claimed, published);
}

Test(reader, hostile_progress_words_are_counted_and_yield_nothing)
{
    for (size_t a = 0; a < LIES; a++) {
        for (size_t b = 0; b < LIES; b++) {
            close_ring();
            open_ring();
            temporary_publish(&t.writer, SEED, WORDS, 5 * SLOTS);
            attach(SLUICE_OLDEST);
            (void)drain();
            live_with(lies[a], lies[b], 5 * SLOTS);
            attach(SLUICE_OLDEST);
            live_with(lies[a], lies[b], 5 * SLOTS);
            attach(SLUICE_NEWEST);
            live_with(lies[a], lies[b], 5 * SLOTS);
        }
    }
}

Test(reader, a_claim_that_goes_back_is_corrupt)
{
    struct sluice_frame frame;
    attach(SLUICE_OLDEST);
    temporary_publish(&t.writer, SEED, WORDS, 3 * SLOTS);
    (void)drain();
    __atomic_store_n(&temporary_header(&t)->progress.claimed, SLOTS, __ATOMIC_RELEASE);
    uint64_t position = reader.position;
    cr_assert_eq(ring_reader_next(&reader, &frame), 0);
    cr_assert_eq(reader.corrupt, 1);
    cr_assert_eq(reader.position, position);
}

/* A descriptor whose length cannot be true is a scribbled ring, not an empty one. */
Test(reader, an_impossible_length_is_corrupt)
{
    struct sluice_frame frame;
    attach(SLUICE_OLDEST);
    temporary_publish(&t.writer, SEED, WORDS, 1);
    ring_descriptor_at(&t.writer.view, 0)->length_bytes = 33;
    cr_assert_eq(ring_reader_next(&reader, &frame), 0);
    cr_assert_gt(reader.corrupt, 0);
}

Test(reader, wrong_sequence_words_yield_nothing)
{
    static const uint64_t words[] = {0, 2, SLOTS + 1, UINT64_MAX, UINT64_C(1) << 63};
    struct sluice_frame frame;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        close_ring();
        open_ring();
        attach(SLUICE_OLDEST);
        temporary_publish(&t.writer, SEED, WORDS, 1);
        ring_descriptor_at(&t.writer.view, 0)->sequence = words[i];
        cr_assert_eq(ring_reader_next(&reader, &frame), 0);
        cr_assert_eq(reader.position, 0);
    }
}

static void publish_gap(void)
{
    cr_assert(ring_writer_commit_gap(&t.writer, RING_LOSS_KERNEL, 2, 0, t.writer.next + 1000));
    ring_writer_publish(&t.writer);
}

/* Frames and gap records of a batch are what their positions say. */
static void check_batch(const struct sluice_batch *batch, uint64_t gap_every)
{
    cr_assert_leq(batch->position % SLOTS + batch->count, SLOTS, "a batch ends with the ring's memory");
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct sluice_descriptor *d = sluice_batch_descriptor(batch, i);
        uint64_t position = batch->position + i;
        bool gap = gap_every != 0 && position % gap_every == 0;
        cr_assert_eq(d->sequence, position + 1);
        cr_assert_eq(d->tai_ns, position + 1000);
        cr_assert_eq((d->flags & SLUICE_FRAME_GAP) != 0, gap);
        cr_assert_eq(sluice_batch_length(batch, i), gap ? sizeof(struct ring_gap) : sizeof(uint64_t) * WORDS);
        cr_assert(gap || pattern_matches(sluice_batch_payload(batch, i), SEED, position, WORDS));
    }
}

Test(reader, a_batch_ends_at_the_end_of_the_ring_s_memory)
{
    struct sluice_batch batch;
    attach(SLUICE_OLDEST);
    temporary_publish(&t.writer, SEED, WORDS, SLOTS - 10);
    cr_assert_eq(ring_reader_batch(&reader, 1000, &batch), SLOTS - 10);
    check_batch(&batch, 0);
    temporary_publish(&t.writer, SEED, WORDS, 30);
    cr_assert_eq(ring_reader_batch(&reader, 1000, &batch), 10);
    check_batch(&batch, 0);
    cr_assert_eq(ring_reader_batch(&reader, 7, &batch), 7, "no more than asked for");
    cr_assert_eq(ring_reader_batch(&reader, 0, &batch), 0);
    cr_assert_eq(ring_reader_batch(&reader, 1000, &batch), 13);
    check_batch(&batch, 0);
    cr_assert_eq(ring_reader_batch(&reader, 1000, &batch), 0);
    cr_assert_eq(reader.position, SLOTS + 20);
    cr_assert_eq(reader.lost + reader.corrupt, 0);
}

Test(reader, a_frame_that_was_waited_for_comes_alone)
{
    struct sluice_batch batch;
    attach(SLUICE_OLDEST);
    cr_assert_eq(ring_reader_batch(&reader, 8, &batch), 0);
    temporary_publish(&t.writer, SEED, WORDS, 5);
    cr_assert_eq(ring_reader_batch(&reader, 8, &batch), 1);
    check_batch(&batch, 0);
    cr_assert_eq(ring_reader_batch(&reader, 8, &batch), 4);
    check_batch(&batch, 0);
}

Test(reader, gap_records_are_among_the_frames_of_a_batch)
{
    struct sluice_batch batch;
    struct test_random random = {12};
    attach(SLUICE_OLDEST);
    while (t.writer.next < 20 * SLOTS) {
        for (uint64_t n = test_random_below(&random, SLOTS / 2); n > 0; n--) {
            if (t.writer.next % 5 == 0) {
                publish_gap();
            } else {
                temporary_publish(&t.writer, SEED, WORDS, 1);
            }
        }
        while (ring_reader_batch(&reader, 1 + (uint32_t)test_random_below(&random, 40), &batch) > 0) {
            check_batch(&batch, 5);
            cr_assert_eq(ring_reader_overwritten(&reader, &batch), 0);
        }
        cr_assert_eq(reader.position, t.writer.next);
    }
    cr_assert_eq(reader.lost + reader.corrupt, 0);
}

Test(reader, how_much_of_a_batch_was_overwritten_is_exact)
{
    struct sluice_batch batch;
    attach(SLUICE_OLDEST);
    temporary_publish(&t.writer, SEED, WORDS, 20);
    cr_assert_eq(ring_reader_batch(&reader, 1000, &batch), 20);
    for (uint64_t claimed = t.writer.claimed; claimed <= SLOTS + 30; claimed++) {
        ring_writer_claim(&t.writer, claimed);
        uint64_t gone = claimed < SLOTS ? 0 : claimed - SLOTS;
        cr_assert_eq(ring_reader_overwritten(&reader, &batch), gone < 20 ? gone : 20);
        for (uint64_t p = 0; p < 20; p++) {
            cr_assert_eq(ring_reader_valid(&reader, p), p >= gone);
        }
    }
    temporary_header(&t)->progress.claimed = 0; /* a scribbled header */
    batch.position = 5;
    cr_assert_eq(ring_reader_overwritten(&reader, &batch), 20, "what cannot be true: nothing of it counts");
}

Test(reader, has_new_sees_a_frame_and_a_lap)
{
    struct sluice_frame frame;
    attach(SLUICE_OLDEST);
    cr_assert_not(ring_reader_has_new(&reader));
    (void)ring_writer_reserve(&t.writer);
    cr_assert_not(ring_reader_has_new(&reader), "claimed is not published");
    temporary_publish(&t.writer, SEED, WORDS, 1);
    cr_assert(ring_reader_has_new(&reader));
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    cr_assert_not(ring_reader_has_new(&reader));
    temporary_publish(&t.writer, SEED, WORDS, 3 * SLOTS);
    cr_assert(ring_reader_has_new(&reader), "lapped: the slot shows a later frame");
    (void)drain();
    cr_assert_not(ring_reader_has_new(&reader));
}

Test(reader, a_lapped_batch_reader_goes_on_and_counts)
{
    struct test_random random = {5};
    struct sluice_batch batch;
    uint64_t read = 0;
    attach(SLUICE_OLDEST);
    for (int round = 0; round < 2000; round++) {
        temporary_publish(&t.writer, SEED, WORDS, test_random_below(&random, 4 * SLOTS));
        while (ring_reader_batch(&reader, 1 + (uint32_t)test_random_below(&random, 100), &batch) > 0) {
            check_batch(&batch, 0);
            cr_assert_eq(batch.position + batch.count, reader.position);
            cr_assert_eq(ring_reader_overwritten(&reader, &batch), 0);
            read += batch.count;
        }
        cr_assert_eq(read + reader.lost, t.writer.next);
    }
    cr_assert_gt(reader.lost, 0);
    cr_assert_eq(reader.corrupt, 0);
}

/* A length that cannot be true is not believed: a batch is not checked frame by frame. */
Test(reader, no_frame_of_a_batch_is_longer_than_its_slot)
{
    struct sluice_batch batch;
    attach(SLUICE_OLDEST);
    temporary_publish(&t.writer, SEED, WORDS, 2);
    ring_descriptor_at(&t.writer.view, 1)->length_bytes = UINT16_MAX;
    cr_assert_eq(ring_reader_batch(&reader, 10, &batch), 2);
    cr_assert_eq(sluice_batch_length(&batch, 0), WORDS * 8);
    cr_assert_eq(sluice_batch_length(&batch, 1), 32);
}

Test(reader, a_hostile_claim_yields_no_batch)
{
    for (size_t a = 0; a < LIES; a++) {
        struct sluice_batch batch;
        close_ring();
        open_ring();
        temporary_publish(&t.writer, SEED, WORDS, 3 * SLOTS);
        attach(SLUICE_OLDEST);
        temporary_header(&t)->progress.claimed = lies[a];
        for (int i = 0; i < 100; i++) {
            uint32_t count = ring_reader_batch(&reader, UINT32_MAX, &batch);
            cr_assert_leq(count, SLOTS);
            cr_assert(count == 0 || batch.position + count <= 3 * SLOTS, "nothing that was never written");
        }
    }
}
