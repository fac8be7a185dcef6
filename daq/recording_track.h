/* What a recorded frame adds to the ledger of the ring that it is played into. The live ledger was kept by whoever
 * saw frames being refused; here the frames, their flags and the gap records between them have to do:
 *
 *   numbered streams    a jump of the numbers is a loss, put down to what the frame itself says, else to the gap
 *                       record before it, else to the sender. A sender's heartbeat is a gap record of its own
 *   unnumbered ones     gap records count what they tell; of drops by kernel and NIC only the next frame tells
 *
 * Pure.
 */
#ifndef DAQ_RECORDING_TRACK_H
#define DAQ_RECORDING_TRACK_H

#include <stdbool.h>

#include "daq/record_read.h"
#include "daq/recording_reader.h"

struct recording_track {
    bool numbered;
    bool started;
    uint64_t next;          /* number that is expected */
    uint32_t pending_cause; /* of the gap record since the last frame; RING_LOSSES: there was none */
    uint64_t first_number;  /* lowest and highest of this round of a loop */
    uint64_t last_number;
    bool any;
    uint64_t shift; /* of the numbers: a loop's second round goes on where the first has ended */
};

void recording_track_init(struct recording_track *track, bool numbered);

/* Fills in source_sequence, flags, lost.. of a recorded frame, or of a gap record of the ring. */
void recording_track_frame(struct recording_track *track, const struct sluice_frame *frame,
                           struct recording_frame *to);
/* The same of positions that were not recorded: a gap record of cause `restart`, which is the nearest word that a
 * ring has: whoever wrote the frames was out of our sight. Its payload. */
void recording_track_gap(struct recording_track *track, const struct record_gap *gap, struct recording_frame *to,
                         struct ring_gap *payload);

/* From the begin once more. */
void recording_track_again(struct recording_track *track);

#endif
