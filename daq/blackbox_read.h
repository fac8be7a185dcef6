/* A trip directory read back, from bytes that anybody may have changed since. Nothing is believed before it has
 * been checked; the bytes stay the caller's and must outlive the struct. Cold. */
#ifndef DAQ_BLACKBOX_READ_H
#define DAQ_BLACKBOX_READ_H

#include <stdbool.h>

#include "control/board.h"
#include "daq/blackbox_format.h"
#include "ring/error.h"
#include "ring/sluice.h"

/* One ring-NAME.slr. */
struct blackbox_ring {
    const uint8_t *data;
    struct blackbox_ring_header header;
    const struct ring_channel *channel; /* header.channels of them, in data */
    const struct ring_stream *stream;
    uint64_t *offset; /* of each frame's record in data; ours */
    uint64_t frames;
};

struct blackbox_bytes {
    const void *data; /* aligned to 8 */
    size_t bytes;
};

/* All that a replay needs. */
struct blackbox_recording {
    const struct control_table *table;
    const struct control_checkpoint *checkpoint;
    uint64_t checkpoints;
    const struct journal_entry *entry;
    uint64_t entries;
    uint64_t first_entry; /* its number in the journal: checkpoint[].journal counts from the same zero */
    struct blackbox_ring ring[CONTROL_RINGS_MAX]; /* in the table's order */
};

/* Header, every record and its checksum, the end. 0, or -EPROTO / -ENOMEM with what is wrong where. */
int blackbox_ring_open(struct blackbox_ring *ring, const struct blackbox_bytes *file, struct error *err);
void blackbox_ring_close(struct blackbox_ring *ring);

/* Frame `index` of those in the file. */
void blackbox_ring_at(const struct blackbox_ring *ring, uint64_t index, struct sluice_frame *frame);
/* The frame of this position; false: it is not there. */
bool blackbox_ring_find(const struct blackbox_ring *ring, uint64_t position, struct sluice_frame *frame);

/* Bounds of everything that is used as an index, names that end, and that it is of this release. 0 or -EPROTO. */
int blackbox_check_table(const struct blackbox_bytes *file, struct error *err);

/* Table, checkpoints and journal; `rings` files in the table's order. 0 or -EPROTO / -ENOMEM; blackbox_close is
 * fine after a failure. */
int blackbox_open(struct blackbox_recording *recording, const struct blackbox_bytes *table,
                  const struct blackbox_bytes *checkpoints, const struct blackbox_bytes *journal,
                  uint64_t first_entry, const struct blackbox_bytes *ring, uint32_t rings, struct error *err);
void blackbox_close(struct blackbox_recording *recording);

#endif
