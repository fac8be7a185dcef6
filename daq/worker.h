/* One acquisition thread: its sources on one io_uring, each into its own ring. */
#ifndef DAQ_WORKER_H
#define DAQ_WORKER_H

#include <signal.h>

#include "daq/recording_source.h"
#include "daq/stream.h"
#include "daq/worker_hops.h"
#include "daq/worker_ring.h"
#include "net/afxdp.h"
#include "net/udp.h"
#include "ring/board.h"

struct worker_source {
    struct worker_ring ring;
    struct rate_meter meter; /* of UDP, if a rate is declared; a stream has its own */
    union {
        struct udp_source udp;
        struct afxdp_source afxdp;
        struct stream_source stream;
        struct recording_source recording;
    } u;
};

struct worker {
    const struct worker_plan *plan;
    struct board *board;
    struct uring *uring;
    uint64_t spin_since_ns;
    uint64_t armed_ns;               /* monotonic: when the sources were last asked what they want to be read */
    uint64_t woke_ns;                /* monotonic: when the round's wait was over */
    bool found;                      /* .. and whether it found something to do */
    struct worker_thread_hops *hops; /* NULL: nothing is measured */
    uint64_t taken_ns;               /* monotonic: when a round last took frames */
    bool may_gather;                 /* no source has to be asked again for each of its frames */
    bool gathers;                    /* frames come faster than coalesce_us: the next round waits for several */
    bool more;                       /* a source has more than a round should take: no sleep before it */
    int leases_fd;                   /* where the leases of gating readers come from; -1: none */
    int bell_fd;                     /* an eventfd: somebody sleeps until something is published; -1: none */
    struct steer steers[PLAN_SOURCES_MAX]; /* XDP programs, one per interface of its sources */
    struct worker_source source[PLAN_SOURCES_MAX];
    struct worker_ring *ring[PLAN_SOURCES_MAX]; /* those of the sources */
    struct opener opener;
    struct recording_start start; /* of those that are recordings */
};

/* Attaches to the rings (descriptors as in the plan), takes over the gating readers that stand, notes a restart in
 * the rings, opens what must be open before the seal. 0 or -errno; worker_fini is fine after a failure. Cold. */
int worker_init(struct worker *worker, const struct worker_plan *plan, struct board *board, int leases_fd,
                int bell_fd, struct error *err);
void worker_fini(struct worker *worker);

/* What it measures goes behind the board, whose segment has so many bytes. Without it nothing is measured. Cold. */
void worker_measure(struct worker *worker, struct worker_board *board, size_t bytes);

/* One bounded round: waits if the plan says so, takes completions, publishes. Returns frames published. */
uint32_t worker_cycle(struct worker *worker);

void worker_run(struct worker *worker, const volatile sig_atomic_t *stop);

#endif
