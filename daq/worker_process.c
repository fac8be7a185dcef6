#include "daq/worker_process.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control/realtime.h"
#include "ring/clock.h"
#include "ring/segment.h"

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static void set_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for sluiced, which stops us */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
}

static int fail(const struct worker_program *program, const struct error *err)
{
    fprintf(stderr, "%s: %s\n", program->name, err->text);
    return 2;
}

/* Only a worker one of whose rings takes gating readers may map their leases. */
static bool takes_leases(const struct worker_plan *plan)
{
    bool any = false;
    for (uint32_t i = 0; i < plan->sources; i++) {
        any = any || plan->source[i].gates > 0;
    }
    return any;
}

/* The least that the plan's sources need. */
static enum seal_profile profile_of(const struct worker_program *program, const struct worker_plan *plan)
{
    for (uint32_t i = 0; i < plan->sources; i++) {
        if (plan->source[i].kind == SOURCE_AFXDP) {
            return SEAL_WORKER_XDP;
        }
    }
    return takes_leases(plan) ? program->profile_leases : program->profile;
}

static bool fits(const struct worker_plan *plan, size_t bytes)
{
    bool fits = plan->magic == PLAN_MAGIC && plan->version == PLAN_VERSION && plan->sources <= PLAN_SOURCES_MAX &&
                plan->threads <= PLAN_THREADS_MAX && bytes >= worker_plan_bytes(plan);
    for (uint32_t i = 0; fits && i < plan->sources; i++) {
        fits = plan->source[i].thread < plan_threads(plan);
    }
    return fits;
}

static int open_all(int argc, char **argv, const struct worker_program *program, const struct worker_plan *plan,
                    struct worker_board *board, size_t board_bytes, struct error *err)
{
    static const char *const names[] = {PLAN_LEASES_NAMES};
    int leases_fd[PLAN_THREADS_MAX];
    for (uint32_t t = 0; t < PLAN_THREADS_MAX; t++) {
        leases_fd[t] = handover_fd(argc, argv, names[t]);
    }
    int code = program->init(plan, board, leases_fd, handover_fd(argc, argv, "bell"), err);
    if (code == 0) {
        program->measure(board, board_bytes);
    }
    if (code == 0 && program->start != NULL) {
        code = program->start(profile_of(program, plan), err);
    }
    return code;
}

int worker_process(int argc, char **argv, const struct worker_program *program)
{
    struct error err = {{0}};
    void *plan_base;
    void *board_base;
    size_t plan_size;
    size_t board_size;

    set_signals();
    if (segment_map_handover(argc, argv, "plan", false, offsetof(struct worker_plan, source), &plan_base,
                             &plan_size, &err) != 0 ||
        segment_map_handover(argc, argv, "board", true, sizeof(struct worker_board), &board_base, &board_size,
                             &err) != 0) {
        return fail(program, &err);
    }
    const struct worker_plan *plan = plan_base;
    struct worker_board *shown = board_base;
    struct board *board = &shown->common;
    if (!fits(plan, plan_size)) {
        error_set(&err, -EPROTO, "expected a worker plan of version %u; sluiced is another release", PLAN_VERSION);
        return fail(program, &err);
    }
    board->pid = (uint64_t)getpid();
    board->started_tai_ns = clock_tai_ns(plan->tai_minus_monotonic_ns);
    if (open_all(argc, argv, program, plan, shown, board_size, &err) != 0) {
        program->fini();
        return fail(program, &err);
    }
    realtime_enter(&plan->thread, board); /* last: what is locked is what there is */
    if (getppid() != plan->supervisor_pid) {
        return 0; /* it died before the kernel could tell us */
    }
    fflush(NULL);
    seal_process(profile_of(program, plan), plan->thread.seal != 0, board);
    program->run(&stop);
    _exit(0);
}
