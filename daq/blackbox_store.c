/* A trip's directory: written under a temporary name, synced, renamed last. Cold. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "daq/blackbox.h"
#include "ring/clock.h"

#define BUFFER_BYTES (1u << 16)

static int fail(struct error *err, int code, const char *what, const char *name)
{
    return error_set(err, code, "cannot %s %s: %s", what, name, strerror(-code));
}

/* Every part of the path that is not there yet. */
static int make_path(const char *directory, struct error *err)
{
    char path[BLACKBOX_DIRECTORY_BYTES];
    snprintf(path, sizeof(path), "%s", directory);
    for (char *at = path + 1;; at++) {
        char here = *at;
        if (here == '/' || here == 0) {
            *at = 0;
            if (mkdir(path, 0755) != 0 && errno != EEXIST) {
                return fail(err, -errno, "make the directory", path);
            }
            *at = here;
        }
        if (here == 0) {
            return 0;
        }
    }
}

static int probe_write(int parent_fd, const char *directory, struct error *err)
{
    static const char content[4096] = "probe";
    char name[BLACKBOX_NAME_BYTES];
    snprintf(name, sizeof(name), BLACKBOX_TEMPORARY_PREFIX "%d-probe", getpid());
    int fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int code = fd < 0 ? -errno : 0;
    if (code == 0 && write(fd, content, sizeof(content)) != (ssize_t)sizeof(content)) {
        code = errno != 0 ? -errno : -ENOSPC;
    }
    if (fd >= 0) {
        close(fd);
        unlinkat(parent_fd, name, 0);
    }
    return code == 0 ? 0 : fail(err, code, "write in", directory);
}

int blackbox_store_probe(const char *directory, uint64_t room_bytes, struct error *err)
{
    struct statvfs fs;
    int code = make_path(directory, err);
    if (code != 0) {
        return code;
    }
    int parent_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent_fd < 0) {
        return fail(err, -errno, "open the directory", directory);
    }
    if (fstatvfs(parent_fd, &fs) != 0) {
        code = fail(err, -errno, "see the room in", directory);
    } else if ((uint64_t)fs.f_bavail * fs.f_frsize < room_bytes) {
        code = error_set(err, -ENOSPC,
                         "expected room for %" PRIu64 " MiB in %s, found %" PRIu64
                         " MiB; make room, or set a smaller black_box.room_mb",
                         room_bytes >> 20, directory, (uint64_t)fs.f_bavail * fs.f_frsize >> 20);
    } else {
        code = probe_write(parent_fd, directory, err);
    }
    close(parent_fd);
    return code;
}

/* A flat directory and what is in it. */
static void remove_tree(int parent_fd, const char *name)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        unlinkat(parent_fd, name, 0);
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlinkat(fd, entry->d_name, 0);
        }
    }
    closedir(dir);
    unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* Its writer lives: another black box that is just ending. */
static bool is_in_use(const char *name)
{
    long pid = strtol(name + strlen(BLACKBOX_TEMPORARY_PREFIX), NULL, 10);
    return pid > 0 && pid != getpid() && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

void blackbox_store_clean(const char *directory)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        bool ours = strncmp(entry->d_name, BLACKBOX_TEMPORARY_PREFIX, strlen(BLACKBOX_TEMPORARY_PREFIX)) == 0;
        if (ours && !is_in_use(entry->d_name)) {
            remove_tree(dirfd(dir), entry->d_name);
        }
    }
    closedir(dir);
}

static void temporary_name(char name[BLACKBOX_NAME_BYTES], const char *what)
{
    snprintf(name, BLACKBOX_NAME_BYTES, BLACKBOX_TEMPORARY_PREFIX "%d-%s", getpid(), what);
}

int blackbox_store_begin(struct blackbox_store *store, const char *directory, const char *name, struct error *err)
{
    char temporary[BLACKBOX_NAME_BYTES];
    *store = (struct blackbox_store){.directory = directory, .fd = -1, .parent_fd = -1};
    snprintf(store->name, sizeof(store->name), "%s", name);
    temporary_name(temporary, "trip");
    int code = make_path(directory, err);
    if (code != 0) {
        return code;
    }
    store->parent_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->parent_fd < 0) {
        return fail(err, -errno, "open the directory", directory);
    }
    remove_tree(store->parent_fd, temporary);
    if (mkdirat(store->parent_fd, temporary, 0755) != 0) {
        code = fail(err, -errno, "make a directory in", directory);
    } else {
        store->fd = openat(store->parent_fd, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        code = store->fd < 0 ? fail(err, -errno, "open a directory in", directory) : 0;
    }
    if (code != 0) {
        blackbox_store_abandon(store);
    }
    return code;
}

FILE *blackbox_store_open(struct blackbox_store *store, const char *name, struct error *err)
{
    int fd = openat(store->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL) {
        fail(err, errno != 0 ? -errno : -ENOMEM, "make the file", name);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    setvbuf(file, NULL, _IOFBF, BUFFER_BYTES);
    return file;
}

void blackbox_store_write(struct blackbox_store *store, FILE *file, const void *data, size_t bytes)
{
    errno = 0;
    if (bytes > 0 && fwrite(data, 1, bytes, file) != bytes && store->error == 0) {
        store->error = errno != 0 ? -errno : -EIO;
    }
}

int blackbox_store_close(struct blackbox_store *store, FILE *file, const char *name, uint64_t bytes,
                         uint64_t checksum, struct error *err)
{
    int code = store->error;
    store->error = 0;
    errno = 0;
    if (code == 0 && (fflush(file) != 0 || ferror(file) != 0 || fsync(fileno(file)) != 0)) {
        code = errno != 0 ? -errno : -EIO;
    }
    if (fclose(file) != 0 && code == 0) {
        code = errno != 0 ? -errno : -EIO;
    }
    if (code != 0) {
        return fail(err, code, "write the file", name);
    }
    if (store->files < BLACKBOX_FILES_MAX) {
        struct blackbox_file *to = &store->file[store->files++];
        snprintf(to->name, sizeof(to->name), "%s", name);
        to->bytes = bytes;
        to->checksum = checksum;
    }
    return 0;
}

int blackbox_store_put(struct blackbox_store *store, const char *name, const void *content, size_t bytes,
                       struct error *err)
{
    FILE *file = blackbox_store_open(store, name, err);
    if (file == NULL) {
        return errno != 0 ? -errno : -EIO;
    }
    blackbox_store_write(store, file, content, bytes);
    return blackbox_store_close(store, file, name, bytes,
                                blackbox_checksum(BLACKBOX_CHECKSUM_START, content, bytes), err);
}

static void close_both(struct blackbox_store *store)
{
    if (store->fd >= 0) {
        close(store->fd);
    }
    if (store->parent_fd >= 0) {
        close(store->parent_fd);
    }
    store->fd = store->parent_fd = -1;
}

int blackbox_store_commit(struct blackbox_store *store, struct error *err)
{
    char temporary[BLACKBOX_NAME_BYTES];
    temporary_name(temporary, "trip");
    int code = fsync(store->fd) != 0 ? -errno : 0;
    if (code == 0 && renameat(store->parent_fd, temporary, store->parent_fd, store->name) != 0) {
        code = -errno;
    }
    if (code != 0) {
        fail(err, code, "finish", store->name);
        blackbox_store_abandon(store);
        return code;
    }
    (void)fsync(store->parent_fd); /* it is there whole, or after a power cut perhaps not at all */
    close_both(store);
    return 0;
}

void blackbox_store_abandon(struct blackbox_store *store)
{
    char temporary[BLACKBOX_NAME_BYTES];
    temporary_name(temporary, "trip");
    if (store->parent_fd >= 0) {
        remove_tree(store->parent_fd, temporary);
    }
    close_both(store);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Under a temporary name first, so that half a directory never has the name of a whole one. */
static void remove_trip(int parent_fd, const char *name)
{
    char temporary[BLACKBOX_NAME_BYTES];
    temporary_name(temporary, "old");
    if (renameat(parent_fd, name, parent_fd, temporary) == 0) {
        remove_tree(parent_fd, temporary);
    }
}

void blackbox_store_prune(const char *directory, uint32_t keep, const char *newest)
{
    char **names = NULL;
    size_t count = 0;
    DIR *dir = opendir(directory);
    for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        char **more = blackbox_is_trip_name(entry->d_name) && strcmp(entry->d_name, newest) != 0
                          ? realloc(names, (count + 1) * sizeof(*names))
                          : NULL;
        if (more != NULL) {
            names = more;
            names[count] = strdup(entry->d_name);
            count += names[count] != NULL;
        }
    }
    if (count > 0) {
        qsort(names, count, sizeof(*names), compare_names);
    }
    for (size_t i = 0; i < count; i++) {
        if (count - i + 1 > keep) { /* one more than these: the newest */
            remove_trip(dirfd(dir), names[i]);
        }
        free(names[i]);
    }
    free(names);
    if (dir != NULL) {
        closedir(dir);
    }
}

void blackbox_trip_name(char name[BLACKBOX_NAME_BYTES], uint64_t utc_ns, uint64_t number)
{
    struct tm tm;
    char date[32];
    time_t seconds = (time_t)(utc_ns / CLOCK_NS_PER_S);
    if (gmtime_r(&seconds, &tm) == NULL) {
        memset(&tm, 0, sizeof(tm));
    }
    strftime(date, sizeof(date), "%Y%m%dT%H%M%S", &tm);
    snprintf(name, BLACKBOX_NAME_BYTES, "%s.%03uZ-trip%" PRIu64, date,
             (unsigned)(utc_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS), number);
}

bool blackbox_is_trip_name(const char *name)
{
    static const char shape[] = "00000000T000000.000Z-trip";
    for (size_t i = 0; shape[i] != 0; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (shape[i] == '0' ? !digit : name[i] != shape[i]) {
            return false;
        }
    }
    const char *number = name + sizeof(shape) - 1;
    return number[0] != 0 && strspn(number, "0123456789") == strlen(number);
}
