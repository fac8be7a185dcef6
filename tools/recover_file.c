#include "tools/recover_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "daq/record_build.h"
#include "ring/clock.h"

#define PIECE_BYTES ((size_t)1 << 20)
#define NAME_ROOM   300u

int recover_lock(struct recover_lock *lock, const char *path, bool exclusive, struct error *err)
{
    lock->fd = open(path, (exclusive ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (lock->fd < 0) {
        int code = -errno;
        return error_set(err, code, "cannot open %s: %s", path, strerror(-code));
    }
    if (flock(lock->fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0) {
        return 0;
    }
    int code = errno == EWOULDBLOCK ? -EBUSY : -errno;
    recover_unlock(lock);
    if (code == -EBUSY) {
        return error_set(err, code,
                         "%s: its recorder is still writing it, or another recovery is at it: stop that first "
                         "(sluice record stop)",
                         path);
    }
    return error_set(err, code, "cannot lock %s: %s", path, strerror(-code));
}

void recover_unlock(struct recover_lock *lock)
{
    if (lock->fd >= 0) {
        close(lock->fd);
    }
    lock->fd = -1;
}

/* Where a piece's last byte that is not zero ends. */
static size_t used_of(const uint8_t *piece, size_t bytes)
{
    while (bytes > 0 && piece[bytes - 1] == 0) {
        bytes--;
    }
    return bytes;
}

uint64_t recover_behind(int fd, uint64_t from, uint64_t bytes)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    uint64_t used = from;
    for (uint64_t at = from; piece != NULL && at < bytes;) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) {
            break;
        }
        at = data > (off_t)at ? (uint64_t)data : at;
        ssize_t n = pread(fd, piece, PIECE_BYTES, (off_t)at);
        if (n <= 0) {
            break;
        }
        size_t end = used_of(piece, (size_t)n);
        used = end > 0 ? at + end : used;
        at += (uint64_t)n;
    }
    if (piece == NULL) {
        used = bytes; /* not known: all of it may be something */
    }
    free(piece);
    return used > from ? used - from : 0;
}

static int write_all(int fd, const void *data, size_t bytes, off_t offset)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + done, bytes - done, offset + (off_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        done += (size_t)n;
    }
    return 0;
}

/* In the lead of the end: who reads it takes them for told. */
static void tell_gaps(struct record_block *lead, const struct recording_gaps *gaps)
{
    for (uint64_t i = 0; gaps != NULL && i < gaps->count && lead->gaps < RECORD_GAPS_MAX; i++) {
        lead->gap[lead->gaps] = gaps->gap[i];
        lead->gap[lead->gaps++].cause = RECORD_CAUSE_UNKNOWN;
    }
    lead->crc = record_crc(0, lead, offsetof(struct record_block, crc));
}

static void totals_of(const struct record_ring *ring, const struct record_file *file, struct record_totals *totals)
{
    *totals = (struct record_totals){.frames = ring->frames,
                                     .bytes = ring->payload_bytes,
                                     .first_position = ring->header.first_position,
                                     .next_position = ring->end_position,
                                     .blocks = ring->blocks,
                                     .indices = (uint32_t)file->indices,
                                     .began = ring->totals.began,
                                     .ended = ring->ledger};
    memcpy(totals->missing, ring->missing, sizeof(totals->missing));
}

int recover_end(int fd, const struct record_ring *ring, const struct record_file *file,
                const struct recording_gaps *gaps, struct error *err)
{
    struct record_account account = {.room = (uint32_t)file->indices, .offset = file->blocks_end};
    totals_of(ring, file, &account.totals);
    uint64_t bytes = record_end_bytes(&account);
    account.index = calloc(file->indices + 1, sizeof(account.index[0]));
    uint8_t *end = aligned_alloc(RECORD_ALIGN, bytes);
    if (end == NULL || account.index == NULL) {
        free(end);
        free(account.index);
        return error_set(err, -ENOMEM, "no memory for the end of %s", file->path);
    }
    if (file->indices > 0) {
        memcpy(account.index, file->index, file->indices * sizeof(account.index[0]));
    }
    uint64_t tai_ns = clock_realtime_ns() + (uint64_t)recording_utc_offset_ns(&ring->header);
    record_end_build(&account, &ring->header, RECORD_CLOSE_RECOVERED, &ring->ledger, tai_ns, end);
    tell_gaps((struct record_block *)(void *)end, gaps);
    int code = ftruncate(fd, (off_t)file->blocks_end) == 0 ? 0 : -errno;
    if (code == 0) {
        code = write_all(fd, end, bytes, (off_t)file->blocks_end);
    }
    if (code == 0 && fsync(fd) != 0) {
        code = -errno;
    }
    free(end);
    free(account.index);
    return code == 0 ? 0 : error_set(err, code, "cannot write the end of %s: %s", file->path, strerror(-code));
}

static int copy_bytes(int from_fd, int to_fd, uint64_t bytes)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    int code = piece != NULL ? 0 : -ENOMEM;
    for (uint64_t done = 0; code == 0 && done < bytes;) {
        size_t want = bytes - done < PIECE_BYTES ? (size_t)(bytes - done) : PIECE_BYTES;
        ssize_t n = pread(from_fd, piece, want, (off_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        code = n < 0 ? -errno : n == 0 ? -EIO : write_all(to_fd, piece, (size_t)n, (off_t)done);
        done += n > 0 ? (uint64_t)n : 0;
    }
    free(piece);
    return code;
}

int recover_copy(int from_fd, int directory_fd, const char *name, uint64_t bytes, int *fd, struct error *err)
{
    char made[NAME_ROOM];
    snprintf(made, sizeof(made), "%s.new", name);
    int to = openat(directory_fd, made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    int code = to >= 0 ? copy_bytes(from_fd, to, bytes) : -errno;
    if (code != 0) {
        error_set(err, code, "cannot copy to %s: %s", made, strerror(-code));
        if (to >= 0) {
            close(to);
            (void)unlinkat(directory_fd, made, 0);
        }
        return code;
    }
    if (fd != NULL) {
        *fd = to;
        return 0;
    }
    return recover_copied(to, directory_fd, name, err);
}

int recover_copied(int fd, int directory_fd, const char *name, struct error *err)
{
    char made[NAME_ROOM];
    snprintf(made, sizeof(made), "%s.new", name);
    int code = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    if (code == 0 && (renameat(directory_fd, made, directory_fd, name) != 0 || fsync(directory_fd) != 0)) {
        code = -errno;
    }
    if (code != 0) {
        (void)unlinkat(directory_fd, made, 0);
        return error_set(err, code, "cannot write %s: %s", name, strerror(-code));
    }
    return 0;
}

void recover_drop(int fd, int directory_fd, const char *name)
{
    char made[NAME_ROOM];
    snprintf(made, sizeof(made), "%s.new", name);
    close(fd);
    (void)unlinkat(directory_fd, made, 0);
}
