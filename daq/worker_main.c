/* sluice-worker: one acquisition process with one pinned thread, sources over io_uring. Started by sluiced;
 * everything it needs is handed over as descriptors (`plan=3 board=4 ..`). */
#include "daq/worker.h"
#include "daq/worker_process.h"

static struct worker worker;

static int init(const struct worker_plan *plan, struct worker_board *board, const int leases_fd[PLAN_THREADS_MAX],
                int bell_fd, struct error *err)
{
    return worker_init(&worker, plan, &board->common, leases_fd[0], bell_fd, err);
}

static void measure(struct worker_board *board, size_t bytes)
{
    worker_measure(&worker, board, bytes);
}

static void fini(void)
{
    worker_fini(&worker);
}

static void run(const volatile sig_atomic_t *stop)
{
    worker_run(&worker, stop);
}

int main(int argc, char **argv)
{
    static const struct worker_program program = {.name = "sluice-worker",
                                                  .profile = SEAL_WORKER,
                                                  .profile_leases = SEAL_WORKER_LEASES,
                                                  .init = init,
                                                  .measure = measure,
                                                  .fini = fini,
                                                  .run = run};
    return worker_process(argc, argv, &program);
}
