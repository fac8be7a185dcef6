/* The parts of a recording's file, made in memory: shared by the recorder, which writes them past the page cache,
 * and by record_writer, which does not. Pure but for the random run. Any thread. */
#ifndef DAQ_RECORD_BUILD_H
#define DAQ_RECORD_BUILD_H

#include <stdbool.h>

#include "daq/record_format.h"
#include "ring/error.h"

/* What stands at the start of a file. */
struct record_source {
    struct record_file_header header; /* run, segment, stripe, stripes and all of the ring; the rest is filled in */
    const struct ring_channel *channel; /* these five are the caller's for as long as the file is open */
    const double *number;
    const struct ring_stream *stream;
    const char *json; /* header.json_bytes of it; NULL: none */
    const char *config;
};

/* Sixteen random bytes. 0 or -errno. */
int record_run_make(uint8_t run[RECORD_RUN_BYTES], struct error *err);

/* Bytes of header and description together, a multiple of RECORD_ALIGN; 0: they are too many. */
uint64_t record_head_bytes(const struct record_source *source);
/* Writes them to `to`, which has room for that many. */
void record_head_build(const struct record_source *source, uint8_t *to);

/* The totals of a ring's run so far, and the index of the file that is open. */
struct record_account {
    struct record_totals totals;
    struct record_index *index; /* room for `room` */
    uint32_t room;
    uint64_t offset; /* in the file, where the next block begins */
    uint32_t gaps;   /* that no block has told: the end does */
    struct record_gap gap[RECORD_GAPS_MAX];
};

/* A block under way. */
struct record_packing {
    struct record_block lead;
    uint8_t *payload; /* room for `room` bytes, a multiple of RECORD_ALIGN */
    uint64_t room;
};

/* Begins an empty block whose first frame will be at this position or later. */
void record_packing_begin(struct record_packing *packing, const uint8_t run[RECORD_RUN_BYTES], uint64_t number,
                          uint64_t position);
/* Bytes that a frame takes in a packed block. */
static inline uint64_t record_packed_bytes(uint32_t length_bytes)
{
    return record_round_up(sizeof(struct ring_descriptor) + length_bytes, RECORD_FRAME_ALIGN);
}
/* Appends a frame. False: there is no room for it, the block is to be ended. Position as told by the descriptor;
 * what was skipped since the one before must have been told as a gap. */
bool record_packing_add(struct record_packing *packing, const struct ring_descriptor *descriptor,
                        const uint8_t *payload);
/* Notes a gap. False: gap[] is full, the block is to be ended. A gap that adjoins the last one and has its cause
 * becomes part of it. */
bool record_lead_gap(struct record_block *lead, const struct record_gap *gap);

/* A lead for `count` (at least 1) whole slots, which lie at `slots`; lead->number is kept. Gaps are noted
 * afterwards. */
void record_slots_lead(struct record_block *lead, const struct record_file_header *header, const uint8_t *slots,
                       uint64_t position, uint32_t count);

/* Fills in what comes last: bytes, ledger, times, both checksums. The payload is not changed; the zeros behind it
 * are the caller's (record_round_up of lead->payload_bytes). */
void record_block_finish(struct record_block *lead, const uint8_t *payload, const struct ring_ledger *ledger,
                         uint64_t tai_ns);

/* What the index says of a block that lies at `offset`. */
void record_index_of(struct record_index *index, const struct record_block *lead, uint64_t offset);
/* Takes a block that has been written at `offset` into the account: totals, and the index in order of offset.
 * account->offset is the caller's. False: the index is full. */
bool record_account_block(struct record_account *account, uint64_t offset, const struct record_block *lead);
/* The same of totals alone; and only of what the lead tells as missing. */
void record_totals_add_gaps(struct record_totals *totals, const struct record_block *lead);
void record_totals_add(struct record_totals *totals, const struct record_block *lead);

/* The block that ends a file: bytes of it (a multiple of RECORD_ALIGN), and itself. */
uint64_t record_end_bytes(const struct record_account *account);
void record_end_build(const struct record_account *account, const struct record_file_header *header,
                      enum record_close why, const struct ring_ledger *ledger, uint64_t tai_ns, uint8_t *to);

/* "RING.000003.slr", "RING.000003.1.slr". */
#define RECORD_FILE_NAME_BYTES 64u
void record_file_name(char name[RECORD_FILE_NAME_BYTES], const char *ring, uint32_t segment, uint32_t stripe,
                      uint32_t stripes);

#endif
