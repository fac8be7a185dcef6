/* One file: what it is, and where its blocks lie. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/record_set.h"

/* Blocks of a file without an end whose payloads are looked at, from the last one back: so many whole ones in a row
 * are believed to have reached the disk with all before them. */
#define LAST_BLOCKS 16u

static bool all_zero(const uint8_t *at, uint64_t bytes)
{
    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

static int read_description(struct record_found *found, int fd, struct error *err)
{
    const struct record_file_header *header = &found->header;
    struct error why = {{0}};
    uint8_t *description = malloc(header->description_bytes + 1);
    if (description == NULL) {
        return error_set(err, -ENOMEM, "no memory for the description of %s", found->path);
    }
    description[header->description_bytes] = 0; /* of the configuration, which stands last */
    uint64_t n = record_file_read(fd, description, header->description_bytes, RECORD_ALIGN);
    if (n != header->description_bytes || record_description_check(header, description, found->path, &why) != 0) {
        free(description);
        description = NULL;
    }
    found->description = description;
    return 0;
}

int record_scan_head(struct record_found *found, struct error *err)
{
    struct stat st;
    int fd = record_file_open(found->path, err);
    if (fd < 0) {
        return fd;
    }
    int code = fstat(fd, &st) == 0 ? 0 : -errno;
    uint64_t n = record_file_read(fd, &found->header, sizeof(found->header), 0);
    if (code == 0) {
        found->file.bytes = (uint64_t)st.st_size;
        found->device = st.st_dev;
        found->inode = st.st_ino;
        code = all_zero((const uint8_t *)&found->header, n) ? 1
                                                            : record_header_check(&found->header, found->path, err);
    }
    if (code == 0) {
        found->file.segment = found->header.segment;
        found->file.stripe = found->header.stripe;
        found->blocks_begin = record_blocks_begin(&found->header);
        code = read_description(found, fd, err);
    }
    close(fd);
    return code;
}

static int grow(struct record_found *found)
{
    uint64_t room = found->room != 0 ? 2 * found->room : 64;
    struct record_index *index = realloc(found->index, room * sizeof(*index));
    if (index == NULL) {
        return -ENOMEM;
    }
    found->index = index;
    struct record_note *note = realloc(found->note, room * sizeof(*note));
    if (note == NULL) {
        return -ENOMEM;
    }
    found->note = note;
    found->room = room;
    return 0;
}

int record_keep_block(struct record_found *found, const struct record_block *lead, uint64_t offset)
{
    if (found->file.indices == found->room && grow(found) != 0) {
        return -ENOMEM;
    }
    record_index_of(&found->index[found->file.indices], lead, offset);
    uint64_t pad = lead->bytes - RECORD_LEAD_BYTES - lead->payload_bytes;
    found->note[found->file.indices] =
        (struct record_note){.gaps = (uint16_t)lead->gaps, .pad = (uint16_t)(pad < UINT16_MAX ? pad : UINT16_MAX)};
    found->file.indices++;
    return 0;
}

int record_keep_torn(struct record_found *found, const struct record_index *index)
{
    if (found->torns == found->torn_room) {
        uint64_t room = found->torn_room != 0 ? 2 * found->torn_room : 16;
        struct record_index *torn = realloc(found->torn, room * sizeof(*torn));
        if (torn == NULL) {
            return -ENOMEM;
        }
        found->torn = torn;
        found->torn_room = room;
    }
    found->torn[found->torns++] = *index;
    return 0;
}

static int tell_torn(struct record_set *set, struct record_found *found, const struct record_index *index,
                     const char *why)
{
    struct record_trouble what = {.problem = {.kind = RECORD_PROBLEM_TORN,
                                              .ring = found->ring,
                                              .path = found->path,
                                              .offset = index->offset,
                                              .bytes = index->bytes,
                                              .from_position = index->first_position,
                                              .to_position = index->end_position}};
    record_trouble(
        set, &what,
        "%s: block %" PRIu64 " at byte %" PRIu64 " %s: %" PRIu64 " frames from position %" PRIu64 " to %" PRIu64,
        found->path, index->number, index->offset, why, index->frames, index->first_position, index->end_position);
    return record_keep_torn(found, index);
}

int record_demote(struct record_set *set, struct record_found *found, uint64_t block)
{
    int code = tell_torn(set, found, &found->index[block], "does not pass its checksum");
    found->index[block].bytes = 0;
    return code;
}

void record_compact(struct record_found *found)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < found->file.indices; i++) {
        if (found->index[i].bytes != 0) {
            found->index[kept] = found->index[i];
            found->note[kept++] = found->note[i];
        }
    }
    found->file.indices = kept;
    found->file.index = found->index;
    uint64_t begin = found->blocks_begin <= found->file.bytes ? found->blocks_begin : 0; /* cut off before them */
    found->file.blocks_end = kept > 0 ? found->index[kept - 1].offset + found->index[kept - 1].bytes : begin;
}

/* A search through a file without an end. */
struct search {
    struct record_set *set;
    struct record_found *found;
    int fd;
    uint64_t at;
    uint64_t bad_from;   /* behind the last good block .. */
    uint64_t dirty_from; /* .. the first byte that is not zero, UINT64_MAX: all are .. */
    uint64_t dirty_to;   /* .. and behind the last */
};

static void tell_damage(struct search *search, uint64_t from, uint64_t to)
{
    struct record_trouble what = {.problem = {.kind = RECORD_PROBLEM_DAMAGED,
                                              .ring = search->found->ring,
                                              .path = search->found->path,
                                              .offset = from,
                                              .bytes = to - from}};
    record_trouble(search->set, &what, "%s: %" PRIu64 " bytes from byte %" PRIu64 " on are no block",
                   search->found->path, to - from, from);
}

/* A good block begins at `at`: what lay before it was none. */
static void end_damage(struct search *search)
{
    if (search->at > search->bad_from) {
        tell_damage(search, search->bad_from, search->at);
    }
    search->dirty_from = UINT64_MAX;
}

static void note_bad(struct search *search, const uint8_t *page, uint64_t bytes)
{
    if (!all_zero(page, bytes)) {
        search->dirty_from = search->at < search->dirty_from ? search->at : search->dirty_from;
        search->dirty_to = search->at + bytes;
    }
}

static bool may_be_lead(const struct record_found *found, const uint8_t *page)
{
    struct record_block lead;
    memcpy(&lead, page, offsetof(struct record_block, kind));
    return lead.magic == RECORD_BLOCK_MAGIC && memcmp(lead.run, found->header.run, RECORD_RUN_BYTES) == 0;
}

/* From search->at, which is no lead, to the next that may be one, or to the end. */
static void look_further(struct search *search)
{
    uint64_t end = search->found->file.bytes;
    bool first = true;
    while (search->at < end) {
        off_t data = lseek(search->fd, (off_t)search->at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) {
            search->at = end; /* nothing but a hole */
            return;
        }
        if (data >= 0 && (uint64_t)data / RECORD_ALIGN > search->at / RECORD_ALIGN) {
            search->at = (uint64_t)data / RECORD_ALIGN * RECORD_ALIGN;
            first = false;
        }
        uint64_t n = record_file_read(search->fd, search->set->piece, RECORD_PIECE_BYTES, search->at);
        if (n == 0) { /* a bad place of the disk, or the file was cut meanwhile */
            search->dirty_from = search->at < search->dirty_from ? search->at : search->dirty_from;
            search->dirty_to = end - search->at > RECORD_ALIGN ? search->at + RECORD_ALIGN : end;
            search->at = end - search->at > RECORD_ALIGN ? search->at + RECORD_ALIGN : end;
            continue;
        }
        for (uint64_t i = 0; i < n; i += RECORD_ALIGN) {
            uint64_t rest = n - i < RECORD_ALIGN ? n - i : RECORD_ALIGN;
            if (!first && rest == RECORD_ALIGN && may_be_lead(search->found, search->set->piece + i)) {
                return;
            }
            first = false;
            note_bad(search, search->set->piece + i, rest);
            search->at += rest;
        }
    }
}

/* The block whose lead this is. 1: it was taken; 0: it is none; -ENOMEM. */
static int take(struct search *search, const struct record_block *lead)
{
    struct record_found *found = search->found;
    if (!record_lead_check(&found->header, lead)) {
        return 0;
    }
    end_damage(search);
    int code = 0;
    /* The zeros behind a payload may be cut off: nothing is lost with them. */
    bool whole = RECORD_LEAD_BYTES + lead->payload_bytes <= found->file.bytes - search->at;
    if (whole && lead->kind != RECORD_END) {
        code = record_keep_block(found, lead, search->at);
    } else if (lead->kind != RECORD_END) {
        struct record_index index;
        record_index_of(&index, lead, search->at);
        index.bytes = found->file.bytes - search->at;
        code = tell_torn(search->set, found, &index, "is cut off by the end of the file");
    }
    search->at += whole ? lead->bytes : RECORD_LEAD_BYTES;
    search->bad_from = search->at;
    return code == 0 ? 1 : code;
}

/* Follows the chain of blocks, and beyond what is none. */
static int search_blocks(struct search *search)
{
    struct record_block lead;
    uint64_t end = search->found->file.bytes;
    while (search->at < end) {
        uint64_t n = record_file_read(search->fd, &lead, sizeof(lead), search->at);
        int taken = n == sizeof(lead) ? take(search, &lead) : 0;
        if (taken < 0) {
            return taken;
        }
        if (taken == 0) {
            look_further(search);
        }
    }
    if (search->dirty_from != UINT64_MAX) {
        tell_damage(search, search->dirty_from, search->dirty_to);
    }
    return 0;
}

/* The last blocks' payloads, from the last one back until `enough` in a row are whole. */
static int check_last(struct record_set *set, struct record_found *found, int fd, uint64_t enough)
{
    int code = 0;
    uint64_t good = 0;
    for (uint64_t i = found->file.indices; code == 0 && i > 0 && good < enough; i--) {
        if (record_block_whole(fd, &found->header, &found->index[i - 1], set->piece)) {
            good++;
        } else {
            good = 0;
            code = record_demote(set, found, i - 1);
        }
    }
    record_compact(found);
    return code;
}

static int scan_open_file(struct record_set *set, struct record_found *found, int fd)
{
    struct record_trouble what = {
        .problem = {.kind = RECORD_PROBLEM_NOT_CLOSED, .ring = found->ring, .path = found->path}};
    record_trouble(set, &what, "%s: it was not closed: its recorder was killed, or is still writing", found->path);
    struct search search = {.set = set,
                            .found = found,
                            .fd = fd,
                            .at = found->blocks_begin,
                            .bad_from = found->blocks_begin,
                            .dirty_from = UINT64_MAX};
    return search_blocks(&search);
}

int record_scan_blocks(struct record_set *set, struct record_found *found, struct error *err)
{
    int fd = record_file_open(found->path, err);
    if (fd < 0) {
        return fd;
    }
    int code = record_end_read(set, found, fd, err);
    found->file.closed = code == 1;
    if (code == 0) {
        code = scan_open_file(set, found, fd);
    }
    if (code >= 0) {
        code = check_last(set, found, fd, found->file.closed ? 1 : LAST_BLOCKS);
    }
    close(fd);
    return code != -ENOMEM ? code : error_set(err, code, "no memory for the index of %s", found->path);
}
