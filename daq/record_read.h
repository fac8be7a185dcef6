/* A recording, read back: for sluice info, recover, replay and export, and for tests. Nothing in a file is
 * believed: headers, blocks and lengths are checked, positions compared with what should be there. Memory is
 * bounded: a cursor holds one block. Cold.
 *
 * Opening takes run directories (each stripe's), .slr files, or both, all of one run, and orders what is in them. A
 * recording that was not closed is opened as it is: what is whole can be read, what is missing is a problem that is
 * told (record_problems), and never an error. An error is what cannot be opened at all: nothing there, a foreign
 * file, a newer version, two runs at once.
 */
#ifndef DAQ_RECORD_READ_H
#define DAQ_RECORD_READ_H

#include <stdbool.h>

#include "daq/record_format.h"
#include "ring/error.h"
#include "ring/sluice.h"

#define RECORD_PROBLEMS_MAX 1000u /* told one by one; the others are counted */

struct record_set;

enum record_problem_kind {
    RECORD_PROBLEM_NOT_CLOSED = 1,   /* no end: its recorder was killed, or is still at it */
    RECORD_PROBLEM_TORN = 2,         /* a block's lead is whole, but not its payload */
    RECORD_PROBLEM_DAMAGED = 3,      /* bytes between two blocks, or behind the last one, that are none */
    RECORD_PROBLEM_UNACCOUNTED = 4,  /* positions that neither a block nor a gap accounts for */
    RECORD_PROBLEM_FILE_MISSING = 5, /* a segment or a stripe of which others tell */
    RECORD_PROBLEM_TOTALS = 6        /* the end does not agree with the blocks */
};

struct record_problem {
    enum record_problem_kind kind;
    uint32_t ring;          /* index of record_ring() */
    const char *path;       /* the file; NULL: no one file */
    uint64_t offset;        /* in it */
    uint64_t bytes;         /* so many are concerned; 0: not known */
    uint64_t from_position; /* and these positions; from = to: not known */
    uint64_t to_position;
    char text[ERROR_TEXT_BYTES]; /* the same for people */
};

/* One ring of the recording. All by record_open, constant. */
struct record_ring {
    struct record_file_header header; /* of its first file */
    const struct ring_channel *channel;
    const double *number;
    const struct ring_stream *stream; /* header.streams of them */
    uint64_t files;
    uint64_t file_bytes;
    uint64_t blocks;         /* whole ones */
    uint64_t frames;         /* in them, by their leads; gap records of the ring among them */
    uint64_t payload_bytes;  /* of blocks, descriptors included */
    uint64_t first_position; /* of the first frame */
    uint64_t end_position;   /* behind the last that is recorded or told as missing */
    uint64_t first_tai_ns;   /* lowest and highest stamp; 0: no frame */
    uint64_t last_tai_ns;
    uint64_t missing[RECORD_CAUSES]; /* positions; DAMAGED and UNKNOWN are the reader's own finding */
    uint64_t gaps;                   /* entries told by blocks */
    bool closed;                     /* every file has its end, and the last of them says that the run has ended */
    struct record_totals totals;     /* of the last file that has an end; all 0: none has */
    struct ring_ledger ledger;       /* the newest that any block or end tells */
};

/* 0, or -errno with what was expected and found: -ENOENT, -EACCES, -EPROTO (foreign, newer, corrupt header),
 * -EINVAL (two runs), -ENOMEM. */
int record_open(struct record_set **set, const char *const *paths, unsigned count, struct error *err);
void record_close(struct record_set *set); /* NULL is fine */

unsigned record_rings(const struct record_set *set);
const struct record_ring *record_ring(const struct record_set *set, unsigned ring);
int record_find_ring(const struct record_set *set, const char *name); /* index, or -1 */

/* run.json, else the JSON text of the first file's description; and config.yaml, else the description's. Ended by a
 * 0; never NULL, "" if there is none. */
const char *record_json(const struct record_set *set);
const char *record_config(const struct record_set *set, size_t *bytes);

/* What is wrong with it, in order of ring and position. record_open has read every block's lead, but of payloads
 * only the last one of each file; record_verify reads everything and may find more (RECORD_PROBLEM_TORN). `told` is
 * called now and then with bytes done of all (NULL: not); it returns false to stop. 0, -EINTR, or -EIO. */
uint64_t record_problems(const struct record_set *set); /* also beyond RECORD_PROBLEMS_MAX */
const struct record_problem *record_problem(const struct record_set *set, uint64_t index);
int record_verify(struct record_set *set, bool (*told)(void *context, uint64_t bytes, uint64_t of), void *context,
                  struct error *err);

/* The same of the files alone that have no end: after a power cut any block since the last sync may be torn. */
int record_verify_unclosed(struct record_set *set, bool (*told)(void *context, uint64_t bytes, uint64_t of),
                           void *context, struct error *err);

/* The files of a ring in order of segment and stripe: for recover. NULL behind the last. `blocks_end` is the offset
 * behind its last whole block, whose last zeros may be cut off (0: its header or description is not there);
 * `closed`: it has a good end. */
struct record_file {
    const char *path;
    uint32_t segment;
    uint32_t stripe;
    uint64_t bytes;
    uint64_t blocks_end;
    bool closed;
    const struct record_index *index; /* its whole blocks, also where the file has no end */
    uint64_t indices;
};
const struct record_file *record_file(const struct record_set *set, unsigned ring, unsigned index);

/* One ring, frame by frame, in order of position. */
struct record_cursor;

enum record_item_kind {
    RECORD_ITEM_FRAME = 1, /* gap records of the ring, too: SLUICE_FRAME_GAP */
    RECORD_ITEM_GAP = 2    /* positions that are not in the recording */
};

struct record_item {
    enum record_item_kind kind;
    struct sluice_frame frame; /* payload: valid until the next call */
    struct record_gap gap;
};

/* Begins at the first position. A cursor is one thread's; several may be open on a set. 0, -ENOMEM, -EIO. */
int record_cursor_open(struct record_cursor **cursor, struct record_set *set, unsigned ring, struct error *err);
void record_cursor_close(struct record_cursor *cursor); /* NULL is fine */

/* To the first frame that is not older than tai_ns (by the blocks' first and last stamps, then frame by frame), or
 * whose position is not lower. 0 or -EIO. */
int record_cursor_seek_time(struct record_cursor *cursor, uint64_t tai_ns, struct error *err);
int record_cursor_seek_position(struct record_cursor *cursor, uint64_t position, struct error *err);

/* From here on only gaps are given out, as the blocks' leads tell them; no payload is read. */
void record_cursor_gaps_only(struct record_cursor *cursor);

/* 1: *item is the next; 0: the end; -EIO. A block that does not pass its checksum is a gap (RECORD_CAUSE_DAMAGED).
 */
int record_next(struct record_cursor *cursor, struct record_item *item, struct error *err);

/* Channel `channel` of a frame, calibrated, in its unit. NaN as for sluice_value(). */
double record_value(const struct record_ring *ring, uint32_t channel, const struct sluice_frame *frame);

#endif
