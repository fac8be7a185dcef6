/* Three writer threads, each with a ring that it stamps by the clock, and one thread that merges them: in order,
 * each frame once or counted as lost, content verified. Now and then a writer pauses and the merging thread is
 * lapped. stress_merge [milliseconds], 2500 by default. Ends 0, or 1 with the first thing that was wrong.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/merge.h"
#include "tests/support/installed_reader.h"
#include "tests/support/random.h"
#include "tests/support/wait.h"

#define RINGS 3u
#define SLOTS 128u
#define WORDS 8u
#define SEED  91u

static struct temporary_ring ring[RINGS];
static struct installed_reader installed[RINGS];
static struct sluice_reader *reader[RINGS];
static uint64_t until_ns;

static void *write_frames(void *context)
{
    uint32_t i = *(const uint32_t *)context;
    struct ring_writer *w = &ring[i].writer;
    struct test_random random = {i};
    while (clock_monotonic_ns() < until_ns) {
        for (uint64_t n = 1 + test_random_below(&random, 16); n > 0; n--) {
            pattern_store(ring_writer_reserve(w), SEED + i, w->next, WORDS);
            ring_writer_commit(w, WORDS * 8, clock_monotonic_ns(), w->next, 0, 0);
        }
        ring_writer_publish(w);
        if (test_random_chance(&random, 300)) {
            test_sleep_us((unsigned)test_random_below(&random, 300));
        }
    }
    /* What a server's end is to a reader, after all that it has published. */
    installed_reader_end_server(&installed[i]);
    return NULL;
}

struct merged {
    uint64_t accepted[RINGS];
    uint64_t doubtful[RINGS]; /* overwritten while they were looked at */
    uint64_t next[RINGS];
    uint64_t newest_ns;
    const char *wrong; /* NULL: nothing */
};

static void look_at(struct merged *m, const struct sluice_frame *frame, uint32_t i)
{
    bool same = frame->length_bytes == WORDS * 8 && frame->source_sequence == frame->position &&
                pattern_matches(frame->payload, SEED + i, frame->position, WORDS);
    if (sluice_reader_valid(reader[i], frame) == 0) {
        m->doubtful[i]++;
    } else if (same) {
        m->accepted[i]++;
    } else {
        m->wrong = "a torn frame was accepted";
    }
    if (frame->position < m->next[i]) {
        m->wrong = "a frame was given twice";
    }
    if (frame->tai_ns < m->newest_ns) {
        m->wrong = "a frame is older than the one before";
    }
    m->next[i] = frame->position + 1;
    m->newest_ns = frame->tai_ns;
}

static void merge_all(struct sluice_merge *merge, struct merged *m)
{
    struct test_random random = {RINGS};
    struct sluice_frame frame;
    uint32_t i;
    while (m->wrong == NULL && sluice_merge_wait(merge, 1) != -EPIPE) {
        while (m->wrong == NULL && sluice_merge_next(merge, &frame, &i) == 1) {
            look_at(m, &frame, i);
        }
        if (test_random_chance(&random, 50)) {
            test_sleep_us(2000);
        }
    }
    if (m->wrong == NULL && sluice_merge_late(merge) != 0) {
        m->wrong = "some are told to be late";
    }
}

static int judge(struct merged *m)
{
    for (uint32_t i = 0; i < RINGS; i++) {
        uint64_t lost = sluice_reader_lost(reader[i]);
        uint64_t published = ring[i].writer.next;
        if (m->wrong == NULL && reader[i]->ring.corrupt != 0) {
            m->wrong = "a header that was never corrupt";
        }
        if (m->wrong == NULL && m->accepted[i] + m->doubtful[i] + lost != published) {
            m->wrong = "frames are not accounted for";
        }
        printf("ring %u: %lu published, %lu accepted, %lu lost, %lu overwritten while read\n", i, published,
               m->accepted[i], lost, m->doubtful[i]);
    }
    printf("%s\n", m->wrong != NULL ? m->wrong : "in order");
    return m->wrong != NULL;
}

/* On the writer's own mapping: the thread sanitizer sees no race across two. */
static int open_ring(uint32_t i)
{
    struct ring_spec spec = temporary_spec(SLOTS, 128, 32);
    struct error err;
    temporary_ring_create(&ring[i], &spec);
    installed_reader_open(&installed[i], &ring[i], SLUICE_OLDEST);
    reader[i] = installed[i].reader;
    int code =
        ring_reader_attach(&reader[i]->ring, ring[i].segment.base, ring[i].segment.bytes, SLUICE_OLDEST, &err);
    reader[i]->ring.lease = reader[i]->lease_base;
    return code;
}

int main(int argc, char **argv)
{
    static struct merged merged;
    static uint32_t index_of[RINGS] = {0, 1, 2};
    struct sluice_merge *merge = NULL;
    pthread_t threads[RINGS];
    uint64_t milliseconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 2500;
    int failed = 0;
    for (uint32_t i = 0; i < RINGS; i++) {
        failed |= open_ring(i);
    }
    failed |= sluice_merge_open(&merge, reader, RINGS, UINT64_MAX, NULL, 0);
    until_ns = clock_monotonic_ns() + milliseconds * CLOCK_NS_PER_MS;
    for (uint32_t i = 0; failed == 0 && i < RINGS; i++) {
        failed |= pthread_create(&threads[i], NULL, write_frames, &index_of[i]);
    }
    if (failed != 0) {
        fprintf(stderr, "cannot start\n");
        return 1;
    }
    merge_all(merge, &merged);
    for (uint32_t i = 0; i < RINGS; i++) {
        pthread_join(threads[i], NULL);
    }
    failed = judge(&merged);
    sluice_merge_close(merge);
    for (uint32_t i = 0; i < RINGS; i++) {
        installed_reader_close(&installed[i]);
        temporary_ring_destroy(&ring[i]);
    }
    return failed;
}
