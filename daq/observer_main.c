/* sluice-observer: who took the cores of the pinned threads. Started by sluiced unless the configuration says not
 * to; everything it needs is handed over as descriptors (`board=3 table=4 ..`), read-only but for its own board.
 * Nothing waits for it, and nothing depends on it. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "control/seal.h"
#include "control/thief_bpf.h"
#include "daq/observer.h"
#include "ring/clock.h"
#include "ring/segment.h"

#define ROUND_NS      (20 * CLOCK_NS_PER_MS)
#define SCAN_ROUNDS   5
#define NICE_LOADING  10    /* the kernel checks the programs for 0.1 s and more: nobody is to wait for that .. */
#define NICE_WATCHING (-10) /* .. but what it comes too late for later is lost */

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "sluice-observer: %s\n", err->text);
    return 2;
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for sluiced, which stops us */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM, 0UL, 0UL, 0UL);
}

static int map_workers(int argc, char **argv, struct observer *observer, struct error *err)
{
    static const char *const names[] = {OBSERVER_WORKER_NAMES};
    static_assert(sizeof(names) / sizeof(names[0]) == OBSERVER_BOARDS_MAX, "a name for each worker");
    for (uint32_t i = 0; i < OBSERVER_BOARDS_MAX && handover_fd(argc, argv, names[i]) >= 0; i++) {
        void *base;
        int code = segment_map_handover(argc, argv, names[i], false, sizeof(struct worker_board), &base, NULL, err);
        if (code != 0) {
            return code;
        }
        observer->worker[observer->workers++] = base;
    }
    return 0;
}

static int map_all(int argc, char **argv, struct observer *observer, struct error *err)
{
    void *board;
    void *table;
    void *control;
    int code = segment_map_handover(argc, argv, "board", true, sizeof(struct observer_board), &board, NULL, err);
    if (code == 0) {
        code = segment_map_handover(argc, argv, "table", false, sizeof(struct control_table), &table, NULL, err);
    }
    if (code == 0) {
        code =
            segment_map_handover(argc, argv, "control", false, sizeof(struct control_board), &control, NULL, err);
    }
    if (code != 0) {
        return code;
    }
    observer->board = board;
    observer->table = table;
    observer->control = control;
    if (observer->table->version != CONTROL_TABLE_VERSION ||
        observer->board->common.version != BOARD_LAYOUT_VERSION) {
        return error_set(err, -EPROTO,
                         "expected an interlock table of version %u and boards of version %u; sluiced is "
                         "another release",
                         CONTROL_TABLE_VERSION, BOARD_LAYOUT_VERSION);
    }
    return map_workers(argc, argv, observer, err);
}

static void run(struct observer *observer, struct thief_bpf *bpf)
{
    const struct timespec pause = {.tv_nsec = (long)ROUND_NS};
    for (uint32_t round = 0; stop == 0; round++) {
        uint64_t now_ns = clock_monotonic_ns();
        if (bpf != NULL) {
            if (round % SCAN_ROUNDS == 0) {
                observer_scan(observer, now_ns);
            }
            thief_bpf_take(bpf, observer_take, observer);
            struct thief_counts counts = thief_bpf_counts(bpf);
            observer_count(observer, &counts, now_ns);
        }
        observer_judge(observer, now_ns);
        board_beat(&observer->board->common, now_ns);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
}

int main(int argc, char **argv)
{
    static struct observer observer;
    struct error err = {{0}};
    struct thief_bpf *bpf = NULL;
    take_signals();
    (void)setpriority(PRIO_PROCESS, 0, NICE_LOADING);
    if (map_all(argc, argv, &observer, &err) != 0) {
        return fail(&err);
    }
    struct board *board = &observer.board->common;
    board->pid = (uint64_t)getpid();
    board->started_tai_ns = clock_tai_ns(observer.table->tai_minus_monotonic_ns);
    if (thief_bpf_open(&bpf, observer.board->threshold_ns, &err) != 0) {
        board_refuse(board, "%s", err.text);
    } else {
        observer.settings = thief_bpf_settings(bpf);
        snprintf(observer.board->missing, sizeof(observer.board->missing), "%s", thief_bpf_missing(bpf));
    }
    observer_begin(&observer, clock_monotonic_ns());
    malloc_trim(0); /* the kernel's own types, which libbpf has read, are 5 MB */
    if (getppid() != observer.table->supervisor_pid) {
        return 0; /* it died before the kernel could tell us */
    }
    (void)setpriority(PRIO_PROCESS, 0, NICE_WATCHING);
    fflush(NULL);
    seal_process(SEAL_OBSERVER, observer.table->thread.seal != 0, board);
    run(&observer, bpf);
    _exit(0); /* the kernel takes the programs away with the descriptors */
}
