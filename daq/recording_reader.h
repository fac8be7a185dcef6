/* Reads a ring of a recording ahead of the worker that plays it, in a thread of its own: a disk may block, and a
 * sealed thread must not. Two batches go back and forth; each word of theirs has one writer at a time:
 *
 *     reader thread: record_cursor -> [ batch 0 ]  --wake-->  worker: slots, ledger
 *                                     [ batch 1 ]  <--room--
 *
 * Memory is bounded: the batches, and what a cursor holds (daq/record_read.h).
 */
#ifndef DAQ_RECORDING_READER_H
#define DAQ_RECORDING_READER_H

#include <pthread.h>
#include <stdbool.h>

#include "net/plan.h"
#include "ring/error.h"
#include "ring/ring.h"

#define RECORDING_BATCH_BYTES (1u << 20)
#define RECORDING_BATCHES     2u

/* In a batch in front of each payload, which is filled up to a multiple of 8 bytes. */
struct recording_frame {
    uint64_t due_ns; /* since the first frame of the play, at speed 1 */
    uint64_t tai_ns; /* as recorded */
    uint64_t source_sequence;
    uint64_t lost; /* frames that are missing before this one, or by the record that it is, for the ledger .. */
    uint32_t lost_cause; /* .. and why: enum ring_loss */
    uint16_t length_bytes;
    uint16_t flags; /* enum ring_flag, and the cause */
    uint16_t stream;
    uint16_t lost_before;
    uint32_t reserved;
};

enum recording_batch_state { RECORDING_EMPTY = 0, RECORDING_FULL = 1 };

struct recording_batch {
    uint32_t state; /* enum recording_batch_state: the worker makes it EMPTY, the reader FULL (release) */
    uint32_t bytes; /* from here on the reader's, while it is EMPTY */
    uint32_t error; /* errno because of which nothing more comes; 0: none */
    bool last;
    uint8_t *data;
};

struct recording_reader {
    const struct source_plan *plan;
    const struct ring_view *view; /* the ring that it is played into: its channels must be the recorded ones */
    pthread_t thread;
    bool running;
    int ending;
    int wake_fd; /* the worker reads it: a batch is full */
    int room_fd; /* the worker writes it: a batch is empty */
    struct recording_batch batch[RECORDING_BATCHES];
};

/* Starts the thread. 0 or -errno; recording_reader_stop is fine after a failure. The plan names a ring. Cold. */
int recording_reader_start(struct recording_reader *reader, const struct source_plan *plan,
                           const struct ring_view *view, struct error *err);
/* Waits for it. */
void recording_reader_stop(struct recording_reader *reader);

#endif
