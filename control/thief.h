/* What the observer's BPF programs (control/thief.bpf.c) and its process (control/thief_bpf.c) share: which threads
 * are watched, and what took the core from one of them. Compiled for the kernel's BPF machine too: integers only.
 */
#ifndef CONTROL_THIEF_H
#define CONTROL_THIEF_H

#include <stdint.h>

#define THIEF_THREADS_MAX 64u          /* watched at a time: a bit each in one word */
#define THIEF_CPUS_MAX    256u         /* cores with a higher number are not watched */
#define THIEF_SLOTS       1024u        /* of the table by thread number, a power of two */
#define THIEF_PROBES      4u           /* places a thread number may stand in */
#define THIEF_NAME_BYTES  16u          /* as the kernel has it */
#define THIEF_EVENT_BYTES (256u << 10) /* some 3000 of them; a power of two pages */

/* What a watched thread's time went to while it did not run, or did not run its own instructions. */
enum thief_kind {
    THIEF_NONE = 0,
    THIEF_TASK = 1,    /* another task ran although the thread could have */
    THIEF_IDLE = 2,    /* the idle task ran although the thread had been running: it is throttled */
    THIEF_WAKE = 3,    /* it was woken, and the idle core was slow to take it up */
    THIEF_IRQ = 4,     /* a device's interrupt; what: its number */
    THIEF_SOFTIRQ = 5, /* what: the vector's number */
    THIEF_TIMER = 6,   /* the local timer's interrupt */
    THIEF_IPI = 7,     /* another core's; what: enum thief_ipi */
    THIEF_NMI = 8,
    THIEF_STOPPED = 9, /* by a signal or a tracer; pid, name: who sent it; what: the signal */
    THIEF_SLEEP = 10,  /* it waited in a system call, longer than it meant to; what: the call's number, or -1 */
    THIEF_HOST = 11,   /* no event tells of it, and the thread's own clock shows it: the hypervisor, or firmware */
    THIEF_KINDS = 12
};

enum thief_ipi {
    THIEF_IPI_RESCHEDULE = 0,
    THIEF_IPI_CALL = 1,
    THIEF_IPI_CALL_SINGLE = 2,
    THIEF_IPI_IRQ_WORK = 3,
    THIEF_IPI_PLATFORM = 4,
    THIEF_IPIS = 5
};

struct thief_event {
    uint64_t from_ns; /* CLOCK_MONOTONIC */
    uint64_t ns;
    uint32_t thread; /* index of the watched thread that lost the time */
    uint32_t kind;   /* enum thief_kind */
    uint32_t pid; /* of the task that took it (its thread number, in our namespace; 0: kernel, idle or outside) */
    int32_t what;
    uint32_t cpu;
    uint32_t epoch; /* of the entry in the table: a number that is used again is another thread */
    char name[THIEF_NAME_BYTES];
};

/* Written by the process, read by the programs. */
struct thief_slot {
    uint32_t tid;    /* 0: free, and the end of a search */
    uint32_t thread; /* index */
};

struct thief_watched {
    uint64_t sleep_ns; /* that it plans at a time: what happens meanwhile harms nobody */
    uint64_t limit_ns; /* a sleep that is so much longer, or any other wait of that length, is told; 0: none is */
    uint32_t tid;
    uint32_t epoch;
};

struct thief_settings {
    uint64_t threshold_ns; /* shorter ones are not told */
    uint64_t names;        /* our pid namespace, as the kernel's pointer; found by thief_names */
    uint32_t level;        /* of that namespace: 0 the first */
    int32_t nap[2];        /* numbers of the system calls that sleep for a planned time */
    uint32_t pad;
    struct thief_slot slot[THIEF_SLOTS];
    struct thief_watched watched[THIEF_THREADS_MAX];
};

/* Counted by the programs. */
struct thief_counts {
    uint64_t told;
    uint64_t lost;  /* found no room */
    uint64_t brief; /* below the threshold */
};

static inline uint32_t thief_place(uint32_t tid, uint32_t probe)
{
    return ((tid * 2654435761u >> 16) + probe) & (THIEF_SLOTS - 1);
}

#endif
