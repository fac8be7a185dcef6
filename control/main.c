/* sluice-control: the interlock's own process. Started by sluiced, never by hand: everything it needs is handed
 * over as descriptors (`table=3 board=4 ..`), so that it opens nothing, parses nothing and links libc and the seal
 * only.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "control/loop.h"
#include "control/realtime.h"
#include "control/seal.h"
#include "ring/clock.h"
#include "ring/protocol.h"
#include "ring/segment.h"

static volatile sig_atomic_t stop;
static volatile sig_atomic_t orphaned;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static void on_orphaned(int signal_number)
{
    (void)signal_number;
    orphaned = 1;
    stop = 1;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "sluice-control: %s\n", err->text);
    return 2;
}

static int check_table(const struct control_table *table, struct error *err)
{
    if (table->magic != CONTROL_TABLE_MAGIC || table->version != CONTROL_TABLE_VERSION ||
        table->bytes != sizeof(*table) || table->hash != control_table_hash(table)) {
        return error_set(err, -EPROTO,
                         "expected an intact interlock table of version %u; sluiced is another release "
                         "or the memory is bad",
                         CONTROL_TABLE_VERSION);
    }
    if (table->rings > CONTROL_RINGS_MAX || table->channels > CONTROL_CHANNELS_MAX ||
        table->rules > CONTROL_RULES_MAX || table->outputs > CONTROL_OUTPUTS_MAX ||
        table->devices > CONTROL_DEVICES_MAX || table->numbers > CONTROL_NUMBERS_MAX) {
        return error_set(err, -EPROTO, "the interlock table's counts are out of bounds");
    }
    return 0;
}

/* Byte identity is meant: both were copied from one table. */
static bool same_bytes(const void *a, const void *b, size_t bytes)
{
    return memcmp(a, b, bytes) == 0;
}

static bool same_channels(const struct control_table *table, const struct control_ring *ring,
                          const struct ring_view *view)
{
    bool same = view->channel_count == ring->channels && view->number_count == ring->numbers &&
                ring->first_number <= table->numbers && ring->numbers <= table->numbers - ring->first_number;
    for (uint32_t c = 0; same && c < view->channel_count; c++) {
        same = same_bytes(&ring_channels(view)[c], &table->channel[ring->first_channel + c].decode,
                          sizeof(struct ring_channel));
    }
    return same && same_bytes(ring_numbers(view), &table->number[ring->first_number],
                              ring->numbers * sizeof(table->number[0]));
}

/* The table's decoders are checked against the ring's own channel table: a mix-up must not pass as a number. */
static int attach_rings(struct control_loop *loop, struct error *err)
{
    const struct control_table *table = loop->table;
    for (uint32_t i = 0; i < table->rings; i++) {
        void *base;
        size_t bytes;
        int code = segment_map((int)table->ring[i].fd, false, RING_HEADER_BYTES, &base, &bytes, err);
        if (code == 0) {
            code = watch_attach(&loop->watch, i, base, bytes, err);
        }
        if (code != 0) {
            return code;
        }
        if (!same_channels(table, &table->ring[i], &loop->watch.ring[i].reader.view)) {
            return error_set(err, -EPROTO,
                             "ring %s: its channel table is not the interlock's; sluiced made an error",
                             table->ring[i].name);
        }
    }
    return 0;
}

/* Registers and outboxes are mapped before the seal. */
static int attach_outputs(const struct control_table *table, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; i < table->devices && code == 0; i++) {
        code = output_attach(table, i, (int)table->device[i].fd, err);
    }
    return code;
}

static enum seal_profile profile_of(const struct control_table *table)
{
    bool gpio = false;
    for (uint32_t i = 0; i < table->devices; i++) {
        gpio = gpio || table->device[i].kind == DEVICE_GPIO;
    }
    return gpio ? SEAL_CONTROL_GPIO : SEAL_CONTROL;
}

static void handle(int signal_number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigaction(signal_number, &action, NULL);
}

/* The supervisor has been killed: we are the last one and take its run directory away. The lock file goes last;
 * until we end, its lock (an inherited descriptor) keeps the next server out. */
static void clear_run_dir(const char *directory)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", directory, PROTOCOL_SOCKET);
    unlink(path);
    snprintf(path, sizeof(path), "%s/%s", directory, PROTOCOL_LOCKFILE);
    unlink(path);
    rmdir(directory);
}

/* The signal comes when the thread that started us ends; until the supervisor's other thread has ended too, it is
 * still our parent. The outputs are safe by now. */
static bool parent_is_gone(int32_t supervisor_pid)
{
    struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 100 && getppid() == supervisor_pid; i++) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    return getppid() != supervisor_pid;
}

int main(int argc, char **argv)
{
    static struct control_loop loop;
    struct error err = {{0}};
    void *table;
    void *board;
    void *mailbox;
    void *journal;

    handle(SIGTERM, on_stop);
    handle(SIGUSR1, on_orphaned);
    handle(SIGQUIT, on_stop);
    handle(SIGHUP, on_stop);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for sluiced, which stops us last */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGUSR1, 0UL, 0UL, 0UL);
    if (segment_map_handover(argc, argv, "table", false, sizeof(struct control_table), &table, NULL, &err) != 0 ||
        check_table(table, &err) != 0 ||
        segment_map_handover(argc, argv, "board", true, sizeof(struct control_board), &board, NULL, &err) != 0 ||
        segment_map_handover(argc, argv, "mailbox", false, sizeof(struct control_mailbox), &mailbox, NULL, &err) !=
            0 ||
        segment_map_handover(argc, argv, "journal", true, sizeof(struct control_journal), &journal, NULL, &err) !=
            0) {
        return fail(&err);
    }
    struct control_board *shown = board;
    const struct control_table *plan = table;
    shown->common.pid = (uint64_t)getpid();
    shown->common.started_tai_ns = clock_tai_ns(plan->tai_minus_monotonic_ns);
    if (attach_outputs(plan, &err) != 0) {
        return fail(&err);
    }
    loop_init(&loop, plan, board, mailbox, journal);
    if (attach_rings(&loop, &err) != 0) {
        return fail(&err);
    }
    realtime_enter(&plan->thread, &shown->common);
    if (getppid() != plan->supervisor_pid) {
        orphaned = 1; /* it died before the kernel could tell us */
        stop = 1;
    }
    fflush(NULL);
    seal_process(profile_of(plan), plan->thread.seal != 0, &shown->common);
    loop_run(&loop, &stop, &orphaned);
    /* The signal alone proves nothing: anybody may have sent it. */
    if (orphaned != 0 && argc > 1 && parent_is_gone(plan->supervisor_pid)) {
        clear_run_dir(argv[argc - 1]);
    }
    _exit(0);
}
