#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "daq/json_line.h"
#include "daq/recorder.h"
#include "ring/clock.h"

#define JSON_BYTES  65536u
#define TRIES       100u /* names of a run: the clock may have been set back */
#define TIME_BYTES  64u
#define VALUE_BYTES 1024u
#define STAMP_BYTES 20u /* "20261126T143000.123Z" */

struct text {
    char *at;
    size_t bytes;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->at + text->used, text->bytes - text->used, format, args);
    va_end(args);
    size_t room = text->bytes - text->used;
    text->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

/* "key":"value", escaped. */
static void add_text(struct text *text, const char *key, const char *value)
{
    char room[VALUE_BYTES];
    struct json_line line;
    json_line_begin(&line, room, sizeof(room));
    json_line_text(&line, key, value);
    add(text, "%s", room);
}

static void utc_text(uint64_t utc_ns, char *text, size_t bytes, bool compact)
{
    struct tm tm = {0};
    time_t s = (time_t)(utc_ns / CLOCK_NS_PER_S);
    const char *dash = compact ? "" : "-";
    const char *colon = compact ? "" : ":";
    (void)gmtime_r(&s, &tm);
    snprintf(text, bytes, "%04d%s%02d%s%02dT%02d%s%02d%s%02d.%03uZ", tm.tm_year + 1900, dash, tm.tm_mon + 1, dash,
             tm.tm_mday, tm.tm_hour, colon, tm.tm_min, colon, tm.tm_sec,
             (unsigned)(utc_ns / CLOCK_NS_PER_MS % 1000));
}

static void add_time(struct text *text, const char *key, uint64_t utc_ns)
{
    char when[TIME_BYTES] = "";
    if (utc_ns != 0) {
        utc_text(utc_ns, when, sizeof(when), false);
        add(text, "\"%s\":\"%s\",\"%s_utc_ns\":%llu", key, when, key, (unsigned long long)utc_ns);
    } else {
        add(text, "\"%s\":null,\"%s_utc_ns\":null", key, key);
    }
}

static void add_host(struct text *text)
{
    struct utsname host;
    if (uname(&host) != 0) {
        memset(&host, 0, sizeof(host));
    }
    add(text, "\"host\":{");
    add_text(text, "name", host.nodename);
    add(text, ",");
    add_text(text, "kernel", host.release);
    add(text, ",");
    add_text(text, "machine", host.machine);
    add(text, "}");
}

static void add_notes(struct text *text, const struct recorder_run *run)
{
    add(text, "\"notes\":[");
    for (uint32_t i = 0; i < run->notes; i++) {
        add(text, "%s{", i > 0 ? "," : "");
        add_time(text, "at", run->note[i].utc_ns);
        add(text, ",");
        add_text(text, "by", run->note[i].person);
        add(text, ",");
        add_text(text, "text", run->note[i].text);
        add(text, "}");
    }
    add(text, "],\"notes_lost\":%u", run->notes_lost);
}

static void add_rings(struct text *text, const struct recorder *r)
{
    add(text, "\"rings\":[");
    for (uint32_t i = 0; i < r->rings; i++) {
        const struct recorder_ring_board *shown = r->ring[i].shown;
        add(text, "%s{", i > 0 ? "," : "");
        add_text(text, "name", shown->name);
        add(text, ",\"frames\":%llu,\"bytes\":%llu}", (unsigned long long)shown->run_frames,
            (unsigned long long)shown->run_bytes);
    }
    add(text, "],\"directories\":[");
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        char value[VALUE_BYTES];
        struct json_line line;
        json_line_begin(&line, value, sizeof(value));
        json_line_text(&line, "d", r->plan->directory[s]);
        add(text, "%s%s", s > 0 ? "," : "", value + strlen("\"d\":"));
    }
    add(text, "]");
}

size_t recorder_run_json(const struct recorder *r, char *room, size_t bytes)
{
    const struct recorder_run *run = &r->run;
    struct text text = {.at = room, .bytes = bytes};
    char id[2 * RECORD_RUN_BYTES + 1];
    for (uint32_t i = 0; i < RECORD_RUN_BYTES; i++) {
        snprintf(id + (size_t)2 * i, 3, "%02x", run->id[i]);
    }
    add(&text, "{\"format\":\"sluice recording\",\"version\":%u,\"run\":\"%s\",", RECORD_VERSION, id);
    add_text(&text, "name", run->name);
    add(&text, ",");
    add_text(&text, "instance", r->plan->instance);
    add(&text, ",");
    add_text(&text, "recorder", r->plan->name);
    add(&text, ",");
    add_text(&text, "software", "sluice " SLUICE_VERSION);
    add(&text, ",");
    add_time(&text, "began", run->began_utc_ns);
    add(&text, ",");
    add_time(&text, "ended", run->ended_utc_ns);
    add(&text, ",\"ended_because\":");
    if (run->why != 0) {
        add(&text, "\"%s\"", record_close_name(run->why));
    } else {
        add(&text, "null");
    }
    add(&text, ",");
    add_text(&text, "began_because", run->reason);
    add(&text, ",\"from_tai_ns\":%llu,", (unsigned long long)run->from_tai_ns);
    add_text(&text, "operator", r->operator_name);
    add(&text, ",");
    add_text(&text, "test_id", r->test_id);
    add(&text, ",");
    add_notes(&text, run);
    add(&text, ",");
    add_host(&text);
    add(&text, ",\"sync_ms\":%llu,\"sync_bytes\":%llu,", (unsigned long long)(r->plan->sync_ns / CLOCK_NS_PER_MS),
        (unsigned long long)r->plan->sync_bytes);
    add_rings(&text, r);
    add(&text, "}\n");
    return text.used;
}

/* By a rename: whoever reads it sees one or the other. */
static int put_file(int directory_fd, const char *name, const char *content, size_t bytes, bool sync)
{
    char temporary[64];
    snprintf(temporary, sizeof(temporary), ".%s.new", name);
    int fd = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    int code = fd >= 0 ? 0 : -errno;
    for (size_t done = 0; code == 0 && done < bytes;) {
        ssize_t n = write(fd, content + done, bytes - done);
        if (n < 0 && errno != EINTR) {
            code = -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    if (code == 0 && sync && fsync(fd) != 0) {
        code = -errno;
    }
    if (fd >= 0 && close(fd) != 0 && code == 0) {
        code = -errno;
    }
    if (code == 0 && renameat(directory_fd, temporary, directory_fd, name) != 0) {
        code = -errno;
    }
    if (code != 0) {
        (void)unlinkat(directory_fd, temporary, 0);
    }
    return code;
}

int recorder_run_describe(struct recorder *r, bool sync, struct error *err)
{
    char *text = malloc(JSON_BYTES);
    if (text == NULL) {
        return error_set(err, -ENOMEM, "no memory for %s", RECORD_RUN_FILE);
    }
    size_t bytes = recorder_run_json(r, text, JSON_BYTES);
    int code = put_file(r->run.directory_fd[0], RECORD_RUN_FILE, text, bytes, sync);
    free(text);
    return code == 0 ? 0
                     : error_set(err, code, "cannot write %s/%s/%s: %s", r->plan->directory[0], r->run.name,
                                 RECORD_RUN_FILE, strerror(-code));
}

void recorder_run_note(struct recorder *r, const char *person, const char *text)
{
    struct recorder_run *run = &r->run;
    if (run->notes == RECORDER_NOTES_MAX) {
        run->notes_lost++;
        return;
    }
    struct recorder_note *note = &run->note[run->notes++];
    note->utc_ns = clock_realtime_ns();
    snprintf(note->person, sizeof(note->person), "%s", person);
    snprintf(note->text, sizeof(note->text), "%s", text);
}

static void close_directories(struct recorder *r)
{
    for (uint32_t s = 0; s < RECORDER_DIRECTORIES_MAX; s++) {
        if (r->run.directory_fd[s] >= 0) {
            close(r->run.directory_fd[s]);
        }
        r->run.directory_fd[s] = -1;
    }
}

/* All of a path that is not there. What fails shows when the run's own directory is made. */
static void make_path(const char *path)
{
    char part[RECORDER_PATH_BYTES];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(part, 0755);
        *slash = '/';
    }
    (void)mkdir(part, 0750);
}

/* One of the stripes' directories of this name. */
static int make_directory(struct recorder *r, uint32_t stripe, struct error *err)
{
    char path[RECORDER_PATH_BYTES + RECORDER_RUN_BYTES];
    snprintf(path, sizeof(path), "%s/%s", r->plan->directory[stripe], r->run.name);
    if (mkdir(path, 0750) != 0) {
        return error_set(err, -errno, "cannot make the directory %s: %s", path, strerror(errno));
    }
    r->run.directory_fd[stripe] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->run.directory_fd[stripe] < 0) {
        return error_set(err, -errno, "cannot open the directory %s: %s", path, strerror(errno));
    }
    int parent = open(r->plan->directory[stripe], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent >= 0) {
        (void)fsync(parent);
        close(parent);
    }
    return 0;
}

/* "20261126T143000.123Z-NAME", or with a number behind the time. Names never go back, also if the clock is set
 * back: the oldest run is the one whose name comes first. run.json has the time as it was. */
static int make_directories(struct recorder *r, struct error *err)
{
    char when[TIME_BYTES];
    char newest[RECORDER_RUN_BYTES];
    unsigned number = 0;
    int code = -EEXIST;
    if (r->plan->makes_directory != 0) {
        make_path(r->plan->directory[0]);
    }
    utc_text(r->run.began_utc_ns, when, sizeof(when), true);
    recorder_keep_newest(r, newest);
    if (strncmp(newest, when, STAMP_BYTES) >= 0) {
        memcpy(when, newest, STAMP_BYTES);
        number = newest[STAMP_BYTES] == '.' ? (unsigned)strtoul(newest + STAMP_BYTES + 1, NULL, 10) + 1 : 1;
    }
    for (unsigned i = 0; i < TRIES && code == -EEXIST; i++, number++) {
        if (number == 0) {
            snprintf(r->run.name, sizeof(r->run.name), "%.24s-%.31s", when, r->plan->name);
        } else {
            snprintf(r->run.name, sizeof(r->run.name), "%.24s.%04u-%.31s", when, number, r->plan->name);
        }
        code = make_directory(r, 0, err);
    }
    for (uint32_t s = 1; code == 0 && s < r->plan->directories; s++) {
        code = make_directory(r, s, err);
    }
    return code;
}

static void remove_directories(struct recorder *r)
{
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        char path[RECORDER_PATH_BYTES + RECORDER_RUN_BYTES];
        snprintf(path, sizeof(path), "%s/%s", r->plan->directory[s], r->run.name);
        if (r->run.directory_fd[s] >= 0) {
            (void)unlinkat(r->run.directory_fd[s], RECORD_RUN_FILE, 0);
            (void)unlinkat(r->run.directory_fd[s], RECORD_CONFIG_FILE, 0);
            (void)rmdir(path);
        }
    }
}

static int open_rings(struct recorder *r, uint64_t from_ns, struct error *err)
{
    static char json[JSON_BYTES];
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < r->rings; i++) {
        struct recorder_ring *ring = &r->ring[i];
        ring->next_number = 0;
        ring->removed_segments = 0;
        ring->shown->run_frames = 0;
        ring->shown->run_bytes = 0;
        ring->shown->synced_position = 0;
        ring->owed_count = r->goes_on ? ring->owed_count : 0;
        code = recorder_ring_attach(r, i, from_ns, r->goes_on ? ring->expected : UINT64_MAX, err);
        ring->totals.first_position = ring->owed_count > 0 ? ring->owed[0].from_position : ring->expected;
        ring->totals.next_position = ring->totals.first_position;
    }
    for (uint32_t i = 0; code == 0 && i < r->rings; i++) {
        struct recorder_ring *ring = &r->ring[i];
        ring->source.json = json;
        ring->source.header.json_bytes = (uint32_t)recorder_run_json(r, json, sizeof(json));
        ring->source.header.first_position = ring->totals.first_position;
        ring->source.header.segment = 0;
        memcpy(ring->source.header.run, r->run.id, RECORD_RUN_BYTES);
        code = recorder_files_open(r, i, err);
    }
    return code;
}

int recorder_run_begin(struct recorder *r, const char *reason, uint64_t from_ns, struct error *err)
{
    struct recorder_run *run = &r->run;
    memset(run, 0, sizeof(*run));
    for (uint32_t s = 0; s < RECORDER_DIRECTORIES_MAX; s++) {
        run->directory_fd[s] = -1;
    }
    run->began_utc_ns = clock_realtime_ns();
    run->began_ns = clock_monotonic_ns();
    snprintf(run->reason, sizeof(run->reason), "%s", reason);
    if (r->plan->note[0] != 0) {
        recorder_run_note(r, r->operator_name, r->plan->note);
    }
    int code = record_run_make(run->id, err);
    if (code == 0) {
        code = make_directories(r, err);
    }
    if (code == 0) {
        code = recorder_run_describe(r, true, err);
    }
    if (code == 0 && r->plan->config_bytes > 0) {
        code = put_file(run->directory_fd[0], RECORD_CONFIG_FILE, r->config, r->plan->config_bytes, true);
        error_set(code != 0 ? err : NULL, code, "cannot write %s/%s/%s: %s", r->plan->directory[0], run->name,
                  RECORD_CONFIG_FILE, strerror(-code));
    }
    if (code == 0) {
        code = open_rings(r, from_ns, err);
    }
    if (code != 0) {
        for (uint32_t i = 0; i < r->rings; i++) {
            recorder_files_abandon(r, i);
            recorder_ring_detach(&r->ring[i]);
        }
        remove_directories(r);
        close_directories(r);
        return code;
    }
    recorder_files_sync_directories(r);
    r->goes_on = false;
    run->open = true;
    r->board->runs++;
    r->board->run_began_tai_ns = clock_tai_ns(r->ring[0].source.header.tai_minus_monotonic_ns);
    memcpy(r->board->run, run->name, sizeof(r->board->run));
    memcpy(r->board->directory, r->plan->directory[0], sizeof(r->board->directory));
    return 0;
}

int recorder_run_end(struct recorder *r, enum record_close why)
{
    struct error err = {{0}};
    struct recorder_run *run = &r->run;
    int failed = 0;
    if (!run->open) {
        return 0;
    }
    run->open = false;
    run->why = (uint32_t)why;
    run->ended_utc_ns = clock_realtime_ns();
    bool good = why != RECORD_CLOSE_DISK_FULL && why != RECORD_CLOSE_DISK_ERROR;
    for (uint32_t i = 0; i < r->rings; i++) {
        if (good) {
            (void)recorder_ring_flush(r, i);
        } else {
            recorder_ring_drop_filling(r, i, r->cause);
        }
    }
    recorder_disk_drain(r);
    for (uint32_t i = 0; i < r->rings; i++) {
        int code = recorder_files_end(r, i, why);
        failed = code != 0 ? code : failed;
    }
    recorder_disk_sync(r, clock_monotonic_ns(), true);
    recorder_disk_drain(r);
    failed = good && r->failure != 0 ? r->failure : failed;
    for (uint32_t i = 0; i < r->files; i++) {
        recorder_files_close(r, &r->file[i]);
    }
    for (uint32_t i = 0; i < r->rings; i++) {
        memset(r->ring[i].file, 0, sizeof(r->ring[i].file));
        r->ring[i].rotating = false;
        recorder_ring_detach(&r->ring[i]);
    }
    r->unsynced_bytes = 0; /* nothing is under way */
    r->covered_bytes = 0;
    int code = recorder_run_describe(r, good, &err);
    if (code != 0) {
        recorder_say(r, err.text);
    }
    close_directories(r);
    return failed != 0 ? failed : code;
}
