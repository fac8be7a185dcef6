/* What bench/calls.c and the BPF program that it loads share. */
#ifndef BENCH_CALLS_COUNT_H
#define BENCH_CALLS_COUNT_H

#include <stdint.h>

struct calls_count {
    uint64_t device; /* of the process namespace that pid is meant in, and .. */
    uint64_t inode;
    uint64_t pid;   /* whose calls are counted, all its threads' */
    uint64_t calls; /* so far */
};

#endif
