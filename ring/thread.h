/* How a real-time thread is to run: plain data in a sealed hand-over segment. And how descriptors are handed over:
 * as program arguments `name=number`, so that `ps` shows what a process holds. */
#ifndef RING_THREAD_H
#define RING_THREAD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* How a spinning or sleeping thread idles. */
enum idle_mode {
    IDLE_BUSY = 1, /* never gives the core up */
    IDLE_DUTY = 2, /* spins spin_us, sleeps sleep_us: RT throttling never bites */
    IDLE_WAIT = 3  /* sleeps until there is something (workers) or for sleep_us (control) */
};

struct thread_plan {
    int32_t core;     /* -1: anywhere */
    int32_t fifo;     /* 0: SCHED_OTHER; 1: SCHED_FIFO */
    int32_t priority; /* 1..98 under SCHED_FIFO */
    uint32_t idle;    /* enum idle_mode */
    uint32_t spin_us;
    uint32_t sleep_us;
    uint32_t lock_memory; /* 1: mlockall */
    uint32_t seal;        /* 1: a system call that is not listed ends the process */
};

/* The descriptor handed over as `name=number`, or -1. Cold. */
static inline int handover_fd(int argc, char **argv, const char *name)
{
    size_t n = strlen(name);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') {
            char *end;
            long fd = strtol(argv[i] + n + 1, &end, 10);
            return *end == 0 && fd >= 0 && fd < 4096 ? (int)fd : -1;
        }
    }
    return -1;
}

#endif
