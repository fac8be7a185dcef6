/* Other work beside a measurement: copies that do not fit a cache, page faults, system calls. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <sys/types.h>

/* Starts a process that loads a core until it is stopped, or its parent ends. Its pid, or -1. */
pid_t load_start(int core);

/* pid 0: nothing. */
void load_stop(pid_t pid);

#endif
