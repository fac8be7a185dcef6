/* One writer, gating readers that join, leave and stall past their deadline, and observers, all over one mapping
 * with the content verified: for the thread sanitizer, and as a test in itself. stress_gate [milliseconds], 2500 by
 * default. Ends 0, or 1 with the first thing that was wrong.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/reader.h"
#include "tests/support/gates.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define GATING    3u /* the last one stalls now and then */
#define OBSERVERS 2u
#define SLOTS     128u
#define WORDS     24u
#define SEED      78u
#define DEADLINE  (20 * CLOCK_NS_PER_MS)
#define NEVER     UINT64_MAX

struct party {
    struct ring_reader reader;
    struct test_random random;
    unsigned index;
    bool gating;
    uint64_t positions; /* from where it joined to where it left, over all its lives */
    uint64_t accepted;
    uint64_t doubtful; /* overwritten while they were read */
    uint64_t lost;
    uint64_t lives;
    uint64_t demotions;
    const char *wrong; /* NULL: nothing */
};

static struct temporary_ring t;
static struct test_gates server;
static pthread_mutex_t server_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ring_gates gates; /* the writer's */
static uint64_t until_ns;
static int done;
static uint64_t published;

/* What a worker does in a round: leases before orders, then the look. Here a lease lies in its place already. */
static void look(void)
{
    if (ring_gates_ordered(&gates)) {
        for (uint32_t i = 0; i < GATING; i++) {
            ring_gates_mapped(&gates, i, __atomic_load_n(&server.orders.gate[i].generation, __ATOMIC_ACQUIRE));
        }
    }
    ring_writer_look(&t.writer, clock_monotonic_ns());
}

/* One frame or gap record if there is room. */
static bool put(struct test_random *random)
{
    if (ring_writer_reserve(&t.writer) == NULL) {
        return false;
    }
    if (test_random_chance(random, 10)) {
        ring_writer_commit(&t.writer, 0, t.writer.next + 1000, t.writer.next,
                           RING_FLAG_GAP | RING_LOSS_SENDER << RING_FLAG_CAUSE_SHIFT, 1);
    } else {
        temporary_commit(&t.writer, SEED, WORDS);
    }
    return true;
}

/* Everybody joins what is running: the writer ends only when all readers have left. */
static void *write_frames(void *unused)
{
    struct test_random random = {1};
    (void)unused;
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < (int)GATING) {
        look();
        if (test_random_chance(&random, 300)) {
            (void)ring_writer_reserve_many(&t.writer, (uint32_t)test_random_below(&random, SLOTS / 4));
        }
        for (uint64_t n = 1 + test_random_below(&random, 16); n > 0 && put(&random); n--) {
        }
        ring_writer_publish(&t.writer);
        if (test_random_chance(&random, 100)) {
            test_sleep_us(50);
        }
    }
    published = t.writer.next;
    __atomic_store_n(&done, (int)GATING + 1, __ATOMIC_RELEASE);
    return NULL;
}

static void look_at(struct party *p, const struct sluice_frame *frame)
{
    bool same = frame->tai_ns == frame->position + 1000 && frame->source_sequence == frame->position;
    if ((frame->flags & SLUICE_FRAME_GAP) == 0) {
        same = same && frame->length_bytes == WORDS * 8 &&
               pattern_matches(frame->payload, SEED, frame->position, WORDS);
    }
    if (!ring_reader_valid(&p->reader, frame->position)) {
        p->doubtful++;
    } else if (same) {
        p->accepted++;
    } else {
        p->wrong = "a torn frame was accepted";
    }
}

static void read_one_by_one(struct party *p)
{
    struct sluice_frame frame;
    uint64_t expected = p->reader.position - p->reader.lost;
    for (unsigned i = 0; i < SLOTS && p->wrong == NULL && ring_reader_next(&p->reader, &frame) == 1; i++) {
        if (frame.position - p->reader.lost != expected++) {
            p->wrong = "a position was skipped without being counted";
        }
        look_at(p, &frame);
        if (test_random_chance(&p->random, 100)) {
            ring_reader_release(&p->reader);
        }
    }
}

static void read_batch(struct party *p)
{
    struct sluice_batch batch;
    uint32_t same = 0;
    uint32_t count = ring_reader_batch(&p->reader, 1 + (uint32_t)test_random_below(&p->random, 60), &batch);
    if (count == 0) {
        return;
    }
    for (uint32_t i = count; i-- > 0;) {
        const struct ring_descriptor *d = ring_descriptor_at(&p->reader.view, batch.position + i);
        uint64_t rest = __atomic_load_n(&d->rest, __ATOMIC_RELAXED);
        bool ok = (rest >> 16 & RING_FLAG_GAP) != 0 ||
                  pattern_matches(sluice_batch_payload(&batch, i), SEED, batch.position + i, WORDS);
        same += ok;
    }
    uint32_t gone = ring_reader_overwritten(&p->reader, &batch);
    for (uint32_t i = gone; i < count && p->wrong == NULL; i++) {
        const struct ring_descriptor *d = ring_descriptor_at(&p->reader.view, batch.position + i);
        bool unharmed = (__atomic_load_n(&d->rest, __ATOMIC_RELAXED) >> 16 & RING_FLAG_GAP) != 0 ||
                        pattern_matches(sluice_batch_payload(&batch, i), SEED, batch.position + i, WORDS);
        if (!unharmed && ring_reader_valid(&p->reader, batch.position + i)) {
            p->wrong = "a torn frame stood in a batch";
        }
    }
    if (same < count - gone) {
        p->wrong = "more of a batch was overwritten than it said";
    }
    p->doubtful += gone;
    p->accepted += count - gone;
}

static void read_some(struct party *p)
{
    if (test_random_chance(&p->random, 500)) {
        read_one_by_one(p);
    } else {
        read_batch(p);
    }
}

static uint64_t open_gate(struct party *p, uint64_t from, uint64_t deadline_ns)
{
    struct error err;
    uint64_t since_ns = clock_monotonic_ns();
    if (ring_reader_attach(&p->reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err) != 0) {
        p->wrong = "cannot attach";
        return 0;
    }
    pthread_mutex_lock(&server_lock);
    uint64_t generation = test_gates_order(&server, p->index, from, deadline_ns);
    pthread_mutex_unlock(&server_lock);
    p->reader.gate = p->index;
    p->reader.generation = generation;
    while (ring_reader_gate(&p->reader) == RING_GATE_FREE) {
        if (!test_still_patient(since_ns)) {
            p->wrong = "the writer never took the gate up";
            return 0;
        }
    }
    test_gates_join(&server, &p->reader, p->index, generation);
    return p->reader.position;
}

static void close_gate(struct party *p)
{
    pthread_mutex_lock(&server_lock);
    test_gates_close(&server, p->index);
    pthread_mutex_unlock(&server_lock);
}

/* One life of a gating reader: joins, reads, perhaps stalls until it is demoted, leaves. */
static void live(struct party *p)
{
    bool stalls = p->index == GATING - 1;
    uint64_t from = test_random_chance(&p->random, 500) ? 0 : UINT64_MAX;
    uint64_t base = open_gate(p, from, stalls ? DEADLINE : NEVER);
    for (uint64_t rounds = 50 + test_random_below(&p->random, 300); rounds > 0 && p->wrong == NULL; rounds--) {
        read_some(p);
        ring_reader_release(&p->reader);
        if (test_random_chance(&p->random, 20)) {
            test_sleep_us((unsigned)test_random_below(&p->random, 300));
        }
        if (stalls && test_random_chance(&p->random, 5)) {
            uint64_t since_ns = clock_monotonic_ns();
            while (ring_reader_gate(&p->reader) == RING_GATE_GATING && test_still_patient(since_ns)) {
            }
            test_sleep_us(1000); /* the writer laps it meanwhile */
        }
    }
    bool demoted = ring_reader_gate(&p->reader) == RING_GATE_DEMOTED;
    if (!stalls && demoted) {
        p->wrong = "demoted without a reason";
    } else if (!demoted && p->reader.lost != 0) {
        p->wrong = "lost frames that it had not released";
    } else if (p->reader.corrupt != 0) {
        p->wrong = "a header that was never corrupt";
    }
    p->positions += p->reader.position - base;
    p->lost += p->reader.lost;
    p->demotions += demoted;
    p->lives++;
    close_gate(p);
}

static void *gate(void *context)
{
    struct party *p = context;
    do {
        live(p);
    } while (p->wrong == NULL && clock_monotonic_ns() < until_ns);
    if (p->wrong == NULL && p->reader.generation != 0 && p->lives > 0 && p->demotions == 0 && p->doubtful > 0) {
        p->wrong = "a frame was overwritten while it was read, although nobody was demoted";
    }
    __atomic_fetch_add(&done, 1, __ATOMIC_ACQ_REL);
    return NULL;
}

static void *observe(void *context)
{
    struct party *p = context;
    for (;;) {
        int last = __atomic_load_n(&done, __ATOMIC_ACQUIRE);
        uint64_t before = p->reader.position;
        read_some(p);
        if (p->wrong != NULL || (last > (int)GATING && p->reader.position == before)) {
            break;
        }
        test_sleep_us((unsigned)test_random_below(&p->random, 50u << 4 * p->index));
    }
    p->positions = p->reader.position;
    p->lost = p->reader.lost;
    p->wrong = p->wrong == NULL && p->reader.corrupt != 0 ? "a header that was never corrupt" : p->wrong;
    p->wrong = p->wrong == NULL && p->reader.position != published ? "it did not come to the end" : p->wrong;
    return NULL;
}

static int judge(const struct party *p)
{
    const char *wrong = p->wrong;
    if (wrong == NULL && p->accepted + p->doubtful + p->lost != p->positions) {
        wrong = "frames are not accounted for";
    }
    printf("%s %u: %lu accepted, %lu lost, %lu overwritten while read, %lu lives, %lu demotions%s%s\n",
           p->gating ? "gating  " : "observer", p->index, p->accepted, p->lost, p->doubtful, p->lives, p->demotions,
           wrong != NULL ? ": " : "", wrong != NULL ? wrong : "");
    return wrong != NULL;
}

static int start(struct party *parties, pthread_t *threads)
{
    struct error err;
    int failed = 0;
    for (unsigned i = 0; i < GATING + OBSERVERS; i++) {
        struct party *p = &parties[i];
        *p = (struct party){.random = {100 + i}, .gating = i < GATING, .index = i < GATING ? i : i - GATING};
        if (!p->gating) {
            failed |= ring_reader_attach(&p->reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err);
        }
    }
    failed |= pthread_create(&threads[GATING + OBSERVERS], NULL, write_frames, NULL);
    for (unsigned i = 0; i < GATING + OBSERVERS; i++) {
        failed |= pthread_create(&threads[i], NULL, parties[i].gating ? gate : observe, &parties[i]);
    }
    return failed;
}

int main(int argc, char **argv)
{
    static struct party parties[GATING + OBSERVERS];
    pthread_t threads[GATING + OBSERVERS + 1];
    struct ring_spec spec = temporary_spec(SLOTS, 256, 32);
    struct error err;
    uint64_t milliseconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 2500;
    int failed = 0;
    temporary_ring_create(&t, &spec);
    test_gates_create(&server, GATING);
    test_gates_attach(&server, &gates);
    if (ring_writer_attach(&t.writer, t.segment.base, t.segment.bytes, 1, &gates, &err) != 0) {
        fprintf(stderr, "cannot attach: %s\n", err.text);
        return 1;
    }
    until_ns = clock_monotonic_ns() + milliseconds * CLOCK_NS_PER_MS;
    if (start(parties, threads) != 0) {
        fprintf(stderr, "cannot start\n");
        return 1;
    }
    for (unsigned i = 0; i <= GATING + OBSERVERS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < GATING + OBSERVERS; i++) {
        failed |= judge(&parties[i]);
    }
    if (parties[GATING - 1].demotions == 0 && milliseconds >= 2500) {
        printf("nobody was ever demoted: nothing was shown\n");
        failed = 1;
    }
    printf("%lu frames published\n", published);
    return failed;
}
