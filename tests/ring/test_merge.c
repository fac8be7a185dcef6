/* Frames of several rings in order of time, by a clock of the test's own where time matters. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "ring/merge.h"
#include "ring/protocol.h"
#include "tests/support/gates.h"
#include "tests/support/installed_reader.h"
#include "tests/support/random.h"
#include "tests/support/wait.h"

#define RINGS_MAX  SLUICE_MERGE_READERS_MAX
#define SLOTS      UINT64_C(64)
#define SEED       3u
#define WORDS      2u
#define FOREVER    UINT64_MAX
#define PATIENCE   UINT64_C(500)
#define START      UINT64_C(100000) /* of the clock: the frames of most tests lie before */
#define OFFSET     INT64_C(1000)    /* TAI - CLOCK_MONOTONIC of all rings but where it says otherwise */
#define WAIT_MS    30000            /* only a defect lasts so long */
#define NO_TIMEOUT (-1)

static struct temporary_ring ring[RINGS_MAX];
static struct installed_reader installed[RINGS_MAX];
static struct sluice_reader *reader[RINGS_MAX];
static struct sluice_merge *merge;
static uint32_t rings;
static uint64_t now_ns;

static void open_ring(int64_t tai_minus_monotonic_ns)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    spec.tai_minus_monotonic_ns = tai_minus_monotonic_ns;
    temporary_ring_create(&ring[rings], &spec);
    installed_reader_open(&installed[rings], &ring[rings], SLUICE_OLDEST);
    reader[rings] = installed[rings].reader;
    rings++;
}

static void open_merge(uint32_t count, uint64_t patience_ns)
{
    char error[128] = "";
    while (rings < count) {
        open_ring(OFFSET);
    }
    cr_assert_eq(sluice_merge_open(&merge, reader, count, patience_ns, error, sizeof(error)), 0, "%s", error);
    now_ns = START;
}

static void close_all(void)
{
    sluice_merge_close(merge);
    for (uint32_t i = 0; i < rings; i++) {
        installed_reader_close(&installed[i]);
        temporary_ring_destroy(&ring[i]);
    }
}

TestSuite(merge, .fini = close_all);

/* One frame of ring i at this time of the clock. */
static void put(uint32_t i, uint64_t monotonic_ns)
{
    struct ring_writer *w = &ring[i].writer;
    pattern_store(ring_writer_reserve(w), SEED + i, w->next, WORDS);
    ring_writer_commit(w, WORDS * 8, monotonic_ns + (uint64_t)w->view.tai_minus_monotonic_ns, w->next, 0, 0);
    ring_writer_publish(w);
}

static void put_many(uint32_t i, uint64_t monotonic_ns, uint64_t count)
{
    for (uint64_t k = 0; k < count; k++) {
        put(i, monotonic_ns);
    }
}

static uint64_t time_of(const struct sluice_frame *frame, uint32_t i)
{
    return frame->tai_ns - (uint64_t)ring[i].writer.view.tai_minus_monotonic_ns;
}

/* The next frame is that of ring i at this time, whole. */
static void expect(uint32_t i, uint64_t monotonic_ns)
{
    struct sluice_frame frame;
    uint32_t index = RINGS_MAX;
    cr_assert_eq(sluice_merge_next_at(merge, now_ns, &frame, &index), 1, "nothing; expected %u at %lu", i,
                 monotonic_ns);
    cr_assert_eq(index, i);
    cr_assert_eq(time_of(&frame, i), monotonic_ns, "%lu; expected %lu", time_of(&frame, i), monotonic_ns);
    cr_assert(pattern_matches(frame.payload, SEED + i, frame.position, WORDS));
    cr_assert_eq(sluice_reader_valid(reader[i], &frame), 1);
}

static void expect_none(void)
{
    struct sluice_frame frame = {.position = 77};
    uint32_t index = 99;
    cr_assert_eq(sluice_merge_next_at(merge, now_ns, &frame, &index), 0);
    cr_assert_eq(frame.position, 77, "untouched");
    cr_assert_eq(index, 99, "untouched");
}

static void end_servers(void)
{
    for (uint32_t i = 0; i < rings; i++) {
        installed_reader_end_server(&installed[i]);
    }
}

Test(merge, the_oldest_comes_first)
{
    open_merge(3, FOREVER);
    put(0, 10);
    put(0, 40);
    put(0, 50);
    put(1, 20);
    put(1, 30);
    put(2, 5);
    put(2, 45);
    expect(2, 5);
    expect(0, 10);
    expect(1, 20);
    expect(1, 30);
    expect_none(); /* of ring 1 something may come that is older than 40 */
    put(1, 60);
    expect(0, 40);
    expect(2, 45);
    expect_none();
    cr_assert_eq(sluice_merge_late(merge), 0);
}

Test(merge, equal_times_come_by_index)
{
    open_merge(3, FOREVER);
    put(2, 10);
    put(1, 10);
    expect_none(); /* of ring 0 one of 10 would come first */
    put(0, 10);
    put(0, 10);
    put(0, 11);
    expect(0, 10);
    expect(0, 10);
    expect(1, 10);
    expect_none();
    put(1, 11);
    expect(2, 10);
    cr_assert_eq(sluice_merge_late(merge), 0);
}

Test(merge, one_reader_is_given_as_it_is)
{
    open_merge(1, FOREVER);
    put(0, 10);
    put(0, 20);
    expect(0, 10);
    expect(0, 20);
    expect_none();
}

Test(merge, a_silent_ring_is_waited_for_as_long_as_the_patience)
{
    open_merge(2, PATIENCE);
    put(0, START);
    now_ns = START;
    expect_none();
    now_ns = START + PATIENCE;
    expect_none();
    now_ns++;
    expect(0, START);
    put(0, START + 10);
    expect_none();
    put(1, START + 10);
    expect(0, START + 10);
    expect_none();
}

Test(merge, no_patience_gives_what_is_there)
{
    open_merge(2, 0);
    put(0, START);
    expect_none();
    now_ns = START + 1;
    expect(0, START);
}

Test(merge, patience_without_end_waits_for_every_reader)
{
    open_merge(2, FOREVER);
    put(0, 10);
    now_ns = UINT64_MAX / 2;
    expect_none();
    put(1, 10);
    expect(0, 10);
}

Test(merge, a_late_ring_is_given_at_once_and_counted)
{
    open_merge(2, PATIENCE);
    put(0, START);
    now_ns = START + PATIENCE + 1;
    expect(0, START);
    put(1, START - 10);
    put(1, START - 20);
    put(1, START);
    expect(1, START - 10);
    expect(1, START - 20);
    cr_assert_eq(sluice_merge_late(merge), 2);
    expect(1, START);
    cr_assert_eq(sluice_merge_late(merge), 2, "of the same time is not older");
}

Test(merge, what_is_late_does_not_wait_for_a_silent_ring)
{
    open_merge(3, FOREVER);
    put_many(0, 100, 2);
    put(1, 100);
    put(2, 100);
    expect(0, 100);
    expect(0, 100);
    put(0, 90); /* reordered in its own ring */
    expect(0, 90);
    cr_assert_eq(sluice_merge_late(merge), 1);
    expect_none();
}

Test(merge, gap_records_are_frames_like_others)
{
    struct sluice_frame frame;
    uint32_t index;
    open_merge(2, FOREVER);
    struct ring_writer *w = &ring[0].writer;
    put(0, 10);
    put(1, 20);
    (void)ring_writer_reserve(w);
    cr_assert(ring_writer_commit_gap(w, RING_LOSS_RESTART, 3, 10 + (uint64_t)OFFSET, 15 + (uint64_t)OFFSET));
    ring_writer_publish(w);
    expect(0, 10);
    cr_assert_eq(sluice_merge_next_at(merge, now_ns, &frame, &index), 1);
    cr_assert_eq(index, 0);
    cr_assert_eq(time_of(&frame, 0), 15);
    cr_assert_eq(frame.flags, SLUICE_FRAME_GAP);
    cr_assert_eq(frame.cause, RING_LOSS_RESTART);
    expect_none();
}

/* The wall clock was set by 37 s between their starts: what they share is CLOCK_MONOTONIC. */
Test(merge, rings_of_servers_with_other_offsets_are_merged_by_the_clock_that_they_share)
{
    open_ring(1000);
    open_ring(INT64_C(37000001000));
    open_ring(-2000);
    open_merge(3, PATIENCE);
    put(0, START + 2);
    put(1, START + 1);
    put(2, START + 3);
    expect(1, START + 1);
    expect_none();
    now_ns = START + 2 + PATIENCE;
    expect_none();
    now_ns++;
    expect(0, START + 2);
    expect_none();
    now_ns++;
    expect(2, START + 3);
    cr_assert_eq(sluice_merge_late(merge), 0);
}

/* Fault: the writer overwrites a frame that waits for one of another ring. */
Test(merge, a_frame_overwritten_while_it_waits_is_passed_over_and_counted)
{
    struct sluice_frame frame;
    uint32_t index;
    open_merge(2, FOREVER);
    put(0, 10);
    put(1, 5);
    expect(1, 5);
    expect_none(); /* 10 of ring 0 waits here */
    for (uint64_t k = 0; k < 3 * SLOTS; k++) {
        put(0, 20 + k);
    }
    put(1, 1000);
    cr_assert_eq(sluice_merge_next_at(merge, now_ns, &frame, &index), 1);
    cr_assert_eq(index, 0);
    cr_assert_gt(frame.position, 2 * SLOTS);
    cr_assert(pattern_matches(frame.payload, SEED, frame.position, WORDS));
    cr_assert_eq(sluice_reader_lost(reader[0]), frame.position, "each of them once");
    cr_assert_eq(sluice_reader_valid(reader[0], &frame), 1);
}

/* Fault: the writer has claimed its slot and published nothing yet. The other ring goes on. */
Test(merge, a_frame_claimed_while_it_waits_is_not_given)
{
    open_merge(2, PATIENCE);
    now_ns = START - 1;
    put(0, START - 10);
    put(1, START - 20);
    expect(1, START - 20);
    expect_none(); /* START - 10 waits */
    __atomic_store_n(&temporary_header(&ring[0])->progress.claimed, SLOTS + 1, __ATOMIC_RELEASE);
    put(1, START);
    now_ns = START + PATIENCE;
    expect_none();
    cr_assert_eq(sluice_reader_lost(reader[0]), 1);
    now_ns++;
    expect(1, START);
}

/* Fault: a stamp that no server writes. It holds nobody up for longer than the patience, and what comes then is
 * told to be late. */
Test(merge, a_stamp_in_the_future_is_bounded)
{
    open_merge(2, PATIENCE);
    put(0, START + 1000000);
    put(0, START + 1);
    expect_none();
    now_ns = START + PATIENCE;
    expect_none();
    now_ns++;
    expect(0, START + 1000000);
    expect(0, START + 1);
    put(1, START + 2);
    expect(1, START + 2);
    cr_assert_eq(sluice_merge_late(merge), 2);
}

/* Older than the clock itself (a replayed recording), and the ends of what a stamp can be. */
Test(merge, any_stamp_has_its_place)
{
    open_merge(2, FOREVER);
    put(0, (uint64_t)INT64_MIN);
    put(1, UINT64_MAX - 5); /* 6 ns before the clock began */
    put(0, 0);
    put(1, INT64_MAX);
    put(0, INT64_MAX);
    expect(0, (uint64_t)INT64_MIN);
    expect(1, UINT64_MAX - 5);
    expect(0, 0);
    expect(0, INT64_MAX);
    expect_none();
    cr_assert_eq(sluice_merge_late(merge), 0);
}

Test(merge, what_waits_is_not_released)
{
    open_merge(2, FOREVER);
    reader[0]->ring.generation = 1; /* gating: what is in its lease is what its writer goes by */
    const struct ring_lease *lease = installed_lease(&installed[0]);
    put(0, 10);
    put(0, 30);
    put(1, 20);
    put(1, 40);
    expect(0, 10);
    cr_assert_eq(lease->position, 0, "the caller has it");
    expect(1, 20);
    cr_assert_eq(lease->position, 1, "given back; 30 waits");
    expect(0, 30);
    cr_assert_eq(lease->position, 1);
    cr_assert_eq(sluice_merge_wait(merge, 0), 0);
    cr_assert_eq(lease->position, 2, "by waiting too");
}

/* With a writer that goes by it. */
Test(merge, a_writer_waits_for_a_frame_that_waits)
{
    static struct test_gates server;
    static struct ring_gates gates;
    struct ring_writer *w = &ring[0].writer;
    open_merge(2, FOREVER);
    test_gates_set_up(&server, &gates, w);
    test_gates_let_in(&server, &gates, w, &reader[0]->ring);
    uint64_t room = 0;
    while (ring_writer_reserve(w) != NULL) {
        put(0, 10 * ++room);
    }
    cr_assert_leq(room, SLOTS);
    for (int i = 0; i < 3; i++) {
        expect_none(); /* the first of them waits for ring 1 */
        ring_writer_look(w, 2);
        cr_assert_null(ring_writer_reserve(w));
    }
    put(1, 25);
    expect(0, 10);
    ring_writer_look(w, 3);
    cr_assert_null(ring_writer_reserve(w), "the caller has it");
    expect(0, 20);
    ring_writer_look(w, 4);
    cr_assert_not_null(ring_writer_reserve(w));
    expect(1, 25);
    for (uint64_t more = 1; ring_writer_reserve(w) != NULL; more++) {
        put(0, 10 * (room + more));
        cr_assert_leq(more, 2, "30 waits");
    }
    cr_assert_eq(sluice_reader_state(reader[0]), SLUICE_STATE_GATING);
    cr_assert_eq(sluice_reader_lost(reader[0]), 0);
    installed_reader_end_server(&installed[1]);
    cr_assert_eq(sluice_merge_wait(merge, NO_TIMEOUT), 1);
    expect(0, 30);
}

Test(merge, readers_stand_at_what_was_not_given_when_it_is_closed)
{
    struct sluice_frame frame;
    open_merge(2, FOREVER);
    put(0, 10);
    put(0, 30);
    put(1, 20);
    expect(0, 10);
    expect(1, 20);
    expect_none();
    sluice_merge_close(merge);
    merge = NULL;
    cr_assert_eq(sluice_reader_position(reader[0]), 1);
    cr_assert_eq(sluice_reader_next(reader[0], &frame), 1);
    cr_assert_eq(frame.position, 1);
    cr_assert_eq(sluice_reader_next(reader[1], &frame), 0);
}

Test(merge, it_goes_on_where_a_reader_was_moved_to)
{
    open_merge(2, FOREVER);
    for (uint64_t k = 1; k <= 10; k++) {
        put(0, 10 * k);
        put(1, 10 * k + 1);
    }
    expect(0, 10);
    expect(1, 11);
    cr_assert_eq(sluice_reader_seek(reader[0], SLUICE_AT_POSITION, 6), 0);
    expect(1, 21);
    cr_assert_eq(sluice_reader_seek(reader[1], SLUICE_AT_TIME, 90 + (uint64_t)OFFSET), 0);
    expect(0, 70);
    expect(0, 80);
    expect(0, 90);
    expect(1, 91);
    cr_assert_eq(sluice_reader_lost(reader[0]) + sluice_reader_lost(reader[1]), 0);
}

Test(merge, what_cannot_be_merged_is_refused)
{
    char error[128] = "";
    open_merge(2, FOREVER);
    struct sluice_merge *other = merge;
    struct sluice_reader *twice[] = {reader[0], reader[1], reader[0]};
    struct sluice_reader *none[] = {reader[0], NULL};
    cr_assert_eq(sluice_merge_open(&other, reader, 0, 0, error, sizeof(error)), -EINVAL);
    cr_assert_str_eq(error, "expected 1 to 64 readers to merge, found 0");
    cr_assert_eq(sluice_merge_open(&other, reader, RINGS_MAX + 1, 0, error, sizeof(error)), -EINVAL);
    cr_assert_eq(sluice_merge_open(&other, none, 2, 0, error, sizeof(error)), -EINVAL);
    cr_assert_str_eq(error, "expected a reader at index 1, found NULL");
    cr_assert_eq(sluice_merge_open(&other, twice, 3, 0, error, sizeof(error)), -EINVAL);
    cr_assert_not_null(strstr(error, "index 0 and 2"), "%s", error);
    cr_assert_eq(sluice_merge_open(&other, none, 2, 0, NULL, 0), -EINVAL);
    cr_assert_eq(other, merge, "untouched");
    sluice_merge_close(NULL);
}

/* ---- Waiting, by the real clock. */

static uint64_t real_ns(void)
{
    return clock_monotonic_ns();
}

static int next_now(uint32_t *index)
{
    struct sluice_frame frame;
    return sluice_merge_next(merge, &frame, index);
}

Test(merge, waiting_ends_with_the_patience)
{
    uint32_t index;
    open_merge(2, 20 * CLOCK_NS_PER_MS);
    uint64_t begun_ns = real_ns();
    put(0, begun_ns);
    cr_assert_eq(sluice_merge_wait(merge, WAIT_MS), 1);
    cr_assert_gt(real_ns() - begun_ns, 20 * CLOCK_NS_PER_MS);
    cr_assert_eq(next_now(&index), 1);
    cr_assert_eq(index, 0);
    cr_assert_eq(sluice_merge_wait(merge, 0), 0);
    cr_assert_eq(sluice_merge_wait(merge, 10), 0, "nothing is there at all");
}

Test(merge, ended_servers_are_not_waited_for_and_all_of_them_are_the_end)
{
    uint32_t index;
    open_merge(3, FOREVER);
    put(0, 10);
    put(1, 20);
    put(0, 30);
    cr_assert_eq(sluice_merge_wait(merge, 0), 0);
    installed_reader_end_server(&installed[2]);
    cr_assert_eq(sluice_merge_wait(merge, NO_TIMEOUT), 1);
    cr_assert_eq(next_now(&index), 1);
    cr_assert_eq(index, 0);
    cr_assert_eq(next_now(&index), 1);
    cr_assert_eq(index, 1);
    cr_assert_eq(next_now(&index), 0, "30 waits for ring 1, whose server runs");
    put(2, 25); /* what an ended server had published, and nobody had looked at */
    installed_reader_end_server(&installed[1]);
    cr_assert_eq(sluice_merge_wait(merge, NO_TIMEOUT), 1);
    cr_assert_eq(next_now(&index), 1);
    cr_assert_eq(index, 2);
    cr_assert_eq(sluice_merge_wait(merge, NO_TIMEOUT), 1);
    cr_assert_eq(next_now(&index), 1);
    cr_assert_eq(index, 0);
    cr_assert_eq(sluice_merge_wait(merge, 0), 0, "the server of ring 0 runs");
    installed_reader_end_server(&installed[0]);
    cr_assert_eq(sluice_merge_wait(merge, NO_TIMEOUT), -EPIPE);
    cr_assert_eq(sluice_merge_wait(merge, 0), -EPIPE);
    cr_assert_eq(next_now(&index), 0);
}

/* The server's part: answers the first wish to be woken, after having published what it is for. */
static void *serve_ring_1(void *unused)
{
    struct protocol_request request;
    cr_assert_eq(recv(installed[1].server_fd, &request, sizeof(request), 0), (ssize_t)sizeof(request));
    cr_assert_eq(request.op, PROTOCOL_WAIT);
    put(1, real_ns());
    struct protocol_wake wake = {.magic = PROTOCOL_MAGIC, .published = 1};
    cr_assert_eq(send(installed[1].server_fd, &wake, sizeof(wake), 0), (ssize_t)sizeof(wake));
    return unused;
}

Test(merge, waiting_ends_when_a_silent_ring_speaks)
{
    uint32_t index;
    pthread_t thread;
    open_merge(2, FOREVER);
    put(0, 10);
    cr_assert_eq(pthread_create(&thread, NULL, serve_ring_1, NULL), 0);
    cr_assert_eq(sluice_merge_wait(merge, NO_TIMEOUT), 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(next_now(&index), 1);
    cr_assert_eq(index, 0);
    cr_assert_eq(next_now(&index), 0);
}

/* Fault: a ring whose words cannot be true, which shows something new for ever that cannot be read. */
Test(merge, a_ring_that_lies_is_told)
{
    uint32_t index;
    open_merge(2, FOREVER);
    put(0, 10);
    put(1, 20);
    cr_assert_eq(next_now(&index), 1);
    cr_assert_eq(next_now(&index), 0);
    __atomic_store_n(&temporary_header(&ring[0])->progress.claimed, 0, __ATOMIC_RELEASE);
    cr_assert_eq(sluice_merge_wait(merge, -1), -EPROTO);
    cr_assert_eq(next_now(&index), 0); /* frames of the other are still there, but not in order */
    cr_assert_gt(reader[0]->ring.corrupt, 0);
}

/* ---- Random streams. */

struct stamped {
    uint64_t time_ns;
    uint32_t ring;
    uint64_t position;
};

static int compare(const void *left, const void *right)
{
    const struct stamped *a = left;
    const struct stamped *b = right;
    int by_time = (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
    int by_ring = (a->ring > b->ring) - (a->ring < b->ring);
    int by_position = (a->position > b->position) - (a->position < b->position);
    return by_time != 0 ? by_time : by_ring != 0 ? by_ring : by_position;
}

#define STREAM_FRAMES 4000u

/* What is given is what a sort of everything gives, whenever it was published: nothing is lost, nobody is late. */
static void merge_against_a_sort(uint32_t count, uint64_t seed)
{
    static struct stamped sent[STREAM_FRAMES];
    static struct stamped given[STREAM_FRAMES];
    struct test_random random = {seed};
    uint64_t time_ns[RINGS_MAX] = {0};
    uint64_t waiting[RINGS_MAX] = {0};
    uint32_t sent_count = 0;
    uint32_t given_count = 0;
    struct sluice_frame frame;
    uint32_t index;
    open_merge(count, FOREVER);
    while (sent_count < STREAM_FRAMES) {
        uint32_t i = (uint32_t)test_random_below(&random, count);
        if (waiting[i] < SLOTS / 2) { /* the ring has room for what has not been given */
            time_ns[i] += test_random_below(&random, 4);
            sent[sent_count++] = (struct stamped){time_ns[i], i, ring[i].writer.next};
            put(i, time_ns[i]);
            waiting[i]++;
        } else { /* one that is far behind holds the others up: it goes on */
            for (uint32_t k = 0; k < count && sent_count < STREAM_FRAMES; k++) {
                if (waiting[k] == 0) {
                    time_ns[k] += test_random_below(&random, 4);
                    sent[sent_count++] = (struct stamped){time_ns[k], k, ring[k].writer.next};
                    put(k, time_ns[k]);
                    waiting[k]++;
                }
            }
        }
        while (sluice_merge_next_at(merge, now_ns, &frame, &index) == 1) {
            given[given_count++] = (struct stamped){time_of(&frame, index), index, frame.position};
            cr_assert(pattern_matches(frame.payload, SEED + index, frame.position, WORDS));
            waiting[index]--;
        }
    }
    end_servers();
    while (sluice_merge_wait(merge, WAIT_MS) == 1) {
        while (sluice_merge_next_at(merge, now_ns, &frame, &index) == 1) {
            given[given_count++] = (struct stamped){time_of(&frame, index), index, frame.position};
        }
    }
    qsort(sent, STREAM_FRAMES, sizeof(sent[0]), compare);
    cr_assert_eq(given_count, STREAM_FRAMES);
    for (uint32_t k = 0; k < STREAM_FRAMES; k++) {
        cr_assert_eq(compare(&sent[k], &given[k]), 0, "frame %u of seed %lu", k, seed);
    }
    cr_assert_eq(sluice_merge_late(merge), 0);
}

Test(merge, random_streams_of_two_rings_come_as_sorted)
{
    merge_against_a_sort(2, 11);
}

Test(merge, random_streams_of_seven_rings_come_as_sorted)
{
    merge_against_a_sort(7, 12);
}

Test(merge, random_streams_of_as_many_rings_as_can_be_come_as_sorted)
{
    merge_against_a_sort(RINGS_MAX, 13);
}

/* Rings that are silent, lapped and reordered as it comes: what is given is in order but for what is told to be
 * late, and every frame is given once or counted as lost. */
Test(merge, whatever_happens_adds_up)
{
    enum { COUNT = 3, ROUNDS = 20000 };
    struct test_random random = {14};
    uint64_t next[COUNT] = {0};
    uint64_t given = 0;
    uint64_t newest_ns = 0;
    uint64_t late = 0;
    open_merge(COUNT, PATIENCE);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct sluice_frame frame;
        uint32_t i = (uint32_t)test_random_below(&random, COUNT);
        uint32_t index;
        uint64_t ago_ns = test_random_chance(&random, 20) ? 2 * PATIENCE : test_random_below(&random, 10);
        now_ns += test_random_below(&random, 40);
        put_many(i, now_ns - ago_ns, test_random_chance(&random, 5) ? 2 * SLOTS : 1);
        while (test_random_chance(&random, 700) && sluice_merge_next_at(merge, now_ns, &frame, &index) == 1) {
            cr_assert_geq(frame.position, next[index], "each once, in the order of its ring");
            next[index] = frame.position + 1;
            bool is_late = time_of(&frame, index) < newest_ns;
            late += is_late ? 1 : 0;
            newest_ns = is_late ? newest_ns : time_of(&frame, index);
            cr_assert_eq(sluice_merge_late(merge), late);
            given++;
        }
    }
    end_servers();
    while (sluice_merge_wait(merge, WAIT_MS) == 1) {
        uint32_t index;
        given += (uint64_t)next_now(&index);
    }
    uint64_t accounted = given;
    uint64_t published = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        accounted += sluice_reader_lost(reader[i]);
        published += ring[i].writer.next;
        cr_assert_eq(reader[i]->ring.corrupt, 0);
    }
    cr_assert_eq(accounted, published);
    cr_assert_gt(late, 0);
    cr_assert_lt(given, published);
}
