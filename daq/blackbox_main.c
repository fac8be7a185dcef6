/* sluice-blackbox: writes a directory for each trip. Started by sluiced, only if the configuration has `black_box`;
 * everything it needs is handed over as descriptors (`plan=3 board=4 ..`), read-only but for its own board. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daq/blackbox.h"
#include "ring/clock.h"
#include "ring/segment.h"

#define NICE 10

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "sluice-blackbox: %s\n", err->text);
    return 2;
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for sluiced, which stops us last */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM, 0UL, 0UL, 0UL); /* a report under way is still finished */
}

static int check(const struct blackbox *box, size_t config_bytes, struct error *err)
{
    const struct blackbox_plan *plan = box->plan;
    const struct control_table *table = box->table;
    if (plan->magic != BLACKBOX_PLAN_MAGIC || plan->version != BLACKBOX_PLAN_VERSION ||
        plan->config_bytes > config_bytes || memchr(plan->directory, 0, sizeof(plan->directory)) == NULL) {
        return error_set(err, -EPROTO, "expected a plan of version %u; sluiced is another release",
                         BLACKBOX_PLAN_VERSION);
    }
    if (table->magic != CONTROL_TABLE_MAGIC || table->version != CONTROL_TABLE_VERSION ||
        table->bytes != sizeof(*table) || table->hash != control_table_hash(table)) {
        return error_set(err, -EPROTO, "expected an interlock table of version %u; sluiced is another release",
                         CONTROL_TABLE_VERSION);
    }
    return 0;
}

static int map_all(int argc, char **argv, struct blackbox *box, struct error *err)
{
    void *plan;
    void *board;
    void *table;
    void *control;
    void *journal;
    void *config;
    size_t config_bytes;
    int code = segment_map_handover(argc, argv, "plan", false, sizeof(struct blackbox_plan), &plan, NULL, err);
    if (code == 0) {
        code = segment_map_handover(argc, argv, "board", true, sizeof(struct blackbox_board), &board, NULL, err);
    }
    if (code == 0) {
        code = segment_map_handover(argc, argv, "table", false, sizeof(struct control_table), &table, NULL, err);
    }
    if (code == 0) {
        code =
            segment_map_handover(argc, argv, "control", false, sizeof(struct control_board), &control, NULL, err);
    }
    if (code == 0) {
        code =
            segment_map_handover(argc, argv, "journal", false, sizeof(struct control_journal), &journal, NULL, err);
    }
    if (code == 0) {
        code = segment_map(handover_fd(argc, argv, "config"), false, 1, &config, &config_bytes, err);
    }
    if (code != 0) {
        return code;
    }
    box->plan = plan;
    box->board = board;
    box->table = table;
    box->control = control;
    box->journal = journal;
    box->config = config;
    return check(box, config_bytes, err);
}

static int attach_rings(struct blackbox *box, struct error *err)
{
    for (uint32_t i = 0; i < box->table->rings && i < CONTROL_RINGS_MAX; i++) {
        void *base;
        size_t bytes;
        int code = segment_map((int)box->table->ring[i].fd, false, RING_HEADER_BYTES, &base, &bytes, err);
        if (code == 0) {
            code = ring_reader_attach(&box->reader[i], base, bytes, SLUICE_NEWEST, err);
        }
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct blackbox box;
    struct error err = {{0}};
    take_signals();
    (void)!nice(NICE); /* whatever it does can wait for whoever measures or decides */
    if (map_all(argc, argv, &box, &err) != 0 || attach_rings(&box, &err) != 0 || blackbox_init(&box, &err) != 0) {
        return fail(&err);
    }
    box.board->common.pid = (uint64_t)getpid();
    box.board->common.started_tai_ns = clock_tai_ns(box.table->tai_minus_monotonic_ns);
    if (getppid() != box.plan->supervisor_pid) {
        stop = 1; /* it died before the kernel could tell us */
    }
    blackbox_run(&box, &stop);
    blackbox_fini(&box);
    return 0;
}
