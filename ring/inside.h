/* What lies inside an installed reader, for programs of this house that read like everybody else and need more than
 * the library shows: the recorder writes frames from where they lie, long after it has gone on, and describes rings
 * whole. Not installed. */
#ifndef RING_INSIDE_H
#define RING_INSIDE_H

#include "ring/reader.h"

struct sluice_inside {
    struct ring_reader *reader;
    const struct ring_identity *identity; /* copies that have been checked */
    const struct ring_channel *channel;   /* identity->channels of them */
    const double *number;                 /* identity->numbers */
    const struct ring_stream *stream;     /* identity->streams */
    const struct ring_ledger *ledger;     /* in the ring itself */
};

/* What libsluice asks, when a signal comes while it waits for a server to take a connection or to answer: true, it
 * gives up with -EINTR; else it goes on until its own time-out. NULL, at the start: signals change nothing. Set it
 * before anybody attaches. */
void ring_on_signal(bool (*give_up)(void));

/* Any thread; the reader's for as long as it is attached. */
struct sluice_inside ring_inside(struct sluice_reader *reader);

/* Gives the server's place back at once, as sluice_detach() does. What is left is the ring's memory and what
 * describes it: sluice_batch_values(), sluice_ring() and the like go on; nothing that reads on may be called any
 * more. sluice_detach() frees the rest. The reader's thread; also in a child of fork(), where the parent goes on
 * undisturbed.
 */
void ring_disconnect(struct sluice_reader *reader);

/* What describes a reader's frames, without its memory: sluice_batch_values(), sluice_channel() and sluice_stream()
 * know enough with it, nothing else may be called. sluice_detach() frees it. NULL: no memory. */
struct sluice_reader *ring_description(const struct sluice_reader *reader);

#endif
