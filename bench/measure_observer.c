/* What the observer costs everybody: a switch between two threads of one core, which wake each other, with its
 * programs not loaded, loaded and watching others, and watching these two. In turns, in one process. */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/tsc.h"
#include "control/thief_bpf.h"
#include "control/thief_table.h"

#define TURNS        5u
#define THRESHOLD_NS 10000u

enum observer_value { OBSERVER_OFF = 0, OBSERVER_OTHERS = 1, OBSERVER_THESE = 2, OBSERVER_VALUES = 3 };

/* Two threads, one at a time. */
struct pair {
    int core;
    int ping;
    int pong;
    uint32_t tid; /* of the second */
};

static bool pass(int from, int to)
{
    uint64_t word;
    return read(from, &word, sizeof(word)) == (ssize_t)sizeof(word) && word < UINT32_MAX &&
           write(to, &(uint64_t){1}, sizeof(word)) == (ssize_t)sizeof(word);
}

static void *answer(void *context)
{
    struct pair *pair = context;
    pin_to(pair->core);
    __atomic_store_n(&pair->tid, (uint32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    while (pass(pair->ping, pair->pong)) {
    }
    return NULL;
}

/* ns of one switch; each round has two. */
static double measure(const struct pair *pair, double seconds)
{
    uint64_t word = 1;
    uint64_t rounds = 0;
    uint64_t from = tsc_now();
    uint64_t end = from + (uint64_t)(seconds * 1e9 * tsc_per_ns());
    uint64_t now;
    do {
        if (write(pair->ping, &word, sizeof(word)) != (ssize_t)sizeof(word) ||
            read(pair->pong, &word, sizeof(word)) != (ssize_t)sizeof(word)) {
            return 0;
        }
        rounds++;
        now = tsc_now();
    } while (now < end);
    return (double)(now - from) / tsc_per_ns() / (double)rounds / 2;
}

static void forget(void *context, const struct thief_event *event)
{
    (void)context;
    (void)event;
}

static int turn(const struct pair *pair, double seconds, double sum[OBSERVER_VALUES], struct error *err)
{
    struct thief_bpf *bpf;
    sum[OBSERVER_OFF] += measure(pair, seconds);
    int code = thief_bpf_open(&bpf, THRESHOLD_NS, err);
    if (code != 0) {
        return -ENOTSUP;
    }
    sum[OBSERVER_OTHERS] += measure(pair, seconds);
    (void)thief_table_set(thief_bpf_settings(bpf), 0, (uint32_t)syscall(SYS_gettid), 0, 0);
    (void)thief_table_set(thief_bpf_settings(bpf), 1, __atomic_load_n(&pair->tid, __ATOMIC_ACQUIRE), 0, 0);
    sum[OBSERVER_THESE] += measure(pair, seconds);
    thief_bpf_take(bpf, forget, NULL);
    thief_bpf_close(bpf);
    return 0;
}

void measure_observer(const struct question *question, struct outcome *outcome)
{
    struct pair pair = {
        .core = question->cores[1], .ping = eventfd(0, EFD_CLOEXEC), .pong = eventfd(0, EFD_CLOEXEC)};
    double sum[OBSERVER_VALUES] = {0};
    pthread_t thread;
    pin_to(pair.core);
    if (pair.ping < 0 || pair.pong < 0 || pthread_create(&thread, NULL, answer, &pair) != 0) {
        outcome->code = error_set(&outcome->err, -EAGAIN, "cannot start a thread");
        return;
    }
    (void)measure(&pair, question->seconds / TURNS / OBSERVER_VALUES); /* it runs now, and has told its number */
    for (uint32_t i = 0; outcome->code == 0 && i < TURNS; i++) {
        outcome->code = turn(&pair, question->seconds / TURNS / OBSERVER_VALUES, sum, &outcome->err);
    }
    (void)!write(pair.ping, &(uint64_t){UINT32_MAX}, sizeof(uint64_t));
    pthread_join(thread, NULL);
    close(pair.ping);
    close(pair.pong);
    for (uint32_t i = 0; outcome->code == 0 && i < OBSERVER_VALUES; i++) {
        outcome->values[i] = sum[i] / TURNS;
        outcome->frames++;
    }
}
