/* A recording's files, as they lie on the disk. Little-endian, fixed widths, no padding that is not named.
 * sluice-recording(5) says the same in words.
 *
 *   DIRECTORY/20261126T143000.123Z-NAME/       one run of a recorder
 *     run.json                                 who, what, when and why; replaced whole, by a rename
 *     config.yaml                              the server's configuration, where there was one
 *     RING.removed                             how many of the ring's first segments were removed to make room, as
 *                                              decimal text; absent: none
 *     RING.000000.slr                          the frames of a ring, its first segment; RING.000001.slr the next ..
 *     RING.000000.0.slr                        .. or, striped over directories, stripe 0 of it; stripe 1 lies in
 * the directory of the same name in the second place, and so on
 *
 *   one .slr file, every part at a multiple of RECORD_ALIGN:
 *     struct record_file_header                RECORD_ALIGN bytes
 *     description                              channels, numbers, streams, JSON text, configuration; zeros behind
 * it struct record_block, payload, zeros      one block, and so on
 *     .. of kind RECORD_END                    last: totals, index of the file's blocks, struct record_trailer
 *
 * A file that was not closed has no end: its blocks are found by their magic, their run and their checksums, each
 * of which stands by itself. Zeros or anything else may lie behind the last whole one.
 *
 * Change anything here -> bump RECORD_VERSION and say so in CHANGELOG.md.
 */
#ifndef DAQ_RECORD_FORMAT_H
#define DAQ_RECORD_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/layout.h"
#include "ring/ledger.h"

#define RECORD_MAGIC                 UINT64_C(0x31304345524c4c53) /* "SLLREC01" */
#define RECORD_BLOCK_MAGIC           UINT64_C(0x31304b4c424c4c53) /* "SLLBLK01" */
#define RECORD_TRAILER_MAGIC         UINT64_C(0x3130444e454c4c53) /* "SLLEND01" */
#define RECORD_VERSION               UINT32_C(1)
#define RECORD_ALIGN                 4096u /* of everything in a file: what O_DIRECT asks for on every disk */
#define RECORD_LEAD_BYTES            RECORD_ALIGN
#define RECORD_RUN_BYTES             16u
#define RECORD_GAPS_MAX              64u
#define RECORD_BLOCK_BYTES_MAX       (UINT64_C(64) << 20)
#define RECORD_DESCRIPTION_BYTES_MAX (UINT64_C(16) << 20)
#define RECORD_STRIPES_MAX           8u
#define RECORD_FRAME_ALIGN           8u

#define RECORD_RUN_FILE       "run.json"
#define RECORD_CONFIG_FILE    "config.yaml"
#define RECORD_REMOVED_SUFFIX ".removed"
#define RECORD_SUFFIX         ".slr"

/* Why positions of the ring are not in the recording. What the ring itself knows to be missing stands in its own
 * gap records, which are recorded like any frame (RING_FLAG_GAP). */
enum record_cause {
    RECORD_CAUSE_NONE = 0,
    RECORD_CAUSE_OVERWRITTEN = 1, /* an observer came too late: the ring had gone on */
    RECORD_CAUSE_DEMOTED = 2,     /* the same, of a gating reader that held the writer up for too long */
    RECORD_CAUSE_DISK_FULL = 3,
    RECORD_CAUSE_DISK_ERROR = 4,
    RECORD_CAUSE_DISK_SLOW = 5, /* memory for blocks that wait for the disk was all in use */
    RECORD_CAUSE_DECIMATED = 6, /* left out on purpose: on_full: decimate */
    RECORD_CAUSE_SERVER = 7,    /* the server was gone, or its ring was made anew */
    RECORD_CAUSE_DAMAGED = 8,   /* never written: a reader's word for a block that does not pass its checksum */
    RECORD_CAUSE_UNKNOWN =
        9, /* positions that nothing accounts for (a crash): written by sluice recover alone, into an end */
    RECORD_CAUSES = 10
};

enum record_kind {
    RECORD_SLOTS = 1, /* whole slots as they lay in the ring, one for each position from first_position on */
    RECORD_PACKED =
        2,         /* struct ring_descriptor, payload, zeros up to a multiple of RECORD_FRAME_ALIGN; and so on */
    RECORD_END = 3 /* struct record_totals, struct record_index [indices], struct record_trailer at the very end */
};

/* The description, in this order without padding: struct ring_channel [channels], double [numbers],
 * struct ring_stream [streams], json_bytes of JSON, config_bytes of YAML (neither ended by a 0). */
struct record_file_header {
    uint64_t magic; /* RECORD_MAGIC */
    uint32_t version;
    uint32_t header_bytes;         /* RECORD_ALIGN */
    uint8_t run[RECORD_RUN_BYTES]; /* random; the same in all files and blocks of a run */
    uint64_t description_bytes;    /* without the zeros behind it */
    uint32_t description_crc;      /* CRC-32C of it */
    uint32_t align;                /* RECORD_ALIGN */
    uint32_t segment;              /* 0, 1, 2 .. of this ring */
    uint32_t stripe;
    uint32_t stripes; /* at least 1 */
    uint32_t channels;
    uint32_t numbers;
    uint32_t streams;
    uint32_t json_bytes;
    uint32_t config_bytes;
    /* Of the ring: */
    uint32_t stamp;       /* enum ring_stamp of stream 0 */
    int32_t utc_offset_s; /* TAI - UTC as the kernel knew it; 0: it was not told */
    uint32_t slot_bytes;  /* of a block of kind RECORD_SLOTS */
    uint32_t payload_offset;
    uint32_t payload_bytes; /* no frame is longer */
    uint32_t reserved;
    uint64_t slots;
    int64_t tai_minus_monotonic_ns;
    uint64_t created_tai_ns;
    /* Of this file: */
    uint64_t opened_tai_ns;
    uint64_t opened_utc_ns;  /* CLOCK_REALTIME then: the wall clock, which may be wrong or jump */
    uint64_t first_position; /* nothing before it was asked for */
    char instance[RING_NAME_BYTES];
    char ring[RING_NAME_BYTES];
    char recorder[RING_NAME_BYTES];
    uint8_t reserved2[RECORD_ALIGN - 248 - 4];
    uint32_t crc; /* CRC-32C of all before it */
};
static_assert(sizeof(struct record_file_header) == RECORD_ALIGN, "a file's header is one unit");
static_assert(offsetof(struct record_file_header, description_bytes) == 32, "description_bytes at 32");
static_assert(offsetof(struct record_file_header, slots) == 104, "slots at 104");
static_assert(offsetof(struct record_file_header, instance) == 152, "the names stand at 152");
static_assert(offsetof(struct record_file_header, crc) == RECORD_ALIGN - 4, "the checksum comes last");

/* `count` positions of [from_position, to_position) are not in the recording. For RECORD_CAUSE_DECIMATED the range
 * holds recorded frames, too; for every other cause count is all of it. */
struct record_gap {
    uint64_t from_position;
    uint64_t to_position;
    uint64_t count;
    uint64_t tai_ns; /* when that was noticed */
    uint32_t cause;  /* enum record_cause */
    uint32_t reserved;
};
static_assert(sizeof(struct record_gap) == 40, "a gap is 40 bytes");

/* In front of each block's payload. */
struct record_block {
    uint64_t magic; /* RECORD_BLOCK_MAGIC */
    uint8_t run[RECORD_RUN_BYTES];
    uint32_t kind;           /* enum record_kind */
    uint32_t lead_bytes;     /* RECORD_LEAD_BYTES: the payload begins here */
    uint64_t bytes;          /* of the block in the file, this and the zeros behind it included */
    uint64_t payload_bytes;  /* without them */
    uint64_t number;         /* 0, 1, 2 .. over all segments and stripes of this ring in this run */
    uint64_t first_position; /* of the first frame in it; without frames: where the next one will be */
    uint64_t end_position;   /* behind the last: recorded, or told by gap[], up to here */
    uint64_t frames;         /* gap records of the ring among them */
    uint64_t first_tai_ns;   /* stamps of the first and of the last frame; 0: none */
    uint64_t last_tai_ns;
    uint64_t first_sequence; /* their source sequences */
    uint64_t last_sequence;
    uint64_t written_tai_ns;   /* when this was handed to the disk */
    uint32_t payload_crc;      /* CRC-32C */
    uint32_t gaps;             /* entries of gap[]: noticed since the block before, in order of position */
    struct ring_ledger ledger; /* the ring's as it was then */
    struct record_gap gap[RECORD_GAPS_MAX];
    uint8_t reserved[RECORD_LEAD_BYTES - 128 - 384 - RECORD_GAPS_MAX * 40 - 4];
    uint32_t crc; /* CRC-32C of all before it */
};
static_assert(sizeof(struct record_block) == RECORD_LEAD_BYTES, "a block's lead is one unit");
static_assert(offsetof(struct record_block, ledger) == 128, "the ledger at 128");
static_assert(offsetof(struct record_block, gap) == 512, "the gaps at 512");
static_assert(offsetof(struct record_block, crc) == RECORD_LEAD_BYTES - 4, "the checksum comes last");

enum record_close {
    RECORD_CLOSE_STOPPED = 1, /* by command, or with the recorder */
    RECORD_CLOSE_ROTATED = 2, /* another segment follows */
    RECORD_CLOSE_DISK_FULL = 3,
    RECORD_CLOSE_DISK_ERROR = 4,
    RECORD_CLOSE_POST = 5,     /* the time after the trigger is over */
    RECORD_CLOSE_SERVER = 6,   /* the server has gone */
    RECORD_CLOSE_RECOVERED = 7 /* by sluice recover: it had not been closed */
};

/* Of this ring in this run so far; in the file that is closed. */
struct record_totals {
    uint64_t frames;                 /* recorded, gap records of the ring among them */
    uint64_t bytes;                  /* payload_bytes of their blocks */
    uint64_t missing[RECORD_CAUSES]; /* positions, by cause; sum over gap[].count */
    uint64_t first_position;
    uint64_t next_position; /* behind the last that is recorded or accounted for */
    uint64_t blocks;
    uint64_t closed_tai_ns;
    uint32_t why; /* enum record_close */
    uint32_t indices;
    struct ring_ledger began; /* the ring's ledger when the run began .. */
    struct ring_ledger ended; /* .. and when this file was closed */
};
static_assert(sizeof(struct record_totals) == 136 + 2 * 384, "totals");

/* One of this file's blocks. */
struct record_index {
    uint64_t offset; /* in the file */
    uint64_t bytes;
    uint64_t number;
    uint64_t first_position;
    uint64_t end_position;
    uint64_t frames;
    uint64_t first_tai_ns;
    uint64_t last_tai_ns;
};
static_assert(sizeof(struct record_index) == 64, "an index entry is 64 bytes");

/* The file's last bytes. */
struct record_trailer {
    uint64_t magic; /* RECORD_TRAILER_MAGIC */
    uint8_t run[RECORD_RUN_BYTES];
    uint64_t end_offset; /* of the block of kind RECORD_END */
    uint64_t file_bytes;
    uint32_t reserved;
    uint32_t crc; /* CRC-32C of all before it */
};
static_assert(sizeof(struct record_trailer) == 48, "the trailer is 48 bytes");

/* "overwritten", "demoted" ..; else "unknown". And "stopped", "rotated" .. Any thread. record_names.c */
const char *record_cause_name(uint32_t cause);
const char *record_close_name(uint32_t why);

static inline uint64_t record_round_up(uint64_t bytes, uint64_t align)
{
    return (bytes + align - 1) / align * align;
}

/* CRC-32C (Castagnoli, RFC 3720), going on from `crc` (0 at the begin). Any thread. record_crc.c */
uint32_t record_crc(uint32_t crc, const void *data, size_t bytes);

#endif
