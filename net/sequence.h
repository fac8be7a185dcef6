/* Sequence tracking: what was lost, doubled, reordered, and whose fault it was. Hot (HOT_SOURCES). The state lives
 * in the ring's ledger, so that a restarted worker goes on counting. Single writer.
 */
#ifndef NET_SEQUENCE_H
#define NET_SEQUENCE_H

#include <stdbool.h>
#include <string.h>

#include "net/plan.h"
#include "ring/ledger.h"

enum sequence_verdict {
    SEQUENCE_NEXT = 0,      /* in order, maybe after a gap */
    SEQUENCE_REORDERED = 1, /* fills a hole that had been counted as lost */
    SEQUENCE_DUPLICATE = 2, /* already delivered */
    SEQUENCE_LATE = 3       /* too old to tell: to be refused */
};

struct sequence_result {
    uint64_t number;      /* unwrapped */
    uint64_t lost_before; /* frames missing just before this one */
    uint32_t cause;       /* enum ring_loss: a drop on this host if there was one, else that of most of them */
    uint32_t verdict;     /* enum sequence_verdict */
};

/* Takes note of a good frame with this raw number. Updates sent, delivered, lost, duplicated, reordered. */
void net_sequence_track(const struct sequence_spec *spec, struct ring_ledger *ledger, uint64_t raw,
                        struct sequence_result *result);

/* The sender says how many it has sent, without a frame: `next` is the raw number of the next one. What is missing
 * up to there is counted as lost; result->lost_before frames, to be told by a gap record. The first word of a
 * stream may be a heartbeat: it counts from there. One that is older than what has come says nothing. */
void net_sequence_heartbeat(const struct sequence_spec *spec, struct ring_ledger *ledger, uint64_t next,
                            struct sequence_result *result);

/* How many numbers lie between the one that is expected and this raw one: what is missing if it is tracked now. 0:
 * none, or it is an older one. Numbers of a few bits cannot tell: UINT64_MAX unless it is the one expected. Pure.
 */
uint64_t net_sequence_gap(const struct sequence_spec *spec, const struct ring_ledger *ledger, uint64_t raw);

/* The descriptor flags and cause that a result stands for. Pure. */
uint32_t net_sequence_flags(const struct sequence_result *result);

/* Takes note of a good frame of a stream without numbers. number is `position`, lost_before what this host dropped
 * before it: noise is not told, nobody knows of how many frames it was. */
void net_sequence_untracked(struct ring_ledger *ledger, uint64_t position, struct sequence_result *result);

/* The two above in one: a good frame of a stream that may or may not carry numbers, to be published at `position`.
 */
void net_sequence_take(const struct sequence_spec *spec, struct ring_ledger *ledger, const uint8_t *payload,
                       uint64_t position, struct sequence_result *result);

/* n frames were refused or dropped on this host for this cause: explains the next gap, or is the loss itself when
 * there are no numbers. */
void net_sequence_explain(const struct sequence_spec *spec, struct ring_ledger *ledger, enum ring_loss cause,
                          uint64_t n);

/* The worker or the device was down: whatever is missing when the stream goes on is put down to that. */
void net_sequence_interrupted(const struct sequence_spec *spec, struct ring_ledger *ledger);

/* The next frame's number is this one, or one behind it if some are lost already: who gives the numbers is known to
 * begin anew. Without this the first of them would pass for repeats. */
void net_sequence_begin(struct ring_ledger *ledger, uint64_t number);

/* The bits that a raw number has. Pure. */
static inline uint64_t net_sequence_mask(const struct sequence_spec *spec)
{
    uint32_t bits = spec->width_bits != 0 ? spec->width_bits : 8 * spec->width_bytes;
    return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

/* Reads the raw number out of a frame; the caller has checked that it lies inside. */
static inline uint64_t net_sequence_read(const struct sequence_spec *spec, const uint8_t *payload)
{
    const uint8_t *from = payload + spec->at_byte;
    uint64_t word = 0;
    uint32_t half;
    uint16_t quarter;
    bool big = spec->byte_order == RING_BIG_ENDIAN;
    switch (spec->width_bytes) {
    case 8:
        memcpy(&word, from, 8);
        return big ? __builtin_bswap64(word) : word;
    case 4:
        memcpy(&half, from, 4);
        return big ? __builtin_bswap32(half) : half;
    case 2:
        memcpy(&quarter, from, 2);
        return big ? __builtin_bswap16(quarter) : quarter;
    case 1:
        return from[0];
    default:
        return 0;
    }
}

/* CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected, no final exclusive-or (check value of
 * "123456789": 0x29B1). Catalogue name CRC-16/IBM-3740. */
uint16_t net_crc16_ccitt(const uint8_t *bytes, uint32_t count);

/* True if the frame's checksum is right, or none is declared. The caller has checked that it lies inside. */
bool net_checksum_ok(const struct checksum_spec *spec, const uint8_t *payload);

#endif
