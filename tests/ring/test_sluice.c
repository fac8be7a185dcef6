/* What ring/sluice.c adds to a ring's reader: what counts as lost, and when what was handed out is given back. */
#include <criterion/criterion.h>

#include "tests/support/installed_reader.h"
#include "tests/support/random.h"

#define SLOTS UINT64_C(64)
#define WORDS 4u
#define SEED  9u

static struct temporary_ring t;
static struct installed_reader installed;
static struct sluice_reader *reader;

static void open_all(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    temporary_ring_create(&t, &spec);
    installed_reader_open(&installed, &t, SLUICE_OLDEST);
    reader = installed.reader;
}

static void close_all(void)
{
    installed_reader_close(&installed);
    temporary_ring_destroy(&t);
}

TestSuite(sluice, .init = open_all, .fini = close_all);

/* The writer takes the slots of all positions below this one. */
static void take_back(uint64_t position)
{
    __atomic_store_n(&temporary_header(&t)->progress.claimed, position + SLOTS, __ATOMIC_RELEASE);
}

static void expect_gone(const struct sluice_batch *batch, uint32_t gone, uint64_t lost)
{
    for (int again = 0; again < 3; again++) {
        cr_assert_eq(sluice_reader_overwritten(reader, batch), gone);
        cr_assert_eq(sluice_reader_lost(reader), lost, "found %lu, expected %lu", sluice_reader_lost(reader), lost);
    }
}

Test(sluice, what_was_overwritten_counts_once_however_often_it_is_asked)
{
    struct sluice_batch batch;
    temporary_publish(&t.writer, SEED, WORDS, 20);
    cr_assert_eq(sluice_reader_batch(reader, 10, &batch), 10);
    expect_gone(&batch, 0, 0);
    take_back(3);
    expect_gone(&batch, 3, 3);
    take_back(7);
    expect_gone(&batch, 7, 7);
    take_back(15);
    expect_gone(&batch, 10, 10);
}

Test(sluice, what_was_overwritten_counts_beside_what_was_passed_over)
{
    struct sluice_batch first;
    struct sluice_batch second;
    temporary_publish(&t.writer, SEED, WORDS, 20);
    cr_assert_eq(sluice_reader_batch(reader, 10, &first), 10);
    temporary_publish(&t.writer, SEED, WORDS, 3 * SLOTS);
    expect_gone(&first, 10, 10);
    cr_assert_gt(sluice_reader_batch(reader, 10, &second), 0);
    cr_assert_eq(sluice_reader_lost(reader), second.position, "10 were handed out, the others never");
    expect_gone(&first, 10, second.position);
    take_back(second.position + 2);
    expect_gone(&second, 2, second.position + 2);
    expect_gone(&first, 10, second.position + 2);
}

/* Every position is seen whole, or lost, and never both; asked at any time, any number of times. */
Test(sluice, whole_and_lost_are_all)
{
    struct test_random random = {10};
    struct sluice_batch batch;
    uint64_t whole = 0;
    for (int round = 0; round < 5000; round++) {
        temporary_publish(&t.writer, SEED, WORDS, test_random_below(&random, 2 * SLOTS));
        uint32_t count = sluice_reader_batch(reader, 1 + (uint32_t)test_random_below(&random, SLOTS), &batch);
        if (count > 0) {
            for (uint64_t asks = test_random_below(&random, 3); asks > 0; asks--) {
                (void)sluice_reader_overwritten(reader, &batch);
                temporary_publish(&t.writer, SEED, WORDS, test_random_below(&random, SLOTS / 2));
            }
            uint32_t gone = sluice_reader_overwritten(reader, &batch);
            for (uint32_t i = gone; i < count; i++) {
                cr_assert(pattern_matches(sluice_batch_payload(&batch, i), SEED, batch.position + i, WORDS));
            }
            whole += count - gone;
        }
        cr_assert_eq(whole + sluice_reader_lost(reader), sluice_reader_position(reader));
    }
    cr_assert_gt(whole, 0);
    cr_assert_gt(sluice_reader_lost(reader), 0);
    cr_assert_eq(reader->ring.corrupt, 0);
}

Test(sluice, a_gating_reader_gives_back_with_the_next_call)
{
    const struct ring_lease *lease = installed_lease(&installed);
    struct sluice_frame frame;
    struct sluice_batch batch;
    reader->ring.generation = 1;
    temporary_publish(&t.writer, SEED, WORDS, 20);
    cr_assert_eq(sluice_reader_next(reader, &frame), 1);
    cr_assert_eq(lease->position, 0);
    cr_assert_eq(sluice_reader_next(reader, &frame), 1);
    cr_assert_eq(lease->position, 1);
    cr_assert_eq(sluice_reader_batch(reader, 10, &batch), 10);
    cr_assert_eq(lease->position, 2);
    sluice_reader_release(reader);
    cr_assert_eq(lease->position, 12);
}

/* Its lease is for show, and a line that others read: not stored to for each frame. */
Test(sluice, an_observer_tells_where_it_is_now_and_then)
{
    const struct ring_lease *lease = installed_lease(&installed);
    struct sluice_frame frame;
    for (uint64_t i = 0; i < SLUICE_REPORT_FRAMES; i++) {
        temporary_publish(&t.writer, SEED, WORDS, 1);
        cr_assert_eq(sluice_reader_next(reader, &frame), 1);
        cr_assert_eq(lease->position, 0);
    }
    cr_assert_eq(sluice_reader_next(reader, &frame), 0);
    cr_assert_eq(lease->position, SLUICE_REPORT_FRAMES);
}
