/* Room on the disk: free bytes, and the oldest runs and segments when there is too little of it. Only what carries
 * this recorder's name, and never the run that is being written but for its oldest segments. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daq/recorder.h"
#include "ring/clock.h"

#define SETTLE_NS (5 * CLOCK_NS_PER_S)
#define STAMP     "20261126T143000.123Z"

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
static uint32_t names_in(int directory_fd, bool (*wanted)(const char *name, const char *of), const char *of,
                         char ***names)
{
    uint32_t n = 0;
    uint32_t room = 0;
    *names = NULL;
    int fd = directory_fd >= 0 ? openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (!wanted(entry->d_name, of)) {
            continue;
        }
        if (n == room) {
            room = room != 0 ? room * 2 : 64;
            char **more = realloc(*names, room * sizeof(**names));
            if (more == NULL) {
                break;
            }
            *names = more;
        }
        (*names)[n] = strdup(entry->d_name);
        n += (*names)[n] != NULL;
    }
    closedir(directory);
    if (n > 0) {
        qsort(*names, n, sizeof(**names), by_name);
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

/* The directory itself, never what a link leads to, and only if it is ours. -1: it is not. */
static int open_own(int parent_fd, const char *name)
{
    struct stat at;
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &at) != 0 || at.st_uid != geteuid())) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Whether a file of the run is another instance's, or is being written: its recorder holds a lock on it. */
static bool is_others(const struct recorder *r, int run_fd, const char *name)
{
    struct record_file_header header;
    if (!ends_with(name, RECORD_SUFFIX)) {
        return false;
    }
    int fd = openat(run_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return errno != ENOENT;
    }
    bool others = flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (!others && pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
        header.magic == RECORD_MAGIC) {
        others = strncmp(header.instance, r->plan->instance, sizeof(header.instance)) != 0 ||
                 strncmp(header.recorder, r->plan->name, sizeof(header.recorder)) != 0;
    }
    close(fd);
    return others;
}

struct walked {
    uint64_t bytes;
    uint32_t removed; /* files */
    bool others;      /* it is not ours to remove */
};

/* The files of a run in one of the directories. */
static void walk_run(const struct recorder *r, const char *directory, const char *run, bool remove,
                     struct walked *walked)
{
    char **names;
    int parent_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int run_fd = parent_fd >= 0 ? open_own(parent_fd, run) : -1;
    uint32_t n = names_in(run_fd, is_file_of_run, NULL, &names);
    for (uint32_t i = 0; i < n; i++) {
        struct stat at;
        if (fstatat(run_fd, names[i], &at, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        walked->others = walked->others || (!remove && is_others(r, run_fd, names[i]));
        bool gone = remove && unlinkat(run_fd, names[i], 0) == 0;
        walked->removed += gone;
        walked->bytes += !remove || gone ? (uint64_t)at.st_blocks * 512 : 0;
    }
    free_names(names, n);
    if (run_fd >= 0) {
        close(run_fd);
    }
    if (remove && run_fd >= 0) {
        (void)unlinkat(parent_fd, run, AT_REMOVEDIR); /* not if something of somebody else's lies in it */
    }
    if (parent_fd >= 0) {
        close(parent_fd);
    }
}

static struct walked walk(const struct recorder *r, const char *run, bool remove)
{
    struct walked walked = {.bytes = 0};
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        walk_run(r, r->plan->directory[s], run, remove, &walked);
    }
    return walked;
}

static bool is_current(const struct recorder *r, const char *name)
{
    return r->run.open && strcmp(name, r->run.name) == 0;
}

static uint32_t runs_of(const struct recorder *r, char ***names)
{
    int fd = open(r->plan->directory[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t n = names_in(fd, recorder_keep_is_run, r->plan->name, names);
    if (fd >= 0) {
        close(fd);
    }
    return n;
}

void recorder_keep_newest(const struct recorder *r, char name[RECORDER_RUN_BYTES])
{
    char **names;
    uint32_t n = runs_of(r, &names);
    snprintf(name, RECORDER_RUN_BYTES, "%s", n > 0 ? names[n - 1] : "");
    free_names(names, n);
}

/* Bytes that are free again; 0: it was not ours, or cannot be removed. */
static uint64_t remove_run(struct recorder *r, const char *name)
{
    if (is_current(r, name) || walk(r, name, false).others) {
        return 0;
    }
    struct walked gone = walk(r, name, true);
    r->board->removed_runs += gone.removed > 0;
    return gone.removed > 0 && gone.bytes == 0 ? 1 : gone.bytes;
}

void recorder_keep_limits(struct recorder *r)
{
    char **names;
    uint64_t bytes = 0;
    if (r->plan->keep_runs == 0 && r->plan->keep_bytes == 0) {
        return;
    }
    uint32_t n = runs_of(r, &names);
    uint32_t kept = n;
    for (uint32_t i = 0; r->plan->keep_bytes != 0 && i < n; i++) {
        bytes += walk(r, names[i], false).bytes;
    }
    for (uint32_t i = 0; i < n; i++) {
        bool many = r->plan->keep_runs != 0 && kept > r->plan->keep_runs;
        bool large = r->plan->keep_bytes != 0 && bytes > r->plan->keep_bytes;
        uint64_t freed = many || large ? remove_run(r, names[i]) : 0;
        bytes -= freed < bytes ? freed : bytes;
        kept -= freed > 0;
    }
    free_names(names, n);
}

static uint64_t remove_oldest_run(struct recorder *r)
{
    char **names;
    uint64_t freed = 0;
    uint32_t n = runs_of(r, &names);
    for (uint32_t i = 0; i < n && freed == 0; i++) {
        freed = remove_run(r, names[i]);
    }
    free_names(names, n);
    return freed;
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
static uint64_t remove_oldest_segment(struct recorder *r)
{
    uint32_t most = 0;
    struct recorder_ring *of = NULL;
    uint64_t freed = 0;
    for (uint32_t i = 0; r->run.open && i < r->rings; i++) {
        struct recorder_ring *ring = &r->ring[i];
        uint32_t closed = ring->source.header.segment - ring->removed_segments;
        if (closed > most) {
            most = closed;
            of = ring;
        }
    }
    if (of == NULL) {
        return 0;
    }
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        char name[RECORD_FILE_NAME_BYTES];
        record_file_name(name, of->source.header.ring, of->removed_segments, s, r->plan->directories);
        struct stat at;
        if (fstatat(r->run.directory_fd[s], name, &at, AT_SYMLINK_NOFOLLOW) == 0 &&
            unlinkat(r->run.directory_fd[s], name, 0) == 0) {
            freed += (uint64_t)at.st_blocks * 512 + 1;
        }
    }
    of->removed_segments++;
    tell_removed(r, of);
    r->board->removed_segments++;
    return freed;
}

/* The oldest go, as many as are needed, and then it is waited for the file system to give their room back: one that
 * is read, or that frees in the background, takes its time. */
bool recorder_keep_room(struct recorder *r)
{
    struct error err = {{0}};
    uint64_t free_bytes = 0;
    uint64_t now_ns = clock_monotonic_ns();
    if (recorder_keep_free(r, &free_bytes, &err) != 0) {
        return true; /* the next write tells */
    }
    r->board->free_bytes = free_bytes;
    if (free_bytes >= r->plan->room_bytes) {
        r->kept_ns = 0;
        return true;
    }
    if (r->plan->full != RECORDER_DROPS_OLDEST) {
        return false;
    }
    if (r->kept_ns != 0 && now_ns - r->kept_ns < SETTLE_NS) {
        return true;
    }
    uint64_t needed = r->plan->room_bytes - free_bytes;
    uint64_t freed = 0;
    while (freed < needed) {
        uint64_t more = remove_oldest_run(r);
        more = more != 0 ? more : remove_oldest_segment(r);
        if (more == 0) {
            break;
        }
        freed += more;
    }
    r->kept_ns = freed > 0 ? now_ns : 0;
    return freed > 0;
}
