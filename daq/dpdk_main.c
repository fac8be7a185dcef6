/* sluice-dpdk: one acquisition process with one pinned thread that polls DPDK ports. Started by sluiced, and only
 * if a source of kind dpdk is configured: nothing else loads DPDK. */
#include "daq/dpdk_worker.h"
#include "daq/worker_process.h"

static struct dpdk_worker worker;

static int init(const struct worker_plan *plan, struct board *board, int leases_fd, int bell_fd, struct error *err)
{
    return dpdk_worker_init(&worker, plan, board, leases_fd, bell_fd, err);
}

static void fini(void)
{
    dpdk_worker_fini(&worker);
}

static void run(const volatile sig_atomic_t *stop)
{
    dpdk_worker_run(&worker, stop);
}

int main(int argc, char **argv)
{
    static const struct worker_program program = {.name = "sluice-dpdk",
                                                  .profile = SEAL_DPDK,
                                                  .profile_leases = SEAL_DPDK,
                                                  .init = init,
                                                  .fini = fini,
                                                  .run = run};
    return worker_process(argc, argv, &program);
}
