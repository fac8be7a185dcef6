/* A file system for tests: DIRECTORY seen through MOUNTPOINT, with the faults that stand in a file: words such as
 * "write_ms=20 fsync_ms=100 errno=28 after=1000000". errno: what writes and syncs fail with, once `after` bytes
 * have been written. Looked at before each. Foreground; ends with its mount.
 *
 *   slowdisk DIRECTORY FAULTS MOUNTPOINT
 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const char *directory;
static const char *faults_path;
static unsigned long long written;

struct faults {
    unsigned long write_ms;
    unsigned long fsync_ms;
    unsigned long fail;
    unsigned long long after;
};

static unsigned long long word(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static struct faults look(void)
{
    char text[256] = "";
    int fd = open(faults_path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = 0;
        close(fd);
    }
    return (struct faults){.write_ms = word(text, "write_ms="),
                           .fsync_ms = word(text, "fsync_ms="),
                           .fail = word(text, "errno="),
                           .after = word(text, "after=")};
}

static void pause_ms(unsigned long ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static void real(char to[PATH_MAX], const char *path)
{
    snprintf(to, PATH_MAX, "%s%s", directory, path);
}

static int result(int value)
{
    return value < 0 ? -errno : 0;
}

static int fs_getattr(const char *path, struct stat *at, struct fuse_file_info *info)
{
    char p[PATH_MAX];
    (void)info;
    real(p, path);
    return result(lstat(p, at));
}

static int fs_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    char p[PATH_MAX];
    (void)offset;
    (void)info;
    (void)flags;
    real(p, path);
    DIR *d = opendir(p);
    if (d == NULL) {
        return -errno;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        fill(buffer, e->d_name, NULL, 0, 0);
    }
    closedir(d);
    return 0;
}

static int fs_mkdir(const char *path, mode_t mode)
{
    char p[PATH_MAX];
    real(p, path);
    return look().fail != 0 ? -(int)look().fail : result(mkdir(p, mode));
}

static int fs_rmdir(const char *path)
{
    char p[PATH_MAX];
    real(p, path);
    return result(rmdir(p));
}

static int fs_unlink(const char *path)
{
    char p[PATH_MAX];
    real(p, path);
    return result(unlink(p));
}

static int fs_rename(const char *from, const char *to, unsigned flags)
{
    char p[PATH_MAX];
    char q[PATH_MAX];
    (void)flags;
    real(p, from);
    real(q, to);
    return result(rename(p, q));
}

static int fs_open(const char *path, struct fuse_file_info *info)
{
    char p[PATH_MAX];
    real(p, path);
    int fd = open(p, (info->flags & ~O_DIRECT) | O_CLOEXEC);
    info->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int fs_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    char p[PATH_MAX];
    real(p, path);
    int fd = open(p, (info->flags & ~O_DIRECT) | O_CREAT | O_CLOEXEC, mode);
    info->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int fs_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    return result(close((int)info->fh));
}

static int fs_read(const char *path, char *buffer, size_t bytes, off_t offset, struct fuse_file_info *info)
{
    (void)path;
    ssize_t n = pread((int)info->fh, buffer, bytes, offset);
    return n < 0 ? -errno : (int)n;
}

static int fs_write(const char *path, const char *buffer, size_t bytes, off_t offset, struct fuse_file_info *info)
{
    struct faults faults = look();
    (void)path;
    pause_ms(faults.write_ms);
    if (faults.fail != 0 && __atomic_add_fetch(&written, bytes, __ATOMIC_RELAXED) > faults.after) {
        return -(int)faults.fail;
    }
    ssize_t n = pwrite((int)info->fh, buffer, bytes, offset);
    return n < 0 ? -errno : (int)n;
}

static int fs_fsync(const char *path, int data, struct fuse_file_info *info)
{
    struct faults faults = look();
    (void)path;
    pause_ms(faults.fsync_ms);
    if (faults.fail != 0 && faults.after == 0) {
        return -(int)faults.fail;
    }
    return result(data != 0 ? fdatasync((int)info->fh) : fsync((int)info->fh));
}

static int fs_fsyncdir(const char *path, int data, struct fuse_file_info *info)
{
    (void)path;
    (void)data;
    (void)info;
    return 0;
}

static int fs_truncate(const char *path, off_t bytes, struct fuse_file_info *info)
{
    char p[PATH_MAX];
    real(p, path);
    return result(info != NULL ? ftruncate((int)info->fh, bytes) : truncate(p, bytes));
}

static int fs_statfs(const char *path, struct statvfs *at)
{
    char p[PATH_MAX];
    real(p, path);
    return result(statvfs(p, at));
}

static const struct fuse_operations operations = {.getattr = fs_getattr,
                                                  .readdir = fs_readdir,
                                                  .mkdir = fs_mkdir,
                                                  .rmdir = fs_rmdir,
                                                  .unlink = fs_unlink,
                                                  .rename = fs_rename,
                                                  .open = fs_open,
                                                  .create = fs_create,
                                                  .release = fs_release,
                                                  .read = fs_read,
                                                  .write = fs_write,
                                                  .fsync = fs_fsync,
                                                  .fsyncdir = fs_fsyncdir,
                                                  .truncate = fs_truncate,
                                                  .statfs = fs_statfs};

int main(int argc, char **argv)
{
    char foreground[] = "-f";
    char *arguments[] = {argv[0], foreground, argc == 4 ? argv[3] : NULL, NULL};
    if (argc != 4) {
        fprintf(stderr, "usage: slowdisk DIRECTORY FAULTS MOUNTPOINT\n");
        return 2;
    }
    directory = argv[1];
    faults_path = argv[2];
    return fuse_main(3, arguments, &operations, NULL);
}
