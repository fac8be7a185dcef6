/* Room on the disk: free bytes, and the oldest runs and segments when there is too little of it. Only what carries
 * this recorder's name, and never the run that is being written but for its oldest segments. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daq/recorder.h"
#include "ring/clock.h"

#define RUNS_MAX   4096u
#define NAME_BYTES 256u
#define STAMP      "20261126T143000.123Z"

int recorder_keep_free(const struct recorder *r, uint64_t *free_bytes, struct error *err)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        struct statvfs at;
        if (statvfs(r->plan->directory[s], &at) != 0) {
            return error_set(err, -errno, "cannot look at the disk of %s: %s", r->plan->directory[s],
                             strerror(errno));
        }
        uint64_t bytes = (uint64_t)at.f_bavail * at.f_frsize;
        least = bytes < least ? bytes : least;
    }
    *free_bytes = least;
    return 0;
}

/* "20261126T143000.123Z-NAME", "20261126T143000.123Z.2-NAME". */
bool recorder_keep_is_run(const char *name, const char *recorder)
{
    for (size_t i = 0; i < sizeof(STAMP) - 1; i++) {
        if (isdigit((unsigned char)STAMP[i]) ? !isdigit((unsigned char)name[i]) : name[i] != STAMP[i]) {
            return false;
        }
    }
    const char *rest = name + sizeof(STAMP) - 1;
    if (*rest == '.') {
        rest++;
        while (isdigit((unsigned char)*rest)) {
            rest++;
        }
    }
    return *rest == '-' && strcmp(rest + 1, recorder) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory that `wanted` takes, in order. How many; each to be freed, and the array. */
static uint32_t names_in(const char *path, bool (*wanted)(const char *name, const char *of), const char *of,
                         char ***names)
{
    uint32_t n = 0;
    DIR *directory = opendir(path);
    *names = calloc(RUNS_MAX, sizeof(**names));
    if (directory != NULL && *names != NULL) {
        for (struct dirent *entry = readdir(directory); entry != NULL && n < RUNS_MAX; entry = readdir(directory)) {
            if (wanted(entry->d_name, of)) {
                (*names)[n] = strdup(entry->d_name);
                n += (*names)[n] != NULL;
            }
        }
        qsort(*names, n, sizeof(**names), by_name);
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return n;
}

static void free_names(char **names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

static bool is_file_of_run(const char *name, const char *unused)
{
    (void)unused;
    return strcmp(name, RECORD_RUN_FILE) == 0 || strcmp(name, RECORD_CONFIG_FILE) == 0 ||
           strcmp(name, "recovered.json") == 0 || ends_with(name, RECORD_SUFFIX) ||
           ends_with(name, RECORD_REMOVED_SUFFIX);
}

static uint64_t bytes_of(const char *path)
{
    struct stat at;
    return lstat(path, &at) == 0 ? (uint64_t)at.st_blocks * 512 : 0;
}

/* Bytes of the files of a run in one of the directories; removed: they go, and the directory with them. */
static uint64_t walk_run(const char *directory, const char *run, bool remove)
{
    char path[RECORDER_PATH_BYTES + NAME_BYTES];
    char file[RECORDER_PATH_BYTES + 2 * NAME_BYTES];
    char **names;
    uint64_t bytes = 0;
    snprintf(path, sizeof(path), "%s/%s", directory, run);
    uint32_t n = names_in(path, is_file_of_run, NULL, &names);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(file, sizeof(file), "%s/%s", path, names[i]);
        bytes += bytes_of(file);
        if (remove) {
            (void)unlink(file);
        }
    }
    free_names(names, n);
    if (remove) {
        (void)rmdir(path); /* not if something of somebody else's lies in it */
    }
    return bytes;
}

static uint64_t walk(const struct recorder *r, const char *run, bool remove)
{
    uint64_t bytes = 0;
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        bytes += walk_run(r->plan->directory[s], run, remove);
    }
    return bytes;
}

static bool is_current(const struct recorder *r, const char *name)
{
    return r->run.open && strcmp(name, r->run.name) == 0;
}

void recorder_keep_limits(struct recorder *r)
{
    char **names;
    uint64_t bytes = 0;
    if (r->plan->keep_runs == 0 && r->plan->keep_bytes == 0) {
        return;
    }
    uint32_t n = names_in(r->plan->directory[0], recorder_keep_is_run, r->plan->name, &names);
    for (uint32_t i = 0; r->plan->keep_bytes != 0 && i < n; i++) {
        bytes += walk(r, names[i], false);
    }
    for (uint32_t i = 0; i < n; i++) {
        bool many = r->plan->keep_runs != 0 && n - i > r->plan->keep_runs;
        bool large = r->plan->keep_bytes != 0 && bytes > r->plan->keep_bytes;
        if (is_current(r, names[i]) || !(many || large)) {
            continue;
        }
        bytes -= walk(r, names[i], true);
        r->board->removed_runs++;
    }
    free_names(names, n);
}

static bool remove_oldest_run(struct recorder *r)
{
    char **names;
    bool removed = false;
    uint32_t n = names_in(r->plan->directory[0], recorder_keep_is_run, r->plan->name, &names);
    for (uint32_t i = 0; i < n && !removed; i++) {
        if (!is_current(r, names[i])) {
            removed = walk(r, names[i], true) > 0;
            r->board->removed_runs += removed;
        }
    }
    free_names(names, n);
    return removed;
}

/* Else whoever reads the run later would miss them. */
static void tell_removed(const struct recorder *r, const struct recorder_ring *ring)
{
    char name[RECORD_FILE_NAME_BYTES];
    char text[16];
    int bytes = snprintf(text, sizeof(text), "%u\n", ring->removed_segments);
    snprintf(name, sizeof(name), "%.31s" RECORD_REMOVED_SUFFIX, ring->source.header.ring);
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        int fd = openat(r->run.directory_fd[s], name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
        if (fd >= 0) {
            (void)!write(fd, text, (size_t)bytes);
            close(fd);
        }
    }
}

/* All stripes of the oldest segment that is closed, of the ring that has the most of them. */
static bool remove_oldest_segment(struct recorder *r)
{
    uint32_t most = 0;
    struct recorder_ring *of = NULL;
    bool removed = false;
    for (uint32_t i = 0; r->run.open && i < r->rings; i++) {
        struct recorder_ring *ring = &r->ring[i];
        uint32_t closed = ring->source.header.segment - ring->removed_segments;
        if (closed > most) {
            most = closed;
            of = ring;
        }
    }
    if (of == NULL) {
        return false;
    }
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        char name[RECORD_FILE_NAME_BYTES];
        record_file_name(name, of->source.header.ring, of->removed_segments, s, r->plan->directories);
        removed = unlinkat(r->run.directory_fd[s], name, 0) == 0 || removed;
    }
    of->removed_segments++;
    tell_removed(r, of);
    r->board->removed_segments++;
    return removed;
}

bool recorder_keep_room(struct recorder *r)
{
    struct error err = {{0}};
    uint64_t free_bytes = 0;
    for (uint32_t removed = 0;; removed++) {
        if (recorder_keep_free(r, &free_bytes, &err) != 0) {
            return true; /* the next write tells */
        }
        r->board->free_bytes = free_bytes;
        if (free_bytes >= r->plan->room_bytes) {
            return true;
        }
        bool may = r->plan->full == RECORDER_DROPS_OLDEST && removed < RUNS_MAX;
        if (!may || (!remove_oldest_run(r) && !remove_oldest_segment(r))) {
            return false;
        }
    }
}
