/* What the cores do when they are asked: how long others take them, how late a timer is, how fast memory is. As an
 * ordinary thread, on a host where no server runs: the caller sees to that. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "ring/clock.h"
#include "ring/histogram.h"
#include "tools/doctor.h"

#define STACK_BYTES     ((size_t)256 * 1024)
#define TIMER_NS        CLOCK_NS_PER_MS
#define COPY_BYTES      ((size_t)64 << 20)
#define COPIES          8
#define COPY_AT_MOST_NS (2 * CLOCK_NS_PER_S)
#define ROUNDS          20000u
#define PAIR_AT_MOST_NS (500 * CLOCK_NS_PER_MS)

static bool pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static bool start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    bool started = pthread_create(thread, &attributes, run, argument) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

/* ---- One core by itself; all of them at the same time. */

struct look {
    struct doctor_core *core;
    uint64_t half_ns; /* for each of the two measurements */
    struct histogram *late;
    pthread_t thread;
    bool started;
};

static void spin(struct doctor_core *core, uint64_t span_ns)
{
    uint64_t begin_ns = clock_monotonic_ns();
    uint64_t last_ns = begin_ns;
    while (last_ns - begin_ns < span_ns) {
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t gap_ns = now_ns - last_ns;
        if (gap_ns > DOCTOR_GAP_NS) {
            core->gaps++;
            core->stolen_ns += gap_ns;
            core->gap_max_ns = gap_ns > core->gap_max_ns ? gap_ns : core->gap_max_ns;
        }
        last_ns = now_ns;
    }
    core->span_ns = last_ns - begin_ns;
}

/* A tick that is slept through counts as late as it was: the schedule is kept. */
static void sleep_in_steps(struct histogram *late, uint64_t span_ns)
{
    uint64_t begin_ns = clock_monotonic_ns();
    for (uint64_t due_ns = begin_ns + TIMER_NS; due_ns <= begin_ns + span_ns; due_ns += TIMER_NS) {
        struct timespec due = {.tv_sec = (time_t)(due_ns / CLOCK_NS_PER_S),
                               .tv_nsec = (long)(due_ns % CLOCK_NS_PER_S)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0) {
        }
        hist_record(late, clock_elapsed_ns(due_ns, clock_monotonic_ns()));
    }
}

static void *look_at_core(void *argument)
{
    struct look *look = argument;
    struct doctor_core *core = look->core;
    core->pinned = pin(core->core);
    if (!core->pinned) {
        return NULL;
    }
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    spin(core, look->half_ns);
    sleep_in_steps(look->late, look->half_ns);
    core->timers = look->late->count;
    core->timer_p50_ns = hist_quantile_ns(look->late, 0.5);
    core->timer_p99_ns = hist_quantile_ns(look->late, 0.99);
    core->timer_max_ns = look->late->max_ns;
    return NULL;
}

static void measure_cores(struct doctor_measures *m)
{
    static struct look look[DOCTOR_CORES_MAX];
    struct histogram *late = calloc(m->cores, sizeof(*late));
    for (uint32_t i = 0; late != NULL && i < m->cores; i++) {
        look[i] = (struct look){
            .core = &m->core[i], .half_ns = (uint64_t)m->seconds * CLOCK_NS_PER_S / 2, .late = &late[i]};
        look[i].started = start(&look[i].thread, look_at_core, &look[i]);
    }
    for (uint32_t i = 0; late != NULL && i < m->cores; i++) {
        if (look[i].started) {
            pthread_join(look[i].thread, NULL);
        }
    }
    free(late);
}

/* ---- Two cores. */

struct table {
    _Alignas(128) atomic_uint ping;
    _Alignas(128) atomic_uint pong;
    _Alignas(128) atomic_bool stop;
    atomic_int ready; /* 1: the other side is pinned, -1: it cannot be */
    struct doctor_pair *pair;
};

static void *answer(void *argument)
{
    struct table *table = argument;
    unsigned seen = 0;
    bool pinned = pin(table->pair->to);
    atomic_store_explicit(&table->ready, pinned ? 1 : -1, memory_order_release);
    while (pinned && !atomic_load_explicit(&table->stop, memory_order_relaxed)) {
        unsigned now = atomic_load_explicit(&table->ping, memory_order_acquire);
        if (now != seen) {
            seen = now;
            atomic_store_explicit(&table->pong, seen, memory_order_release);
        }
    }
    return NULL;
}

/* False: the time is up. */
static bool play(struct table *table, unsigned round, uint64_t end_ns)
{
    atomic_store_explicit(&table->ping, round, memory_order_release);
    for (unsigned looks = 1; atomic_load_explicit(&table->pong, memory_order_acquire) != round; looks++) {
        if (looks % 4096 == 0 && clock_monotonic_ns() > end_ns) {
            return false;
        }
    }
    return true;
}

static void *ask(void *argument)
{
    static struct histogram times;
    struct table *table = argument;
    int ready = 0;
    if (!pin(table->pair->from)) {
        return NULL;
    }
    memset(&times, 0, sizeof(times));
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t end_ns = now_ns + PAIR_AT_MOST_NS;
    while (ready == 0 && clock_monotonic_ns() < end_ns) {
        ready = atomic_load_explicit(&table->ready, memory_order_acquire);
    }
    now_ns = clock_monotonic_ns();
    for (unsigned round = 1; ready > 0 && round <= ROUNDS && now_ns < end_ns && play(table, round, end_ns);
         round++) {
        uint64_t then_ns = now_ns;
        now_ns = clock_monotonic_ns();
        hist_record(&times, (now_ns - then_ns) / 2);
    }
    table->pair->rounds = times.count;
    table->pair->p50_ns = hist_quantile_ns(&times, 0.5);
    table->pair->max_ns = times.max_ns;
    return NULL;
}

static void measure_pair(struct doctor_pair *pair)
{
    static struct table table;
    pthread_t other;
    pthread_t own;
    memset(&table, 0, sizeof(table));
    table.pair = pair;
    if (!start(&other, answer, &table)) {
        return;
    }
    if (start(&own, ask, &table)) {
        pthread_join(own, NULL);
    }
    atomic_store_explicit(&table.stop, true, memory_order_relaxed);
    pthread_join(other, NULL);
}

/* ---- Memory. */

/* The best of several copies, so that the first touch does not count. */
static void *copy(void *argument)
{
    struct doctor_measures *m = argument;
    uint64_t best_ns = UINT64_MAX;
    void *pages =
        mmap(NULL, 2 * COPY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    if (pin(m->core[0].core)) {
        uint64_t end_ns = clock_monotonic_ns() + COPY_AT_MOST_NS;
        for (int i = 0; i < COPIES && clock_monotonic_ns() < end_ns; i++) {
            uint64_t from_ns = clock_monotonic_ns();
            memset(pages, i, 64);
            memcpy((char *)pages + COPY_BYTES, pages, COPY_BYTES);
            __asm__ volatile("" : : "r"(pages) : "memory"); /* it is looked at, for all the compiler knows */
            uint64_t ns = clock_monotonic_ns() - from_ns;
            best_ns = ns < best_ns ? ns : best_ns;
        }
        m->memcpy_bytes_per_s = best_ns == UINT64_MAX || best_ns == 0 ? 0 : COPY_BYTES * CLOCK_NS_PER_S / best_ns;
    }
    munmap(pages, 2 * COPY_BYTES);
    return NULL;
}

void doctor_measure(struct doctor *d, uint32_t seconds)
{
    struct doctor_measures *m = &d->measures;
    pthread_t thread;
    *m = (struct doctor_measures){.done = true, .seconds = seconds};
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET((size_t)core, &d->need.cores)) {
            continue;
        }
        if (m->cores == DOCTOR_CORES_MAX) {
            m->cores_left_out++;
        } else {
            m->core[m->cores++].core = core;
        }
    }
    measure_cores(m);
    if (m->cores > 0 && start(&thread, copy, m)) {
        pthread_join(thread, NULL);
    }
    for (uint32_t i = 1; i < m->cores; i++) {
        m->pair[m->pairs] = (struct doctor_pair){.from = m->core[0].core, .to = m->core[i].core};
        measure_pair(&m->pair[m->pairs++]);
    }
}
