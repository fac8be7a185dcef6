/* One frame at a time, there and back through two links: half of the round trip. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/measure.h"
#include "bench/tsc.h"

#define SAMPLES_MAX  (1u << 18)
#define SAMPLES_MIN  100u /* however long they take */
#define SAMPLES_WARM 64u  /* the first ones are thrown away */

struct echo {
    const struct question *question;
    void *there;
    void *back;
    uint64_t total; /* by the one who asks: frames there will be; UINT64_MAX while it is not known */
    struct tally asked;
    struct tally answered;
    uint32_t *samples; /* round trips in ticks */
    uint32_t sample_count;
};

static void *answer(void *argument)
{
    struct echo *e = argument;
    const struct peer *peer = e->question->peer;
    pin_to(e->question->cores[1]);
    while (e->asked.next < __atomic_load_n(&e->total, __ATOMIC_ACQUIRE)) {
        if (peer->receive(e->there, 0, &e->asked, 1) != 0) {
            while (peer->send(e->back, e->asked.next - 1, 1) == 0) {
            }
        }
    }
    return NULL;
}

static uint64_t round_trip(struct echo *e, uint64_t number)
{
    const struct peer *peer = e->question->peer;
    uint64_t from = tsc_now();
    while (peer->send(e->there, number, 1) == 0) {
    }
    while (peer->receive(e->back, 0, &e->answered, 1) == 0) {
    }
    return tsc_now() - from;
}

static void *ask(void *argument)
{
    struct echo *e = argument;
    pin_to(e->question->cores[0]);
    uint64_t ticks = (uint64_t)(e->question->seconds * 1e9 * tsc_per_ns());
    uint64_t start = tsc_now();
    uint64_t number = 0;
    for (; number < SAMPLES_WARM; number++) {
        round_trip(e, number);
    }
    while (e->sample_count < SAMPLES_MAX && (e->sample_count < SAMPLES_MIN || tsc_now() - start < ticks)) {
        uint64_t trip = round_trip(e, number++);
        e->samples[e->sample_count++] = trip < UINT32_MAX ? (uint32_t)trip : UINT32_MAX;
    }
    __atomic_store_n(&e->total, number + 1, __ATOMIC_RELEASE);
    round_trip(e, number);
    return NULL;
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int run_threads(struct echo *e)
{
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, answer, e) != 0 || pthread_create(&threads[1], NULL, ask, e) != 0) {
        return -EAGAIN;
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}

static void take_result(struct echo *e, struct outcome *outcome)
{
    qsort(e->samples, e->sample_count, sizeof(e->samples[0]), compare_samples);
    double half_ns = 0.5 / tsc_per_ns();
    uint32_t p50 = e->sample_count / 2;
    uint32_t p99 = e->sample_count - 1 - e->sample_count / 100;
    outcome->values[0] = half_ns * e->samples[p50];
    outcome->values[1] = half_ns * e->samples[p99];
    outcome->stall_us = 2e-3 * half_ns * e->samples[e->sample_count - 1];
    outcome->frames = e->asked.frames + e->answered.frames;
    outcome->lost = e->asked.lost + e->answered.lost;
    outcome->wrong = e->asked.wrong + e->answered.wrong;
}

void measure_latency(const struct question *question, struct outcome *outcome)
{
    const struct peer *peer = question->peer;
    struct echo *e = aligned_alloc(64, bench_lines(sizeof(*e)));
    uint32_t *samples = calloc(SAMPLES_MAX, sizeof(*samples));
    if (e == NULL || samples == NULL) {
        outcome->code = error_set(&outcome->err, -ENOMEM, "no memory for %u samples", SAMPLES_MAX);
        goto done;
    }
    *e = (struct echo){.question = question, .total = UINT64_MAX, .samples = samples};
    struct link_spec back = question->spec;
    back.id++;
    e->there = peer->open(&question->spec, &outcome->err);
    e->back = e->there != NULL ? peer->open(&back, &outcome->err) : NULL;
    outcome->code = e->back != NULL ? run_threads(e) : -ENOTSUP;
    if (outcome->code == 0) {
        take_result(e, outcome);
    }
    if (e->back != NULL) {
        peer->close(e->back);
    }
    if (e->there != NULL) {
        peer->close(e->there);
    }
done:
    free(samples);
    free(e);
}
