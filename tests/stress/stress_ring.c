/* One writer thread and three observers over one mapping, content verified: for the thread sanitizer, and as a test
 * in itself. stress_ring [milliseconds], 2500 by default. Ends 0, or 1 with the first thing that was wrong.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/reader.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define OBSERVERS 3u
#define SLOTS     128u
#define WORDS     24u
#define SEED      77u

struct observer {
    struct ring_reader reader;
    unsigned index;
    uint64_t accepted;
    uint64_t doubtful;
    const char *wrong; /* NULL: nothing */
};

static struct temporary_ring t;
static uint64_t until_ns;
static int done;
static uint64_t published;

static void *write_frames(void *unused)
{
    struct test_random random = {1};
    (void)unused;
    while (clock_monotonic_ns() < until_ns) {
        for (uint64_t n = 1 + test_random_below(&random, 16); n > 0; n--) {
            if (test_random_chance(&random, 10)) {
                uint64_t position = t.writer.next;
                (void)ring_writer_reserve(&t.writer);
                ring_writer_commit(&t.writer, 0, position + 1000, position,
                                   RING_FLAG_GAP | RING_LOSS_SENDER << RING_FLAG_CAUSE_SHIFT, 1);
            } else {
                temporary_commit(&t.writer, SEED, WORDS);
            }
        }
        ring_writer_publish(&t.writer);
        if (test_random_chance(&random, 100)) {
            test_sleep_us(100);
        }
    }
    published = t.writer.next;
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void look_at(struct observer *o, const struct sluice_frame *frame)
{
    bool same = frame->tai_ns == frame->position + 1000 && frame->source_sequence == frame->position;
    if ((frame->flags & SLUICE_FRAME_GAP) == 0) {
        same = same && frame->length_bytes == WORDS * 8 &&
               pattern_matches(frame->payload, SEED, frame->position, WORDS);
    }
    if (!ring_reader_valid(&o->reader, frame->position)) {
        o->doubtful++;
    } else if (same) {
        o->accepted++;
    } else {
        o->wrong = "a torn frame was accepted";
    }
}

static void *observe(void *context)
{
    struct observer *o = context;
    struct test_random random = {o->index};
    for (;;) {
        struct sluice_frame frame;
        int last = __atomic_load_n(&done, __ATOMIC_ACQUIRE);
        uint64_t expected = o->reader.position - o->reader.lost;
        while (o->wrong == NULL && ring_reader_next(&o->reader, &frame) == 1) {
            if (frame.position - o->reader.lost != expected++) {
                o->wrong = "a position was skipped without being counted";
            }
            look_at(o, &frame);
        }
        if (last != 0 || o->wrong != NULL) {
            return NULL;
        }
        test_sleep_us((unsigned)test_random_below(&random, 50u << 5 * o->index)); /* the last one is often lapped */
    }
}

static int judge(const struct observer *o)
{
    const char *wrong = o->wrong != NULL                  ? o->wrong
                        : o->reader.corrupt != 0          ? "a header that was never corrupt"
                        : o->reader.position != published ? "it did not come to the end"
                        : o->accepted + o->doubtful + o->reader.lost != published ? "frames are not accounted for"
                                                                                  : NULL;
    printf("observer %u: %lu accepted, %lu lost, %lu overwritten while read%s%s\n", o->index, o->accepted,
           o->reader.lost, o->doubtful, wrong != NULL ? ": " : "", wrong != NULL ? wrong : "");
    return wrong != NULL;
}

int main(int argc, char **argv)
{
    static struct observer observers[OBSERVERS];
    pthread_t threads[OBSERVERS + 1];
    struct ring_spec spec = temporary_spec(SLOTS, 256, 32);
    struct error err;
    uint64_t milliseconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 2500;
    int failed = 0;
    temporary_ring_create(&t, &spec);
    until_ns = clock_monotonic_ns() + milliseconds * CLOCK_NS_PER_MS;
    for (unsigned i = 0; i < OBSERVERS; i++) {
        observers[i].index = i;
        failed |= ring_reader_attach(&observers[i].reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err);
        failed |= pthread_create(&threads[i], NULL, observe, &observers[i]);
    }
    failed |= pthread_create(&threads[OBSERVERS], NULL, write_frames, NULL);
    if (failed != 0) {
        fprintf(stderr, "cannot start\n");
        return 1;
    }
    for (unsigned i = 0; i <= OBSERVERS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < OBSERVERS; i++) {
        failed |= judge(&observers[i]);
    }
    printf("%lu frames published\n", published);
    return failed;
}
