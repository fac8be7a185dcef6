/* fio, which writes to the same disk past the page cache: what the machine allows. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/disk_rig.h"
#include "bench/net_process.h"

#define OVER_S      60.0 /* it measures its clocks first, and says much in the end */
#define BYTES_MOST  4e9  /* per second: what it may need of the disk at full speed */
#define BYTES_LEAST ((uint64_t)64 << 20)
#define PACE_ROOM   1.5
#define MIB         ((uint64_t)1 << 20)
#define REPORT_MOST ((size_t)1 << 20)
#define NOT_FOUND   127
#define PERCENT     100.0

/* Its own figure leaves out what the kernel does for it in threads of its own, and that of its whole life takes in
 * how it starts: this is the process's time from its first byte on the disk to its last. */
struct watch {
    pid_t pid;
    uint64_t bytes;
    uint64_t first_ns, first_cpu_ns, last_ns, last_cpu_ns;
};

static void look(void *context)
{
    struct watch *w = context;
    uint64_t bytes = disk_written(w->pid);
    uint64_t cpu_ns = disk_cpu_ns(w->pid);
    if (bytes <= w->bytes || cpu_ns == 0) {
        return;
    }
    w->bytes = bytes;
    w->last_ns = clock_monotonic_ns();
    w->last_cpu_ns = cpu_ns;
    if (w->first_ns == 0) {
        w->first_ns = w->last_ns;
        w->first_cpu_ns = cpu_ns;
    }
}

static uint64_t size_of(const struct question *q, uint64_t room)
{
    double per_s = q->disk->pace > 0 ? q->disk->pace * PACE_ROOM : BYTES_MOST;
    double wanted = per_s * q->seconds;
    uint64_t bytes = wanted < (double)room ? (uint64_t)wanted : room;
    return (bytes > BYTES_LEAST ? bytes : BYTES_LEAST) / MIB * MIB;
}

static pid_t start(const struct question *q, const struct disk_folder *folder, uint64_t room, struct error *err)
{
    char file[DISK_PATH_BYTES + 32];
    char output[DISK_PATH_BYTES + 32];
    char size[48];
    char runtime[48];
    char rate[48];
    const char *argv[] = {"fio",        "--name=bench",         file,      "--direct=1",
                          "--rw=write", "--ioengine=io_uring",  "--bs=1M", "--iodepth=16",
                          "--thread",   "--fallocate=posix",    size,      runtime,
                          output,       "--output-format=json", NULL,      NULL};
    snprintf(file, sizeof(file), "--filename=%s/fio", folder->path);
    snprintf(output, sizeof(output), "--output=%s/fio.json", folder->path);
    snprintf(size, sizeof(size), "--size=%llu", (unsigned long long)size_of(q, room));
    snprintf(runtime, sizeof(runtime), "--runtime=%.0fms", q->seconds * 1000);
    if (q->disk->pace > 0) {
        snprintf(rate, sizeof(rate), "--rate=%.0f", q->disk->pace);
        argv[sizeof(argv) / sizeof(argv[0]) - 2] = rate;
    }
    struct net_process process = {
        .argv = argv, .core = q->cores[1], .in = -1, .out = -1, .shared = -1, .search = true};
    return net_process_start(&process, err);
}

/* Words may stand in front of it. */
static json_t *read_report(const struct disk_folder *folder, struct error *err)
{
    char path[DISK_PATH_BYTES + 32];
    json_t *report = NULL;
    json_error_t why;
    char *text = calloc(1, REPORT_MOST);
    snprintf(path, sizeof(path), "%s/fio.json", folder->path);
    FILE *f = fopen(path, "re");
    size_t bytes = text != NULL && f != NULL ? fread(text, 1, REPORT_MOST - 1, f) : 0;
    const char *begin = bytes > 0 ? strchr(text, '{') : NULL;
    if (begin != NULL) {
        report = json_loads(begin, 0, &why);
    }
    if (f != NULL) {
        fclose(f);
    }
    free(text);
    if (report == NULL) {
        error_set(err, -EPROTO, "fio: expected a report in JSON, found none that can be read");
    }
    return report;
}

static void take(const struct watch *w, double rate, struct outcome *outcome)
{
    double spent_ns = (double)(w->last_ns - w->first_ns);
    double cpu = spent_ns > 0 ? (double)(w->last_cpu_ns - w->first_cpu_ns) / spent_ns : NAN;
    outcome->values[DISK_THROUGHPUT] = rate;
    outcome->values[DISK_CPU_PERCENT] = cpu * PERCENT;
    outcome->values[DISK_CPU_PER_GB] = cpu / rate * 1e9;
}

static int judge(const struct disk_folder *folder, const struct watch *w, struct outcome *outcome)
{
    json_t *report = read_report(folder, &outcome->err);
    if (report == NULL) {
        return -EPROTO;
    }
    const json_t *job = json_array_get(json_object_get(report, "jobs"), 0);
    json_int_t failed = json_integer_value(json_object_get(job, "error"));
    double rate = (double)json_integer_value(json_object_get(json_object_get(job, "write"), "bw_bytes"));
    json_decref(report);
    if (failed != 0 || !(rate > 0)) {
        return error_set(&outcome->err, -EIO, "fio: expected bytes on the disk, found error %lld: %s",
                         (long long)failed, strerror((int)failed));
    }
    take(w, rate, outcome);
    return 0;
}

static bool is_installed(void)
{
    char path[512];
    const char *from = getenv("PATH");
    bool found = false;
    for (const char *end; from != NULL && !found; from = *end != 0 ? end + 1 : NULL) {
        end = from + strcspn(from, ":");
        snprintf(path, sizeof(path), "%.*s/fio", (int)(end - from), from);
        found = access(path, X_OK) == 0;
    }
    return found;
}

void disk_fio(const struct question *question, uint64_t room, struct outcome *outcome)
{
    struct disk_folder folder = {.keeper = 0};
    struct watch watch = {.bytes = 0};
    if (!is_installed()) {
        outcome->code = error_set(&outcome->err, -ENOTSUP,
                                  "there is no program fio: install it, it says what the disk carries");
        return;
    }
    int code = disk_folder_make(&folder, question->directory, &outcome->err);
    if (code == 0) {
        watch.pid = start(question, &folder, room, &outcome->err);
        code = watch.pid < 0 ? watch.pid : 0;
    }
    if (code == 0) {
        code = disk_wait(watch.pid, question->seconds + OVER_S, look, &watch, NULL, "fio", &outcome->err);
    }
    outcome->code = code == 0 ? judge(&folder, &watch, outcome) : code;
    disk_folder_remove(&folder);
}
