#include "bench/readers_rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/net_process.h"
#include "bench/plan.h"
#include "daq/process_memory.h"

#define LOOK_US           500
#define SMALLEST_CHANNELS 8u   /* of a frame of 64 bytes */
#define SMALLEST_ALIGNED  128u /* slots larger than this have their payload on a line of its own */

/* Eight doubles, of which "x" is one; frames that are longer go on like that. */
static int make_ring(struct readers_rig *rig, struct error *err)
{
    static struct ring_channel channels[SMALLEST_CHANNELS];
    static const struct ring_stream stream = {.name = READERS_RING, .source = "bench", .stamp = RING_STAMP_TAKEN};
    struct ring_stream fixed = stream;
    fixed.frame_bytes = rig->path->frame_bytes;
    for (uint32_t i = 0; i < SMALLEST_CHANNELS; i++) {
        channels[i] = (struct ring_channel){.unit = "V",
                                            .at_byte = i * (uint32_t)sizeof(double),
                                            .type = RING_TYPE_F64,
                                            .byte_order = RING_LITTLE_ENDIAN,
                                            .scale = 1,
                                            .range_low = -1e9,
                                            .range_high = 1e9};
        snprintf(channels[i].name, sizeof(channels[i].name), i == READERS_COLUMN ? "x" : "c%u", i);
    }
    struct ring_spec spec = {.instance = READERS_INSTANCE,
                             .name = READERS_RING,
                             .streams = &fixed,
                             .stream_count = 1,
                             .channels = channels,
                             .channel_count = SMALLEST_CHANNELS,
                             .slots = rig->path->slots,
                             .slot_bytes = rig->path->slot_bytes,
                             .payload_offset =
                                 rig->path->slot_bytes > SMALLEST_ALIGNED ? 64 : RING_DESCRIPTOR_BYTES,
                             .numa_node = -1,
                             .tai_minus_monotonic_ns = rig->tai_offset_ns};
    return stand_ring(rig->stand, &spec, SEGMENT_HUGE_OR_NORMAL, &rig->writer, err);
}

int readers_open(struct readers_rig *rig, const struct question *question, struct error *err)
{
    rig->question = question;
    rig->path = question->readers;
    rig->writer_core = question->cores[0];
    rig->reader_core = question->cores[1];
    rig->serve_core = question->cores[question->core_count > 2 ? 2 : 1];
    rig->pages = (struct segment){.fd = -1};
    rig->tai_offset_ns = clock_measure_tai_offset_ns();
    int code = rig->path->by == READERS_BY_C ? 0 : readers_python_ready(rig->path->by, err);
    if (code == 0) {
        code = disk_folder_make(&rig->folder, "/tmp", err);
    }
    if (code == 0) {
        setenv("SLUICE_RUN_DIR", rig->folder.path, 1);
        (void)pin_to(rig->serve_core); /* the stand's thread has it from us */
        code = stand_open(&rig->stand, READERS_INSTANCE, err);
    }
    if (code == 0) {
        (void)pin_to(rig->writer_core);
        code = make_ring(rig, err);
    }
    if (code == 0) {
        code = segment_create(&rig->pages, "sluice-bench-pages", READERS_MAX * sizeof(struct readers_page),
                              SEGMENT_NORMAL, err);
    }
    if (code == 0) {
        readers_fill(rig, rig->path->frames > 0 ? rig->path->frames : rig->path->slots);
    }
    return code;
}

void readers_close(struct readers_rig *rig)
{
    readers_stop(rig);
    stand_close(rig->stand);
    segment_destroy(&rig->pages);
    disk_folder_remove(&rig->folder);
}

int readers_start(struct readers_rig *rig, struct error *err)
{
    uint32_t reader = rig->started;
    int code = 0;
    memset(readers_page_of(rig, reader), 0, sizeof(struct readers_page));
    if (rig->path->by == READERS_BY_C) {
        code = -pthread_create(&rig->thread, NULL, readers_c_run, rig);
        rig->threads = code == 0;
        rig->started += code == 0;
        return code == 0 ? 0 : error_set(err, code, "cannot start a thread: %s", strerror(-code));
    }
    pid_t pid = readers_python_start(rig, reader, err);
    if (pid > 0) {
        rig->pid[reader] = pid;
        rig->started++;
    }
    return pid > 0 ? 0 : (int)pid;
}

void readers_tell(struct readers_rig *rig, enum readers_order order)
{
    for (uint32_t i = 0; i < rig->started; i++) {
        __atomic_store_n(&readers_page_of(rig, i)->order, order, __ATOMIC_RELEASE);
    }
}

double readers_anonymous_kb(pid_t pid)
{
    return (double)process_number(pid, "status", "RssAnon:");
}

static void look_at_memory(struct readers_rig *rig)
{
    if (rig->path->way == READERS_HOLD && rig->pid[0] > 0) {
        double kb = readers_anonymous_kb(rig->pid[0]);
        rig->peak_kb = kb > rig->peak_kb ? kb : rig->peak_kb;
    }
}

static int judge(const struct readers_rig *rig, uint32_t reader, uint64_t state, bool ended, struct error *err)
{
    const struct readers_page *page = readers_page_of(rig, reader);
    if (state == READERS_REFUSED) {
        return error_set(err, -ENOTSUP, "%.*s", (int)sizeof(page->text) - 1, page->text);
    }
    if (state == READERS_FAILED) {
        return error_set(err, -ECHILD, "%s %s: %.*s", rig->path->variant, rig->path->mode,
                         (int)sizeof(page->text) - 1, page->text);
    }
    return ended ? error_set(err, -ECHILD, "a reader ended before it had told anything; the lines above say why")
                 : 0;
}

int readers_wait(struct readers_rig *rig, uint32_t reader, enum readers_state wanted, struct error *err)
{
    const struct readers_page *page = readers_page_of(rig, reader);
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)((READERS_PATIENCE_S + rig->question->seconds) * 1e9);
    for (;;) {
        /* Whether it has ended is looked at first: what it told before counts. */
        bool ended = rig->pid[reader] > 0 && net_process_ended(rig->pid[reader]);
        uint64_t state = __atomic_load_n(&page->state, __ATOMIC_ACQUIRE);
        if (state == wanted || (state == READERS_DONE && wanted == READERS_READY)) {
            return 0;
        }
        int code = judge(rig, reader, state, ended, err);
        if (code != 0) {
            return code;
        }
        if (plan_stopped()) {
            return -EINTR;
        }
        if (clock_monotonic_ns() > end_ns) {
            return error_set(err, -ETIMEDOUT, "expected a reader to be through within %.0f s",
                             READERS_PATIENCE_S + rig->question->seconds);
        }
        look_at_memory(rig);
        net_rest_us(LOOK_US);
    }
}

void readers_stop(struct readers_rig *rig)
{
    if (rig->pages.base == NULL) {
        return;
    }
    readers_tell(rig, READERS_END);
    if (rig->threads) {
        pthread_join(rig->thread, NULL);
        rig->threads = false;
    }
    for (uint32_t i = 0; i < rig->started; i++) {
        if (rig->pid[i] > 0) {
            kill(rig->pid[i], SIGKILL);
            while (waitpid(rig->pid[i], NULL, 0) < 0 && errno == EINTR) {
            }
            rig->pid[i] = 0;
        }
    }
    rig->started = 0;
}

uint64_t readers_cpu_ns(const struct readers_rig *rig)
{
    struct timespec t;
    clockid_t clock;
    if (!rig->threads) {
        return disk_cpu_ns(rig->pid[0]);
    }
    return pthread_getcpuclockid(rig->thread, &clock) == 0 && clock_gettime(clock, &t) == 0
               ? (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec
               : 0;
}
