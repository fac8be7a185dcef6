#include "tools/export/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static const char made_suffix[] = ".XXXXXX.part";

/* Linux's open(2): a file of this name can be there only if it was made whole. */
static int directory_of(const char *path, char directory[OUTPUT_PATH_BYTES])
{
    snprintf(directory, OUTPUT_PATH_BYTES, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash == NULL) {
        snprintf(directory, OUTPUT_PATH_BYTES, ".");
    } else {
        slash[slash == directory ? 1 : 0] = 0;
    }
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int check_path(const struct output *o, struct error *err)
{
    struct stat found;
    if (lstat(o->path, &found) != 0) {
        return errno == ENOENT ? 0 : error_set(err, -errno, "cannot write %s: %s", o->path, strerror(errno));
    }
    if (!S_ISREG(found.st_mode)) {
        return error_set(err, -EEXIST, "%s: expected a file or none, found something else there; name another",
                         o->path);
    }
    if (!o->force) {
        return error_set(err, -EEXIST, "%s is there already; give another name, or --force to replace it", o->path);
    }
    return 0;
}

int output_begin(struct output *output, const char *path, bool force, struct error *err)
{
    *output = (struct output){.fd = -1, .force = force};
    if (strlen(path) + sizeof(made_suffix) > sizeof(output->made)) {
        return error_set(err, -ENAMETOOLONG, "expected a path of at most %zu characters, found %zu",
                         sizeof(output->made) - sizeof(made_suffix), strlen(path));
    }
    snprintf(output->path, sizeof(output->path), "%s", path);
    int code = check_path(output, err);
    if (code != 0) {
        return code;
    }
    output->buffer = malloc(OUTPUT_BUFFER_BYTES);
    if (output->buffer == NULL) {
        return error_set(err, -ENOMEM, "expected 1 MiB of memory, got none");
    }
    strcpy(output->made, path); /* the length was looked at */
    strcat(output->made, made_suffix);
    output->fd = mkostemps(output->made, (int)strlen(".part"), O_CLOEXEC);
    if (output->fd < 0) {
        code = errno;
        output->made[0] = 0;
        output_abandon(output);
        return error_set(err, -code, "cannot write beside %s: %s; does its directory exist, and may it be written?",
                         path, strerror(code));
    }
    mode_t mask = umask(0);
    umask(mask);
    (void)fchmod(output->fd, 0666 & ~mask); /* a private file is no failure */
    return 0;
}

int output_failed(const struct output *output, int code, struct error *err)
{
    code = code != 0 ? code : EIO;
    return error_set(err, -code, "cannot write %s: %s%s; nothing was left there", output->path, strerror(code),
                     code == ENOSPC ? " (the disk is full)" : "");
}

static int write_all(struct output *o, const uint8_t *data, size_t bytes, struct error *err)
{
    while (bytes > 0) {
        ssize_t n = write(o->fd, data, bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return output_failed(o, n < 0 ? errno : ENOSPC, err);
        }
        data += n;
        bytes -= (size_t)n;
    }
    return 0;
}

int output_flush(struct output *output, struct error *err)
{
    size_t bytes = output->used;
    output->used = 0;
    return write_all(output, output->buffer, bytes, err);
}

int output_write(struct output *output, const void *data, size_t bytes, struct error *err)
{
    output->bytes += bytes;
    if (output->keeps_crc) {
        output->crc = (uint32_t)crc32_z(output->crc, data, bytes);
    }
    if (bytes > OUTPUT_BUFFER_BYTES - output->used) {
        int code = output_flush(output, err);
        if (code != 0 || bytes >= OUTPUT_BUFFER_BYTES) {
            return code != 0 ? code : write_all(output, data, bytes, err);
        }
    }
    memcpy(output->buffer + output->used, data, bytes);
    output->used += bytes;
    return 0;
}

/* Where nothing may be replaced the file system is asked to see to it: somebody else may have come first. */
static int put_in_place(const struct output *o, struct error *err)
{
    if (o->force ? rename(o->made, o->path) == 0
                 : renameat2(AT_FDCWD, o->made, AT_FDCWD, o->path, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (!o->force && errno == EINVAL && link(o->made, o->path) == 0) {
        unlink(o->made); /* a file system that knows no such rename */
        return 0;
    }
    if (errno == EEXIST) {
        return error_set(err, -EEXIST, "%s has come to be there meanwhile; it was left as it is", o->path);
    }
    return output_failed(o, errno, err);
}

int output_commit(struct output *output, struct error *err)
{
    char directory[OUTPUT_PATH_BYTES];
    int code = output_flush(output, err);
    if (code == 0 && fsync(output->fd) != 0) {
        code = output_failed(output, errno, err);
    }
    if (code == 0) {
        code = put_in_place(output, err);
    }
    if (code == 0) {
        output->made[0] = 0;
        int at = directory_of(output->path, directory);
        if (at >= 0) {
            (void)fsync(at); /* of a file system that cannot, nothing more is to be had */
            close(at);
        }
    }
    output_abandon(output);
    return code;
}

void output_abandon(struct output *output)
{
    if (output->made[0] != 0) {
        unlink(output->made);
        output->made[0] = 0;
    }
    if (output->buffer != NULL && output->fd >= 0) {
        close(output->fd);
    }
    output->fd = -1;
    free(output->buffer);
    output->buffer = NULL;
}

int output_aside(const struct output *output, struct error *err)
{
    char directory[OUTPUT_PATH_BYTES];
    char name[OUTPUT_PATH_BYTES + 32];
    int at = directory_of(output->path, directory);
    if (at >= 0) {
        close(at);
    }
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) { /* a file system that knows no nameless files */
        snprintf(name, sizeof(name), "%s.aside.XXXXXX", output->path);
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) {
            unlink(name);
        }
    }
    if (fd < 0) {
        return output_failed(output, errno, err);
    }
    return fd;
}
