#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/ways.h"

/* Opens path if what lies there is of a type; kind: how that is called. */
static int open_typed(const char *path, int flags, mode_t type, const char *kind, struct stat *at,
                      struct error *err)
{
    int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a FIFO must not hold us up */
    if (fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    }
    if (fstat(fd, at) != 0 || (at->st_mode & S_IFMT) != type) {
        close(fd);
        return error_set(err, -EINVAL, "expected %s at %s, found something else", kind, path);
    }
    int mode = fcntl(fd, F_GETFL);
    if (mode < 0 || fcntl(fd, F_SETFL, mode & ~O_NONBLOCK) != 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

/* Also for writing: so it does not end whenever its last writer goes, and the next one finds it open. */
static int open_fifo(struct opening *opening, struct error *err)
{
    struct stat at;
    const char *path = opening->plan->file.path;
    if (mkfifo(path, 0620) != 0 && errno != EEXIST) {
        return error_set(err, -errno, "cannot make a FIFO at %s: %s", path, strerror(errno));
    }
    return open_typed(path, O_RDWR, S_IFIFO, "a FIFO", &at, err);
}

static int open_file(struct opening *opening, struct error *err)
{
    const struct file_plan *plan = &opening->plan->file;
    struct stat at;
    int fd = open_typed(plan->path, O_RDONLY, S_IFREG, "a regular file", &at, err);
    if (fd < 0) {
        return fd;
    }
    /* Only the first time: a file that has taken the place of the old one is read from its begin. */
    bool first = opening->inode == 0;
    if (plan->follow == FILE_TAIL && first && plan->from_begin == 0 && lseek(fd, 0, SEEK_END) < 0) {
        int code = -errno;
        close(fd);
        return error_set(err, code, "cannot go to the end of %s: %s", plan->path, strerror(-code));
    }
    opening->device = at.st_dev;
    opening->inode = at.st_ino;
    return fd;
}

/* A file that was rotated away, or cut: the next reading is of what lies at the path now. */
static bool check_file(struct opening *opening)
{
    struct stat named;
    struct stat open_one;
    if (opening->plan->file.follow != FILE_TAIL || stat(opening->plan->file.path, &named) != 0) {
        return true; /* nothing else is there yet: the writer may still write to the one that we have */
    }
    if (named.st_dev != opening->device || named.st_ino != opening->inode) {
        return false;
    }
    return fstat(opening->in_use, &open_one) != 0 || lseek(opening->in_use, 0, SEEK_CUR) <= open_one.st_size;
}

static int open_hidraw(struct opening *opening, struct error *err)
{
    struct stat at;
    int fd = open_typed(opening->plan->file.path, O_RDONLY, S_IFCHR, "a character device (/dev/hidraw0)", &at, err);
    if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        int code = -errno;
        close(fd);
        return error_set(err, code, "cannot set up %s: %s", opening->plan->file.path, strerror(-code));
    }
    return fd;
}

const struct opener_way way_fifo = {.open = open_fifo};
const struct opener_way way_file = {.open = open_file, .check = check_file};
const struct opener_way way_hidraw = {.open = open_hidraw};
