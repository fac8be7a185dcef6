/* The end of a file that was closed: the index of its blocks, and its totals. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daq/record_set.h"

#define ENTRIES_AT_ONCE (RECORD_PIECE_BYTES / sizeof(struct record_index))

static bool read_trailer(const struct record_found *found, int fd, struct record_trailer *trailer)
{
    uint64_t bytes = found->file.bytes;
    uint64_t least = RECORD_LEAD_BYTES + sizeof(struct record_totals) + sizeof(*trailer);
    if (bytes < found->blocks_begin + least ||
        record_file_read(fd, trailer, sizeof(*trailer), bytes - sizeof(*trailer)) != sizeof(*trailer)) {
        return false;
    }
    return trailer->magic == RECORD_TRAILER_MAGIC &&
           memcmp(trailer->run, found->header.run, RECORD_RUN_BYTES) == 0 &&
           record_crc(0, trailer, offsetof(struct record_trailer, crc)) == trailer->crc &&
           trailer->file_bytes == bytes && trailer->end_offset % RECORD_ALIGN == 0 &&
           trailer->end_offset >= found->blocks_begin && trailer->end_offset <= bytes - least;
}

/* No longer than what it can have to say of the blocks before it: a file may be large, and nothing but a hole. */
static bool length_ok(const struct record_block *lead, uint64_t end_offset)
{
    uint64_t most = sizeof(struct record_totals) + end_offset / RECORD_LEAD_BYTES * sizeof(struct record_index) +
                    sizeof(struct record_trailer);
    return lead->payload_bytes >= sizeof(struct record_totals) &&
           lead->payload_bytes <= record_round_up(most, RECORD_ALIGN);
}

/* The block of kind RECORD_END, checksum and all. */
static bool read_end(struct record_set *set, struct record_found *found, int fd, struct record_block *lead)
{
    struct record_trailer trailer;
    if (!read_trailer(found, fd, &trailer) ||
        record_file_read(fd, lead, sizeof(*lead), trailer.end_offset) != sizeof(*lead) ||
        !record_lead_check(&found->header, lead) || lead->kind != RECORD_END ||
        lead->bytes != found->file.bytes - trailer.end_offset || !length_ok(lead, trailer.end_offset)) {
        return false;
    }
    struct record_index whole;
    record_index_of(&whole, lead, trailer.end_offset);
    uint64_t at = trailer.end_offset + RECORD_LEAD_BYTES;
    struct record_totals *totals = &found->totals;
    if (!record_block_whole(fd, &found->header, &whole, set->piece) ||
        record_file_read(fd, totals, sizeof(*totals), at) != sizeof(*totals) ||
        totals->indices > (lead->payload_bytes - sizeof(*totals)) / sizeof(struct record_index)) {
        memset(totals, 0, sizeof(*totals));
        return false;
    }
    found->end_offset = trailer.end_offset;
    return true;
}

static bool entry_ok(const struct record_found *found, const struct record_index *entry, uint64_t from)
{
    return entry->offset % RECORD_ALIGN == 0 && entry->offset >= from && entry->bytes >= RECORD_LEAD_BYTES &&
           entry->bytes % RECORD_ALIGN == 0 && entry->bytes <= found->end_offset &&
           entry->offset <= found->end_offset - entry->bytes && entry->first_position <= entry->end_position &&
           entry->end_position < INT64_MAX && entry->frames <= entry->end_position - entry->first_position;
}

/* The index says that a block is there: if its lead does not say the same, it is damaged. */
static int take_entry(struct record_set *set, struct record_found *found, int fd, const struct record_index *entry)
{
    struct record_block lead;
    struct record_index told;
    if (record_file_read(fd, &lead, sizeof(lead), entry->offset) == sizeof(lead) &&
        record_lead_check(&found->header, &lead) && lead.kind != RECORD_END) {
        record_index_of(&told, &lead, entry->offset);
        if (memcmp(&told, entry, sizeof(told)) == 0) {
            return record_keep_block(found, &lead, entry->offset);
        }
    }
    struct record_trouble what = {.problem = {.kind = RECORD_PROBLEM_DAMAGED,
                                              .ring = found->ring,
                                              .path = found->path,
                                              .offset = entry->offset,
                                              .bytes = entry->bytes,
                                              .from_position = entry->first_position,
                                              .to_position = entry->end_position}};
    record_trouble(set, &what,
                   "%s: expected block %" PRIu64 " at byte %" PRIu64 ", found damage: %" PRIu64
                   " frames from position %" PRIu64 " to %" PRIu64,
                   found->path, entry->number, entry->offset, entry->frames, entry->first_position,
                   entry->end_position);
    return record_keep_torn(found, entry);
}

/* 1, 0: the index makes no sense; -ENOMEM. */
static int take_index(struct record_set *set, struct record_found *found, int fd)
{
    uint64_t at = found->end_offset + RECORD_LEAD_BYTES + sizeof(struct record_totals);
    uint64_t from = found->blocks_begin;
    struct record_index *entries = (struct record_index *)(void *)set->piece;
    for (uint64_t done = 0; done < found->totals.indices;) {
        uint64_t rest = found->totals.indices - done;
        uint64_t n = rest < ENTRIES_AT_ONCE ? rest : ENTRIES_AT_ONCE;
        if (record_file_read(fd, entries, n * sizeof(*entries), at + done * sizeof(*entries)) !=
            n * sizeof(*entries)) {
            return 0;
        }
        for (uint64_t i = 0; i < n; i++) {
            if (!entry_ok(found, &entries[i], from)) {
                return 0;
            }
            int code = take_entry(set, found, fd, &entries[i]);
            if (code != 0) {
                return code;
            }
            from = entries[i].offset + entries[i].bytes;
        }
        done += n;
    }
    return 1;
}

static int take_told(struct record_found *found, const struct record_block *lead)
{
    if (lead->gaps == 0) {
        return 0;
    }
    found->told = calloc(lead->gaps, sizeof(found->told[0]));
    if (found->told == NULL) {
        return -ENOMEM;
    }
    memcpy(found->told, lead->gap, lead->gaps * sizeof(found->told[0]));
    found->tolds = lead->gaps;
    return 0;
}

int record_end_read(struct record_set *set, struct record_found *found, int fd, struct error *err)
{
    struct record_block lead;
    if (!read_end(set, found, fd, &lead)) {
        return 0;
    }
    int code = take_index(set, found, fd);
    if (code == 1) {
        int told = take_told(found, &lead);
        code = told == 0 ? 1 : told;
    }
    if (code == 0) { /* whoever wrote that: the blocks speak for themselves */
        found->file.indices = 0;
        found->torns = 0;
        memset(&found->totals, 0, sizeof(found->totals));
    }
    return code != -ENOMEM ? code : error_set(err, code, "no memory for the index of %s", found->path);
}
