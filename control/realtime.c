#include "control/realtime.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

bool realtime_is_throttled(void)
{
    char text[32];
    FILE *f = fopen("/proc/sys/kernel/sched_rt_runtime_us", "r");
    if (f == NULL) {
        return true;
    }
    bool read = fgets(text, sizeof(text), f) != NULL;
    fclose(f);
    return !read || text[0] != '-'; /* "-1": no throttling */
}

/* The core, or -1: anywhere. */
static int32_t pin(const struct thread_plan *plan, struct board *board)
{
    cpu_set_t set;
    if (plan->core < 0) {
        return -1;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)plan->core, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        board_refuse(board,
                     "cannot pin to core %d: %s; running wherever the kernel puts it, expect later decisions",
                     plan->core, strerror(errno));
        return -1;
    }
    return plan->core;
}

static void schedule(const struct thread_plan *plan, struct board *board)
{
    struct sched_param param = {.sched_priority = plan->priority};
    if (plan->fifo != 0 && sched_setscheduler(0, SCHED_FIFO, &param) != 0) {
        board_refuse(board,
                     "SCHED_FIFO %d refused: %s; running as an ordinary process, any busy process may delay it "
                     "(needs root, CAP_SYS_NICE or RLIMIT_RTPRIO)",
                     plan->priority, strerror(errno));
    }
    if (sched_getscheduler(0) == SCHED_FIFO && plan->idle == IDLE_BUSY && realtime_is_throttled()) {
        board_refuse(board, "a busy SCHED_FIFO thread is stopped for about 50 ms in every second while "
                            "/proc/sys/kernel/sched_rt_runtime_us is not -1; set that or idle: duty");
    }
    board->policy = sched_getscheduler(0);
    sched_getparam(0, &param);
    board->priority = param.sched_priority;
}

void realtime_enter(const struct thread_plan *plan, struct board *board)
{
    board->core = pin(plan, board);
    if (plan->lock_memory != 0) {
        if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
            board_refuse(board,
                         "cannot lock memory: %s; a page fault may delay a decision (needs root, CAP_IPC_LOCK "
                         "or a larger RLIMIT_MEMLOCK)",
                         strerror(errno));
        } else {
            board->locked = 1;
        }
    }
    schedule(plan, board);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void realtime_enter_thread(const struct thread_plan *plan, struct board *board, struct realtime_thread *got)
{
    struct sched_param param = {.sched_priority = plan->priority};
    got->core = pin(plan, board);
    if (plan->fifo != 0) {
        (void)sched_setscheduler(0, SCHED_FIFO, &param); /* refused: realtime_enter says so for all */
    }
    got->policy = sched_getscheduler(0);
    sched_getparam(0, &param);
    got->priority = param.sched_priority;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}
