#include "daq/opener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring/clock.h"

#define ROUND_NS    (10 * CLOCK_NS_PER_MS)
#define CHECK_NS    (100 * CLOCK_NS_PER_MS)
#define STOP_NS     (2 * CLOCK_NS_PER_S)
#define STACK_BYTES ((size_t)256 << 10) /* locked memory, if memory is locked */

struct opening *opener_add(struct opener *opener, const struct source_plan *plan, const struct opener_way *way)
{
    struct opening *opening = &opener->opening[opener->openings++];
    *opening = (struct opening){.plan = plan, .way = way, .held_fd = -1, .in_use = -1};
    return opening;
}

/* Once for each reason, and once when it is over. */
static void say(struct opening *o, int code, const struct error *err)
{
    if (code < 0 && o->said != -code) {
        fprintf(stderr, "source %s: %s; trying again\n", o->plan->name, err->text);
    } else if (code >= 0 && o->said != 0) {
        fprintf(stderr, "source %s: open again\n", o->plan->name);
    }
    o->said = code < 0 ? -code : 0;
}

static void answer(struct opening *o, uint32_t asked)
{
    struct error err = {{0}};
    int code = o->way->open(o, &err);
    if (code == -EAGAIN) {
        return;
    }
    say(o, code, &err);
    o->in_use = code;
    __atomic_store_n(&o->result, code, __ATOMIC_RELAXED);
    __atomic_store_n(&o->answered, asked, __ATOMIC_RELEASE);
}

static void look(struct opening *o, uint64_t monotonic_ns)
{
    uint32_t asked = __atomic_load_n(&o->asked, __ATOMIC_ACQUIRE);
    if (asked != o->answered) {
        answer(o, asked);
    } else if (o->way->check != NULL && o->in_use >= 0 && monotonic_ns - o->checked_ns >= CHECK_NS) {
        o->checked_ns = monotonic_ns;
        if (!o->way->check(o)) {
            o->in_use = -1;
            __atomic_store_n(&o->spoiled, o->answered, __ATOMIC_RELEASE);
        }
    }
}

void opener_round(struct opener *opener, uint64_t monotonic_ns)
{
    for (uint32_t i = 0; i < opener->openings; i++) {
        look(&opener->opening[i], monotonic_ns);
    }
}

static void pause_for(uint64_t ns)
{
    clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = (long)ns}, NULL);
}

static void clear(struct opener *opener)
{
    for (uint32_t i = 0; i < opener->openings; i++) {
        struct opening *o = &opener->opening[i];
        if (o->way->clear != NULL) {
            o->way->clear(o);
        }
        if (o->held_fd >= 0) {
            close(o->held_fd);
            o->held_fd = -1;
        }
    }
}

static void *run(void *argument)
{
    struct opener *opener = argument;
    while (__atomic_load_n(&opener->ending, __ATOMIC_ACQUIRE) == 0) {
        opener_round(opener, clock_monotonic_ns());
        pause_for(ROUND_NS);
    }
    clear(opener);
    __atomic_store_n(&opener->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

int opener_start(struct opener *opener, struct error *err)
{
    pthread_attr_t attributes;
    if (opener->openings == 0) {
        return 0;
    }
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int code = pthread_create(&opener->thread, &attributes, run, opener);
    pthread_attr_destroy(&attributes);
    if (code != 0) {
        return error_set(err, -code, "no thread to open devices on: %s", strerror(code));
    }
    opener->running = true;
    (void)pthread_setname_np(opener->thread, "opener");
    return 0;
}

void opener_stop(struct opener *opener)
{
    __atomic_store_n(&opener->ending, 1, __ATOMIC_RELEASE);
    for (uint64_t waited_ns = 0; opener->running && waited_ns < STOP_NS; waited_ns += ROUND_NS) {
        if (__atomic_load_n(&opener->ended, __ATOMIC_ACQUIRE) != 0) {
            return;
        }
        pause_for(ROUND_NS);
    }
}

void opener_fini(struct opener *opener)
{
    if (opener->running) {
        __atomic_store_n(&opener->ending, 1, __ATOMIC_RELEASE);
        pthread_join(opener->thread, NULL);
        opener->running = false;
    } else {
        clear(opener);
    }
    opener->openings = 0;
}

void opening_ask(struct opening *opening)
{
    __atomic_store_n(&opening->asked, opening->asked + 1, __ATOMIC_RELEASE);
}

int opening_take(const struct opening *opening)
{
    if (__atomic_load_n(&opening->answered, __ATOMIC_ACQUIRE) != opening->asked) {
        return -EAGAIN;
    }
    return __atomic_load_n(&opening->result, __ATOMIC_RELAXED);
}

bool opening_is_spoiled(const struct opening *opening)
{
    return opening->asked != 0 && __atomic_load_n(&opening->spoiled, __ATOMIC_ACQUIRE) == opening->asked;
}
