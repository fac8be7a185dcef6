/* How many system calls a process makes, counted by the kernel: whatever library makes them, from whatever thread.
 * While it counts, every call of every process takes a little longer: not while times are measured.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include <stdint.h>
#include <sys/types.h>

#include "ring/error.h"

struct bpf_link;
struct bpf_object;
struct calls_count;

struct calls {
    struct bpf_object *object;
    struct bpf_link *link;
    struct calls_count *count; /* mapped */
};

/* Counts from here on. 0, -ENOTSUP with words if it may not, or the kernel cannot. */
int calls_begin(struct calls *calls, pid_t pid, struct error *err);
/* So many there were since. 0 on a zeroed struct. */
uint64_t calls_end(struct calls *calls);

#endif
