/* Processes that the net bench starts: each ends with whoever started it. */
#ifndef BENCH_NET_PROCESS_H
#define BENCH_NET_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "ring/clock.h"
#include "ring/error.h"

#define NET_PATIENCE_NS (20 * CLOCK_NS_PER_S) /* for what takes a second at most */

/* Executes a program that lies beside our own (or argv[0] as it is, if it has a slash or `search`), pinned to
 * `core` (negative: anywhere), with `in` and `out` as standard input and output (negative: nothing, and our
 * standard error) and `shared` as descriptor 3 (negative: none). Its pid or -errno. */
struct net_process {
    const char *const *argv;
    int core;
    int in;
    int out;
    int shared;
    int namespace; /* of the network that it is to run in; 0: in ours */
    bool search;   /* argv[0] along PATH */
};
pid_t net_process_start(const struct net_process *process, struct error *err);

/* SIGTERM, then SIGKILL; waits for its end. 0 or less is fine. */
void net_process_end(pid_t pid);

/* True if it has ended. It stays to be waited for. */
bool net_process_ended(pid_t pid);

/* Gives the core up for a moment. */
void net_rest_us(long us);

#endif
