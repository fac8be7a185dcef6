/* What a writer puts down of its frames' times: how many, which ones, and that nothing is told that is not known.
 */
#include <criterion/criterion.h>

#include "ring/clock.h"
#include "tests/support/temporary_ring.h"

#define SEED  7u
#define WORDS 4u

static struct temporary_ring t;
static struct ring_hops hops;

static void prepare(void)
{
    struct ring_spec spec = temporary_spec(256, 64, 32);
    temporary_ring_create(&t, &spec);
}

TestSuite(hops, .init = prepare);

/* As net/sequence.c does for each frame that is no duplicate. */
static void commit(uint64_t frames)
{
    for (uint64_t i = 0; i < frames; i++) {
        temporary_commit(&t.writer, SEED, WORDS);
        ring_count_add(&temporary_header(&t)->ledger.delivered, 1);
    }
}

static uint64_t tai_ns(void)
{
    return clock_tai_ns(t.writer.view.tai_minus_monotonic_ns);
}

Test(hops, a_batch_is_counted_once_for_each_frame)
{
    ring_writer_measure(&t.writer, &hops, false, false);
    uint64_t arrival_ns = tai_ns() - 5000;
    commit(3);
    ring_writer_publish_timed(&t.writer, arrival_ns);
    uint64_t most_ns = tai_ns() - arrival_ns;
    cr_assert_eq(hops.arrival_to_publish.count, 3);
    cr_assert_geq(hops.arrival_to_publish.sum_ns, 3 * UINT64_C(5000));
    cr_assert_leq(hops.arrival_to_publish.max_ns, most_ns);
    ring_writer_publish_timed(&t.writer, arrival_ns);
    cr_assert_eq(hops.arrival_to_publish.count, 3, "nothing new, nothing counted");
    cr_assert_eq(hops.sent_to_arrival.count + hops.undated + hops.ahead, 0, "that memory need not be there");
}

Test(hops, records_of_gaps_and_duplicates_are_no_frames)
{
    commit(2); /* before it is measured */
    ring_writer_publish(&t.writer);
    ring_writer_measure(&t.writer, &hops, false, false);
    cr_assert(ring_writer_commit_gap(&t.writer, RING_LOSS_KERNEL, 4, 0, tai_ns()));
    temporary_commit(&t.writer, SEED, WORDS);
    ring_writer_publish_timed(&t.writer, tai_ns());
    cr_assert_eq(hops.arrival_to_publish.count, 0);
    commit(1);
    ring_writer_publish(&t.writer); /* somebody in between who does not look at the clock */
    commit(1);
    ring_writer_publish_timed(&t.writer, tai_ns());
    cr_assert_eq(hops.arrival_to_publish.count, 2);
}

Test(hops, the_newest_publish_has_a_time_and_no_other)
{
    const struct ring_header *header = temporary_header(&t);
    ring_writer_measure(&t.writer, &hops, false, false);
    uint64_t from_ns = clock_monotonic_ns();
    for (uint64_t i = 0; i < 70000; i++) { /* beyond what the word has of the position */
        commit(1);
        ring_writer_publish_timed(&t.writer, tai_ns());
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t told_ns = ring_newest_ns(header, i, now_ns);
        cr_assert(told_ns >= from_ns && told_ns <= now_ns, "%lu", i);
        cr_assert_eq(ring_newest_ns(header, i, from_ns), told_ns, "also by a clock that was read before");
        cr_assert(i == 0 || ring_newest_ns(header, i - 1, now_ns) == 0);
        cr_assert_eq(ring_newest_ns(header, i + 1, now_ns), 0);
    }
    uint64_t last = t.writer.next - 1;
    commit(1);
    ring_writer_publish(&t.writer);
    cr_assert_eq(ring_newest_ns(header, last, from_ns), 0);
    cr_assert_eq(ring_newest_ns(header, last + 1, from_ns), 0, "nobody looked at the clock for it");
}

Test(hops, the_word_wraps_with_the_clock)
{
    struct ring_header *header = temporary_header(&t);
    const uint64_t turn_ns = UINT64_C(1) << (64 - RING_NEWEST_BITS);
    header->progress.published = 9;
    header->progress.newest = ring_newest_word(9, 3 * turn_ns - 5);
    cr_assert_eq(ring_newest_ns(header, 8, 3 * turn_ns + 7), 3 * turn_ns - 5);
    cr_assert_eq(ring_newest_ns(header, 8, 3 * turn_ns - 100), 3 * turn_ns - 5, "a little later than now");
    header->progress.published = 10;
    cr_assert_eq(ring_newest_ns(header, 9, 3 * turn_ns), 0);
    header->progress.published = 9 + (UINT64_C(1) << RING_NEWEST_BITS);
    cr_assert_eq(ring_newest_ns(header, 8, 3 * turn_ns), 0, "an older position that looks alike");
}

Test(hops, what_was_posted_was_visible_before)
{
    ring_writer_measure(&t.writer, &hops, false, false);
    (void)ring_writer_reserve(&t.writer);
    ring_writer_post(&t.writer, 8, tai_ns(), 0, 0, 0);
    ring_count_add(&temporary_header(&t)->ledger.delivered, 1);
    ring_writer_publish_timed(&t.writer, tai_ns());
    cr_assert_eq(ring_newest_ns(temporary_header(&t), 0, clock_monotonic_ns()), 0, "when is not known");
    cr_assert_eq(hops.arrival_to_publish.count, 1);
}

Test(hops, a_batch_of_packets_goes_by_its_first_stamp)
{
    uint64_t arrival_ns = tai_ns();
    ring_writer_measure(&t.writer, &hops, true, true);
    commit(4);
    t.writer.sent_tai_ns = arrival_ns - 1000000;
    ring_writer_publish_timed(&t.writer, arrival_ns);
    cr_assert_eq(hops.sent_to_arrival.count, 4);
    cr_assert_eq(hops.sent_to_arrival.sum_ns, 4000000);
    commit(2);
    ring_writer_publish_timed(&t.writer, arrival_ns);
    cr_assert_eq(hops.undated, 2, "the stamp before is not this batch's");
    commit(3);
    t.writer.sent_tai_ns = arrival_ns + 1;
    ring_writer_publish_timed(&t.writer, arrival_ns);
    cr_assert_eq(hops.ahead, 3, "no time at all, and none that wrapped");
    cr_assert_eq(hops.sent_to_arrival.count, 4);
    cr_assert_eq(hops.arrival_to_publish.count, 9);
}

Test(hops, single_frames_tell_their_own)
{
    ring_writer_sent(&t.writer, true, 1); /* not measured: no memory */
    ring_writer_measure(&t.writer, &hops, true, false);
    ring_writer_sent(&t.writer, true, 77);
    ring_writer_sent(&t.writer, true, 0);
    ring_writer_sent(&t.writer, true, -1);
    ring_writer_sent(&t.writer, false, 5);
    cr_assert_eq(hops.sent_to_arrival.count, 2);
    cr_assert_eq(hops.sent_to_arrival.sum_ns, 77);
    cr_assert_eq(hops.ahead, 1);
    cr_assert_eq(hops.undated, 1);
    commit(1);
    ring_writer_publish_timed(&t.writer, tai_ns());
    cr_assert_eq(hops.undated, 1, "and are not counted with their batch again");
}

Test(hops, what_was_published_without_the_clock_is_counted_when_nothing_comes)
{
    uint64_t arrival_ns = tai_ns() - 700;
    ring_writer_account_rest(&t.writer, arrival_ns); /* not measured */
    ring_writer_measure(&t.writer, &hops, false, false);
    commit(32);
    ring_writer_publish(&t.writer);
    ring_writer_account_rest(&t.writer, arrival_ns);
    cr_assert_eq(hops.arrival_to_publish.count, 32);
    cr_assert_geq(hops.arrival_to_publish.sum_ns, 32 * UINT64_C(700));
    ring_writer_account_rest(&t.writer, arrival_ns);
    cr_assert_eq(hops.arrival_to_publish.count, 32);
}
