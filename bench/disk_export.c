/* A recording of channels into HDF5: by sluice-export, and what libhdf5 alone takes for as much from memory. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/disk_rig.h"
#include "bench/hdf5_bare.h"
#include "bench/net_process.h"
#include "daq/process_memory.h"
#include "daq/record_writer.h"

#define PER_S       300e6 /* bytes of payload for each second that is asked for */
#define BYTES_MOST  512e6
#define BYTES_LEAST 16e6
#define BLOCK_BYTES (1u << 20)
#define STEP_NS     1000u
#define LOOKS_EACH  10u
#define LIMIT_S     300.0
#define PERCENT     100.0
#define RING        "bench"

static uint64_t frames_of(const struct question *q)
{
    double bytes = PER_S * q->seconds;
    bytes = bytes < BYTES_LEAST ? BYTES_LEAST : bytes > BYTES_MOST ? BYTES_MOST : bytes;
    return (uint64_t)(bytes / q->disk->frame_bytes);
}

static double seconds_of(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double cpu_s(const struct rusage *usage)
{
    return seconds_of(&usage->ru_utime) + seconds_of(&usage->ru_stime);
}

static void take(const struct question *q, const char *output, uint64_t frames, double seconds, double cpu,
                 struct outcome *outcome)
{
    struct stat file = {.st_size = 0};
    (void)stat(output, &file);
    double bytes = (double)file.st_size;
    outcome->values[DISK_THROUGHPUT] = bytes / seconds;
    outcome->values[DISK_PAYLOAD] = (double)frames * q->disk->frame_bytes / seconds;
    outcome->values[DISK_CPU_PERCENT] = cpu / seconds * PERCENT;
    outcome->values[DISK_CPU_PER_GB] = bytes > 0 ? cpu / bytes * 1e9 : NAN;
}

static void describe(struct record_source *source, struct ring_channel channel[DISK_CHANNELS],
                     struct ring_stream *stream)
{
    struct record_file_header *header = &source->header;
    header->stripes = header->streams = 1;
    header->channels = DISK_CHANNELS;
    header->stamp = stream->stamp = RING_STAMP_TAKEN;
    header->payload_offset = RING_DESCRIPTOR_BYTES;
    header->payload_bytes = DISK_CHANNELS * (uint32_t)sizeof(double);
    header->slot_bytes = header->payload_offset + header->payload_bytes + RING_DESCRIPTOR_BYTES;
    header->slots = 1024;
    snprintf(header->instance, sizeof(header->instance), RING);
    snprintf(header->ring, sizeof(header->ring), RING);
    snprintf(header->recorder, sizeof(header->recorder), RING);
    snprintf(stream->name, sizeof(stream->name), RING);
    snprintf(stream->source, sizeof(stream->source), RING);
    for (uint32_t i = 0; i < DISK_CHANNELS; i++) {
        channel[i] = (struct ring_channel){.at_byte = i * (uint32_t)sizeof(double),
                                           .type = RING_TYPE_F64,
                                           .byte_order = RING_LITTLE_ENDIAN,
                                           .scale = 1,
                                           .range_low = -1e12,
                                           .range_high = 1e12};
        snprintf(channel[i].name, sizeof(channel[i].name), "c%u", i);
        snprintf(channel[i].unit, sizeof(channel[i].unit), "V");
    }
    source->channel = channel;
    source->stream = stream;
}

static int write_frames(struct record_writer *writer, uint64_t frames, struct error *err)
{
    double value[DISK_CHANNELS];
    uint64_t began_ns = clock_realtime_ns();
    int code = 0;
    for (uint64_t n = 0; code == 0 && n < frames; n++) {
        struct ring_descriptor d = {.sequence = n + 1,
                                    .tai_ns = began_ns + n * STEP_NS,
                                    .source_sequence = n,
                                    .rest = ring_pack_rest(sizeof(value), 0, 0, 0)};
        for (uint32_t i = 0; i < DISK_CHANNELS; i++) {
            value[i] = (double)(n * DISK_CHANNELS + i);
        }
        code = record_writer_frame(writer, &d, (const uint8_t *)value, err);
    }
    return code;
}

static int make_recording(const char *directory, uint64_t frames, struct error *err)
{
    static struct record_source source;
    static struct ring_channel channel[DISK_CHANNELS];
    static struct ring_stream stream;
    struct record_writer *writer = NULL;
    describe(&source, channel, &stream);
    if (mkdir(directory, 0700) != 0) {
        return error_set(err, -errno, "cannot make %s: %s", directory, strerror(errno));
    }
    int code = record_run_make(source.header.run, err);
    if (code == 0) {
        code = record_writer_open(&writer, directory, &source, BLOCK_BYTES, err);
    }
    if (code == 0) {
        code = write_frames(writer, frames, err);
    }
    if (code == 0) {
        return record_writer_close(writer, RECORD_CLOSE_STOPPED, NULL, err);
    }
    record_writer_abandon(writer);
    return code;
}

struct watch {
    pid_t pid;
    uint64_t pss_kb; /* highest */
    uint32_t looks;
};

static void look(void *context)
{
    struct watch *w = context;
    if (w->looks++ % LOOKS_EACH == 0) { /* it holds the process up for a moment */
        uint64_t kb = process_pss_kb(w->pid);
        w->pss_kb = kb > w->pss_kb ? kb : w->pss_kb;
    }
}

static int run_export(const struct question *q, const char *recording, const char *output, uint64_t frames,
                      struct outcome *outcome)
{
    const char *const argv[] = {"sluice-export", recording,       "-o", output, "--format",
                                "hdf5",          "--no-progress", NULL};
    struct net_process process = {.argv = argv, .core = q->cores[1], .in = -1, .out = -1, .shared = -1};
    struct rusage usage;
    uint64_t from_ns = clock_monotonic_ns();
    struct watch watch = {.pid = net_process_start(&process, &outcome->err)};
    if (watch.pid < 0) {
        return watch.pid;
    }
    int code = disk_wait(watch.pid, LIMIT_S, look, &watch, &usage, "sluice-export", &outcome->err);
    if (code == 0) {
        take(q, output, frames, (double)(clock_monotonic_ns() - from_ns) / 1e9, cpu_s(&usage), outcome);
        outcome->values[DISK_PSS_KB] = watch.pss_kb > 0 ? (double)watch.pss_kb : NAN;
    }
    return code;
}

static int run_bare(const struct question *q, const char *output, uint64_t frames, struct outcome *outcome)
{
    struct rusage before;
    struct rusage after;
    double seconds = 0;
    (void)pin_to(q->cores[1]);
    getrusage(RUSAGE_SELF, &before);
    int code = hdf5_bare_write(output, DISK_CHANNELS, frames, &seconds);
    getrusage(RUSAGE_SELF, &after);
    if (code != 0) {
        return error_set(&outcome->err, code, "libhdf5 cannot write %s: %s", output, strerror(-code));
    }
    take(q, output, frames, seconds, cpu_s(&after) - cpu_s(&before), outcome);
    return 0;
}

void disk_export(const struct question *question, uint64_t room, struct outcome *outcome)
{
    struct disk_folder folder = {.keeper = 0};
    char recording[DISK_PATH_BYTES + 32];
    char output[DISK_PATH_BYTES + 32];
    uint64_t frames = frames_of(question);
    int code = disk_folder_make(&folder, question->directory, &outcome->err);
    snprintf(recording, sizeof(recording), "%s/run", folder.path);
    snprintf(output, sizeof(output), "%s/out.h5", folder.path);
    if (code == 0 && question->disk->way == DISK_HDF5_BARE) {
        code = run_bare(question, output, frames, outcome);
    } else if (code == 0) {
        code = make_recording(recording, frames, &outcome->err);
        if (code == 0) {
            (void)disk_room(folder.path, &room, &outcome->err); /* what made it is not to be paid for either */
            code = run_export(question, recording, output, frames, outcome);
        }
    }
    outcome->code = code;
    disk_folder_remove(&folder);
}
