/* What record_read.h hides: the files of a recording, the order of their blocks, and what was found to be wrong.
 * Of daq/record_*.c only. Cold.
 *
 *   record_scan.c    one file: its header, its description, its blocks, its end
 *   record_heads.c   what each file is, and in which order they belong
 *   record_order.c   the blocks of a ring in order of number
 *   record_account.c the positions that nothing accounts for
 *   record_cursor.c  frame by frame
 *
 * A block takes about 80 bytes here, whatever is in it; no file stays open.
 */
#ifndef DAQ_RECORD_SET_H
#define DAQ_RECORD_SET_H

#include <sys/types.h>

#include "daq/record_build.h"
#include "daq/record_read.h"

#define RECORD_FILES_MAX 100000u
#define RECORD_TORN_BIT  UINT32_C(0x80000000) /* of record_place.block: an entry of torn[] */

/* What its index entry does not say of a block. */
struct record_note {
    uint16_t gaps; /* told by its lead */
    uint16_t pad;  /* zeros behind its payload */
};

/* One file. */
struct record_found {
    struct record_file file; /* path and index are owned */
    char *path;
    struct record_index *index;
    struct record_note *note;  /* of each block of index[] */
    struct record_index *torn; /* blocks whose lead is whole, but not their payload */
    uint64_t torns;
    uint64_t room;      /* of index[] and note[] */
    uint64_t torn_room; /* of torn[] */
    struct record_file_header header;
    uint8_t *description; /* NULL: it is damaged */
    uint64_t blocks_begin;
    uint64_t end_offset;         /* of its end, where it is closed */
    struct record_totals totals; /* .. and what that says */
    struct record_gap *told;     /* .. and what its lead tells: sluice recover's finding */
    uint32_t tolds;
    uint32_t ring;
    bool listed;   /* by a directory, not by name */
    bool headless; /* killed before its header was written: no header, no blocks; or .. */
    bool foreign;  /* .. whatever is there is none of ours */
    bool doubled;  /* another file is this segment and stripe, too */
    dev_t device;
    ino_t inode;
};

/* Where a block lies. */
struct record_place {
    uint32_t file;
    uint32_t block; /* of its index[], or RECORD_TORN_BIT and of its torn[] */
};

struct record_lane {
    struct record_ring ring;
    uint32_t first_file; /* they adjoin in set->file */
    uint32_t files;
    struct record_place *place; /* in order of number */
    uint64_t places;
    uint64_t begin_position; /* everything from here on was asked for */
    /* Gaps that no block tells in their place: a block further on does, because the one there was lost on its way
     * to the disk, or an end. In order of position; may overlap. */
    struct record_gap *late;
    uint64_t lates;
    uint64_t late_room;
};

/* record_account.c: the first of them that says something of [from, to), cut to that; NULL-like (count 0): none. */
struct record_gap record_late(const struct record_lane *lane, uint64_t from, uint64_t to);

struct record_trouble {
    struct record_problem problem;
    bool of_order; /* found by record_order, which may be done again */
};

struct record_set {
    struct record_found *file;
    uint32_t files;
    uint32_t file_room;
    struct record_lane *lane;
    uint32_t lanes;
    struct record_trouble *trouble;
    uint64_t troubles;        /* told */
    uint64_t untold;          /* found by the scan beyond RECORD_PROBLEMS_MAX .. */
    uint64_t untold_of_order; /* .. and by record_order */
    uint8_t run[RECORD_RUN_BYTES];
    bool several;   /* paths were given: a file may be among them twice */
    bool whole;     /* directories were given: what is not in them is missing */
    uint8_t *piece; /* RECORD_PIECE_BYTES to read into */
    char *json;
    char *config;
    size_t config_bytes;
};

#define RECORD_PIECE_BYTES (UINT64_C(1) << 20)

/* record_check.c: pure. -EPROTO with what is wrong. */
int record_header_check(const struct record_file_header *header, const char *path, struct error *err);
int record_description_check(const struct record_file_header *header, const uint8_t *description, const char *path,
                             struct error *err);
static inline uint64_t record_blocks_begin(const struct record_file_header *header)
{
    return RECORD_ALIGN + record_round_up(header->description_bytes, RECORD_ALIGN);
}
/* Whether this is the lead of a block of this file. That the block lies inside the file is not looked at. */
bool record_lead_check(const struct record_file_header *header, const struct record_block *lead);

/* record_file_io.c: a file that is one: descriptor, or -errno. Reading: bytes, fewer at the file's end or where the
 * disk fails. */
int record_file_open(const char *path, struct error *err);
uint64_t record_file_read(int fd, void *to, uint64_t bytes, uint64_t offset);
/* Whether a block is there whole: lead as in the index, payload with its checksum. `piece` has RECORD_PIECE_BYTES.
 */
bool record_block_whole(int fd, const struct record_file_header *header, const struct record_index *index,
                        uint8_t *piece);

/* record_paths.c: the files that the paths name, each once. 0 or -errno. And run.json or config.yaml beside them.
 */
int record_paths_find(struct record_set *set, const char *const *paths, unsigned count, struct error *err);
int record_paths_text(const char *const *paths, unsigned count, const char *name, char **text, size_t *bytes,
                      struct error *err);

/* record_scan.c. What the file at found->path is, all but its blocks: 0; 1: it has no header, its recorder was
 * killed before that; -errno. */
int record_scan_head(struct record_found *found, struct error *err);
/* Its blocks; found->ring is known by now. 0 or -errno. */
int record_scan_blocks(struct record_set *set, struct record_found *found, struct error *err);
/* Block `block` does not pass its checksum: it goes to torn[] and is told. It leaves index[] with the next
 * record_compact(). 0 or -ENOMEM. */
int record_demote(struct record_set *set, struct record_found *found, uint64_t block);
void record_compact(struct record_found *found);
/* Appends to index[] or to torn[]. */
int record_keep_block(struct record_found *found, const struct record_block *lead, uint64_t offset);
int record_keep_torn(struct record_found *found, const struct record_index *index);

/* record_heads.c: what each file is, and which ring's: set->file in order, set->lane. 0 or -errno. */
int record_heads_read(struct record_set *set, struct error *err);
void record_found_free(struct record_found *found);

/* record_end.c: if the file has a good end, takes index, totals and told gaps from it: 1; 0: it has none; -errno.
 */
int record_end_read(struct record_set *set, struct record_found *found, int fd, struct error *err);

/* record_account.c: of lane->place drops the blocks that were there before, and tells of every position that
 * nothing accounts for, and of ends that do not agree with their blocks. 0 or -ENOMEM. */
int record_account(struct record_set *set, uint32_t lane);

/* record_order.c: 0 or -ENOMEM. May be done again. */
int record_order(struct record_set *set, struct error *err);
const struct record_index *record_place_index(const struct record_set *set, const struct record_place *place);

/* record_problem.c */
__attribute__((format(printf, 3, 4))) void record_trouble(struct record_set *set, const struct record_trouble *what,
                                                          const char *format, ...);
void record_trouble_forget_order(struct record_set *set);
void record_trouble_sort(struct record_set *set);

#endif
