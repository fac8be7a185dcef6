/* kill -9 at any instruction: children write frames whose content tells position and life, the parent kills them at
 * random moments and starts the next. An observer must never accept a torn frame nor see a position twice or never;
 * a gating reader must miss nothing, its gate must hold over every restart. Both live through all kills. A plain
 * program: test_writer_killed [kills], 8000 by default, bounded to 20 seconds. It says where the kills landed.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/reader.h"
#include "tests/support/gates.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define SLOTS      256u
#define WORDS      20u /* 1 for the life, the rest tells position and life */
#define AHEAD      64u
#define BATCH_MAX  100u /* below half the slots; large ones are killed while they are published */
#define TIME_LIMIT (UINT64_C(20) * CLOCK_NS_PER_S)
#define NEVER      UINT64_MAX

#define CHECK(condition, ...)                                                                                      \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                        \
            fprintf(stderr, __VA_ARGS__);                                                                          \
            fputc('\n', stderr);                                                                                   \
            exit(1);                                                                                               \
        }                                                                                                          \
    } while (0)

struct watcher {
    struct ring_reader reader;
    uint64_t expected; /* next position */
    uint64_t accepted;
    uint64_t doubtful; /* overwritten while they were read */
};

/* Where a kill landed, by what it left. */
enum landing { IN_ATTACH, IN_CLAIM, IN_FILL, IN_COMMIT, IN_PUBLISH, BETWEEN, LANDINGS };
static const char *const landing_name[LANDINGS] = {"attach",    "claimed",        "half filled",
                                                   "committed", "half published", "between batches"};

static struct temporary_ring t;
static struct test_gates *server;
static struct watcher observer;
static struct watcher gating;
static uint64_t landed[LANDINGS];
static uint8_t *copy; /* of the segment, as a kill left it */

/* ---- The child. */

/* A source is slower than a loop over memory; without this the ring would be full whenever a kill comes. */
static void dawdle(uint64_t pace)
{
    for (volatile uint64_t i = 0; i < pace; i++) {
    }
}

static void fill_and_commit(struct ring_writer *writer, uint64_t pace)
{
    struct ring_ledger *ledger = &writer->view.header->ledger;
    uint64_t position = writer->next;
    uint8_t *payload = ring_payload_at(&writer->view, position);
    dawdle(pace);
    __atomic_store_n((uint64_t *)(void *)payload, writer->epoch, __ATOMIC_RELAXED);
    pattern_store(payload + 8, writer->epoch, position, WORDS / 2);
    dawdle(pace);
    pattern_store(payload + 8, writer->epoch, position, WORDS - 1);
    ring_count_add(&ledger->sent, 1); /* as a source does: counted before it is published */
    dawdle(pace / 4);
    ring_count_add(&ledger->delivered, 1);
    ring_writer_commit(writer, WORDS * 8, position, ~position, 0, 0);
    dawdle(pace);
}

/* How many frames from next on may be filled, in one of the three ways in which slots are had. */
static uint64_t get_slots(struct ring_writer *writer, uint64_t way, uint64_t wanted)
{
    uint64_t first;
    switch (way) {
    case 0:
        return ring_writer_reserve(writer) != NULL ? 1 : 0;
    case 1:
        return ring_writer_reserve_many(writer, (uint32_t)wanted);
    default:
        (void)ring_writer_hand_out(writer, AHEAD, &first);
        return writer->handed - writer->next < wanted ? writer->handed - writer->next : wanted;
    }
}

static _Noreturn void write_until_killed(uint64_t life)
{
    struct ring_writer writer;
    struct ring_gates gates;
    struct test_random random = {life};
    uint64_t pace = test_random_below(&random, 4) * 400;
    struct error err;
    test_gates_attach(server, &gates);
    if (ring_writer_attach(&writer, t.segment.base, t.segment.bytes, (uint64_t)getpid(), &gates, &err) != 0) {
        _exit(1);
    }
    test_gates_map_all(server, &gates);
    for (;;) {
        ring_writer_look(&writer, clock_monotonic_ns());
        uint64_t n = 1;
        for (uint64_t left = 1 + test_random_below(&random, pace > 0 ? 16 : BATCH_MAX); left > 0 && n > 0;
             left -= n) {
            n = get_slots(&writer, life % 3, left);
            for (uint64_t i = 0; i < n; i++) {
                fill_and_commit(&writer, pace);
            }
        }
        ring_writer_publish(&writer);
        if (n == 0) {
            sched_yield();
        }
    }
}

/* ---- The parent. */

/* Takes what is there, at most a ring of it. */
static void watch(struct watcher *w)
{
    struct sluice_frame frame;
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t lost = w->reader.lost;
        if (ring_reader_next(&w->reader, &frame) == 0) {
            break;
        }
        w->expected += w->reader.lost - lost;
        CHECK(frame.position == w->expected, "position %lu instead of %lu", frame.position, w->expected);
        w->expected++;
        uint64_t epoch = __atomic_load_n((const uint64_t *)(const void *)frame.payload, __ATOMIC_RELAXED);
        bool same = pattern_matches(frame.payload + 8, epoch, frame.position, WORDS - 1) &&
                    frame.source_sequence == ~frame.position && frame.tai_ns == frame.position &&
                    frame.length_bytes == WORDS * 8;
        if (ring_reader_valid(&w->reader, frame.position)) {
            CHECK(same, "torn frame accepted at %lu, epoch %lu", frame.position, epoch);
            w->accepted++;
        } else {
            w->doubtful++;
        }
    }
    CHECK(w->reader.corrupt == 0, "a header that was never corrupt");
}

static void watch_both(void)
{
    watch(&gating);
    ring_reader_release(&gating.reader);
    watch(&observer);
    CHECK(gating.reader.lost == 0 && gating.doubtful == 0, "the gating reader lost %lu", gating.reader.lost);
    CHECK(ring_reader_gate(&gating.reader) == RING_GATE_GATING, "its gate did not hold");
}

/* True if the frame at `position` is filled as far as its first `words` words, by this life. */
static bool filled(const struct ring_view *view, uint64_t position, uint64_t epoch, uint32_t words)
{
    const uint8_t *payload = ring_payload_at(view, position);
    return *(const uint64_t *)(const void *)payload == epoch &&
           pattern_matches(payload + 8, epoch, position, words - 1);
}

static enum landing where(const struct ring_view *view, uint64_t epoch_before)
{
    const struct ring_progress *progress = &view->header->progress;
    uint64_t published = progress->published;
    uint64_t committed = published;
    if (progress->epoch == epoch_before) {
        return IN_ATTACH;
    }
    if (ring_descriptor_at(view, published)->sequence == published + 1) {
        return IN_PUBLISH;
    }
    while (committed - published < SLOTS && filled(view, committed, progress->epoch, WORDS) &&
           ring_descriptor_at(view, committed)->source_sequence == ~committed) {
        committed++;
    }
    if (filled(view, committed, progress->epoch, 2)) {
        return IN_FILL;
    }
    return committed > published ? IN_COMMIT : progress->claimed > published ? IN_CLAIM : BETWEEN;
}

/* On a copy, so that what the next child finds is what the kill left: where it landed, and that a writer that
 * follows has a ledger that balances, and goes on behind all that was seen. */
static void judge_what_is_left(uint64_t epoch_before)
{
    struct ring_writer next;
    struct ring_view view;
    struct error err;
    memcpy(copy, t.segment.base, t.segment.bytes);
    CHECK(ring_attach(&view, copy, t.segment.bytes, &err) == 0, "%s", err.text);
    landed[where(&view, epoch_before)]++;
    CHECK(view.header->progress.claimed <= gating.reader.position + SLOTS, "claimed beyond the gate");
    CHECK(ring_writer_attach(&next, copy, t.segment.bytes, 1, NULL, &err) == 0, "%s", err.text);
    CHECK(next.next == gating.expected, "%lu published, the gating reader is at %lu", next.next, gating.expected);
    CHECK(next.next >= observer.expected, "a position that was published is used again");
    const struct ring_ledger *ledger = &next.view.header->ledger;
    CHECK(ring_ledger_residual(ledger) == 0, "residual %ld", ring_ledger_residual(ledger));
    CHECK(ledger->delivered == next.next, "%lu delivered, %lu published", ledger->delivered, next.next);
}

/* One life: started, watched for a random moment, killed. Some are killed before they have attached. */
static void live_and_die(struct test_random *random, uint64_t life)
{
    const struct ring_progress *progress = &temporary_header(&t)->progress;
    uint64_t epoch = progress->epoch;
    bool early = test_random_chance(random, 100);
    pid_t child = fork();
    int status;
    CHECK(child >= 0, "fork");
    if (child == 0) {
        write_until_killed(life);
    }
    uint64_t since_ns = clock_monotonic_ns();
    while (!early && __atomic_load_n(&progress->epoch, __ATOMIC_ACQUIRE) == epoch) {
        CHECK(clock_monotonic_ns() - since_ns < TEST_PATIENCE_NS, "the child does not attach");
        sched_yield();
    }
    /* Half of them by looking on, half asleep: on a busy machine the child runs only then. */
    watch_both();
    uint64_t moment_ns = test_random_below(random, early ? 500000 : 100000);
    if (test_random_chance(random, 500)) {
        nanosleep(&(struct timespec){.tv_nsec = (long)moment_ns}, NULL);
    } else {
        uint64_t until_ns = clock_monotonic_ns() + moment_ns;
        while (clock_monotonic_ns() < until_ns) {
            watch_both();
        }
    }
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "the child ended by itself, status %#x",
          (unsigned)status);
    watch_both();
    judge_what_is_left(epoch);
}

static void set_up(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 256, 32);
    struct error err;
    struct ring_gates gates;
    temporary_ring_create(&t, &spec);
    server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    copy = aligned_alloc(4096, t.segment.bytes);
    CHECK(server != MAP_FAILED && copy != NULL, "no memory");
    test_gates_create(server, 1);
    CHECK(ring_reader_attach(&observer.reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err) == 0,
          "attach");
    gating.reader = observer.reader;
    test_gates_attach(server, &gates);
    t.writer.gates = &gates;
    uint64_t generation = test_gates_open(server, &gates, 0, 0, NEVER);
    ring_writer_look(&t.writer, 1);
    test_gates_join(server, &gating.reader, 0, generation);
    t.writer.gates = NULL;
}

int main(int argc, char **argv)
{
    struct test_random random = {2026};
    uint64_t kills = argc > 1 ? strtoull(argv[1], NULL, 10) : 8000;
    uint64_t started_ns = clock_monotonic_ns();
    uint64_t life = 0;
    set_up();
    while (life < kills && clock_monotonic_ns() - started_ns < TIME_LIMIT) {
        live_and_die(&random, ++life);
    }
    CHECK(observer.accepted > 0, "nothing was ever read");
    CHECK(gating.accepted == gating.expected, "%lu accepted of %lu", gating.accepted, gating.expected);
    printf(
        "%lu kills, %lu frames published; observer: %lu accepted, %lu lost, %lu overwritten while read, 0 torn\n",
        life, gating.expected, observer.accepted, observer.reader.lost, observer.doubtful);
    printf("where they landed:");
    for (int i = 0; i < LANDINGS; i++) {
        printf("%s %s %lu", i > 0 ? "," : "", landing_name[i], landed[i]);
    }
    printf("\n");
    CHECK(life < 1000 || (landed[IN_FILL] > 0 && landed[IN_COMMIT] > 0), "no kill landed in the middle of a batch");
    free(copy);
    munmap(server, sizeof(*server));
    temporary_ring_destroy(&t);
    return 0;
}
