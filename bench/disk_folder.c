#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/disk_rig.h"
#include "bench/net_process.h"

#define NAME_BYTES 32u
#define DEPTH_FDS  8
#define TRIES      5000 /* a recorder that outlives the bench for a moment may still write its last words there */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    (void)remove(path);
    return 0;
}

/* Until nobody holds the other end of the pipe any more: the process that made the folder has ended, or has said
 * so. In a session of its own, for all that the bench leaves behind is killed by its group; without anything else
 * of what is open in there, for others wait for the end of that. */
_Noreturn static void keep(const struct disk_folder *folder, int ended)
{
    char nothing;
    setsid();
    if (ended > 0) {
        close_range(0, (unsigned)ended - 1, 0);
    }
    close_range((unsigned)ended + 1, ~0u, 0);
    while (read(ended, &nothing, 1) < 0 && errno == EINTR) {
    }
    for (int i = 0; i < TRIES && access(folder->path, F_OK) == 0; i++) {
        if (i > 0) {
            net_rest_us(1000);
        }
        nftw(folder->path, remove_entry, DEPTH_FDS, FTW_DEPTH | FTW_PHYS);
    }
    _exit(0);
}

static int make(struct disk_folder *folder, const char *directory, struct error *err)
{
    char *whole = realpath(directory, NULL);
    int code = whole != NULL ? 0 : -errno;
    if (code != 0) {
        return error_set(err, code, "expected a directory to write to, found %s: %s", directory, strerror(-code));
    }
    if (strlen(whole) + NAME_BYTES > sizeof(folder->path)) {
        code = error_set(err, -ENAMETOOLONG, "expected a path of at most %zu bytes, found %s",
                         sizeof(folder->path) - NAME_BYTES, whole);
    } else {
        snprintf(folder->path, sizeof(folder->path), "%s/sluice-bench-XXXXXX", whole);
        if (mkdtemp(folder->path) == NULL) {
            code = error_set(err, -errno, "cannot make a folder in %s: %s; name another by --directory", whole,
                             strerror(errno));
        }
    }
    free(whole);
    return code;
}

int disk_folder_make(struct disk_folder *folder, const char *directory, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return error_set(err, -errno, "a pipe: %s", strerror(errno));
    }
    int code = make(folder, directory, err);
    folder->keeper = code == 0 ? fork() : -1;
    if (folder->keeper == 0) {
        keep(folder, ends[0]);
    }
    if (code == 0 && folder->keeper < 0) {
        code = error_set(err, -errno, "fork: %s", strerror(errno));
        (void)rmdir(folder->path);
    }
    close(ends[0]);
    if (code != 0) {
        close(ends[1]);
        folder->keeper = 0;
        return code;
    }
    folder->keeper_fd = ends[1];
    return 0;
}

void disk_folder_remove(struct disk_folder *folder)
{
    if (folder->keeper > 0) {
        close(folder->keeper_fd);
        while (waitpid(folder->keeper, NULL, 0) < 0 && errno == EINTR) {
        }
        folder->keeper = 0;
    }
}

int disk_room(const char *directory, uint64_t *bytes, struct error *err)
{
    struct statvfs fs;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set(err, -errno, "expected a directory to write to, found %s: %s", directory, strerror(errno));
    }
    (void)syncfs(fd); /* what was before is not to be paid for by what comes */
    int code = fstatvfs(fd, &fs) == 0 ? 0 : error_set(err, -errno, "%s: %s", directory, strerror(errno));
    close(fd);
    uint64_t free_bytes = code == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
    if (code == 0 && free_bytes < DISK_ROOM_LEAST) {
        return error_set(err, -ENOTSUP,
                         "expected %llu MiB free on the disk of %s, found %llu; name another directory by "
                         "--directory",
                         (unsigned long long)(DISK_ROOM_LEAST >> 20), directory,
                         (unsigned long long)(free_bytes >> 20));
    }
    *bytes = free_bytes - (code == 0 ? DISK_ROOM_KEPT : 0);
    return code;
}
