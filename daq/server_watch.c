#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/outbox.h"
#include "control/output.h"
#include "control/register.h"
#include "control/take_over.h"
#include "daq/launch.h"
#include "daq/log.h"
#include "daq/process_memory.h"
#include "daq/server.h"
#include "net/dpdk_arguments.h"
#include "net/port_socket.h"
#include "ring/clock.h"
#include "ring/ring.h"

#define BACKOFF_NS        (100 * CLOCK_NS_PER_MS)
#define BACKOFF_MAX_NS    (2 * CLOCK_NS_PER_S)
#define WORKER_SILENCE_NS (2 * CLOCK_NS_PER_S)
#define FIRST_BEAT_NS     (5 * CLOCK_NS_PER_S)
#define CARD_NS           (5 * CLOCK_NS_PER_S)
#define FIRST_BEAT_BYTES  ((uint64_t)4 << 30) /* in one more second */
#define BLACK_BOX_SILENCE_NS                                                                                       \
    (30 * CLOCK_NS_PER_S)                           /* a slow disk is no reason to kill it: it is in nobody's way  \
                                                     */
#define BLACK_BOX_PATIENCE_NS (10 * CLOCK_NS_PER_S) /* it finishes its report */
#define STOP_PATIENCE_NS      (2 * CLOCK_NS_PER_S)
#define OWN_GAP_NS            (25 * CLOCK_NS_PER_MS)
#define FILL_PERIOD_NS        CLOCK_NS_PER_S
#define CLOCK_PERIOD_NS       CLOCK_NS_PER_S
#define WALK_BYTES_MAX        ((uint64_t)256 << 20)
#define EXIT_CANNOT_START     2
#define EXIT_NOT_EXECUTED     127

/* A file may lie on a disk that makes its writer wait, as long as it likes. */
static bool may_wait(const struct control_device *device, int fd)
{
    return device->kind == DEVICE_FILE || (device->kind == DEVICE_MEMORY && register_is_file(fd));
}

/* Files last, as in control: no other output waits for them. */
void server_outputs_safe(struct server *server)
{
    struct output_message message = {.decided_tai_ns = clock_tai_ns(server->tai_minus_monotonic_ns),
                                     .energised = 0,
                                     .origin = OUTPUT_SUPERVISOR};
    message.number = server->safe_number++;
    for (int files = 0; files < 2; files++) {
        for (uint32_t i = 0; i < server->plan->table.devices; i++) {
            int fd = server->device_fd[i];
            if (fd >= 0 && may_wait(&server->plan->table.device[i], fd) == (files != 0)) {
                (void)output_send(&server->plan->table, i, fd, &message);
            }
        }
    }
}

static struct board *board_of(struct server *server, const struct server_process *process)
{
    switch (process->role) {
    case ROLE_CONTROL:
        return &server_control_board(server)->common;
    case ROLE_ACTUATOR:
        return server->outbox[process->index].segment.base;
    case ROLE_BLACK_BOX:
        return server->black_box_board.segment.base;
    case ROLE_OBSERVER:
        return server->observer_board.segment.base;
    case ROLE_RECORDER:
        return server->recorder[process->index].board.segment.base;
    default:
        return server->worker_board[process->index].segment.base;
    }
}

static void hand_control(struct server *server, struct launch *launch)
{
    launch->program = "sluice-control";
    launch->last_argument = server->run_dir;
    launch_add(launch, server->table.read_only_fd, 3, "table");
    launch_add(launch, server->control_board.segment.fd, 4, "board");
    launch_add(launch, server->mailbox.read_only_fd, 5, "mailbox");
    launch_add(launch, server->lock_fd, 6, "lock");
    launch_add(launch, server->journal.segment.fd, 7, "journal");
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        uint32_t watched = server->plan->ring[i].watched_as;
        if (watched != 0) {
            launch_add(launch, server->ring[i].read_only_fd, SERVER_RING_FD + (int)watched - 1, NULL);
        }
    }
    for (uint32_t i = 0; i < server->plan->table.devices; i++) {
        if (server->device_fd[i] >= 0) { /* a shadow has none */
            launch_add(launch, server->device_fd[i], SERVER_DEVICE_FD + (int)i, NULL);
        }
    }
    if (server->watchdog_fd >= 0) {
        launch_add(launch, server->watchdog_fd, SERVER_WATCHDOG_FD, NULL);
    }
}

static void hand_actuator(struct server *server, uint32_t device, char index[4], struct launch *launch)
{
    launch->program = "sluice-actuator";
    snprintf(index, 4, "%u", device);
    launch->last_argument = index;
    launch_add(launch, server->table.read_only_fd, 3, "table");
    launch_add(launch, server->outbox[device].segment.fd, 4, "outbox");
}

/* Each polling thread's own. They are to be closed when the worker has been started. */
static void hand_leases(struct server *server, uint32_t index, struct launch *launch,
                        int leases_fd[PLAN_THREADS_MAX])
{
    static const char *const names[] = {PLAN_LEASES_NAMES};
    struct error err = {{0}};
    static_assert(sizeof(names) / sizeof(names[0]) == PLAN_THREADS_MAX, "a name for each thread");
    for (uint32_t t = 0; t < plan_threads(&server->plan->worker[index]); t++) {
        leases_fd[t] = usher_leases_for(&server->usher, usher_line(index, t), &err);
        if (leases_fd[t] >= 0) {
            launch_add(launch, leases_fd[t], SERVER_LEASES_FD + (int)t, names[t]);
        } else {
            log_line("%s; it runs without gating readers", err.text);
        }
    }
}

static void hand_worker(struct server *server, uint32_t index, struct launch *launch,
                        int leases_fd[PLAN_THREADS_MAX])
{
    const struct worker_plan *plan = &server->plan->worker[index];
    uint32_t gates = 0;
    launch->program = plan->sources > 0 && plan->source[0].kind == SOURCE_DPDK ? "sluice-dpdk" : "sluice-worker";
    launch_add(launch, server->worker_plan[index].read_only_fd, 3, "plan");
    launch_add(launch, server->worker_board[index].segment.fd, 4, "board");
    for (uint32_t s = 0; s < plan->sources; s++) {
        for (uint32_t r = 0; r < server->plan->rings; r++) {
            if (strcmp(server->plan->ring[r].name, plan->source[s].ring) == 0) {
                launch_add(launch, server->ring[r].segment.fd, (int)plan->source[s].ring_fd, NULL);
                launch_add(launch, server->orders[r].read_only_fd, (int)plan->source[s].orders_fd, NULL);
                gates += plan->source[s].gates;
            }
        }
    }
    launch_add(launch, server->usher.bell_fd, 6, "bell");
    if (gates > 0) {
        hand_leases(server, index, launch, leases_fd);
    }
}

static void start(struct server *server, struct server_process *process)
{
    int leases_fd[PLAN_THREADS_MAX];
    char index[4];
    struct launch launch = {.count = 0};
    struct error err = {{0}};
    struct board *board = board_of(server, process);
    for (uint32_t t = 0; t < PLAN_THREADS_MAX; t++) {
        leases_fd[t] = -1;
    }
    board->refusals = 0;
    board->core = -1;
    board->locked = 0;
    board->sealed = 0;
    board->heartbeat_ns = 0; /* what it does not run is no stall */
    if (process->role == ROLE_CONTROL) {
        hand_control(server, &launch);
    } else if (process->role == ROLE_ACTUATOR) {
        hand_actuator(server, process->index, index, &launch);
    } else if (process->role == ROLE_BLACK_BOX) {
        server_hand_black_box(server, &launch);
    } else if (process->role == ROLE_OBSERVER) {
        server_hand_observer(server, &launch);
    } else if (process->role == ROLE_RECORDER) {
        server_hand_recorder(server, process->index, &launch);
    } else {
        hand_worker(server, process->index, &launch, leases_fd);
    }
    pid_t pid = launch_start(&launch, &err);
    for (uint32_t t = 0; t < PLAN_THREADS_MAX; t++) {
        if (leases_fd[t] >= 0) {
            close(leases_fd[t]);
        }
    }
    process->started_ns = clock_monotonic_ns();
    if (pid < 0) {
        bool needed = process->role != ROLE_OBSERVER && process->role != ROLE_RECORDER;
        log_line("%s%s", err.text,
                 needed                           ? ""
                 : process->role == ROLE_OBSERVER ? "; who takes the cores is not watched"
                                                  : "; NOTHING IS RECORDED BY IT");
        process->start_at_ns = process->role != ROLE_OBSERVER ? process->started_ns + BACKOFF_MAX_NS : UINT64_MAX;
        server->failed = server->failed || (process->restarts == 0 && needed);
        return;
    }
    process->pid = pid;
    process->start_at_ns = UINT64_MAX;
    process->last_beat = board->heartbeat;
    process->last_beat_ns = process->started_ns;
    process->has_run = false;
    process->killed = false;
}

void server_start_due(struct server *server)
{
    uint64_t now_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < server->processes; i++) {
        if (server->process[i].pid == 0 && now_ns >= server->process[i].start_at_ns) {
            start(server, &server->process[i]);
        }
    }
}

/* A port's socket outlives its process. */
static void clear_sockets(const struct server *server, const struct server_process *process)
{
    struct error err = {{0}};
    if (process->role != ROLE_WORKER) {
        return;
    }
    const struct worker_plan *worker = &server->plan->worker[process->index];
    for (uint32_t i = 0; i < worker->sources; i++) {
        if (worker->source[i].kind == SOURCE_DPDK) {
            (void)port_socket_clear(&worker->source[i], &err); /* what is another's stays */
        }
    }
}

static void describe_end(int status, char *text, size_t bytes)
{
    if (WIFSIGNALED(status)) {
        int n = WTERMSIG(status);
        snprintf(text, bytes, "killed by signal %d (%s)%s", n, strsignal(n),
                 n == SIGSYS ? ": it made a system call that is not on its list" : "");
    } else {
        snprintf(text, bytes, "ended with exit code %d", WEXITSTATUS(status));
    }
}

/* A process that lived for a while is started again soon, one that keeps dying ever more slowly. */
static uint64_t next_backoff_ns(const struct server_process *process, uint64_t now_ns)
{
    if (now_ns - process->started_ns >= CLOCK_NS_PER_S || process->backoff_ns == 0) {
        return BACKOFF_NS;
    }
    return process->backoff_ns * 2 < BACKOFF_MAX_NS ? process->backoff_ns * 2 : BACKOFF_MAX_NS;
}

static void bury(struct server *server, struct server_process *process, int status)
{
    char text[160];
    struct board *board = board_of(server, process);
    uint64_t now_ns = clock_monotonic_ns();
    if (process->role == ROLE_CONTROL) {
        server_outputs_safe(server); /* before anything else */
        uint64_t tai_ns = now_ns + (uint64_t)server->tai_minus_monotonic_ns;
        control_board_take_over(server_control_board(server), server->journal.segment.base, tai_ns);
        server_events_control_died(server, tai_ns);
    }
    if (process->role == ROLE_ACTUATOR) {
        outbox_fail(server->outbox[process->index].segment.base, -EOWNERDEAD); /* control need not wait to see it */
    }
    if (process->role == ROLE_RECORDER) {
        server_recorder_died(server, process->index);
    }
    describe_end(status, text, sizeof(text));
    bool never_ran = !process->has_run && board->heartbeat == process->last_beat;
    bool given_up = false;
    if (never_ran && process->restarts == 0 && WIFEXITED(status) &&
        (WEXITSTATUS(status) == EXIT_CANNOT_START || WEXITSTATUS(status) == EXIT_NOT_EXECUTED)) {
        log_line("%.31s could not start; see above", board->name);
        given_up = process->role == ROLE_OBSERVER; /* nothing depends on it */
        server->failed = server->failed || (!given_up && process->role != ROLE_RECORDER);
    }
    process->backoff_ns = next_backoff_ns(process, now_ns);
    log_line("%.31s (pid %d) %s%s%s", board->name, process->pid, text,
             process->role == ROLE_CONTROL ? "; outputs driven safe" : "",
             server->failed || given_up ? "" : "; starting it again");
    process->pid = 0;
    clear_sockets(server, process);
    process->restarts++;
    process->start_at_ns = given_up ? UINT64_MAX : now_ns + process->backoff_ns;
}

void server_reap(struct server *server)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (uint32_t i = 0; i < server->processes; i++) {
            if (server->process[i].pid == pid) {
                bury(server, &server->process[i], status);
            }
        }
    }
}

/* A card is reset before it is used, by some buses for a second and more, and starts as slowly. */
static uint64_t cards_limit_ns(const struct server *server, const struct server_process *process)
{
    const struct worker_plan *worker = &server->plan->worker[process->index];
    uint64_t cards = 0;
    for (uint32_t i = 0; process->role == ROLE_WORKER && i < worker->sources; i++) {
        cards += worker->source[i].kind == SOURCE_DPDK && dpdk_port_is_pci(worker->source[i].dpdk.port);
    }
    return cards * CARD_NS;
}

/* How long the first heartbeat may take: a process locks the rings it maps before it, about 0.1 s per GiB on small
 * pages. */
static uint64_t first_beat_limit_ns(const struct server *server, const struct server_process *process)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        bytes += server->ring[i].segment.bytes;
    }
    return FIRST_BEAT_NS + bytes / FIRST_BEAT_BYTES * CLOCK_NS_PER_S + cards_limit_ns(server, process);
}

/* It waits for a disk, or for the kernel, and nobody for it. */
static bool may_take_its_time(const struct server_process *process)
{
    return process->role == ROLE_BLACK_BOX || process->role == ROLE_OBSERVER || process->role == ROLE_RECORDER;
}

/* A silent process is killed, which makes it a dead one: the outputs are driven safe only when it can no longer
 * drive them itself. */
static void look_at(struct server *server, struct server_process *process, uint64_t now_ns)
{
    const struct board *board = board_of(server, process);
    uint64_t limit_ns = process->role == ROLE_CONTROL ? server->plan->silence_ns
                        : may_take_its_time(process)  ? BLACK_BOX_SILENCE_NS
                                                      : WORKER_SILENCE_NS;
    uint64_t beat = __atomic_load_n(&board->heartbeat, __ATOMIC_ACQUIRE);
    if (beat != process->last_beat) {
        process->has_run = true;
        process->last_beat = beat;
        process->last_beat_ns = now_ns;
    } else if (now_ns > process->last_beat_ns &&
               now_ns - process->last_beat_ns >
                   (process->has_run ? limit_ns : first_beat_limit_ns(server, process))) {
        log_line("%.31s (pid %d) has been silent for %" PRIu64 " ms; killing it", board->name, process->pid,
                 (now_ns - process->last_beat_ns) / CLOCK_NS_PER_MS);
        kill(process->pid, SIGKILL);
        process->killed = true;
        process->last_beat_ns = now_ns;
    }
}

static void look_at_clock(struct server *server, uint64_t now_ns)
{
    if (now_ns - server->clock_checked_ns < CLOCK_PERIOD_NS) {
        return;
    }
    server->clock_checked_ns = now_ns;
    int64_t step_ns = clock_measure_tai_offset_ns() - server->tai_minus_monotonic_ns;
    int64_t moved_ns = step_ns - server_board(server)->clock_step_ns;
    if (llabs(moved_ns) > (long long)(100 * CLOCK_NS_PER_MS)) {
        log_line("the wall clock was stepped by %.3f s; stamps and decisions go on by the old one",
                 (double)moved_ns / 1e9);
    }
    server_board(server)->clock_step_ns = step_ns;
}

void server_look(struct server *server)
{
    uint64_t now_ns = clock_monotonic_ns();
    /* Our own gap first: while we were stopped ourselves, silence proves nothing, so that time does not count. */
    uint64_t own_gap_ns = now_ns - server->tick_ns;
    uint64_t excused_ns = own_gap_ns > OWN_GAP_NS ? own_gap_ns : 0;
    for (uint32_t i = 0; i < server->processes; i++) {
        struct server_process *process = &server->process[i];
        process->last_beat_ns += excused_ns;
        if (process->pid != 0) {
            look_at(server, process, now_ns);
        }
    }
    server->tick_ns = now_ns;
    if (server->process[0].pid == 0 || server->process[0].killed) {
        server_outputs_safe(server); /* nobody else speaks to the outputs now, or will after the call it hangs in */
    }
    server_events(server);
    look_at_clock(server, now_ns);
    server_look_at_rates(server, now_ns);
    gate_look(server);
    board_beat(&server_board(server)->common, now_ns);
}

/* One that hangs in the kernel, or is held by a tracer, does not end at once even so: nobody waits for it for ever.
 */
static void wait_for_the_killed(pid_t pid)
{
    uint64_t deadline_ns = clock_monotonic_ns() + STOP_PATIENCE_NS;
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (clock_monotonic_ns() > deadline_ns) {
            log_line("pid %d does not end although it was killed", pid);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void stop_one(struct server *server, struct server_process *process)
{
    if (process->pid == 0) {
        return;
    }
    bool writes = process->role == ROLE_BLACK_BOX || process->role == ROLE_RECORDER;
    uint64_t patience_ns = writes ? BLACK_BOX_PATIENCE_NS : STOP_PATIENCE_NS;
    uint64_t deadline_ns = clock_monotonic_ns() + patience_ns;
    kill(process->pid, SIGTERM);
    kill(process->pid, SIGCONT);
    while (waitpid(process->pid, NULL, WNOHANG) == 0) {
        struct server_process *control = &server->process[0];
        if (control != process && control->pid != 0 && waitpid(control->pid, NULL, WNOHANG) == control->pid) {
            control->pid = 0; /* it died while we were busy stopping a worker */
            server_outputs_safe(server);
        }
        if (clock_monotonic_ns() > deadline_ns) {
            log_line("pid %d does not end; killing it", process->pid);
            kill(process->pid, SIGKILL);
            wait_for_the_killed(process->pid);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    process->pid = 0;
    clear_sockets(server, process);
}

void server_stop_all(struct server *server)
{
    for (uint32_t i = server->processes; i-- > 0;) { /* control is the first: it is stopped after the workers */
        enum server_role role = server->process[i].role;
        if (role == ROLE_CONTROL || role == ROLE_WORKER) {
            stop_one(server, &server->process[i]);
        }
    }
    server_outputs_safe(server);
    for (uint32_t i = 0; i < server->processes; i++) { /* their devices have been told to be safe by now */
        if (server->process[i].role == ROLE_ACTUATOR) {
            stop_one(server, &server->process[i]);
        }
    }
    for (uint32_t i = 0; i < server->processes;
         i++) { /* last, who writes down, and looks at, what the others did */
        stop_one(server, &server->process[i]);
    }
}

/* Resident memory that is not shared memory, in KiB: what the kernel keeps count of anyway. */
static uint64_t rss_without_shared_kb(pid_t pid)
{
    char path[64];
    char line[128];
    uint64_t sum_kb = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0 || strncmp(line, "RssFile:", 8) == 0) {
            sum_kb += strtoull(line + 8, NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return sum_kb;
}

/* The proportional figure makes the kernel walk every page of the rings: 17 ms for 4 GiB of small ones, in which
 * nobody would drive the outputs safe. */
static uint64_t measure_kb(const struct server *server, pid_t pid)
{
    uint64_t walked_bytes = 0;
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        const struct segment *ring = &server->ring[i].segment;
        walked_bytes += ring->page_bytes == SEGMENT_PAGE_BYTES ? ring->bytes : 0;
    }
    return walked_bytes > WALK_BYTES_MAX ? rss_without_shared_kb(pid) : process_pss_kb(pid);
}

static void fill_process(const struct server *server, struct supervisor_process *to, const struct board *board,
                         pid_t pid, uint64_t restarts, bool measure)
{
    memcpy(to->name, board->name, sizeof(to->name) - 1); /* written by its process: the last byte stays 0 */
    to->pid = (uint64_t)pid;
    to->alive = pid != 0;
    to->restarts = restarts;
    to->core = board->core;
    to->policy = board->policy;
    to->priority = board->priority;
    if (measure) {
        to->pss_kb = pid != 0 ? measure_kb(server, pid) : 0;
    }
}

void server_fill_board(struct server *server)
{
    struct supervisor_board *board = server_board(server);
    uint64_t now_ns = clock_monotonic_ns();
    /* Measuring takes the kernel a millisecond per process: not for every client that asks. */
    bool measure = server->filled_ns == 0 || now_ns - server->filled_ns >= FILL_PERIOD_NS;
    server->filled_ns = measure ? now_ns : server->filled_ns;
    fill_process(server, &board->process[0], &board->common, getpid(), 0, measure);
    for (uint32_t i = 0; i < server->processes; i++) {
        fill_process(server, &board->process[i + 1], board_of(server, &server->process[i]), server->process[i].pid,
                     server->process[i].restarts, measure);
    }
    board->processes = server->processes + 1;
    usher_fill(&server->usher);
    server_fill_segments(server);
}
