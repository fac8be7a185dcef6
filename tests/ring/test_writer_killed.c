/* kill -9 at any instruction: children write frames whose content tells position and life, the parent kills them at
 * random moments and starts the next; an observer must never accept a torn frame nor see a position twice or never.
 * A plain program: test_writer_killed [kills], 200 by default, bounded to ten seconds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/reader.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define SLOTS      256u
#define WORDS      20u /* 1 for the life, the rest tells position and life */
#define TIME_LIMIT (UINT64_C(10) * CLOCK_NS_PER_S)

#define CHECK(condition, ...)                                                                                      \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                        \
            fprintf(stderr, __VA_ARGS__);                                                                          \
            fputc('\n', stderr);                                                                                   \
            exit(1);                                                                                               \
        }                                                                                                          \
    } while (0)

struct observer {
    struct ring_reader reader;
    uint64_t expected; /* next position */
    uint64_t accepted;
    uint64_t doubtful; /* overwritten while they were read */
};

static _Noreturn void write_until_killed(void *base, size_t bytes, uint64_t life)
{
    struct ring_writer writer;
    struct test_random random = {life};
    struct error err;
    if (ring_writer_attach(&writer, base, bytes, (uint64_t)getpid(), NULL, &err) != 0) {
        _exit(1);
    }
    struct ring_ledger *ledger = &writer.view.header->ledger;
    for (;;) {
        for (uint64_t n = 1 + test_random_below(&random, 8); n > 0; n--) {
            uint8_t *payload = ring_writer_reserve(&writer);
            uint64_t position = writer.next;
            __atomic_store_n((uint64_t *)(void *)payload, writer.epoch, __ATOMIC_RELAXED);
            pattern_store(payload + 8, writer.epoch, position, WORDS - 1);
            ring_count_add(&ledger->sent, 1); /* as a source does: counted before it is published */
            ring_count_add(&ledger->delivered, 1);
            ring_writer_commit(&writer, WORDS * 8, position, ~position, 0, 0);
        }
        ring_writer_publish(&writer);
        if (test_random_chance(&random, 20)) {
            test_sleep_us(50); /* leaves the observer a moment on a busy machine */
        }
    }
}

/* Takes what is there, at most a ring of it. */
static void observe(struct observer *o)
{
    struct sluice_frame frame;
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t lost = o->reader.lost;
        if (ring_reader_next(&o->reader, &frame) == 0) {
            break;
        }
        o->expected += o->reader.lost - lost;
        CHECK(frame.position == o->expected, "position %lu instead of %lu", frame.position, o->expected);
        o->expected++;
        uint64_t epoch = __atomic_load_n((const uint64_t *)(const void *)frame.payload, __ATOMIC_RELAXED);
        bool same = pattern_matches(frame.payload + 8, epoch, frame.position, WORDS - 1) &&
                    frame.source_sequence == ~frame.position && frame.tai_ns == frame.position &&
                    frame.length_bytes == WORDS * 8;
        if (ring_reader_valid(&o->reader, frame.position)) {
            CHECK(same, "torn frame accepted at %lu, epoch %lu", frame.position, epoch);
            o->accepted++;
        } else {
            o->doubtful++;
        }
    }
    CHECK(o->reader.corrupt == 0, "a header that was never corrupt");
}

/* One life: started, watched for a random moment, killed. The published words decide what the next must keep. */
static void live_and_die(struct temporary_ring *t, struct observer *o, struct test_random *random, uint64_t life)
{
    const struct ring_progress *progress = &temporary_header(t)->progress;
    pid_t child = fork();
    int status;
    CHECK(child >= 0, "fork");
    if (child == 0) {
        write_until_killed(t->segment.base, t->segment.bytes, life);
    }
    uint64_t since_ns = clock_monotonic_ns();
    while (__atomic_load_n(&progress->epoch, __ATOMIC_ACQUIRE) != life && test_still_patient(since_ns)) {
    }
    uint64_t until_ns = clock_monotonic_ns() + test_random_below(random, 20 * CLOCK_NS_PER_MS);
    do {
        observe(o);
    } while (clock_monotonic_ns() < until_ns);
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "the child ended by itself, status %#x",
          (unsigned)status);
    CHECK(progress->epoch == life, "epoch %lu in life %lu", progress->epoch, life);
    observe(o);
}

int main(int argc, char **argv)
{
    struct temporary_ring t;
    struct observer o = {.expected = 0};
    struct test_random random = {2026};
    struct error err;
    uint64_t kills = argc > 1 ? strtoull(argv[1], NULL, 10) : 200;
    uint64_t started_ns = clock_monotonic_ns();
    struct ring_spec spec = temporary_spec(SLOTS, 256, 32);
    temporary_ring_create(&t, &spec);
    CHECK(ring_reader_attach(&o.reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err) == 0, "attach");
    uint64_t life = 1; /* the temporary ring's own writer was the first epoch */
    while (life <= kills && clock_monotonic_ns() - started_ns < TIME_LIMIT) {
        live_and_die(&t, &o, &random, ++life);
    }
    struct ring_writer last;
    CHECK(ring_writer_attach(&last, t.segment.base, t.segment.bytes, 1, NULL, &err) == 0,
          "attach after the last kill");
    CHECK(last.next >= o.expected, "a position that was published is used again");
    CHECK(o.accepted > 0, "nothing was ever read");
    const struct ring_ledger *ledger = &temporary_header(&t)->ledger;
    CHECK(ring_ledger_residual(ledger) == 0, "residual %ld", ring_ledger_residual(ledger));
    CHECK(ledger->delivered == last.next, "%lu delivered, %lu published", ledger->delivered, last.next);
    printf("%lu kills, %lu frames published, %lu accepted, %lu lost, %lu overwritten while read, 0 torn\n",
           life - 1, last.next, o.accepted, o.reader.lost, o.doubtful);
    return 0;
}
