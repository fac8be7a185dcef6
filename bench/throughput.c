/* How many frames a second pass from a writer on one core to readers on others. With two cores two readers share
 * the second one: one thread serves both in turn. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/measure.h"
#include "bench/tsc.h"

struct pass {
    const struct question *question;
    void *link;
    uint64_t total; /* by the writer: number of frames there will be; UINT64_MAX while it is not known */
    uint64_t start; /* ticks, by the main thread: 0 until all may begin */
    uint64_t longest_gap;
    struct tally tally[BENCH_READERS_MAX]; /* each by its reader */
    uint64_t end[BENCH_READERS_MAX];       /* ticks */
    int code;
};

struct reader_job {
    struct pass *pass;
    uint32_t first, count; /* readers that this thread serves */
    int core;
};

static uint64_t wait_for_start(struct pass *pass)
{
    uint64_t start;
    do {
        start = __atomic_load_n(&pass->start, __ATOMIC_ACQUIRE);
    } while (start == 0);
    return start;
}

/* Serves its readers in turn until each has come to the last frame. */
static void *read_all(void *argument)
{
    struct reader_job *job = argument;
    struct pass *pass = job->pass;
    const struct peer *peer = pass->question->peer;
    uint32_t max = frames_per_call(&pass->question->spec);
    pin_to(job->core);
    wait_for_start(pass);
    for (uint32_t done = 0; done < job->count;) {
        done = 0;
        for (uint32_t i = job->first; i < job->first + job->count; i++) {
            if (pass->tally[i].next < __atomic_load_n(&pass->total, __ATOMIC_ACQUIRE)) {
                peer->receive(pass->link, i, &pass->tally[i], max);
                pass->end[i] = tsc_now();
            } else {
                done++;
            }
        }
    }
    return NULL;
}

/* The last frame is announced before it is sent: a reader that waits for one in the system always gets it. */
static void *write_all(void *argument)
{
    struct pass *pass = argument;
    const struct peer *peer = pass->question->peer;
    uint32_t count = frames_per_call(&pass->question->spec);
    pin_to(pass->question->cores[0]);
    uint64_t last = wait_for_start(pass);
    uint64_t end = last + (uint64_t)(pass->question->seconds * 1e9 * tsc_per_ns());
    uint64_t next = 0;
    while (last < end) {
        next += peer->send(pass->link, next, count);
        uint64_t now = tsc_now();
        if (now - last > pass->longest_gap) {
            pass->longest_gap = now - last;
        }
        last = now;
    }
    __atomic_store_n(&pass->total, next + 1, __ATOMIC_RELEASE);
    while (peer->send(pass->link, next, 1) == 0) {
    }
    return NULL;
}

static void take_result(const struct pass *pass, struct outcome *outcome)
{
    double slowest = 0;
    for (uint32_t i = 0; i < pass->question->spec.readers; i++) {
        const struct tally *t = &pass->tally[i];
        double seconds = (double)(pass->end[i] - pass->start) / tsc_per_ns() / 1e9;
        double rate = (double)t->frames / seconds;
        slowest = i == 0 || rate < slowest ? rate : slowest;
        outcome->frames += t->frames;
        outcome->lost += t->lost;
        outcome->wrong += t->wrong;
    }
    outcome->values[0] = slowest;
    outcome->stall_us = (double)pass->longest_gap / tsc_per_ns() / 1e3;
}

/* Starts the threads, lets them go at once and waits for them. */
static int run_threads(struct pass *pass)
{
    const struct question *q = pass->question;
    bool apart = q->core_count > q->spec.readers;
    uint32_t jobs = apart ? q->spec.readers : 1;
    struct reader_job job[BENCH_READERS_MAX];
    pthread_t threads[BENCH_READERS_MAX + 1];
    for (uint32_t i = 0; i < jobs; i++) {
        job[i] = (struct reader_job){
            .pass = pass, .first = i, .count = apart ? 1 : q->spec.readers, .core = q->cores[1 + i]};
        if (pthread_create(&threads[i], NULL, read_all, &job[i]) != 0) {
            return -EAGAIN;
        }
    }
    if (pthread_create(&threads[jobs], NULL, write_all, pass) != 0) {
        return -EAGAIN;
    }
    __atomic_store_n(&pass->start, tsc_now(), __ATOMIC_RELEASE);
    for (uint32_t i = 0; i <= jobs; i++) {
        pthread_join(threads[i], NULL);
    }
    return 0;
}

void measure_throughput(const struct question *question, struct outcome *outcome)
{
    struct pass *pass = aligned_alloc(64, bench_lines(sizeof(*pass)));
    if (pass == NULL) {
        outcome->code = error_set(&outcome->err, -ENOMEM, "no memory for the threads' words");
        return;
    }
    *pass = (struct pass){.question = question, .total = UINT64_MAX};
    pass->link = question->peer->open(&question->spec, &outcome->err);
    if (pass->link == NULL) {
        outcome->code = -ENOTSUP;
    } else {
        outcome->code = run_threads(pass);
        if (outcome->code == 0) {
            take_result(pass, outcome);
        }
        question->peer->close(pass->link);
    }
    free(pass);
}

void measure_copy(const struct question *question, struct outcome *outcome)
{
    uint32_t size = question->spec.size_bytes;
    uint32_t stride = bench_lines(size);
    uint64_t slots = bench_slots(stride);
    struct segment to = {.fd = -1};
    uint8_t *from = aligned_alloc(64, stride);
    outcome->code = from == NULL ? -ENOMEM : bench_memory(&to, slots * stride, &outcome->err);
    if (outcome->code == 0) {
        pin_to(question->cores[0]);
        payload_fill(from, size, question->spec.seed);
        uint64_t start = tsc_now();
        uint64_t end = start + (uint64_t)(question->seconds * 1e9 * tsc_per_ns());
        uint64_t done = 0;
        uint64_t now = start;
        uint64_t last = start;
        uint64_t longest = 0;
        for (; now < end; now = tsc_now()) {
            longest = now - last > longest ? now - last : longest;
            last = now;
            for (uint32_t i = 0; i < 64; i++, done++) {
                memcpy((uint8_t *)to.base + (done & (slots - 1)) * stride, from, size);
                __asm__ volatile("" ::: "memory");
            }
        }
        outcome->values[0] = (double)done / ((double)(now - start) / tsc_per_ns() / 1e9);
        outcome->stall_us = (double)longest / tsc_per_ns() / 1e3;
        outcome->wrong = memcmp(to.base, from, size) != 0;
        outcome->frames = 1;
    }
    segment_destroy(&to);
    free(from);
}
