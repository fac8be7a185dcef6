/* sluice-gen as the net bench drives it: one process for a whole search, a run for each trial. */
#ifndef BENCH_NET_GENERATOR_H
#define BENCH_NET_GENERATOR_H

#include "bench/net_rig.h"

struct net_sent {
    uint64_t numbers; /* offered: what a ledger calls sent */
    uint64_t dropped; /* of them, by the port, whose other end was behind */
    double rate_hz;
    double longest_us; /* stall */
};

/* Starts it and waits until its port is up. NULL with err. */
struct net_generator *net_generator_open(const struct net_rig *rig, struct error *err);
void net_generator_close(struct net_generator *generator);

/* Offers so many as fast as it goes: the first ones meet pages that nobody has touched. 0 or -errno. */
int net_generator_warm(struct net_generator *generator, uint64_t count, struct net_sent *sent, struct error *err);

/* Offers frames at this rate (0: as fast as it goes) for so long. 0 or -errno. */
int net_generator_run(struct net_generator *generator, double rate_hz, double seconds, struct net_sent *sent,
                      struct error *err);

#endif
