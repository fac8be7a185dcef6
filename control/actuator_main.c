/* sluice-actuator: speaks to one Modbus TCP device for control. Started by sluiced, never by hand: `table=3
 * outbox=4 DEVICE`. Whatever ends it but a SIGKILL, it makes its coils safe first.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control/actuator.h"
#include "control/seal.h"
#include "ring/clock.h"
#include "ring/segment.h"

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "sluice-actuator: %s\n", err->text);
    return 2;
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for sluiced, which stops us after control */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM, 0UL, 0UL, 0UL);
}

int main(int argc, char **argv)
{
    static struct actuator actuator;
    struct error err = {{0}};
    void *table_base;
    void *outbox_base;
    handle_signals();
    if (segment_map_handover(argc, argv, "table", false, sizeof(struct control_table), &table_base, NULL, &err) !=
            0 ||
        segment_map_handover(argc, argv, "outbox", true, sizeof(struct outbox), &outbox_base, NULL, &err) != 0) {
        return fail(&err);
    }
    const struct control_table *table = table_base;
    struct outbox *outbox = outbox_base;
    unsigned long device = strtoul(argv[argc - 1], NULL, 10);
    if (table->magic != CONTROL_TABLE_MAGIC || table->version != CONTROL_TABLE_VERSION ||
        table->bytes != sizeof(*table) || device >= table->devices || device >= CONTROL_DEVICES_MAX ||
        table->device[device].kind != DEVICE_MODBUS) {
        error_set(&err, -EPROTO, "expected an interlock table of version %u; sluiced is another release",
                  CONTROL_TABLE_VERSION);
        return fail(&err);
    }
    outbox->common.pid = (uint64_t)getpid();
    outbox->common.started_tai_ns = clock_tai_ns(table->tai_minus_monotonic_ns);
    if (actuator_init(&actuator, table, (uint32_t)device, outbox, &err) != 0) {
        actuator_fini(&actuator);
        return fail(&err);
    }
    if (getppid() != table->supervisor_pid) {
        stop = 1; /* it died before the kernel could tell us */
    }
    fflush(NULL);
    seal_process(SEAL_ACTUATOR, table->thread.seal != 0, &outbox->common);
    actuator_run(&actuator, &stop);
    _exit(0);
}
