/* How long the frames of one ring took until they were in it: written by the ring's writer alone, in memory that
 * outlives it, read by anyone. A sender's or device's stamp is of another clock than ours, or of one that was set
 * against it (daq/stamper.h): what lies after its frame's arrival is no time that anything took, and is counted
 * apart, as is a frame that carries no usable stamp. So of every stream that has stamps
 *
 *   sent_to_arrival.count + ahead + undated = frames delivered = arrival_to_publish.count
 *
 * but for frames whose writer was killed between publishing and counting them: those are delivered only.
 */
#ifndef RING_HOPS_H
#define RING_HOPS_H

#include <stdbool.h>
#include <stddef.h>

#include "ring/histogram.h"

struct ring_hops {
    uint64_t ahead;   /* frames that were sent after they arrived, by their stamps */
    uint64_t undated; /* frames without a usable stamp */
    uint64_t reserved[14];
    struct histogram arrival_to_publish; /* taken over from the kernel or the device -> visible to readers */
    struct histogram sent_to_arrival;    /* last: a stream without stamps has no memory for it */
};
static_assert(offsetof(struct ring_hops, arrival_to_publish) == 128, "counts on a pair of lines of their own");

static inline size_t ring_hops_bytes(bool dated)
{
    return dated ? sizeof(struct ring_hops) : offsetof(struct ring_hops, sent_to_arrival);
}

#endif
