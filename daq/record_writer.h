/* A ring's recording, written plainly: one file after the other, through the page cache. For imports, recover and
 * tests; the recorder writes the same bytes by itself (recorder.h). One thread. Cold.
 */
#ifndef DAQ_RECORD_WRITER_H
#define DAQ_RECORD_WRITER_H

#include "daq/record_build.h"

struct record_writer;

/* Begins DIRECTORY/RING.000000.slr (the directory must exist; the file must not). `what` describes it; its `run` is
 * the caller's. block_bytes: most payload of a block. 0, -EEXIST, -EINVAL, -errno. */
int record_writer_open(struct record_writer **writer, const char *directory, const struct record_source *what,
                       uint64_t block_bytes, struct error *err);

/* Appends a frame; descriptor->sequence is its position + 1 and must be greater than the one before: a jump must
 * have been told by record_writer_gap before. Payload of descriptor->length_bytes. */
int record_writer_frame(struct record_writer *writer, const struct ring_descriptor *descriptor,
                        const uint8_t *payload, struct error *err);
int record_writer_gap(struct record_writer *writer, const struct record_gap *gap, struct error *err);

/* Ends a block early. */
int record_writer_flush(struct record_writer *writer, struct error *err);
/* Ends this file and begins the next segment. */
int record_writer_rotate(struct record_writer *writer, struct error *err);

/* Ends the file, syncs and frees. ledger: the ring's; NULL: none is known. 0 or -errno: then the file has no end.
 */
int record_writer_close(struct record_writer *writer, enum record_close why, const struct ring_ledger *ledger,
                        struct error *err);
/* Frees without an end, as after a crash; NULL is fine. */
void record_writer_abandon(struct record_writer *writer);

#endif
