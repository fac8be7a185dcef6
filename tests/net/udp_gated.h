/* A gating reader on the ring of a UDP source: for test_udp_full.c and test_udp_gro.c. */
#ifndef NET_UDP_GATED_H
#define NET_UDP_GATED_H

#include "tests/net/udp_rig.h"
#include "tests/support/gates.h"

static struct test_gates server;
static struct ring_gates gates;
static struct ring_reader holder; /* the gating reader */

static inline void start_gated(enum when_full when_full)
{
    test_gates_set_up(&server, &gates, &rig.ring.writer);
    rig.plan.gates = 1;
    rig.plan.when_full = when_full;
    holder = rig.reader;
    test_gates_let_in(&server, &gates, &rig.ring.writer, &holder);
    start();
}

/* Lets the source run on although nothing can be published: some rounds of a millisecond each. */
static inline void pump_in_vain(void)
{
    uint64_t published = rig.ring.writer.published;
    for (int i = 0; i < 20; i++) {
        pump_once();
    }
    cr_assert_eq(rig.ring.writer.published, published, "there was no room");
}

/* Takes what is there, as the gating reader, and releases it. Returns frames; gap records are added up. */
static inline uint64_t take_all(uint64_t *number, struct ring_gap *gaps, uint64_t *records)
{
    struct sluice_frame frame;
    uint64_t frames = 0;
    while (ring_reader_next(&holder, &frame) == 1) {
        cr_assert(ring_reader_valid(&holder, frame.position));
        if ((frame.flags & SLUICE_FRAME_GAP) != 0) {
            struct ring_gap gap;
            memcpy(&gap, frame.payload, sizeof(gap));
            cr_assert_eq(gap.cause, RING_LOSS_RING_FULL);
            cr_assert_eq(frame.cause, RING_LOSS_RING_FULL);
            gaps->count += gap.count;
            *number += gap.count; /* exactly these are missing here */
            ++*records;
            continue;
        }
        cr_assert_eq(frame.source_sequence, *number, "%lu instead of %lu", frame.source_sequence, *number);
        cr_assert(pattern_matches(frame.payload + 8, SEED, *number, frame.length_bytes / 8 - 1));
        ++*number;
        frames++;
    }
    cr_assert_eq(holder.lost, 0);
    ring_reader_release(&holder);
    return frames;
}

/* Datagrams that were taken from the kernel, one way or the other. */
static inline uint64_t arrived(void)
{
    return ledger()->delivered + ledger()->lost[RING_LOSS_RING_FULL] +
           ledger()->tracker_pending[RING_LOSS_RING_FULL];
}

#endif
