#include "daq/record_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/clock.h"

#define INDEX_ROOM_BEGIN 256u

struct record_writer {
    struct record_source source;
    struct record_account account;
    struct record_packing packing;
    struct ring_ledger ledger; /* none is known before the end */
    int directory_fd;
    int fd; /* -1: none */
    char path[512];
};

static int write_all(const struct record_writer *w, const void *data, size_t bytes, struct error *err)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        ssize_t done = write(w->fd, at, bytes);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            int code = done < 0 ? -errno : -EIO;
            return error_set(err, code, "cannot write to %s: %s", w->path, strerror(-code));
        }
        at += done;
        bytes -= (size_t)done;
    }
    return 0;
}

static void begin_block(struct record_writer *w)
{
    record_packing_begin(&w->packing, w->source.header.run, w->account.totals.blocks,
                         w->account.totals.next_position);
}

static int begin_file(struct record_writer *w, struct error *err)
{
    struct record_file_header *header = &w->source.header;
    char name[RECORD_FILE_NAME_BYTES];
    uint64_t bytes = record_head_bytes(&w->source);
    uint8_t *head = bytes != 0 ? malloc(bytes) : NULL;
    if (head == NULL) {
        return error_set(err, bytes == 0 ? -EINVAL : -ENOMEM, "ring %s has more to describe than fits a recording",
                         header->ring);
    }
    header->opened_utc_ns = clock_realtime_ns();
    header->opened_tai_ns = clock_tai_ns(header->tai_minus_monotonic_ns);
    record_file_name(name, header->ring, header->segment, header->stripe, header->stripes);
    char *slash = strrchr(w->path, '/');
    snprintf(slash, sizeof(w->path) - (size_t)(slash - w->path), "/%s", name);
    w->fd = openat(w->directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    int code = w->fd >= 0 ? 0 : error_set(err, -errno, "cannot create %s: %s", w->path, strerror(errno));
    if (code == 0) {
        record_head_build(&w->source, head);
        code = write_all(w, head, bytes, err);
    }
    w->account.offset = bytes;
    w->account.totals.indices = 0;
    free(head);
    begin_block(w);
    return code;
}

int record_writer_open(struct record_writer **writer, const char *directory, const struct record_source *what,
                       uint64_t block_bytes, struct error *err)
{
    uint64_t room = record_round_up(block_bytes, RECORD_ALIGN);
    if (room == 0 || room > RECORD_BLOCK_BYTES_MAX - RECORD_LEAD_BYTES ||
        room < record_packed_bytes(what->header.payload_bytes)) {
        return error_set(err, -EINVAL,
                         "expected blocks of at most %llu bytes that hold a frame of %u, found %llu bytes",
                         (unsigned long long)(RECORD_BLOCK_BYTES_MAX - RECORD_LEAD_BYTES),
                         what->header.payload_bytes, (unsigned long long)block_bytes);
    }
    struct record_writer *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return error_set(err, -ENOMEM, "no memory to record with");
    }
    int code = 0;
    w->fd = -1;
    w->source = *what;
    w->account.room = INDEX_ROOM_BEGIN;
    w->account.index = malloc(w->account.room * sizeof(w->account.index[0]));
    w->packing.payload = malloc(room);
    w->packing.room = room;
    w->account.totals.first_position = what->header.first_position;
    w->account.totals.next_position = what->header.first_position;
    w->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->account.index == NULL || w->packing.payload == NULL) {
        code = error_set(err, -ENOMEM, "no memory to record with");
    } else if (w->directory_fd < 0) {
        code = error_set(err, -errno, "cannot open the directory %s: %s", directory, strerror(errno));
    } else if (snprintf(w->path, sizeof(w->path), "%s/", directory) >=
               (int)(sizeof(w->path) - RECORD_FILE_NAME_BYTES)) {
        code = error_set(err, -ENAMETOOLONG, "the path %s is too long", directory);
    } else {
        code = begin_file(w, err);
    }
    if (code != 0) {
        record_writer_abandon(w);
        return code;
    }
    *writer = w;
    return 0;
}

int record_writer_flush(struct record_writer *w, struct error *err)
{
    static const uint8_t zeros[RECORD_ALIGN];
    struct record_block *lead = &w->packing.lead;
    if (lead->frames == 0 && lead->gaps == 0) {
        return 0;
    }
    if (w->account.totals.indices == w->account.room) {
        uint32_t room = w->account.room * 2;
        struct record_index *more = realloc(w->account.index, room * sizeof(w->account.index[0]));
        if (more == NULL) {
            return error_set(err, -ENOMEM, "no memory for the index of %s", w->path);
        }
        w->account.index = more;
        w->account.room = room;
    }
    record_block_finish(lead, w->packing.payload, NULL, clock_tai_ns(w->source.header.tai_minus_monotonic_ns));
    int code = write_all(w, lead, sizeof(*lead), err);
    if (code == 0) {
        code = write_all(w, w->packing.payload, lead->payload_bytes, err);
    }
    if (code == 0) {
        code = write_all(w, zeros, lead->bytes - RECORD_LEAD_BYTES - lead->payload_bytes, err);
    }
    if (code == 0) {
        record_account_block(&w->account, w->account.offset, lead);
        w->account.offset += lead->bytes;
        begin_block(w);
    }
    return code;
}

int record_writer_frame(struct record_writer *w, const struct ring_descriptor *descriptor, const uint8_t *payload,
                        struct error *err)
{
    if (descriptor->length_bytes > w->source.header.payload_bytes ||
        descriptor->sequence <= w->packing.lead.end_position) {
        return error_set(err, -EINVAL, "expected a frame of at most %u bytes behind position %llu, found %u, %llu",
                         w->source.header.payload_bytes, (unsigned long long)w->packing.lead.end_position,
                         descriptor->length_bytes, (unsigned long long)descriptor->sequence - 1);
    }
    if (record_packing_add(&w->packing, descriptor, payload)) {
        return 0;
    }
    int code = record_writer_flush(w, err);
    if (code == 0 && !record_packing_add(&w->packing, descriptor, payload)) {
        code = error_set(err, -EINVAL, "a frame does not fit a block");
    }
    return code;
}

int record_writer_gap(struct record_writer *w, const struct record_gap *gap, struct error *err)
{
    if (gap->to_position <= gap->from_position || gap->count > gap->to_position - gap->from_position) {
        return error_set(err, -EINVAL, "a gap must be of one position at least");
    }
    if (record_lead_gap(&w->packing.lead, gap)) {
        return 0;
    }
    int code = record_writer_flush(w, err);
    return code != 0 || record_lead_gap(&w->packing.lead, gap) ? code : -EINVAL;
}

static int end_file(struct record_writer *w, enum record_close why, const struct ring_ledger *ledger,
                    struct error *err)
{
    int code = record_writer_flush(w, err);
    uint64_t bytes = record_end_bytes(&w->account);
    uint8_t *end = code == 0 ? malloc(bytes) : NULL;
    if (code == 0 && end == NULL) {
        code = error_set(err, -ENOMEM, "no memory for the end of %s", w->path);
    }
    if (code == 0) {
        record_end_build(&w->account, &w->source.header, why, ledger,
                         clock_tai_ns(w->source.header.tai_minus_monotonic_ns), end);
        code = write_all(w, end, bytes, err);
    }
    if (code == 0 && (fsync(w->fd) != 0 || fsync(w->directory_fd) != 0)) {
        code = error_set(err, -errno, "cannot sync %s: %s", w->path, strerror(errno));
    }
    free(end);
    close(w->fd);
    w->fd = -1;
    return code;
}

int record_writer_rotate(struct record_writer *w, struct error *err)
{
    int code = end_file(w, RECORD_CLOSE_ROTATED, NULL, err);
    if (code == 0) {
        w->source.header.segment++;
        w->source.header.first_position = w->account.totals.next_position;
        code = begin_file(w, err);
    }
    return code;
}

int record_writer_close(struct record_writer *w, enum record_close why, const struct ring_ledger *ledger,
                        struct error *err)
{
    int code = end_file(w, why, ledger, err);
    record_writer_abandon(w);
    return code;
}

void record_writer_abandon(struct record_writer *w)
{
    if (w == NULL) {
        return;
    }
    if (w->fd >= 0) {
        close(w->fd);
    }
    if (w->directory_fd >= 0) {
        close(w->directory_fd);
    }
    free(w->packing.payload);
    free(w->account.index);
    free(w);
}
