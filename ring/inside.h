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

/* Any thread; the reader's for as long as it is attached. */
struct sluice_inside ring_inside(struct sluice_reader *reader);

#endif
