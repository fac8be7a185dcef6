/* One doctor at a time changes this host: two that note and write by turns would leave an undo file that takes back
 * half. The lock is the kernel's, so that of a dead process is none; the file only says whose it is. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/state_dir.h"
#include "tools/doctor.h"

#define PATH_BYTES 512

/* The pid that stands in the file, as far as one does. */
static void read_holder(int fd, char *holder, size_t bytes)
{
    ssize_t n = pread(fd, holder, bytes - 1, 0);
    holder[n > 0 ? n : 0] = 0;
    holder[strspn(holder, "0123456789")] = 0;
}

/* What a link leads to is not ours to write a number into. */
static bool is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static int take(int fd, const char *path, struct error *err)
{
    char holder[16];
    if (!is_regular(fd)) {
        return error_set(err, -EPERM, "%s: expected a file of this program's; look at it, remove it", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int code = errno == EWOULDBLOCK ? -EBUSY : -errno;
        read_holder(fd, holder, sizeof(holder));
        return code == -EBUSY
                   ? error_set(err, code,
                               "another sluice doctor --fix or --undo (pid %s) holds %s; nothing was changed, try "
                               "again when it is done",
                               holder[0] != 0 ? holder : "not known", path)
                   : error_set(err, code, "cannot lock %s: %s; nothing was changed", path, strerror(-code));
    }
    int n = snprintf(holder, sizeof(holder), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, (size_t)n, 0) != n) {
        return error_set(err, -EIO, "cannot write %s: %s; nothing was changed", path, strerror(errno));
    }
    return 0;
}

int doctor_lock(struct error *err)
{
    char path[PATH_BYTES];
    int code = state_path(path, sizeof(path), "doctor", "lock", err);
    code = code == 0 ? doctor_make_folder(path, "SLUICE_STATE_DIR", err) : code;
    if (code != 0) {
        return code;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) {
        return error_set(err, -errno,
                         "cannot open %s: %s; nothing was changed; set that right, or SLUICE_STATE_DIR", path,
                         strerror(errno));
    }
    code = take(fd, path, err);
    if (code != 0) {
        close(fd);
        return code;
    }
    return fd;
}
