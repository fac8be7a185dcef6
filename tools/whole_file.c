#include "tools/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

int whole_file_begin(struct whole_file *file, const char *path, struct error *err)
{
    file->to = NULL;
    if (strlen(path) >= sizeof(file->path)) {
        return error_set(err, -ENAMETOOLONG, "expected a path of at most %zu characters, found %zu: %.64s..",
                         sizeof(file->path) - 1, strlen(path), path);
    }
    snprintf(file->path, sizeof(file->path), "%s", path);
    snprintf(file->made, sizeof(file->made), "%s.new", path);
    (void)unlink(file->made); /* of one that was killed; what a link leads to is not touched */
    int fd = open(file->made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    file->to = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file->to == NULL) {
        int code = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return error_set(err, code, "cannot write %s: %s", file->made, strerror(-code));
    }
    errno = 0; /* whatever it is at the end came from writing */
    return 0;
}

int whole_file_end(struct whole_file *file, struct error *err)
{
    bool failed = fflush(file->to) != 0 || ferror(file->to) != 0;
    int code = failed ? errno : 0;
    if (fclose(file->to) != 0 && !failed) {
        failed = true;
        code = errno;
    }
    file->to = NULL;
    if (!failed && rename(file->made, file->path) == 0) {
        return 0;
    }
    code = failed ? code : errno;
    code = code != 0 ? code : EIO;
    unlink(file->made);
    return error_set(err, -code, "cannot write %s: %s", file->path, strerror(code));
}
