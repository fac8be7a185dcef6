#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/audit.h"

#define TAIL_BYTES (4 * AUDIT_LINE_BYTES)

static int make_parents(const char *path)
{
    char part[SUPERVISOR_PATH_BYTES];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(part, 0750) != 0 && errno != EEXIST) {
            return -errno;
        }
        *slash = '/';
    }
    return 0;
}

/* The last whole line of what an earlier server has written; what stands behind it was cut when that server ended.
 */
static void take_up(struct audit *audit, char *tail, size_t bytes)
{
    size_t end = bytes;
    audit->torn_bytes = 0;
    while (end > 0) {
        bool ended = tail[end - 1] == '\n';
        size_t line_end = end - ended;
        size_t begin = line_end;
        while (begin > 0 && tail[begin - 1] != '\n') {
            begin--;
        }
        size_t body_bytes;
        if (ended && audit_chain_parse(tail + begin, line_end - begin, &audit->chain, &body_bytes)) {
            tail[line_end] = 0;
            audit->number = audit_number(tail + begin, "n");
            return;
        }
        audit->torn_bytes += line_end - begin;
        end = begin;
    }
}

static int continue_file(struct audit *audit, off_t size)
{
    static char tail[TAIL_BYTES];
    size_t bytes = size < (off_t)sizeof(tail) ? (size_t)size : sizeof(tail);
    if (pread(audit->fd, tail, bytes, size - (off_t)bytes) != (ssize_t)bytes) {
        return -EIO;
    }
    bool open_end = tail[bytes - 1] != '\n';
    take_up(audit, tail, bytes);
    return !open_end || write(audit->fd, "\n", 1) == 1 ? 0 : -errno;
}

static int open_path(struct audit *audit)
{
    struct stat st;
    audit->fd = open(audit->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (audit->fd < 0) {
        return -errno;
    }
    int code = fstat(audit->fd, &st) != 0                 ? -errno
               : !S_ISREG(st.st_mode)                     ? -EINVAL
               : flock(audit->fd, LOCK_EX | LOCK_NB) != 0 ? -errno
               : st.st_size > 0                           ? continue_file(audit, st.st_size)
                                                          : 0;
    audit->fresh = code == 0 && st.st_size == 0;
    if (code != 0) {
        close(audit->fd);
        audit->fd = -1;
    }
    return code;
}

int audit_file_open(struct audit *audit, struct error *err)
{
    int code = make_parents(audit->path);
    if (code == 0) {
        code = open_path(audit);
    }
    if (code == -EWOULDBLOCK) {
        return error_set(err, code, "the audit log %s is another server's; give this one its own (audit.file)",
                         audit->path);
    }
    return code == 0
               ? 0
               : error_set(err, code,
                           "cannot open the audit log %s: %s; commands must be logged: make the directory, set "
                           "audit.file or SLUICE_STATE_DIR to another place, or audit.file to none",
                           audit->path, strerror(-code));
}

int audit_file_follow(struct audit *audit)
{
    struct stat ours;
    struct stat there;
    if (audit->fd >= 0 && fstat(audit->fd, &ours) == 0 && stat(audit->path, &there) == 0 &&
        ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
        return 0;
    }
    if (audit->fd >= 0) {
        close(audit->fd);
    }
    int code = make_parents(audit->path);
    return code == 0 ? open_path(audit) : code;
}

/* A line is there whole or not at all: what a full disk took of it is taken back. */
static int append(struct audit *audit, const char *line, size_t bytes)
{
    off_t before = lseek(audit->fd, 0, SEEK_END);
    ssize_t n = write(audit->fd, line, bytes);
    if (n == (ssize_t)bytes) {
        return 0;
    }
    int code = n < 0 ? -errno : -ENOSPC;
    if (n > 0 && (before < 0 || ftruncate(audit->fd, before) != 0)) {
        audit->torn_bytes += (uint64_t)n;
        (void)!write(audit->fd, "\n", 1);
    }
    return code;
}

int audit_file_write(struct audit *audit, const struct audit_entry *entry)
{
    char line[AUDIT_LINE_BYTES];
    char extra[64] = "";
    char torn[48] = "";
    if (audit->fresh) {
        snprintf(extra, sizeof(extra), ",\"follows\":\"%016" PRIx64 "\"", audit->chain);
    }
    if (audit->torn_bytes > 0) {
        snprintf(torn, sizeof(torn), ",\"torn_bytes\":%" PRIu64, audit->torn_bytes);
    }
    int body = snprintf(line, sizeof(line), "{\"n\":%" PRIu64 ",%.*s%s%s", audit->number + 1, (int)entry->bytes,
                        entry->text, extra, torn);
    if (body < 0 || (size_t)body + AUDIT_CHAIN_BYTES + 2 > sizeof(line)) {
        return -E2BIG; /* not with entries of AUDIT_ENTRY_BYTES */
    }
    uint64_t chain = audit_chain(audit->chain, line, (size_t)body);
    audit_chain_format(line + body, chain);
    size_t bytes = (size_t)body + AUDIT_CHAIN_BYTES;
    line[bytes++] = '\n';
    int code = append(audit, line, bytes);
    if (code == 0) {
        audit->chain = chain;
        audit->number++;
        audit->torn_bytes = 0;
        audit->fresh = false;
    }
    return code;
}
