/* The stall record of a trial on both its cores. Both are busy with what is measured, so that nobody else can read
 * the clock there all the time (bench/gaps.h): a thread on the generator's core wakes every 200 us for a moment.
 * That it wakes late shows a stall of its own core; that the receiver has not finished a round for long, one of the
 * receiver's. */
#ifndef BENCH_NET_WATCH_H
#define BENCH_NET_WATCH_H

#include <pthread.h>

#include "bench/gaps.h"

#define NET_WATCH_NS 200000u

struct net_watch {
    struct gaps receiver;
    struct gaps generator;
    const uint64_t *heartbeat_ns; /* of the receiver; NULL or 0 in it: it does not tell */
    int core;
    uint32_t stop;
    uint64_t seen_ns;  /* heartbeat that has not moved on .. */
    uint64_t since_ns; /* .. when last looked at; 0: it moves */
    pthread_t thread;
};

/* Zeroed but for heartbeat_ns and core. 0 or -errno. */
int net_watch_begin(struct net_watch *watch);

/* Ends the thread; the records may be read from here on. */
void net_watch_end(struct net_watch *watch);

/* The longest stall, in us. */
double net_watch_receiver_us(const struct net_watch *watch);
double net_watch_generator_us(const struct net_watch *watch);

/* All of the receiver's together, in s. */
double net_watch_receiver_s(const struct net_watch *watch);

#endif
