#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "daq/recorder.h"
#include "ring/clock.h"

#define ALLOCATE_BEGIN ((uint64_t)1 << 20) /* a slow ring's file needs no more .. */
#define ALLOCATE_MOST                                                                                              \
    ((uint64_t)256 << 20) /* .. and a fast one's asks seldom: every time it waits for the disk                     \
                           */
#define INDEX_BEGIN     256u
#define INDICES_MOST    262144u /* of all files that are open: 16 MiB .. */
#define INDICES_OF_FILE 65536u  /* .. and of one; then the next segment begins */

/* 0 or -errno. Aligned memory, an aligned place: also past the page cache. */
static int write_at(const struct recorder_file *file, const uint8_t *data, uint64_t bytes, uint64_t offset)
{
    while (bytes > 0) {
        ssize_t done = pwrite(file->fd, data, bytes, (off_t)offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return done < 0 ? -errno : -EIO;
        }
        data += done;
        offset += (uint64_t)done;
        bytes -= (uint64_t)done;
    }
    return 0;
}

/* Room for `bytes` more than there are; whole pages, aligned. */
static int scratch(struct recorder *r, uint64_t bytes)
{
    if (bytes > r->scratch_bytes) {
        free(r->scratch);
        r->scratch_bytes = 0;
        r->scratch = aligned_alloc(RECORD_ALIGN, record_round_up(bytes, RECORD_ALIGN));
        if (r->scratch == NULL) {
            return -ENOMEM;
        }
        r->scratch_bytes = record_round_up(bytes, RECORD_ALIGN);
    }
    return 0;
}

static struct recorder_file *free_file(struct recorder *r)
{
    for (uint32_t i = 0; i < r->files; i++) {
        if (r->file[i].fd < 0) {
            return &r->file[i];
        }
    }
    return NULL;
}

void recorder_files_close(struct recorder_file *file)
{
    if (file->fd >= 0) {
        close(file->fd); /* and its lock */
    }
    file->fd = -1;
    file->ended = false;
    file->dirty = 0;
}

/* A file of a run: new, locked for as long as we write it (sluice recover looks), past the page cache if it can. */
static int open_new(struct recorder *r, struct recorder_file *file, const char *name, struct error *err)
{
    int directory_fd = r->run.directory_fd[file->stripe];
    const char *directory = r->plan->directory[file->stripe];
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    file->direct = true;
    file->fd = openat(directory_fd, name, flags | O_DIRECT, 0640);
    if (file->fd < 0 && errno == EINVAL) { /* a file system without it: what was created is still there */
        file->direct = false;
        file->fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        board_refuse(&r->board->common, "%s takes no O_DIRECT: it is written through the page cache", directory);
    }
    if (file->fd < 0) {
        return error_set(err, -errno, "cannot create %s/%s/%s: %s", directory, r->run.name, name, strerror(errno));
    }
    if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
        int code = -errno;
        recorder_files_close(file);
        return error_set(err, code, "cannot lock %s/%s/%s: %s", directory, r->run.name, name, strerror(-code));
    }
    return 0;
}

/* So much more than is asked for that it is seldom asked. A file system that cannot do it grows file by file. */
static int allocate(struct recorder *r, struct recorder_file *file, uint64_t need, struct error *err)
{
    if (need <= file->allocated) {
        return 0;
    }
    uint64_t more = file->allocated < ALLOCATE_BEGIN ? ALLOCATE_BEGIN : file->allocated;
    more = more < ALLOCATE_MOST ? more : ALLOCATE_MOST;
    uint64_t room = file->allocated + more > need ? more : need - file->allocated;
    for (uint64_t ask = record_round_up(room, RECORD_ALIGN);; ask = need - file->allocated) {
        if (fallocate(file->fd, 0, (off_t)file->allocated, (off_t)ask) == 0) {
            file->allocated += ask;
            return 0;
        }
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            file->allocated = UINT64_MAX; /* never asked again */
            return 0;
        }
        if ((errno != ENOSPC && errno != EDQUOT) || ask == need - file->allocated) {
            return error_set(err, -errno, "no room in %s: %s", r->plan->directory[file->stripe], strerror(errno));
        }
    }
}

static int open_file(struct recorder *r, uint32_t index, uint32_t stripe, struct error *err)
{
    struct recorder_ring *ring = &r->ring[index];
    struct record_file_header *header = &ring->source.header;
    struct recorder_file *file = free_file(r);
    char name[RECORD_FILE_NAME_BYTES];
    uint64_t bytes = record_head_bytes(&ring->source);
    if (file == NULL || bytes == 0 || scratch(r, bytes) != 0) {
        return error_set(err, -ENOMEM, "no place or memory for another file of ring %s", header->ring);
    }
    struct record_index *kept = file->account.index;
    uint32_t room = file->account.room;
    *file = (struct recorder_file){.fd = -1, .ring = index, .stripe = stripe, .segment = header->segment};
    file->account.index = kept;
    file->account.room = room;
    header->stripe = stripe;
    header->opened_utc_ns = clock_realtime_ns();
    header->opened_tai_ns = clock_tai_ns(header->tai_minus_monotonic_ns);
    record_file_name(name, header->ring, header->segment, stripe, header->stripes);
    int code = open_new(r, file, name, err);
    if (code == 0) {
        code = allocate(r, file, bytes, err);
    }
    if (code == 0) {
        record_head_build(&ring->source, r->scratch);
        code = write_at(file, r->scratch, bytes, 0);
        code = code == 0 ? 0 : error_set(err, code, "cannot write to %s: %s", name, strerror(-code));
    }
    if (code != 0) {
        recorder_files_close(file);
        return code;
    }
    file->offset = bytes;
    file->dirty = 0;
    ring->file[stripe] = file;
    return 0;
}

int recorder_files_open(struct recorder *r, uint32_t index, struct error *err)
{
    struct recorder_ring *ring = &r->ring[index];
    int code = 0;
    ring->next_stripe = 0;
    ring->segment_bytes = 0;
    ring->segment_began_ns = clock_monotonic_ns();
    ring->shown->segment = ring->source.header.segment;
    for (uint32_t s = 0; code == 0 && s < r->plan->directories; s++) {
        code = open_file(r, index, s, err);
    }
    for (uint32_t s = 0; code != 0 && s < r->plan->directories; s++) {
        if (ring->file[s] != NULL) {
            recorder_files_close(ring->file[s]);
            ring->file[s] = NULL;
        }
    }
    return code;
}

static int grow_index(struct recorder_file *file, struct error *err)
{
    uint32_t room = file->account.room != 0 ? file->account.room * 2 : INDEX_BEGIN;
    if (file->account.totals.indices + file->in_flight + 1 < file->account.room) {
        return 0;
    }
    struct record_index *more = realloc(file->account.index, room * sizeof(more[0]));
    if (more == NULL) {
        return error_set(err, -ENOMEM, "no memory for a file's index");
    }
    file->account.index = more;
    file->account.room = room;
    return 0;
}

/* Bytes that the file's end will take: set aside with every block, so that a full disk does not keep a file from
 * being ended well. */
static uint64_t end_room(const struct recorder_file *file)
{
    struct record_account more = file->account;
    more.totals.indices += file->in_flight + 1;
    return record_end_bytes(&more);
}

struct recorder_file *recorder_files_next(struct recorder *r, uint32_t index, uint64_t bytes, struct error *err)
{
    struct recorder_ring *ring = &r->ring[index];
    struct recorder_file *file = ring->file[ring->next_stripe];
    if (file == NULL) {
        error_set(err, -ENOENT, "no file of ring %s is open", ring->shown->name);
        return NULL;
    }
    int code = grow_index(file, err);
    if (code == 0) {
        code = allocate(r, file, file->offset + bytes + end_room(file), err);
    }
    if (code != 0) {
        r->cause = code == -ENOSPC || code == -EDQUOT ? RECORD_CAUSE_DISK_FULL : RECORD_CAUSE_DISK_ERROR;
        return NULL;
    }
    ring->next_stripe = (ring->next_stripe + 1) % r->plan->directories;
    return file;
}

/* The totals are the ring's, the index the file's. */
static int end_file(struct recorder *r, struct recorder_ring *ring, struct recorder_file *file,
                    enum record_close why)
{
    const struct ring_ledger *ledger = ring_inside(ring->reader).ledger;
    uint32_t indices = file->account.totals.indices;
    file->account.totals = ring->totals;
    file->account.totals.indices = indices;
    file->account.offset = file->offset;
    file->account.gaps = ring->owed_count; /* every stripe tells it, as it does the totals */
    memcpy(file->account.gap, ring->owed, ring->owed_count * sizeof(ring->owed[0]));
    uint64_t bytes = record_end_bytes(&file->account);
    int code = scratch(r, bytes);
    if (code == 0) {
        record_end_build(&file->account, &ring->source.header, why, ledger,
                         clock_tai_ns(ring->source.header.tai_minus_monotonic_ns), r->scratch);
        code = write_at(file, r->scratch, bytes, file->offset);
    }
    if (code == 0 && ftruncate(file->fd, (off_t)(file->offset + bytes)) != 0) {
        code = -errno;
    }
    return code;
}

void recorder_files_end(struct recorder *r, uint32_t index, enum record_close why)
{
    struct recorder_ring *ring = &r->ring[index];
    bool told = false;
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        struct recorder_file *file = ring->file[s];
        ring->file[s] = NULL;
        if (file == NULL) {
            continue;
        }
        int code = end_file(r, ring, file, why);
        if (code != 0) {
            fprintf(stderr,
                    "%.31s: cannot end a file of ring %.31s: %s; what is in it is found by sluice recover\n",
                    r->plan->name, ring->shown->name, strerror(-code));
            recorder_files_close(file);
            continue;
        }
        file->ended = true;
        file->dirty += record_end_bytes(&file->account); /* a sync that is under way does not cover it */
        r->unsynced_bytes += record_end_bytes(&file->account);
        told = true;
    }
    if (told) { /* else the next run has to */
        struct record_block lead = {.gaps = ring->owed_count};
        memcpy(lead.gap, ring->owed, ring->owed_count * sizeof(ring->owed[0]));
        record_totals_add_gaps(&ring->totals, &lead);
        ring->owed_count = 0;
    }
}

bool recorder_files_are_full(const struct recorder *r, uint32_t index)
{
    const struct recorder_ring *ring = &r->ring[index];
    uint32_t most = INDICES_MOST / (r->rings * r->plan->directories);
    most = most > INDICES_OF_FILE ? INDICES_OF_FILE : most;
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        const struct recorder_file *file = ring->file[s];
        if (file != NULL && file->account.totals.indices + file->in_flight >= most) {
            return true;
        }
    }
    return false;
}

void recorder_files_sync_directories(struct recorder *r)
{
    for (uint32_t s = 0; s < r->plan->directories; s++) {
        if (r->run.directory_fd[s] >= 0 && fsync(r->run.directory_fd[s]) != 0) {
            r->failure = -errno;
            r->cause = RECORD_CAUSE_DISK_ERROR;
        }
    }
}

int recorder_files_rotate(struct recorder *r, uint32_t index, struct error *err)
{
    struct recorder_ring *ring = &r->ring[index];
    recorder_files_end(r, index, RECORD_CLOSE_ROTATED);
    ring->source.header.segment++;
    ring->source.header.first_position = ring->totals.next_position;
    int code = recorder_files_open(r, index, err);
    recorder_files_sync_directories(r);
    return code;
}
