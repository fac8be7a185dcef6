/* sluice-recorder: writes rings to files. Started by sluiced for each of the configuration's `recorders`, or by
 * `sluice record`; it is handed its plan, its board and its mailbox as descriptors (`plan=3 board=4 ..`), and reads
 * rings as every other reader does. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daq/recorder.h"
#include "ring/clock.h"
#include "ring/segment.h"
#include "ring/thread.h"

#define NICE 5

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "sluice-recorder: %s\n", err->text);
    return 2;
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for whoever started us, who stops us */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM, 0UL, 0UL, 0UL); /* the run is still ended well */
}

static int map_all(int argc, char **argv, struct recorder *r, struct error *err)
{
    void *plan;
    void *board;
    void *mailbox;
    void *config = NULL;
    size_t config_bytes = 0;
    int code = segment_map_handover(argc, argv, "plan", false, sizeof(struct recorder_plan), &plan, NULL, err);
    if (code == 0) {
        code = segment_map_handover(argc, argv, "board", true, sizeof(struct recorder_board), &board, NULL, err);
    }
    if (code == 0) {
        code = segment_map_handover(argc, argv, "mailbox", false, sizeof(struct recorder_mailbox), &mailbox, NULL,
                                    err);
    }
    if (code == 0 && handover_fd(argc, argv, "config") >= 0) {
        code = segment_map(handover_fd(argc, argv, "config"), false, 1, &config, &config_bytes, err);
    }
    if (code != 0) {
        return code;
    }
    r->plan = plan;
    r->board = board;
    r->mailbox = mailbox;
    r->config = config;
    const struct recorder_plan *p = r->plan;
    if (p->magic != RECORDER_PLAN_MAGIC || p->version != RECORDER_PLAN_VERSION || p->rings == 0 ||
        p->rings > RECORDER_RINGS_MAX || p->directories == 0 || p->directories > RECORDER_DIRECTORIES_MAX ||
        p->config_bytes > config_bytes || r->board->common.version != BOARD_LAYOUT_VERSION) {
        return error_set(err, -EPROTO,
                         "expected a plan of version %u and a board of version %u; who started us is "
                         "another release",
                         RECORDER_PLAN_VERSION, BOARD_LAYOUT_VERSION);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct recorder recorder;
    struct error err = {{0}};
    take_signals();
    (void)!nice(NICE); /* the rings are its buffer; whoever measures or decides goes first */
    if (map_all(argc, argv, &recorder, &err) != 0 || recorder_init(&recorder, &err) != 0) {
        return fail(&err);
    }
    struct board *board = &recorder.board->common;
    board->pid = (uint64_t)getpid();
    board->started_tai_ns = clock_monotonic_ns() + (uint64_t)clock_measure_tai_offset_ns();
    if (getppid() != recorder.plan->starter_pid) {
        stop = 1; /* it died before the kernel could tell us */
    }
    int code = recorder_loop(&recorder, &stop);
    recorder_fini(&recorder);
    return code;
}
