/* A way from one thread to another, as the bench sees it: ours, the floors and the peers implement the same few
 * functions, each in a file of its own. A call carries tens of frames, so that the indirect call does not show.
 *
 * send and receive never wait for ever for something that the other side has still to ask for; those that block
 * (pipe, sockets) block in the system only while the other side runs.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "net/payload.h"
#include "ring/error.h"
#include "ring/segment.h"

#define BENCH_RING_BYTES  ((uint64_t)8 << 20)
#define BENCH_READERS_MAX 2u

struct link_spec {
    uint32_t size_bytes; /* of every payload */
    uint32_t batch;      /* frames per publish */
    uint32_t readers;    /* 1 .. BENCH_READERS_MAX */
    uint32_t id;         /* several links of one process differ by it */
    uint64_t seed;
};

/* What one reader has seen. Owned by the reader's thread. */
struct tally {
    uint64_t next;   /* number of the next frame */
    uint64_t frames; /* read whole and found right */
    uint64_t lost;   /* overwritten before or while they were read (observers) */
    uint64_t wrong;  /* read and found wrong: the bench fails */
    uint64_t pad[4];
};

enum peer_kind {
    PEER_OURS = 1,
    PEER_FLOOR = 2, /* what the machine itself allows */
    PEER_OTHER = 3
};

struct peer {
    const char *name; /* "sluice", "rte_ring" .. */
    const char *mode; /* "observer", "copy" ..; empty if there is only one */
    enum peer_kind kind;
    /* Both ends, in the thread that starts the others: NULL and a sentence if it cannot be had. */
    void *(*open)(const struct link_spec *spec, struct error *err);
    void (*close)(void *link);
    /* Sends frames first .. first + count - 1, or fewer if there is no room; how many. One thread. */
    uint32_t (*send)(void *link, uint64_t first, uint32_t count);
    /* Takes at most max frames, reads every byte and checks it; adds to the tally. How many were taken. */
    uint32_t (*receive)(void *link, uint32_t reader, struct tally *tally, uint32_t max);
    /* Kills the process of a reader that may hold the writer up: *stall_us is the writer's longest gap, at least
     * cap_s if *capped. 0 or -ENOTSUP, -errno with err. NULL: it makes no such promise. */
    int (*gate_kill)(double cap_s, double *stall_us, bool *capped, struct error *err);
};

extern const struct peer peer_ours_observer;
extern const struct peer peer_ours_gating;
extern const struct peer peer_floor_line;
extern const struct peer peer_floor_counter;
extern const struct peer peer_rte_ring_zc;
extern const struct peer peer_rte_ring_copy;
extern const struct peer peer_ck_ring_value;
extern const struct peer peer_ck_ring_pointer;
extern const struct peer peer_iceoryx;
extern const struct peer peer_zmq_inproc;
extern const struct peer peer_zmq_ipc;
extern const struct peer peer_pipe;

/* Ours, with the server's own part in it: a thread that owns the readers' sockets (daq/usher.h). ours_kill.c */
int ours_gate_kill(double cap_s, double *stall_us, bool *capped, struct error *err);

/* An observer that does the worst it can, for ever: reads what the writer writes to without a pause, and writes
 * nonsense into its own lease. */
_Noreturn void ours_harass(void *link);

/* iceoryx needs its daemon: started before the first link and ended by its process number. 0 or -errno. */
int iceoryx_daemon_start(struct error *err);
void iceoryx_daemon_stop(void);

/* Checks the sum of the frame that is tally->next, and counts. */
static inline void tally_frame(struct tally *tally, const struct link_spec *spec, uint64_t sum)
{
    bool right = sum == payload_expected(spec->size_bytes, payload_base(spec->seed, tally->next));
    tally->frames += right;
    tally->wrong += !right;
    tally->next++;
}

/* Reads and checks the payload of the frame tally->next. */
static inline void tally_payload(struct tally *tally, const struct link_spec *spec, const uint8_t *payload)
{
    tally_frame(tally, spec, payload_sum(payload, spec->size_bytes));
}

/* Memory for a ring under test: as ours gets it, on 2 MiB pages if there are any; every page is touched. */
int bench_memory(struct segment *segment, uint64_t bytes, struct error *err);
void bench_touch(void *base, uint64_t bytes, bool writable);

/* Largest power of two of slots of `slot_bytes` that fit the ring. */
uint64_t bench_slots(uint64_t slot_bytes);

/* Rounded up to whole cache lines. */
static inline uint32_t bench_lines(uint32_t bytes)
{
    return (bytes + 63u) / 64u * 64u;
}

#endif
