/* What a figure depends on beside the program: how the kernel was built and started, and what it guards against.
 * Read once, at the start. */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H

#include <stdint.h>

#define HOST_FLAWS_MAX 32u
#define HOST_PAGES_MAX 4u

struct host_flaw {
    char name[40]; /* of the processor's weakness, as the kernel calls it */
    char says[160];
};

struct host_pages {
    uint64_t bytes;
    uint64_t count; /* reserved */
};

struct host {
    char version[128];    /* of the kernel's build */
    char preemption[48];  /* "PREEMPT_RT", "PREEMPT_DYNAMIC, full" .., "none" */
    char clocksource[32]; /* empty: the kernel does not say */
    char options[256];    /* of the kernel's command line those that move figures; empty: none */
    char thp[32];         /* transparent huge pages: always, madvise, never; empty: there are none */
    uint64_t page_bytes;
    struct host_pages pages[HOST_PAGES_MAX]; /* huge ones */
    uint32_t page_kinds;
    struct host_flaw flaw[HOST_FLAWS_MAX];
    uint32_t flaws;
    double load; /* processes that ran or waited to, mean of the last minute */
    int64_t
        rt_runtime_us; /* of a second, for real-time threads; -1: not bounded; INT64_MIN: the kernel does not say */
};

void host_read(struct host *host);

/* The first line of a file without its end; empty if there is none. Cold. */
void host_line(const char *path, char *line, unsigned long bytes);

/* Ticks that the hypervisor has had each of the cores, as the kernel accounts it since boot; 0 where it does not.
 */
void host_steal(const int *cores, uint32_t count, uint64_t *ticks);

/* Ticks of host_steal in a second. */
double host_tick_hz(void);

#endif
