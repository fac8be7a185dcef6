/* What the recorder carries onto the disk, what that costs, and what it loses. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench/disk_rig.h"
#include "bench/measure.h"
#include "bench/net_process.h"
#include "bench/plan.h"
#include "daq/process_memory.h"
#include "net/payload.h"

#define WARM_S  0.1
#define LOOK_US 5000 /* on the recorder's core: not too often */
#define PERCENT 100.0
#define MILLION 1e6
#define NEARLY  0.9 /* of what should be; less is worth a word */

struct reading {
    uint64_t now_ns;
    uint64_t cpu_ns;
    uint64_t bytes;
    uint64_t frames;
    uint64_t offered;
};

static struct reading read_now(const struct disk_rig *rig)
{
    const struct recorder_ring_board *shown = &disk_rig_board(rig)->ring[0];
    return (struct reading){.now_ns = clock_monotonic_ns(),
                            .cpu_ns = disk_cpu_ns(rig->recorder),
                            .bytes = __atomic_load_n(&shown->run_bytes, __ATOMIC_RELAXED),
                            .frames = __atomic_load_n(&shown->run_frames, __ATOMIC_RELAXED),
                            .offered = __atomic_load_n(&rig->feed.offered, __ATOMIC_RELAXED)};
}

/* For so long, and until something has been written, or until the room is spent. */
static int let_pass(const struct disk_rig *rig, double seconds, struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
    const struct recorder_board *board = disk_rig_board(rig);
    const uint64_t *bytes = &board->ring[0].run_bytes;
    uint64_t before = __atomic_load_n(bytes, __ATOMIC_RELAXED);
    for (uint64_t now = before; (clock_monotonic_ns() < end_ns || now == before) && now < rig->room;
         now = __atomic_load_n(bytes, __ATOMIC_RELAXED)) {
        if (clock_monotonic_ns() > end_ns + NET_PATIENCE_NS) {
            return error_set(err, -ETIMEDOUT, "sluice-recorder: expected something on the disk, found nothing new");
        }
        if (plan_stopped()) {
            return -EINTR;
        }
        if (disk_rig_recorder_ended(rig) || board->failures > 0) {
            return error_set(err, -ECHILD, "sluice-recorder cannot go on: %s",
                             board->error[0] != 0 ? board->error : "the lines above say why");
        }
        net_rest_us(LOOK_US);
    }
    return 0;
}

static uint64_t missing(const struct disk_rig *rig)
{
    const struct recorder_ring_board *shown = &disk_rig_board(rig)->ring[0];
    uint64_t sum = 0;
    for (uint32_t cause = 0; cause < RECORD_CAUSES; cause++) {
        sum += shown->missing[cause];
    }
    return sum;
}

__attribute__((format(printf, 2, 3))) static void note(struct outcome *outcome, const char *format, ...)
{
    size_t used = strlen(outcome->note);
    va_list args;
    if (used > 0 && used + 2 < sizeof(outcome->note)) {
        memcpy(outcome->note + used, "; ", 3);
        used += 2;
    }
    va_start(args, format);
    vsnprintf(outcome->note + used, sizeof(outcome->note) - used, format, args);
    va_end(args);
}

/* What its figures are to be read with. */
static void say(const struct disk_rig *rig, const struct reading *from, const struct reading *to, double seconds,
                struct outcome *outcome)
{
    double spent_s = (double)(to->now_ns - from->now_ns) / 1e9;
    double offered = (double)(to->offered - from->offered) * rig->path->frame_bytes / spent_s;
    const struct recorder_board *board = disk_rig_board(rig);
    const struct segment *memory = &rig->ring.memory.segment;
    uint64_t bytes = board->ring[0].in_place_bytes + board->ring[0].copied_bytes;
    double share = bytes > 0 ? (double)board->ring[0].in_place_bytes / (double)bytes : 1;
    if (memory->page_bytes == SEGMENT_PAGE_BYTES) {
        note(outcome, "ring on pages of 4 KiB");
    }
    if (rig->path->layout == RECORDER_SLOTS && share < NEARLY) {
        note(outcome, "only %.0f %% was written in place", share * PERCENT);
    }
    if (board->common.refusals > 0) {
        note(outcome, "%.100s", board->common.refusal[0]);
    }
    if (offered < rig->path->pace * NEARLY) {
        note(outcome, "the writer was held up: only %.0f MB/s were offered", offered / MILLION);
    }
    if (spent_s < seconds * NEARLY) {
        note(outcome, "the room on the disk was spent after %.1f s", spent_s);
    }
}

static void take(const struct disk_rig *rig, const struct reading *from, const struct reading *to, double *values)
{
    double ns = (double)(to->now_ns - from->now_ns);
    double bytes = (double)(to->bytes - from->bytes);
    double cpu_ns = (double)(to->cpu_ns - from->cpu_ns);
    uint64_t pss_kb = process_pss_kb(rig->recorder);
    values[DISK_THROUGHPUT] = bytes / ns * 1e9;
    values[DISK_CPU_PERCENT] = cpu_ns / ns * PERCENT;
    values[DISK_CPU_PER_GB] = bytes > 0 ? cpu_ns / bytes : NAN; /* ns for a byte are s for 10^9 of them */
    values[DISK_PSS_KB] = pss_kb > 0 ? (double)pss_kb : NAN;
    values[DISK_PAYLOAD] = (double)(to->frames - from->frames) * rig->path->frame_bytes / ns * 1e9;
}

static int measure(struct disk_rig *rig, double seconds, struct outcome *outcome)
{
    const struct recorder_board *board = disk_rig_board(rig);
    __atomic_store_n(&rig->feed.order, DISK_SEND, __ATOMIC_RELEASE);
    int code = let_pass(rig, WARM_S, &outcome->err);
    if (code != 0) {
        return code;
    }
    struct reading from = read_now(rig);
    code = let_pass(rig, seconds, &outcome->err);
    if (code != 0) {
        return code;
    }
    struct reading to = read_now(rig);
    take(rig, &from, &to, outcome->values);
    code = disk_rig_finish(rig, &outcome->err);
    if (code == 0) {
        code = disk_check(rig, missing(rig), outcome);
    }
    outcome->lost = rig->feed.dropped + missing(rig);
    outcome->stall_us = (double)rig->feed.longest_ns / (double)CLOCK_NS_PER_US;
    outcome->values[DISK_DURABLE_MS] = (double)board->durable_ns_max / MILLION;
    outcome->values[DISK_LOST] = (double)outcome->lost;
    say(rig, &from, &to, seconds, outcome);
    return code;
}

static void measure_recorder(const struct question *question, uint64_t room, struct outcome *outcome)
{
    static struct disk_rig rig; /* too large for a stack */
    rig.path = question->disk;
    rig.directory = question->directory;
    rig.writer_core = question->cores[0];
    rig.recorder_core = question->cores[1];
    rig.room = room;
    payload_init();
    outcome->code = disk_rig_open(&rig, &outcome->err);
    if (outcome->code == 0) {
        outcome->code = measure(&rig, question->seconds, outcome);
    }
    disk_rig_close(&rig);
}

void measure_record(const struct question *question, struct outcome *outcome)
{
    uint64_t room = 0;
    outcome->code = disk_room(question->directory, &room, &outcome->err);
    if (outcome->code != 0) {
        return;
    }
    switch (question->disk->way) {
    case DISK_FIO:
        disk_fio(question, room, outcome);
        break;
    case DISK_RECORDER:
        measure_recorder(question, room, outcome);
        break;
    case DISK_HDF5_BARE:
    case DISK_EXPORT:
        disk_export(question, room, outcome);
        break;
    }
}
