/* An AF_XDP socket that only receives: its packet memory (UMEM) is a ring's slots, one chunk a slot. The kernel is
 * told of free slots by the fill ring and tells of frames by the receive ring, in the order of the slots.
 *
 * By system calls, not by libxdp: a sealed process opens it anew when its interface comes back, and may neither
 * allocate nor open sockets of other kinds then.
 */
#ifndef NET_XSK_H
#define NET_XSK_H

#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/error.h"
#include "ring/writer.h"

#define XSK_HEADROOM_BYTES  256u /* the kernel's own, in front of ours: XDP_PACKET_HEADROOM */
#define XSK_CHUNK_BYTES_MIN 2048u
#define XSK_CHUNK_BYTES_MAX 4096u /* a page */

#ifndef XDP_USE_SG /* Linux 6.6: frames in several chunks */
#define XDP_USE_SG    (1 << 4)
#define XDP_PKT_CONTD (1 << 0) /* of a descriptor: the frame goes on in the next one */
#endif

/* One of the rings that the kernel shares with us. Indices run freely; `mask` makes places of them. */
struct xsk_ring {
    void *map; /* NULL: none */
    size_t bytes;
    uint32_t *producer;
    uint32_t *consumer;
    uint32_t *flags;
    void *places; /* of the fill ring uint64_t, of the receive ring struct xdp_desc */
    uint32_t mask;
    uint32_t next; /* our own index: to be produced, or consumed */
};

struct xsk {
    int fd; /* -1: closed */
    uint32_t chunk_bytes;
    bool unaligned; /* chunks begin where the slots do, not at multiples of their length */
    bool zero_copy; /* the device writes the slots itself */
    struct xsk_ring fill;
    struct xsk_ring receive;
};

struct xsk_spec {
    unsigned ifindex;
    uint32_t queue;
    uint32_t headroom_bytes; /* of ours, in front of a frame */
    uint32_t descriptors;    /* a power of two */
    bool copy;               /* the kernel is to copy: generic XDP */
    bool pieces;             /* frames may come in several chunks, one after the other; then the kernel copies */
};

/* Chunk for a slot, 0 if it is too small. Pure. */
uint32_t xsk_chunk_bytes(uint32_t slot_bytes);

/* Frames of more bytes do not fit. Pure. */
uint32_t xsk_frame_bytes_max(uint32_t slot_bytes, uint32_t headroom_bytes);

/* Opens and binds it over the ring's slots. -EBUSY: another socket has this queue, or one that was closed just now
 * still does; -EPERM: not allowed; -ENODEV, -ENETDOWN, -EINVAL (no such queue; pieces before Linux 6.6). 0 or
 * -errno. No heap. */
int xsk_open(struct xsk *xsk, const struct ring_memory *memory, const struct xsk_spec *spec);

/* Afterwards nothing writes the slots any more, if no request on the descriptor is under way (io_uring). */
void xsk_close(struct xsk *xsk);

/* Frames that the kernel had for this socket and could not put anywhere. */
uint64_t xsk_dropped(const struct xsk *xsk);

/* Makes a device that waits for free slots look for them; only if it says that it does. */
void xsk_wake(const struct xsk *xsk);

/* False: its interface is gone, also if another one has its name and index by now. A system call. */
bool xsk_is_bound(const struct xsk *xsk);

static inline bool xsk_needs_wakeup(const struct xsk *xsk)
{
    return (__atomic_load_n(xsk->fill.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0;
}

/* A free slot, `offset` from the first; the kernel sees it after xsk_fill_publish. There is always room: the ring
 * has as many places as slots are ever handed out. */
static inline void xsk_fill(struct xsk *xsk, uint64_t offset)
{
    ((uint64_t *)xsk->fill.places)[xsk->fill.next++ & xsk->fill.mask] = offset;
}

static inline void xsk_fill_publish(struct xsk *xsk)
{
    __atomic_store_n(xsk->fill.producer, xsk->fill.next, __ATOMIC_RELEASE);
}

/* Frames that wait to be taken. */
static inline uint32_t xsk_waiting(const struct xsk *xsk)
{
    return __atomic_load_n(xsk->receive.producer, __ATOMIC_ACQUIRE) - xsk->receive.next;
}

static inline const struct xdp_desc *xsk_frame(const struct xsk *xsk, uint32_t index)
{
    return (const struct xdp_desc *)xsk->receive.places + ((xsk->receive.next + index) & xsk->receive.mask);
}

/* `count` of them have been taken. */
static inline void xsk_release(struct xsk *xsk, uint32_t count)
{
    xsk->receive.next += count;
    __atomic_store_n(xsk->receive.consumer, xsk->receive.next, __ATOMIC_RELEASE);
}

/* Where a frame's first byte lies, from the first slot on. */
static inline uint64_t xsk_offset(const struct xsk *xsk, const struct xdp_desc *frame)
{
    return xsk->unaligned
               ? (frame->addr & XSK_UNALIGNED_BUF_ADDR_MASK) + (frame->addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT)
               : frame->addr;
}

#endif
