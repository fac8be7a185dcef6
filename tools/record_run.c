/* A recorder of our own: its segments, its process, and what the terminal shows of it meanwhile. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daq/launch.h"
#include "ring/clock.h"
#include "ring/segment.h"
#include "tools/record.h"
#include "tools/sluice.h"

#define LOOK_NS (200 * (long)CLOCK_NS_PER_MS)
#define MIB     1048576.0

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

struct own {
    struct segment plan;
    struct segment board;
    struct segment mailbox;
    int mailbox_fd; /* read-only */
    int config_fd;
    pid_t pid;
};

/* The configuration's text, which goes into every file; without it the recording is as good, but tells less. */
static void fetch_config(const struct session *session, struct own *own, struct recorder_plan *plan)
{
    struct protocol_reply reply;
    struct error err = {{0}};
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 0;
    if (protocol_call(session->socket_fd, PROTOCOL_CONFIG, NULL, &reply, fds, &count, &err) == 0 && count == 1) {
        own->config_fd = fds[0];
        plan->config_bytes = strtoull(reply.text, NULL, 10);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static int make_segments(struct own *own, const struct recorder_plan *plan, struct error *err)
{
    int code =
        segment_create(&own->board, "sluice-recorder-board", sizeof(struct recorder_board), SEGMENT_NORMAL, err);
    if (code == 0) {
        board_init(own->board.base, BOARD_RECORDER, plan->instance, plan->name);
        code = segment_create(&own->mailbox, "sluice-recorder-mailbox", sizeof(struct recorder_mailbox),
                              SEGMENT_NORMAL, err);
    }
    if (code == 0) {
        code = segment_create_constant(&own->plan, "sluice-recorder-plan", plan, sizeof(*plan), err);
    }
    if (code == 0) {
        own->mailbox_fd = segment_reopen_read_only(own->mailbox.fd, err);
        code = own->mailbox_fd < 0 ? own->mailbox_fd : 0;
    }
    return code;
}

static void destroy(struct own *own)
{
    segment_destroy(&own->plan);
    segment_destroy(&own->board);
    segment_destroy(&own->mailbox);
    if (own->mailbox_fd >= 0) {
        close(own->mailbox_fd);
    }
    if (own->config_fd >= 0) {
        close(own->config_fd);
    }
}

static int start(struct own *own, struct error *err)
{
    struct launch launch = {.program = "sluice-recorder"};
    launch_add(&launch, own->plan.fd, 3, "plan");
    launch_add(&launch, own->board.fd, 4, "board");
    launch_add(&launch, own->mailbox_fd, 5, "mailbox");
    if (own->config_fd >= 0) {
        launch_add(&launch, own->config_fd, 6, "config");
    }
    own->pid = launch_start(&launch, err);
    return own->pid < 0 ? own->pid : 0;
}

static void draw(const struct recorder_board *board, uint64_t began_ns)
{
    uint64_t decimated;
    uint64_t missing = record_missing(board, &decimated);
    fprintf(stderr, "\r\033[K%s %.0f s, %llu frames, %.1f MiB, %.1f MiB/s, %llu missing",
            recorder_state_name(board->state), (double)(clock_monotonic_ns() - began_ns) / 1e9,
            (unsigned long long)board->run_frames, (double)board->run_bytes / MIB, (double)board->bytes_per_s / MIB,
            (unsigned long long)missing);
    fflush(stderr);
}

/* Until it has ended. Its exit code, or 1 if a signal ended it. */
static int follow(const struct own *own)
{
    const struct recorder_board *board = own->board.base;
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    uint64_t began_ns = clock_monotonic_ns();
    bool terminal = isatty(STDERR_FILENO) != 0;
    bool told = false;
    int status = 0;
    for (bool stopping = false;;) {
        pid_t ended = waitpid(own->pid, &status, WNOHANG);
        if (ended == own->pid || (ended < 0 && errno == ECHILD)) {
            break;
        }
        if (stop != 0 && !stopping) {
            stopping = true;
            kill(own->pid, SIGTERM);
        }
        if (!told && board->run[0] != 0) {
            told = true;
            fprintf(stderr, "recording into %s/%s; Ctrl-C ends it\n", board->directory, board->run);
        }
        if (terminal) {
            draw(board, began_ns);
        }
        nanosleep(&pause, NULL);
    }
    if (terminal) {
        fprintf(stderr, "\r\033[K");
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_NOT_SO;
}

static int tell(const struct own *own, int code, bool json)
{
    struct recorder_board *board = own->board.base;
    uint64_t decimated;
    uint64_t missing = record_missing(board, &decimated);
    if (json) {
        json_t *report = record_report(board);
        json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(report);
    } else if (board->run[0] != 0) {
        printf("%s/%s: %llu frames, %.1f MiB, %llu missing\n", board->directory, board->run,
               (unsigned long long)board->run_frames, (double)board->run_bytes / MIB, (unsigned long long)missing);
    }
    if (board->error[0] != 0) {
        fprintf(stderr, "sluice record: %s\n", board->error);
    }
    return code != 0 || missing > 0 || board->failures > 0 || board->runs == 0 ? EXIT_NOT_SO : EXIT_DONE;
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

int record_run(struct session *session, struct recorder_plan *plan, bool json)
{
    struct error err = {{0}};
    struct own own = {
        .mailbox_fd = -1, .config_fd = -1, .plan = {.fd = -1}, .board = {.fd = -1}, .mailbox = {.fd = -1}};
    plan->magic = RECORDER_PLAN_MAGIC;
    plan->version = RECORDER_PLAN_VERSION;
    plan->starter_pid = getpid();
    memcpy(plan->instance, session->instance, sizeof(plan->instance));
    take_signals();
    fetch_config(session, &own, plan);
    int code = make_segments(&own, plan, &err);
    code = code == 0 ? start(&own, &err) : code;
    code = code == 0 ? tell(&own, follow(&own), json) : command_fail("record", err.text, EXIT_USAGE);
    destroy(&own);
    return code;
}
