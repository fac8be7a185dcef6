#include "bench/net_watch.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#include "bench/measure.h"
#include "bench/tsc.h"

#define LIMIT_US 300.0

static void note(struct gaps *gaps, uint64_t from_ns, uint64_t to_ns)
{
    double per_ns = tsc_per_ns();
    if (to_ns > from_ns && (double)(to_ns - from_ns) > LIMIT_US * 1e3) {
        gaps_note(gaps, (uint64_t)((double)from_ns * per_ns), (uint64_t)((double)to_ns * per_ns));
    }
}

/* A stall of the receiver is noted when it is over. */
static void look_at_receiver(struct net_watch *w, uint64_t now_ns)
{
    uint64_t beat_ns = w->heartbeat_ns != NULL ? __atomic_load_n(w->heartbeat_ns, __ATOMIC_RELAXED) : 0;
    if (beat_ns != w->seen_ns) {
        note(&w->receiver, w->seen_ns, w->since_ns);
        w->seen_ns = beat_ns;
        w->since_ns = 0;
    }
    if (beat_ns != 0 && now_ns > beat_ns) {
        w->since_ns = now_ns;
    }
}

static void *run(void *context)
{
    struct net_watch *w = context;
    pin_to(w->core);
    (void)sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    uint64_t due_ns = clock_monotonic_ns();
    while (__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE) == 0) {
        due_ns += NET_WATCH_NS;
        struct timespec at = {.tv_sec = (time_t)(due_ns / CLOCK_NS_PER_S),
                              .tv_nsec = (long)(due_ns % CLOCK_NS_PER_S)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        uint64_t now_ns = clock_monotonic_ns();
        look_at_receiver(w, now_ns);
        note(&w->generator, due_ns, now_ns);
        due_ns = now_ns > due_ns + NET_WATCH_NS ? now_ns : due_ns;
    }
    note(&w->receiver, w->seen_ns, w->since_ns);
    return NULL;
}

int net_watch_begin(struct net_watch *watch)
{
    gaps_begin(&watch->receiver, LIMIT_US);
    gaps_begin(&watch->generator, LIMIT_US);
    watch->stop = 0;
    watch->seen_ns = 0;
    watch->since_ns = 0;
    return -pthread_create(&watch->thread, NULL, run, watch);
}

void net_watch_end(struct net_watch *watch)
{
    __atomic_store_n(&watch->stop, 1, __ATOMIC_RELEASE);
    pthread_join(watch->thread, NULL);
}

double net_watch_receiver_us(const struct net_watch *watch)
{
    return (double)watch->receiver.longest / tsc_per_ns() / 1e3;
}

double net_watch_generator_us(const struct net_watch *watch)
{
    return (double)watch->generator.longest / tsc_per_ns() / 1e3;
}

double net_watch_receiver_s(const struct net_watch *watch)
{
    return (double)watch->receiver.ticks / tsc_per_ns() / 1e9;
}
