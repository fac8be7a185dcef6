/* Several polling threads as sluice-dpdk has them, without DPDK: each writes rings of its own, takes leases over a
 * line of its own and rings the common bell, while gating readers join and leave every ring and one thread after
 * the other hangs for a while. For the thread sanitizer, and as a test in itself: no reader loses a frame, the
 * process's heartbeat stands still while any thread hangs and goes on afterwards, and at the stop every thread has
 * said its last frame. stress_poll [milliseconds], 2500 by default. Ends 0, or 1 with the first thing that was
 * wrong.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/poll_threads.h"
#include "daq/worker_ring.h"
#include "ring/protocol.h"
#include "ring/reader.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define THREADS 3u
#define RINGS   5u /* ring i is thread i % THREADS's */
#define SLOTS   128u
#define WORDS   24u
#define SEED    79u
#define ROUNDS  200u /* of the first thread, while another hangs */

/* A ring, and the one reader of it that comes and goes. */
struct one {
    uint32_t index;
    struct segment ring;
    struct segment orders;
    struct ring_reader reader;
    struct test_random random;
    uint64_t generation;
    uint64_t lives;
    uint64_t accepted;
    const char *wrong; /* NULL: nothing */
};

/* What a polling thread has. */
struct poller {
    alignas(128) uint32_t count;
    struct worker_ring *ring[RINGS];
    struct test_random random;
    uint64_t written;
    bool drained;
};

static struct one ones[RINGS];
static struct worker_ring rings[RINGS];
static struct poller pollers[THREADS];
static struct worker_plan plan;
static struct worker_board board;
static struct poll_threads threads;
static int line[THREADS][2]; /* ours, the thread's */
static int bell_fd;
static int over;                    /* the readers and the watcher end */
static int ended;                   /* of them, how many have */
static uint32_t hang = UINT32_MAX;  /* this thread is to hang */
static uint32_t hangs = UINT32_MAX; /* this one does */
static const char *watch_wrong;
static uint64_t hung;

static void hang_if_asked(uint32_t index)
{
    if (__atomic_load_n(&hang, __ATOMIC_ACQUIRE) == index) {
        __atomic_store_n(&hangs, index, __ATOMIC_RELEASE);
        while (__atomic_load_n(&hang, __ATOMIC_ACQUIRE) == index) {
            test_sleep_us(50);
        }
    }
}

static void write_some(struct poller *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct ring_writer *writer = &p->ring[i]->writer;
        for (uint64_t n = test_random_below(&p->random, 16); n > 0 && ring_writer_reserve(writer) != NULL; n--) {
            temporary_commit(writer, SEED, WORDS);
            p->written++;
        }
        ring_writer_publish(writer);
    }
}

static void one_round(uint32_t index)
{
    struct poller *p = &pollers[index];
    uint64_t now_ns = clock_monotonic_ns();
    worker_rings_look(p->ring, p->count, line[index][1], now_ns);
    write_some(p);
    worker_rings_ring_bells(p->ring, p->count, bell_fd);
    poll_threads_beat(&threads, index, now_ns);
    if (test_random_chance(&p->random, 100)) {
        test_sleep_us(50);
    }
}

static int begin(void *context, uint32_t index, struct error *err)
{
    (void)context;
    (void)err;
    pollers[index].random = (struct test_random){7 + index};
    return 0;
}

static void run(void *context, uint32_t index)
{
    (void)context;
    while (!poll_threads_stopping(&threads)) {
        hang_if_asked(index);
        one_round(index);
    }
    one_round(index);
    pollers[index].drained = true;
}

static bool is_over(void)
{
    return __atomic_load_n(&over, __ATOMIC_ACQUIRE) != 0;
}

/* As sluiced does it: first the lease, then the order. */
static bool open_gate(struct one *o, struct segment *segment)
{
    struct ring_orders *orders = o->orders.base;
    struct error err;
    uint64_t since_ns = clock_monotonic_ns();
    if (segment_create(segment, "lease", RING_LEASE_BYTES, SEGMENT_NORMAL, &err) != 0) {
        return false;
    }
    struct ring_lease *lease = segment->base;
    struct protocol_lease message = {
        .magic = PROTOCOL_MAGIC, .source = o->index / THREADS, .gate = 0, .generation = ++o->generation};
    lease->magic = RING_LEASE_MAGIC;
    lease->generation = o->generation;
    if (protocol_send(line[o->index % THREADS][0], &message, sizeof(message), &segment->fd, 1) != 0) {
        return false;
    }
    __atomic_store_n(&orders->gate[0].from, UINT64_MAX, __ATOMIC_RELAXED);
    __atomic_store_n(&orders->gate[0].deadline_ns, UINT64_MAX, __ATOMIC_RELAXED);
    __atomic_store_n(&orders->gate[0].generation, o->generation, __ATOMIC_RELEASE);
    __atomic_store_n(&orders->changes, orders->changes + 1, __ATOMIC_RELEASE);
    o->reader.generation = o->generation;
    o->reader.gate = 0;
    while (ring_reader_gate(&o->reader) == RING_GATE_FREE) {
        if (!test_still_patient(since_ns)) {
            return false;
        }
    }
    o->reader.lease = lease;
    o->reader.position = __atomic_load_n(&o->reader.view.header->gate[0].base, __ATOMIC_ACQUIRE);
    ring_reader_release(&o->reader);
    return true;
}

static void close_gate(struct one *o, struct segment *segment)
{
    struct ring_orders *orders = o->orders.base;
    __atomic_store_n(&orders->gate[0].generation, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&orders->changes, orders->changes + 1, __ATOMIC_RELEASE);
    o->reader.lease = NULL;
    segment_destroy(segment);
}

/* Every frame from the place where it joined, in order and whole. */
static void read_some(struct one *o, uint64_t *expected)
{
    struct sluice_frame frame;
    for (uint32_t n = 0; n < SLOTS && o->wrong == NULL && ring_reader_next(&o->reader, &frame) == 1; n++) {
        if (frame.position != (*expected)++ || o->reader.lost != 0) {
            o->wrong = "a gating reader lost a frame";
        } else if (!pattern_matches(frame.payload, SEED, frame.position, WORDS)) {
            o->wrong = "another frame's bytes";
        } else if (!ring_reader_valid(&o->reader, frame.position)) {
            o->wrong = "a frame was overwritten that was not released";
        }
        o->accepted++;
    }
    ring_reader_release(&o->reader);
}

static void live(struct one *o)
{
    struct ring_orders *orders = o->orders.base;
    struct segment segment = {.fd = -1};
    if (!open_gate(o, &segment)) {
        o->wrong = "the writer never took the gate up";
        return;
    }
    uint64_t expected = o->reader.position;
    for (uint64_t rounds = 20 + test_random_below(&o->random, 100); rounds > 0 && o->wrong == NULL; rounds--) {
        __atomic_store_n(&orders->bell, orders->bell + 1, __ATOMIC_RELEASE);
        read_some(o, &expected);
        test_sleep_us((unsigned)test_random_below(&o->random, 200));
    }
    if (ring_reader_gate(&o->reader) != RING_GATE_GATING) {
        o->wrong = "demoted without a reason";
    }
    o->lives++;
    close_gate(o, &segment);
}

static void *come_and_go(void *context)
{
    struct one *o = context;
    do {
        live(o);
    } while (o->wrong == NULL && !is_over());
    __atomic_fetch_add(&ended, 1, __ATOMIC_ACQ_REL);
    return NULL;
}

static uint64_t beats(void)
{
    return __atomic_load_n(&board.common.heartbeat, __ATOMIC_ACQUIRE);
}

/* Until the words at `at` has grown by `more`. */
static bool wait_for(const uint64_t *at, uint64_t more)
{
    uint64_t since_ns = clock_monotonic_ns();
    uint64_t from = __atomic_load_n(at, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(at, __ATOMIC_ACQUIRE) < from + more) {
        if (!test_still_patient(since_ns)) {
            return false;
        }
    }
    return true;
}

/* What sluiced sees while one thread hangs: a heartbeat that stands still, however busy the others are. One beat
 * may still be under way: the thread had come round before. */
static const char *let_hang(uint32_t index)
{
    uint32_t other = index == 0 ? 1 : 0;
    uint64_t since_ns = clock_monotonic_ns();
    __atomic_store_n(&hang, index, __ATOMIC_RELEASE);
    while (__atomic_load_n(&hangs, __ATOMIC_ACQUIRE) != index) {
        if (!test_still_patient(since_ns)) {
            return "a thread never came round to hang";
        }
    }
    uint64_t hangs_ns = clock_monotonic_ns();
    uint64_t before = beats();
    bool others_go_on = wait_for(&board.thread[other].heartbeat, ROUNDS);
    uint64_t after = beats();
    uint64_t beat_ns = __atomic_load_n(&board.common.heartbeat_ns, __ATOMIC_ACQUIRE);
    __atomic_store_n(&hangs, UINT32_MAX, __ATOMIC_RELEASE);
    __atomic_store_n(&hang, UINT32_MAX, __ATOMIC_RELEASE);
    if (!others_go_on) {
        return "a thread that hangs holds up another";
    }
    if (after > before + 1 || beat_ns > hangs_ns) {
        return "the heartbeat went on while a thread hung";
    }
    return wait_for(&board.common.heartbeat, 3) ? NULL : "the heartbeat did not go on";
}

static void *watch(void *unused)
{
    (void)unused;
    do {
        watch_wrong = let_hang((uint32_t)(hung % THREADS));
        hung++;
    } while (watch_wrong == NULL && !is_over());
    __atomic_fetch_add(&ended, 1, __ATOMIC_ACQ_REL);
    return NULL;
}

static int create_one(uint32_t i, struct error *err)
{
    struct one *o = &ones[i];
    struct ring_spec spec = temporary_spec(SLOTS, 256, 32);
    struct source_plan *source = &plan.source[i];
    *o = (struct one){.index = i, .random = {100 + i}};
    int code = segment_create(&o->ring, "ring", ring_segment_bytes(&spec), SEGMENT_NORMAL, err);
    code = code == 0 ? ring_create(o->ring.base, o->ring.bytes, &spec, err) : code;
    code = code == 0 ? segment_create(&o->orders, "orders", RING_ORDERS_BYTES, SEGMENT_NORMAL, err) : code;
    if (code != 0) {
        return code;
    }
    ring_orders_create(o->orders.base, 1);
    *source = (struct source_plan){
        .ring_fd = (uint32_t)o->ring.fd, .orders_fd = (uint32_t)o->orders.fd, .gates = 1, .thread = i % THREADS};
    struct poller *p = &pollers[i % THREADS];
    p->ring[p->count++] = &rings[i];
    code = worker_ring_open(&rings[i], source, err);
    return code == 0 ? ring_reader_attach(&o->reader, o->ring.base, o->ring.bytes, SLUICE_OLDEST, err) : code;
}

static int create(struct error *err)
{
    int code = 0;
    plan = (struct worker_plan){.sources = RINGS,
                                .threads = THREADS,
                                .thread = {.core = -1, .idle = IDLE_BUSY},
                                .thread_core = {-1, -1, -1}};
    board_init(&board.common, BOARD_WORKER, "stress", "stress");
    bell_fd = eventfd(0, EFD_NONBLOCK);
    for (uint32_t t = 0; t < THREADS; t++) {
        code |= socketpair(AF_UNIX, SOCK_SEQPACKET, 0, line[t]);
    }
    for (uint32_t i = 0; code == 0 && i < RINGS; i++) {
        code = create_one(i, err);
    }
    poll_threads_init(&threads, &plan, &board);
    return code;
}

static int judge(void)
{
    uint64_t rung = 0;
    uint64_t published = 0;
    uint64_t written = 0;
    const char *wrong = watch_wrong;
    (void)!read(bell_fd, &rung, sizeof(rung));
    for (uint32_t i = 0; i < RINGS; i++) {
        printf("ring %u: %lu frames read in %lu lives%s%s\n", i, ones[i].accepted, ones[i].lives,
               ones[i].wrong != NULL ? ": " : "", ones[i].wrong != NULL ? ones[i].wrong : "");
        wrong = wrong != NULL ? wrong : ones[i].wrong;
        published += ring_published_now(ones[i].ring.base);
    }
    for (uint32_t t = 0; t < THREADS; t++) {
        wrong = wrong == NULL && !pollers[t].drained ? "a thread was not waited for" : wrong;
        written += pollers[t].written;
    }
    wrong = wrong == NULL && published != written ? "the stop lost frames" : wrong;
    wrong = wrong == NULL && rung == 0 ? "nobody rang the bell" : wrong;
    printf("%lu frames, %lu bells, %lu hangs, %lu beats%s%s\n", written, rung, hung, beats(),
           wrong != NULL ? ": " : "", wrong != NULL ? wrong : "");
    return wrong != NULL;
}

int main(int argc, char **argv)
{
    static const struct poll_work work = {.begin = begin, .run = run};
    pthread_t others[RINGS + 1];
    struct error err = {{0}};
    uint64_t milliseconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 2500;
    uint64_t until_ns = clock_monotonic_ns() + milliseconds * CLOCK_NS_PER_MS;
    int failed = create(&err);
    failed = failed == 0 ? poll_threads_start(&threads, SEAL_DPDK, &work, NULL, &err) : failed;
    for (uint32_t i = 0; failed == 0 && i < RINGS; i++) {
        failed = pthread_create(&others[i], NULL, come_and_go, &ones[i]);
    }
    failed = failed == 0 ? pthread_create(&others[RINGS], NULL, watch, NULL) : failed;
    if (failed != 0) {
        fprintf(stderr, "cannot start: %s\n", err.text);
        return 1;
    }
    pollers[0].random = (struct test_random){7};
    poll_threads_go(&threads);
    while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < (int)RINGS + 1) {
        hang_if_asked(0);
        one_round(0);
        if (clock_monotonic_ns() > until_ns) {
            __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
        }
    }
    poll_threads_stop(&threads);
    one_round(0);
    pollers[0].drained = true;
    poll_threads_join(&threads);
    for (uint32_t i = 0; i <= RINGS; i++) {
        pthread_join(others[i], NULL);
    }
    return judge();
}
