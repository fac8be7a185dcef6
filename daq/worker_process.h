/* What every acquisition program's main does: signals, the hand-over, the plan's version, real time, the seal, the
 * loop. Cold. */
#ifndef DAQ_WORKER_PROCESS_H
#define DAQ_WORKER_PROCESS_H

#include <signal.h>

#include "control/seal.h"
#include "daq/worker_board.h"
#include "net/plan.h"
#include "ring/error.h"

struct worker_program {
    const char *name;
    enum seal_profile profile;        /* if no ring takes gating readers */
    enum seal_profile profile_leases; /* else: it maps their leases */
    /* Opens everything that must be open before the seal. leases_fd: of each polling thread. 0 or -errno. */
    int (*init)(const struct worker_plan *plan, struct worker_board *board, const int leases_fd[PLAN_THREADS_MAX],
                int bell_fd, struct error *err);
    /* What it measures from here on goes behind the board, whose segment has so many bytes. */
    void (*measure)(struct worker_board *board, size_t bytes);
    /* Starts what threads there are beside this one, each sealed when it returns. 0 or -errno. NULL: none. */
    int (*start)(enum seal_profile profile, struct error *err);
    void (*fini)(void);
    /* Until *stop, and then what has been received already. */
    void (*run)(const volatile sig_atomic_t *stop);
};

/* The program's whole life: its exit code, 2 if it cannot start. Does not return from a run. */
int worker_process(int argc, char **argv, const struct worker_program *program);

#endif
