/* What observers cost the writer that do not read: stopped ones, one that is collecting garbage, one that was
 * killed. The same writer and memory without any of them, before and after, is what it is compared with. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "bench/plan.h"
#include "bench/readers_rig.h"

#define WARM_S       0.05
#define HEAD_START_S 0.02 /* frames that they see come */
#define PARTS        11u /* of a time: the median of them counts, not the one in which something else had the core */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double feed(struct readers_rig *rig)
{
    double rate[PARTS];
    for (uint32_t i = 0; i < PARTS; i++) {
        rate[i] = readers_feed(rig, rig->question->seconds / PARTS, rig->path->pace);
    }
    qsort(rate, PARTS, sizeof(rate[0]), compare);
    return rate[PARTS / 2];
}

static int start_all(struct readers_rig *rig, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; i < rig->path->readers && code == 0; i++) {
        code = readers_start(rig, err);
    }
    for (uint32_t i = 0; i < rig->path->readers && code == 0; i++) {
        code = readers_wait(rig, i, READERS_READY, err);
    }
    return code;
}

/* They have begun to read when they are stopped or killed. */
static int put_into_state(struct readers_rig *rig, struct error *err)
{
    (void)readers_feed(rig, HEAD_START_S, rig->path->pace);
    for (uint32_t i = 0; i < rig->started && !rig->path->runs_on; i++) {
        int status = 0;
        pid_t pid = rig->pid[i];
        kill(pid, rig->path->is_killed ? SIGKILL : SIGSTOP);
        while (waitpid(pid, &status, WUNTRACED) < 0 && errno == EINTR) {
        }
        if (!WIFSTOPPED(status)) {
            rig->pid[i] = 0;
        }
        if (!WIFSTOPPED(status) && !rig->path->is_killed) {
            return error_set(err, -ECHILD, "expected a reader to be stopped, it has ended");
        }
    }
    return 0;
}

void readers_impact(struct readers_rig *rig, struct outcome *outcome)
{
    (void)readers_feed(rig, WARM_S, rig->path->pace);
    double before = feed(rig);
    outcome->code = start_all(rig, &outcome->err);
    if (outcome->code == 0) {
        outcome->code = put_into_state(rig, &outcome->err);
    }
    if (outcome->code != 0) {
        return;
    }
    rig->longest_ns = 0;
    uint64_t first = rig->writer->next;
    double with = feed(rig);
    outcome->frames = rig->writer->next - first;
    outcome->stall_us = (double)rig->longest_ns / (double)CLOCK_NS_PER_US;
    readers_stop(rig);
    double after = feed(rig);
    outcome->values[0] = with / 1e9;
    outcome->values[1] = 2 * with / (before + after);
}
