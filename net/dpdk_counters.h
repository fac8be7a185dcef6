/* What a port's device says that it did not deliver: frames missed because nobody gave it room, and frames it
 * refused itself, by cause where it tells. rx_nombuf is left out: it counts vain tries for a buffer (virtio's every
 * empty poll), not frames; what is lost so is missed next.
 *
 * A port's counts are of all its queues and of whatever came along the wire: they are put down to the source of its
 * first queue. Where that stream's frames carry numbers they only explain what is missing; where they carry none
 * they are the loss.
 *
 * A device says how many it has dropped, not where: that the numbers say. What it says is kept until a gap comes
 * that it explains. Frames of which the device had the buffers before it was asked may be older than the drops;
 * when one that is certainly younger has come, and no gap, what is left was none of the stream's.
 */
#ifndef NET_DPDK_COUNTERS_H
#define NET_DPDK_COUNTERS_H

#include <stdbool.h>

#include "net/plan.h"
#include "ring/writer.h"

#define DPDK_DETAILS_MAX 16u

/* Since the device was started. */
struct dpdk_counts {
    uint64_t missed;
    uint64_t errors;
    uint64_t refused[RING_REFUSALS]; /* of the errors, what the device has a name for */
};

struct dpdk_counters {
    struct dpdk_counts last;
    uint32_t details;
    uint32_t refusal[DPDK_DETAILS_MAX]; /* enum ring_refusal */
    uint64_t id[DPDK_DETAILS_MAX];      /* of the device's extended counter */
    uint64_t asked_ns;                  /* TAI, at a gap */
    uint64_t asked_at;                  /* the same: 1 + the published position then, which says in which burst */
    uint64_t untold[RING_LOSSES];       /* by cause */
    uint64_t untold_before;             /* position: frames behind it are younger */
    bool is_untold;
};

/* Finds out what the started port counts. What it has counted while it started is put down at the first look. Cold.
 */
void dpdk_counters_begin(struct dpdk_counters *counters, uint16_t port);

/* Looks, and puts what is new into the ledger. The extended counters are read only when there are new errors: on a
 * network card each costs a read across the bus. */
void dpdk_counters_look(struct dpdk_counters *counters, uint16_t port, const struct source_plan *source,
                        struct ring_writer *writer);

/* Puts what happened since the last look into the ledger or, of a numbered stream, with what is untold. Pure, but
 * for the ring. */
void dpdk_counters_account(struct dpdk_counters *counters, const struct dpdk_counts *now,
                           const struct source_plan *source, struct ring_writer *writer);

/* Explains up to `frames` missing ones, UINT64_MAX: as many as there are. */
void dpdk_counters_tell(struct dpdk_counters *counters, const struct source_plan *source,
                        struct ring_writer *writer, uint64_t frames);

#endif
