/* Packets of a network interface's queue straight into ring slots: an AF_XDP socket whose packet memory is the
 * ring, slots handed out in ring order, as net/udp.h does with a socket's buffers. What the kernel (copy mode) or
 * the device (zero-copy) writes is what readers read. Our XDP program steers the flow there (net/steer.h),
 * everything else stays the kernel's. One source, one queue, one ring; one thread. Hot: net/afxdp_take.c.
 */
#ifndef NET_AFXDP_H
#define NET_AFXDP_H

#include "net/interface.h"
#include "net/plan.h"
#include "net/steer.h"
#include "net/uring.h"
#include "net/xsk.h"
#include "ring/writer.h"

/* Where a ring for such a source has its payload: a frame of payload: ethernet begins behind the kernel's own
 * headroom; one of payload: udp so that what follows Ethernet's, IP's and UDP's headers, 42 bytes (46 with a
 * declared VLAN), lies on a cache line. Both in the slot's first chunk. */
#define AFXDP_PAYLOAD_OFFSET_ETHERNET 256u
#define AFXDP_PAYLOAD_OFFSET_UDP      320u

/* Frames that are longer than a page has room for come in pieces, into memory beside the ring, and are put together
 * in their slots: one copy more than short ones have. */
struct afxdp_pieces {
    uint8_t *memory; /* NULL: frames lie in the ring at once */
    uint8_t *spare;  /* where a frame is put together that finds no slot and is dropped */
    uint8_t *to;     /* where the one under way is; NULL: none is */
    uint32_t bytes;  /* of it so far */
    uint32_t room;   /* there */
};

struct afxdp_source {
    const struct source_plan *plan;
    struct ring_writer *writer;
    struct uring *uring;
    uint64_t user; /* tag of our completions */
    struct steer *steer;
    struct interface interface;
    struct xsk xsk; /* fd -1: closed */
    struct afxdp_pieces pieces;
    uint32_t headers; /* bytes expected in front of the payload */
    unsigned ifindex;
    uint32_t ahead;     /* slots in the kernel's hands, at most: places of its rings */
    bool drops;         /* what finds no slot is dropped on purpose; else it is the kernel's loss */
    bool sleeps;        /* the worker may sleep: completions tell of frames */
    bool polling;       /* the request for that is running */
    bool ending;        /* it is being ended, then the socket is closed */
    bool was_open;      /* opened at least once */
    bool broken;        /* the device does not keep the order of slots: not opened again */
    bool is_full;       /* gating readers left no slot for the kernel */
    uint64_t looked_ns; /* monotonic: when the interface was last looked at */
    uint64_t closed_tai_ns;
    /* Counts of others as last seen, and what of it the stream's numbers have not shown yet, by cause. */
    uint64_t seen_dropped;
    uint64_t seen_missed;
    uint64_t seen_too_long;
    uint64_t untold[RING_LOSSES];
    uint32_t untold_before; /* index in the receive ring: frames from here on came after what is untold */
    bool is_untold;         /* anything at all */
    struct error note;      /* why it is not open, or what about it is worth knowing; empty: nothing */
};

/* Loads the program for the interface, if `steers` (PLAN_SOURCES_MAX places, shared by a worker's sources) does not
 * have it yet, and opens the socket. If the interface does not exist or is down that is no error: it is tried
 * again, as when it goes away later; source->note says so. sleeps: see above. 0 or -errno. Cold. */
int afxdp_init(struct afxdp_source *source, const struct source_plan *plan, struct ring_writer *writer,
               struct uring *uring, uint64_t user, struct steer *steers, bool sleeps, struct error *err);
void afxdp_fini(struct afxdp_source *source);

/* Once a loop, before the wait: looks at the interface now and then, opens and closes, hands out slots. */
void afxdp_arm(struct afxdp_source *source, uint64_t monotonic_ns, uint64_t tai_ns);

/* One completion: there are frames, or the request for them has ended. */
void afxdp_complete(struct afxdp_source *source, const struct uring_event *event, uint64_t tai_ns);

/* Once a loop, after the wait: takes what there is, checks each frame where it lies, publishes. Returns frames and
 * records published. *more: there is more than a loop should take, do not sleep before it. */
uint32_t afxdp_take(struct afxdp_source *source, uint64_t tai_ns, bool *more);

/* Between the two files: slots for the kernel, in ring order, if no record is owed first; pieces it has already. */
void afxdp_hand_out(struct afxdp_source *source, uint64_t tai_ns);

/* What was dropped on this host since the last look, to be told to the ledger when the numbers show it. System
 * calls.
 */
void afxdp_count_drops(struct afxdp_source *source);

/* The device breaks the order: it is shut, for good. */
void afxdp_break(struct afxdp_source *source);

#endif
