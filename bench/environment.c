#include "bench/environment.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/tsc.h"

#define WATCH_NS (20 * CLOCK_NS_PER_MS)
#define GAP_NS   10000.0
#define LONG_US  1000.0

/* The value behind `key` in a file of lines `key : value`; the first line if key is NULL. */
static void line_of(const char *path, const char *key, char *value, size_t bytes)
{
    char line[256];
    value[0] = 0;
    FILE *f = fopen(path, "re");
    while (f != NULL && value[0] == 0 && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        const char *from = key == NULL ? line : strchr(line, ':');
        if (from != NULL && (key == NULL || strncmp(line, key, strlen(key)) == 0)) {
            snprintf(value, bytes, "%s", from + (key == NULL ? 0 : strspn(from, ": ")));
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

/* The kernel's steal time of all processors, in s: the eighth number of the first line. */
static double steal_seconds(void)
{
    char line[256];
    line_of("/proc/stat", NULL, line, sizeof(line));
    char *at = line + strcspn(line, " ");
    unsigned long long ticks = 0;
    for (int i = 0; i < 8; i++) {
        ticks = strtoull(at, &at, 10);
    }
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* Which core of which socket a processor is; the processor itself if the kernel does not say. */
static long core_of(int cpu)
{
    char path[96];
    char package[32];
    char core[32];
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
    line_of(path, NULL, package, sizeof(package));
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
    line_of(path, NULL, core, sizeof(core));
    return core[0] == 0 ? cpu : strtol(package, NULL, 10) * 65536 + strtol(core, NULL, 10);
}

/* Processors that are cores of their own first; threads of the same ones only if two are not to be had else. */
static void take_cores(struct environment *e)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return;
    }
    e->cpus = (uint32_t)CPU_COUNT(&set);
    for (int i = 0; i < CPU_SETSIZE && e->core_count < MEASURE_CORES_MAX; i++) {
        bool taken = false;
        for (uint32_t j = 0; CPU_ISSET(i, &set) && j < e->core_count; j++) {
            taken = taken || core_of(e->cores[j]) == core_of(i);
        }
        if (CPU_ISSET(i, &set) && !taken) {
            e->cores[e->core_count++] = i;
        }
    }
    for (int i = 0; i < CPU_SETSIZE && e->core_count == 1; i++) {
        if (CPU_ISSET(i, &set) && i != e->cores[0]) {
            e->cores[e->core_count++] = i;
            e->siblings = true;
        }
    }
}

int environment_init(struct environment *e, struct error *err)
{
    *e = (struct environment){.steal_s = -steal_seconds()};
    host_read(&e->host);
    take_cores(e);
    if (e->core_count < 2) {
        return error_set(err, -ENODEV,
                         "expected two processor cores, found %u; a ring between two threads on one core measures "
                         "the scheduler. Run it where `nproc` says 2 or more",
                         e->core_count);
    }
    struct utsname name;
    uname(&name);
    snprintf(e->kernel, sizeof(e->kernel), "%s", name.release);
    line_of("/proc/cpuinfo", "model name", e->machine, sizeof(e->machine));
    line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", NULL, e->governor, sizeof(e->governor));
    struct segment segment = {.fd = -1};
    int code = bench_memory(&segment, BENCH_RING_BYTES, err);
    e->page_bytes = segment.page_bytes;
    segment_destroy(&segment);
    e->tsc_mhz = tsc_per_ns() * 1000;
    return code;
}

static void watch_core(struct environment *e)
{
    uint64_t start = tsc_now();
    uint64_t end = start + (uint64_t)((double)WATCH_NS * tsc_per_ns());
    uint64_t limit = (uint64_t)(GAP_NS * tsc_per_ns());
    uint64_t lost = 0;
    uint64_t last = start;
    while (last < end) {
        uint64_t now = tsc_now();
        uint64_t gap = now - last;
        last = now;
        if (gap > limit) {
            double us = (double)gap / tsc_per_ns() / 1e3;
            e->gaps++;
            e->gaps_long += us > LONG_US;
            e->gap_us_max = us > e->gap_us_max ? us : e->gap_us_max;
            lost += gap;
        }
    }
    double seconds = (double)(last - start) / tsc_per_ns() / 1e9;
    double lost_s = e->gap_share * e->watched_s + (double)lost / tsc_per_ns() / 1e9;
    e->watched_s += seconds;
    e->gap_share = lost_s / e->watched_s;
}

void environment_watch(struct environment *e)
{
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof(before), &before) != 0) {
        return;
    }
    for (uint32_t i = 0; i < 2; i++) {
        pin_to(e->cores[i]);
        watch_core(e);
    }
    sched_setaffinity(0, sizeof(before), &before);
}

void environment_finish(struct environment *e)
{
    e->steal_s += steal_seconds();
}
