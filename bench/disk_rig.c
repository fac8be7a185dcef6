#include "bench/disk_rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/net_process.h"
#include "bench/plan.h"
#include "daq/launch.h"

#define DRAIN_NS (60 * CLOCK_NS_PER_S)
#define END_S    60.0
#define LOOK_US  1000

/* As a configuration has it that says nothing but where, gating, and the layout. */
static void fill_plan(const struct disk_rig *rig, struct recorder_plan *plan)
{
    *plan = (struct recorder_plan){.magic = RECORDER_PLAN_MAGIC,
                                   .version = RECORDER_PLAN_VERSION,
                                   .starter_pid = (int32_t)getpid(),
                                   .instance = "bench",
                                   .name = "bench",
                                   .rings = 1,
                                   .directories = 1,
                                   .ring = {"bench"},
                                   .gating = 1,
                                   .layout = rig->path->layout,
                                   .begins = RECORDER_AT_ONCE,
                                   .full = RECORDER_STOPS,
                                   .block_bytes = 1 << 20,
                                   .sync_ns = CLOCK_NS_PER_S,
                                   .sync_bytes = 256 << 20,
                                   .rotate_bytes = (uint64_t)4096 << 20,
                                   .room_bytes = (uint64_t)1024 << 20};
    snprintf(plan->directory[0], sizeof(plan->directory[0]), "%s", rig->folder.path);
}

static int make_segments(struct disk_rig *rig, struct error *err)
{
    static struct recorder_plan plan; /* too large for a stack */
    fill_plan(rig, &plan);
    int code =
        segment_create(&rig->board, "sluice-recorder-board", sizeof(struct recorder_board), SEGMENT_NORMAL, err);
    if (code == 0) {
        board_init(rig->board.base, BOARD_RECORDER, plan.instance, plan.name);
        code = segment_create(&rig->mailbox, "sluice-recorder-mailbox", sizeof(struct recorder_mailbox),
                              SEGMENT_NORMAL, err);
    }
    if (code == 0) {
        code = segment_create_constant(&rig->plan, "sluice-recorder-plan", &plan, sizeof(plan), err);
    }
    if (code == 0) {
        rig->mailbox_fd = segment_reopen_read_only(rig->mailbox.fd, err);
        code = rig->mailbox_fd < 0 ? rig->mailbox_fd : 0;
    }
    return code;
}

const struct recorder_board *disk_rig_board(const struct disk_rig *rig)
{
    return rig->board.base;
}

bool disk_rig_recorder_ended(const struct disk_rig *rig)
{
    return net_process_ended(rig->recorder);
}

/* It is waited for by the writer, and has its files open. */
static bool is_recording(const struct disk_rig *rig)
{
    const struct recorder_board *board = disk_rig_board(rig);
    return __atomic_load_n(&board->state, __ATOMIC_ACQUIRE) == RECORDER_RECORDING &&
           __atomic_load_n(&board->ring[0].gating, __ATOMIC_RELAXED) != 0;
}

static int start_recorder(struct disk_rig *rig, struct error *err)
{
    struct launch launch = {.program = "sluice-recorder"};
    launch_add(&launch, rig->plan.fd, 3, "plan");
    launch_add(&launch, rig->board.fd, 4, "board");
    launch_add(&launch, rig->mailbox_fd, 5, "mailbox");
    int code = pin_to(rig->recorder_core); /* it has it from us */
    if (code != 0) {
        return error_set(err, code, "cannot pin to core %d: %s", rig->recorder_core, strerror(-code));
    }
    rig->recorder = launch_start(&launch, err);
    if (rig->recorder < 0) {
        code = rig->recorder;
        rig->recorder = 0;
        return code;
    }
    uint64_t from_ns = clock_monotonic_ns();
    while (!is_recording(rig)) {
        if (plan_stopped()) {
            return -EINTR;
        }
        if (disk_rig_recorder_ended(rig) || clock_monotonic_ns() - from_ns > NET_PATIENCE_NS) {
            return error_set(err, -ECHILD, "sluice-recorder does not record: %s",
                             disk_rig_board(rig)->error[0] != 0 ? disk_rig_board(rig)->error
                                                                : "the lines above say why");
        }
        net_rest_us(LOOK_US);
    }
    return 0;
}

static int start_feed(struct disk_rig *rig, struct error *err)
{
    rig->feed = (struct disk_feed){.path = rig->path,
                                   .writer = &rig->ring.writer,
                                   .gates = &rig->ring.gates,
                                   .leases_fd = rig->ring.leases_fd,
                                   .core = rig->writer_core,
                                   .tai_offset_ns = rig->ring.tai_offset_ns};
    int code = -pthread_create(&rig->feeder, NULL, disk_feed_run, &rig->feed);
    rig->feeds = code == 0;
    return code == 0 ? 0 : error_set(err, code, "cannot start the writer's thread: %s", strerror(-code));
}

int disk_rig_open(struct disk_rig *rig, struct error *err)
{
    rig->plan.fd = rig->board.fd = rig->mailbox.fd = rig->mailbox_fd = -1;
    int code = disk_folder_make(&rig->folder, rig->directory, err);
    if (code == 0) {
        code = disk_ring_open(&rig->ring, rig->path, err);
    }
    if (code == 0) {
        code = start_feed(rig, err); /* it shows the recorder to its gate */
    }
    if (code == 0) {
        code = make_segments(rig, err);
    }
    return code == 0 ? start_recorder(rig, err) : code;
}

int disk_rig_finish(struct disk_rig *rig, struct error *err)
{
    const struct recorder_ring_board *shown = &disk_rig_board(rig)->ring[0];
    uint64_t end_ns = clock_monotonic_ns() + DRAIN_NS;
    __atomic_store_n(&rig->feed.order, DISK_REST, __ATOMIC_RELEASE);
    while (__atomic_load_n(&rig->feed.obeyed, __ATOMIC_ACQUIRE) != DISK_REST ||
           __atomic_load_n(&shown->position, __ATOMIC_ACQUIRE) < ring_published_now(rig->ring.writer.view.header)) {
        if (plan_stopped()) {
            return -EINTR;
        }
        if (disk_rig_recorder_ended(rig)) {
            break;
        }
        if (clock_monotonic_ns() > end_ns) {
            return error_set(err, -ETIMEDOUT, "sluice-recorder: expected all that is in the ring to be taken");
        }
        net_rest_us(LOOK_US);
    }
    pid_t recorder = rig->recorder;
    rig->recorder = 0;
    kill(recorder, SIGTERM);
    return disk_wait(recorder, END_S, NULL, NULL, NULL, "sluice-recorder", err);
}

void disk_rig_close(struct disk_rig *rig)
{
    if (rig->recorder > 0) {
        kill(rig->recorder, SIGKILL);
        while (waitpid(rig->recorder, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (rig->feeds) {
        __atomic_store_n(&rig->feed.order, DISK_END, __ATOMIC_RELEASE);
        pthread_join(rig->feeder, NULL);
    }
    disk_ring_close(&rig->ring);
    segment_destroy(&rig->plan);
    segment_destroy(&rig->board);
    segment_destroy(&rig->mailbox);
    if (rig->mailbox_fd >= 0) {
        close(rig->mailbox_fd);
    }
    disk_folder_remove(&rig->folder);
}
