/* The loss ledger of one stream: sent = delivered + sum(lost by cause). Single writer (the ring's writer), read by
 * anyone through relaxed loads. `residual` is what does not add up and must be zero.
 */
#ifndef RING_LEDGER_H
#define RING_LEDGER_H

#include <assert.h>
#include <stdint.h>

/* Why a frame that its sender sent is not in the ring. */
enum ring_loss {
    RING_LOSS_SENDER = 0,    /* a jump in the sender's sequence that nothing on this host explains */
    RING_LOSS_KERNEL = 1,    /* socket buffer full (SO_RXQ_OVFL) */
    RING_LOSS_NIC = 2,       /* imissed, no mbuf */
    RING_LOSS_RING_FULL = 3, /* no slot was free */
    RING_LOSS_LATE = 4,      /* arrived after its place had been given up */
    RING_LOSS_MALFORMED = 5, /* checksum, sync or syntax */
    RING_LOSS_TRUNCATED = 6, /* too long or too short for the declared frame */
    RING_LOSS_RESTART = 7,   /* the worker or its device was down */
    RING_LOSSES = 8
};

/* Why something that arrived was refused, counted as it arrives (a stranger's datagram is refused but not lost). */
enum ring_refusal {
    RING_REFUSED_SHORT = 0,
    RING_REFUSED_LONG = 1,
    RING_REFUSED_STRANGER = 2,
    RING_REFUSED_CHECKSUM = 3,
    RING_REFUSED_SYNTAX = 4,
    RING_REFUSED_FRAGMENT = 5, /* a piece of an IP datagram */
    RING_REFUSALS = 8
};

struct ring_ledger {
    uint64_t sent;      /* sequence numbers known to have been used by the sender */
    uint64_t delivered; /* frames published, duplicates not counted */
    uint64_t lost[RING_LOSSES];
    uint64_t duplicated; /* frames published although their number was already delivered */
    uint64_t reordered;  /* frames published after a later number */
    uint64_t refused[RING_REFUSALS];
    uint64_t noise_bytes; /* bytes of a byte stream outside any frame */
    uint64_t gap_records;
    uint64_t connects;    /* times the device or socket was opened */
    uint64_t disconnects; /* times it went away */
    uint64_t is_open;     /* 1 while the device or socket is open */
    uint64_t bytes;       /* payload bytes published */
    /* The sequence tracker's memory (net/sequence.c): here so that a restarted worker continues the count. */
    uint64_t tracker_started;              /* 0: no frame seen yet */
    uint64_t tracker_next;                 /* next number expected, unwrapped */
    uint64_t tracker_window;               /* bit i: number next - 1 - i was delivered */
    uint64_t tracker_pending[RING_LOSSES]; /* refused or dropped here, not yet matched with a gap */
    uint64_t tracker_late_run;             /* stragglers in a row: a sender that started again */
    uint64_t tracker_late_next;
    uint64_t tracker_restart_left; /* frames within which a gap is put down to an interruption */
    /* What the last publish left, written alternately so that one of the two is whole (ring/writer.c). */
    uint64_t settled_index; /* which of the two is the newer whole one */
    uint64_t settled_position[2];
    uint64_t settled_delivered[2];
    uint64_t open_errno;   /* why the device could not be opened last time; 0: it could */
    uint64_t polls_failed; /* of an instrument that is asked: times it did not answer, or not with what was asked */
    uint64_t polls_missed; /* times that were due and were not kept */
};
static_assert(sizeof(struct ring_ledger) == 384, "ledger is 384 bytes");

/* Short names for both enums, stable keys of --json. Index out of range: "unknown". Any thread. */
const char *ring_loss_name(uint32_t cause);
const char *ring_refusal_name(uint32_t reason);

static inline uint64_t ring_count_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Single writer: a plain add that a reader in another process never sees torn. */
static inline void ring_count_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void ring_count_set(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

/* Sum of lost[] over all causes. Any thread. */
uint64_t ring_ledger_lost(const struct ring_ledger *ledger);

/* sent - delivered - lost, zero when the ledger balances. Any thread; while the writer runs it may be seen in the
 * middle of an update, so look twice before complaining. */
int64_t ring_ledger_residual(const struct ring_ledger *ledger);

#endif
