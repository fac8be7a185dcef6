/* A reader of the ring in a process of its own, through a read-only map: checks every byte of every frame where it
 * lies. */
#ifndef BENCH_NET_READER_H
#define BENCH_NET_READER_H

#include "bench/net_rig.h"

struct net_read {
    uint64_t frames; /* found right */
    uint64_t wrong;
    uint64_t lost; /* overwritten before they were read, while it follows */
};

/* `follows`: it reads from now on, all the time; else only when it is told to. NULL with err. */
struct net_reader *net_reader_open(const struct net_rig *rig, bool follows, struct error *err);
void net_reader_close(struct net_reader *reader);

/* Until all that has been published is read. What was found since the last call. 0 or -ETIMEDOUT. */
int net_reader_finish(struct net_reader *reader, struct net_read *found, struct error *err);

#endif
