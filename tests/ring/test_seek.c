/* Seeking by time, number and position: against a scan from one end to the other. */
#include <criterion/criterion.h>

#include "ring/reader.h"
#include "tests/support/gates.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"

#define SLOTS UINT64_C(64)
#define WORDS 4u
#define SEED  31u

static struct temporary_ring t;
static struct ring_reader reader;

static void open_ring(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    struct error err = {{0}};
    temporary_ring_create(&t, &spec);
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err), 0, "%s",
                 err.text);
}

static void close_ring(void)
{
    temporary_ring_destroy(&t);
}

TestSuite(seek, .init = open_ring, .fini = close_ring);

static void put(uint64_t tai_ns, uint64_t number)
{
    pattern_store(ring_writer_reserve(&t.writer), SEED, t.writer.next, WORDS);
    ring_writer_commit(&t.writer, WORDS * 8, tai_ns, number, 0, 0);
    ring_writer_publish(&t.writer);
}

static void put_gap(uint64_t tai_ns)
{
    cr_assert(ring_writer_commit_gap(&t.writer, RING_LOSS_KERNEL, 1, 0, tai_ns));
    ring_writer_publish(&t.writer);
}

static uint64_t oldest(void)
{
    uint64_t claimed = temporary_header(&t)->progress.claimed;
    return claimed > SLOTS ? claimed - SLOTS : 0;
}

Test(seek, in_an_empty_ring_there_is_only_the_beginning)
{
    static const uint64_t wanted[] = {0, 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        cr_assert_eq(ring_reader_seek_time(&reader, wanted[i]), 0);
        cr_assert_eq(ring_reader_seek_sequence(&reader, wanted[i]), 0);
        cr_assert_eq(ring_reader_seek_position(&reader, wanted[i]), 0);
        cr_assert_eq(reader.position, 0);
    }
}

Test(seek, all_older_and_all_newer)
{
    for (uint64_t i = 0; i < 10; i++) {
        put(1000 + i, 5000 + i);
    }
    cr_assert_eq(ring_reader_seek_time(&reader, 1010), 10, "all older: the end");
    cr_assert_eq(ring_reader_seek_sequence(&reader, UINT64_MAX), 10);
    cr_assert_eq(ring_reader_seek_time(&reader, 0), 0, "all newer: the oldest");
    cr_assert_eq(ring_reader_seek_sequence(&reader, 5000), 0);
    cr_assert_eq(ring_reader_seek_time(&reader, 1009), 9);
    cr_assert_eq(ring_reader_seek_sequence(&reader, 5001), 1);
}

Test(seek, the_frame_that_was_asked_for_is_the_next_one)
{
    struct sluice_frame frame;
    for (uint64_t i = 0; i < 5 * SLOTS; i++) {
        put(10 * i, 3 * i);
    }
    cr_assert_eq(ring_reader_seek_time(&reader, 10 * (5 * SLOTS - 7) - 9), 5 * SLOTS - 7);
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    cr_assert_eq(frame.tai_ns, 10 * (5 * SLOTS - 7));
    cr_assert_eq(ring_reader_seek_sequence(&reader, 3 * (5 * SLOTS - 7) - 2), 5 * SLOTS - 7);
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    cr_assert_eq(frame.source_sequence, 3 * (5 * SLOTS - 7));
    cr_assert_eq(reader.lost, 0, "what was skipped on purpose is not lost");
}

Test(seek, positions_are_bounded_by_what_is_there)
{
    for (uint64_t i = 0; i < 3 * SLOTS + 5; i++) {
        put(i, i);
    }
    uint64_t end = 3 * SLOTS + 5;
    cr_assert_eq(ring_reader_seek_position(&reader, 0), oldest());
    cr_assert_eq(ring_reader_seek_position(&reader, oldest()), oldest());
    cr_assert_eq(ring_reader_seek_position(&reader, oldest() + 1), oldest() + 1);
    cr_assert_eq(ring_reader_seek_position(&reader, end - 1), end - 1);
    cr_assert_eq(ring_reader_seek_position(&reader, end), end);
    cr_assert_eq(ring_reader_seek_position(&reader, end + 1), end);
    cr_assert_eq(ring_reader_seek_position(&reader, UINT64_MAX), end);
}

Test(seek, of_equal_ones_the_first)
{
    for (uint64_t i = 0; i < 30; i++) {
        put(100 + i / 5, 200 + i / 3);
    }
    for (uint64_t i = 0; i < 30; i++) {
        cr_assert_eq(ring_reader_seek_time(&reader, 100 + i / 5), i / 5 * 5);
        cr_assert_eq(ring_reader_seek_sequence(&reader, 200 + i / 3), i / 3 * 3);
    }
}

/* A gap record's own number is a position; the numbers of the frames lie far above it, or far below. */
static void put_with_gaps(uint64_t first_number)
{
    put_gap(1);
    for (uint64_t i = 0; i < 4; i++) {
        put(10 + i, first_number + i);
        put_gap(10 + i);
        put_gap(10 + i);
    }
    for (int i = 0; i < 20; i++) {
        put_gap(20);
    }
}

Test(seek, gap_records_have_no_number_of_their_own)
{
    static const uint64_t firsts[] = {1000000, 2};
    for (size_t n = 0; n < sizeof(firsts) / sizeof(firsts[0]); n++) {
        close_ring();
        open_ring();
        uint64_t first = firsts[n];
        put_with_gaps(first);
        cr_assert_eq(ring_reader_seek_sequence(&reader, 0), 0, "the next frame speaks for a gap");
        cr_assert_eq(ring_reader_seek_sequence(&reader, first), 0);
        for (uint64_t i = 1; i < 4; i++) {
            cr_assert_eq(ring_reader_seek_sequence(&reader, first + i), 3 * i - 1, "first %lu, frame %lu: at %lu",
                         first, i, reader.position);
        }
        cr_assert_eq(ring_reader_seek_sequence(&reader, first + 4), 33, "no such frame: the end");
    }
}

Test(seek, gap_records_alone)
{
    for (uint64_t i = 0; i < 3 * SLOTS; i++) {
        put_gap(i);
    }
    cr_assert_eq(ring_reader_seek_sequence(&reader, 0), 3 * SLOTS, "no frame there has a number");
    cr_assert_eq(ring_reader_seek_time(&reader, 3 * SLOTS - 5), 3 * SLOTS - 5, "but all have a time");
}

Test(seek, a_gating_reader_only_moves_forward_and_releases)
{
    static struct test_gates server;
    test_gates_create(&server, 1);
    for (uint64_t i = 0; i < 20; i++) {
        put(i, i);
    }
    temporary_header(&t)->gate[0] =
        (struct ring_gate_status){.generation = 1, .state = RING_GATE_GATING, .base = 5};
    test_gates_join(&server, &reader, 0, 1);
    cr_assert_eq(ring_reader_seek_time(&reader, 2), 5);
    cr_assert_eq(ring_reader_seek_sequence(&reader, 4), 5);
    cr_assert_eq(ring_reader_seek_position(&reader, 0), 5);
    cr_assert_eq(test_gates_lease(&server, 0)->position, 5);
    cr_assert_eq(ring_reader_seek_sequence(&reader, 11), 11);
    cr_assert_eq(test_gates_lease(&server, 0)->position, 11, "what was skipped is released");
    cr_assert_eq(ring_reader_seek_time(&reader, 7), 11);
    cr_assert_eq(ring_reader_seek_position(&reader, 99), 20);
    reader.generation = 0;
    cr_assert_eq(ring_reader_seek_position(&reader, 3), 3, "an observer goes where it likes");
}

/* The writer claims while the search goes on: what is overwritten is older than everything. */
Test(seek, lapped_during_the_search)
{
    for (uint64_t i = 0; i < 2 * SLOTS; i++) {
        put(i, i);
    }
    uint64_t *claimed = &temporary_header(&t)->progress.claimed;
    uint64_t *published = &temporary_header(&t)->progress.published;
    uint64_t end = *published;
    /* As if `claimed` had moved between the two looks: half of the ring, and all of it and more. */
    *claimed = end + SLOTS / 2;
    cr_assert_eq(ring_reader_seek_time(&reader, 0), end - SLOTS / 2);
    *claimed = end + 5 * SLOTS;
    cr_assert_eq(ring_reader_seek_time(&reader, 0), end, "all is gone: the end as it was known");
    cr_assert_eq(ring_reader_seek_position(&reader, end - 1), end + 4 * SLOTS, "or the oldest");
}

Test(seek, a_scribbled_header_ends_the_search_too)
{
    static const uint64_t lies[] = {0, 1, SLOTS, UINT64_C(1) << 40, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    struct ring_progress *progress = &temporary_header(&t)->progress;
    size_t n = sizeof(lies) / sizeof(lies[0]);
    for (uint64_t i = 0; i < 2 * SLOTS; i++) {
        put_gap(i);
    }
    for (size_t i = 0; i < n * n; i++) {
        progress->claimed = lies[i / n];
        progress->published = lies[i % n];
        for (size_t k = 0; k < n; k++) {
            (void)ring_reader_seek_sequence(&reader, lies[k]);
            (void)ring_reader_seek_time(&reader, lies[k]);
            (void)ring_reader_seek_position(&reader, lies[k]);
        }
    }
}

/* The first that is not before `wanted`, by looking at each. */
static uint64_t scan(bool by_time, uint64_t wanted)
{
    uint64_t end = t.writer.published;
    for (uint64_t p = oldest(); p < end; p++) {
        uint64_t at = p;
        while (!by_time && at < end && (ring_descriptor_at(&t.writer.view, at)->flags & RING_FLAG_GAP) != 0) {
            at++;
        }
        if (at == end) {
            return end;
        }
        const struct ring_descriptor *d = ring_descriptor_at(&t.writer.view, at);
        if ((by_time ? d->tai_ns : d->source_sequence) >= wanted) {
            return p;
        }
    }
    return end;
}

Test(seek, any_ring_is_searched_as_a_scan_would)
{
    struct test_random random = {17};
    for (int ring = 0; ring < 300; ring++) {
        uint64_t tai_ns = test_random_below(&random, 1000);
        uint64_t number = test_random_below(&random, 2) * 100000 + test_random_below(&random, 100);
        unsigned gaps = (unsigned)test_random_below(&random, 3) * 400;
        uint64_t tai_begin = tai_ns;
        uint64_t number_begin = number;
        close_ring();
        open_ring();
        for (uint64_t i = test_random_below(&random, 3 * SLOTS); i > 0; i--) {
            tai_ns += test_random_below(&random, 3);
            if (test_random_chance(&random, gaps)) {
                put_gap(tai_ns);
            } else {
                number += test_random_below(&random, 4);
                put(tai_ns, number);
            }
        }
        for (int i = 0; i < 100; i++) {
            uint64_t when = tai_begin + test_random_below(&random, tai_ns - tai_begin + 4) - 1;
            uint64_t which = number_begin + test_random_below(&random, number - number_begin + 4);
            cr_assert_eq(ring_reader_seek_time(&reader, when), scan(true, when), "ring %d, time %lu", ring, when);
            cr_assert_eq(ring_reader_seek_sequence(&reader, which), scan(false, which), "ring %d, number %lu", ring,
                         which);
        }
    }
}
