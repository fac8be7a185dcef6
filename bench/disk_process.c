#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "bench/disk_rig.h"
#include "bench/net_process.h"
#include "bench/plan.h"
#include "daq/process_memory.h"

#define LOOK_US 5000

uint64_t disk_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t disk_written(pid_t pid)
{
    return process_number(pid, "io", "write_bytes:");
}

/* What its status says of why it failed. */
static int judge(int status, const char *name, struct error *err)
{
    if (WIFSIGNALED(status)) {
        return error_set(err, -ECHILD, "%s was ended by signal %d", name, WTERMSIG(status));
    }
    return WEXITSTATUS(status) == 0
               ? 0
               : error_set(err, -ECHILD, "%s: expected exit status 0, found %d", name, WEXITSTATUS(status));
}

int disk_wait(pid_t pid, double limit_s, void (*look)(void *context), void *context, struct rusage *usage,
              const char *name, struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(limit_s * 1e9);
    int status = 0;
    int code = 0;
    while (code == 0 && !net_process_ended(pid)) {
        if (look != NULL) {
            look(context);
        }
        if (plan_stopped()) {
            code = -EINTR;
        } else if (clock_monotonic_ns() > end_ns) {
            code = error_set(err, -ETIMEDOUT, "%s: expected its end within %.0f s", name, limit_s);
        }
        net_rest_us(LOOK_US);
    }
    if (code != 0) {
        kill(pid, SIGKILL);
    }
    while (wait4(pid, &status, 0, usage) < 0 && errno == EINTR) {
    }
    return code != 0 ? code : judge(status, name, err);
}
