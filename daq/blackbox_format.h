/* A trip directory's files, as they lie on the disk. Little-endian, fixed widths, no padding that is not named.
 * sluice-trip(5) says the same in words.
 *
 *   DIRECTORY/20261125T153412.345Z-trip7/      appears whole, by one rename
 *     trip.json        what happened, what is missing, and size and checksum of every other file
 *     config.yaml      the configuration as it was loaded
 *     table.bin        struct control_table: what was made of it
 *     checkpoint.bin   struct control_checkpoint [1 ..], oldest first: the engine between two steps
 *     journal.bin      struct journal_entry [..]: every step from the first checkpoint on
 *     ring-NAME.slr    the frames of one watched ring
 *     loop.csv         longest gap of the control loop in each millisecond
 *     state.json       the engine after the trip, to be read by people
 *
 *   ring-NAME.slr:
 *     struct blackbox_ring_header
 *     struct ring_channel [channels], struct ring_stream [streams]
 *     struct blackbox_record, payload, zeros up to a multiple of 8     one frame, and so on
 *     struct blackbox_record with BLACKBOX_END                          last: how many there were
 *
 * Change anything here -> bump BLACKBOX_VERSION and say so in CHANGELOG.md.
 */
#ifndef DAQ_BLACKBOX_FORMAT_H
#define DAQ_BLACKBOX_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/layout.h"

#define BLACKBOX_RING_MAGIC UINT64_C(0x31474e5242534c53) /* "SLSBRNG1" */
#define BLACKBOX_VERSION    UINT32_C(1)
#define BLACKBOX_FRAME      UINT32_C(0x314d5246) /* "FRM1" */
#define BLACKBOX_END        UINT32_C(0x31444e45) /* "END1" */
#define BLACKBOX_ALIGN      8u

#define BLACKBOX_TRIP_FILE       "trip.json"
#define BLACKBOX_CONFIG_FILE     "config.yaml"
#define BLACKBOX_TABLE_FILE      "table.bin"
#define BLACKBOX_CHECKPOINT_FILE "checkpoint.bin"
#define BLACKBOX_JOURNAL_FILE    "journal.bin"
#define BLACKBOX_LOOP_FILE       "loop.csv"
#define BLACKBOX_STATE_FILE      "state.json"
#define BLACKBOX_RING_PREFIX     "ring-"
#define BLACKBOX_RING_SUFFIX     ".slr"

struct blackbox_ring_header {
    uint64_t magic; /* BLACKBOX_RING_MAGIC */
    uint32_t version;
    uint32_t header_bytes; /* sizeof(struct blackbox_ring_header) */
    uint32_t channels;     /* entries that follow */
    uint32_t streams;      /* .. behind those */
    uint32_t stamp;        /* enum ring_stamp */
    int32_t utc_offset_s;  /* TAI - UTC as the kernel knew it; 0: it was not told */
    int64_t tai_minus_monotonic_ns;
    uint64_t created_tai_ns; /* of the ring */
    uint64_t slots;          /* of the ring */
    uint32_t payload_bytes;  /* no frame is longer */
    uint32_t reserved;
    char instance[RING_NAME_BYTES];
    char name[RING_NAME_BYTES];
    uint64_t checksum; /* blackbox_checksum() of all before it, then of both tables */
};
static_assert(sizeof(struct blackbox_ring_header) == 136, "a ring file's header is 136 bytes");
static_assert(offsetof(struct blackbox_ring_header, instance) == 64, "the names stand at 64");
static_assert(offsetof(struct blackbox_ring_header, checksum) == 128, "the checksum comes last");

/* In front of each payload. For BLACKBOX_END: `position` is the number of frames in the file, `source_sequence` how
 * many positions are missing between the first and the last, everything else 0. */
struct blackbox_record {
    uint32_t kind;         /* BLACKBOX_FRAME, BLACKBOX_END */
    uint32_t length_bytes; /* of the payload, without the zeros behind it */
    uint64_t position;     /* in its ring; a jump: frames were overwritten before they could be copied */
    uint64_t tai_ns;
    uint64_t source_sequence;
    uint16_t flags; /* as in struct ring_descriptor */
    uint16_t stream;
    uint16_t lost_before;
    uint16_t reserved;
    uint64_t checksum; /* blackbox_checksum() of all before it, then of the payload */
};
static_assert(sizeof(struct blackbox_record) == 48, "a record is 48 bytes and its payload");
static_assert(offsetof(struct blackbox_record, checksum) == 40, "the checksum comes last");

#define BLACKBOX_CHECKSUM_START UINT64_C(0xcbf29ce484222325)

/* FNV-1a, 64 bit, going on from `sum`: every flipped bit shows. Pure. */
static inline uint64_t blackbox_checksum(uint64_t sum, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++) {
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

static inline size_t blackbox_padded(size_t bytes)
{
    return (bytes + BLACKBOX_ALIGN - 1) / BLACKBOX_ALIGN * BLACKBOX_ALIGN;
}

#endif
