/* sluice-dpdk: one acquisition process whose pinned threads poll DPDK ports, each the queues that it was given.
 * Started by sluiced, and only if a source of kind dpdk is configured: nothing else loads DPDK. */
#include <unistd.h>

#include "daq/dpdk_worker.h"
#include "daq/worker_process.h"
#include "net/dpdk_gone.h"

static struct dpdk_worker worker;

static int init(const struct worker_plan *plan, struct worker_board *board, const int leases_fd[PLAN_THREADS_MAX],
                int bell_fd, struct error *err)
{
    return dpdk_worker_init(&worker, plan, board, leases_fd, bell_fd, err);
}

static void measure(struct worker_board *board, size_t bytes)
{
    dpdk_worker_measure(&worker, board, bytes);
}

static int start(enum seal_profile profile, struct error *err)
{
    return dpdk_worker_start(&worker, profile, err);
}

static void fini(void)
{
    dpdk_worker_fini(&worker);
}

static void run(const volatile sig_atomic_t *stop)
{
    dpdk_worker_run(&worker, stop);
    if (dpdk_gone()) {
        _exit(DPDK_GONE_EXIT);
    }
}

int main(int argc, char **argv)
{
    static const struct worker_program program = {.name = "sluice-dpdk",
                                                  .profile = SEAL_DPDK,
                                                  .profile_leases = SEAL_DPDK,
                                                  .init = init,
                                                  .measure = measure,
                                                  .start = start,
                                                  .fini = fini,
                                                  .run = run};
    return worker_process(argc, argv, &program);
}
