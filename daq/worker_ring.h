/* The rings of an acquisition process, whatever its sources are: the writer's side of each, the gating readers that
 * it obeys, and whom it wakes. One thread: these calls are for the rings of the thread that
 * calls. */
#ifndef DAQ_WORKER_RING_H
#define DAQ_WORKER_RING_H

#include <stdalign.h>

#include "net/plan.h"
#include "ring/writer.h"

struct worker_ring {
    alignas(128) struct ring_writer writer; /* the next ring's thread may be another */
    struct ring_gates gates;
    uint64_t rung;           /* the bell as last rung */
    uint64_t seen_published; /* when it was */
};

/* Maps ring and orders (descriptors as in the plan) and continues where the last writer stopped. 0 or -errno. Cold.
 */
int worker_ring_open(struct worker_ring *ring, const struct source_plan *plan, struct error *err);

/* When the leases of the gating readers that stand have been taken: if we follow a writer that died, whatever came
 * meanwhile is missing, and readers are told in the ring itself. Cold. */
void worker_ring_begin(struct worker_ring *ring, const struct source_plan *plan, int64_t tai_minus_monotonic_ns);

/* New leases come through leases_fd (-1: none do) to rings[i]. */
void worker_rings_take_leases(struct worker_ring *const *rings, uint32_t count, int leases_fd);

/* Once a round: orders, and with them leases; demotions that are due. */
void worker_rings_look(struct worker_ring *const *rings, uint32_t count, int leases_fd, uint64_t monotonic_ns);

/* Once a round: somebody sleeps until there is something new: one system call, however many they are, and none
 * while nobody does. bell_fd -1: nobody can. */
void worker_rings_ring_bells(struct worker_ring *const *rings, uint32_t count, int bell_fd);

#endif
