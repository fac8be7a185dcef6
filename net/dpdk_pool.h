/* A DPDK packet pool whose data rooms are a ring's slots, handed out in ring order: whatever device takes its
 * buffers here writes each frame once, where every reader sees it. rte_* stays inside net/dpdk*.c.
 *
 * A device takes buffers one by one or in bursts, gives back at most the last ones that it took (what it took too
 * much of), and delivers frames in the order in which it took the buffers; dpdk_pool_slot_is_next shows a device
 * that does not. What is delivered is never given back: its slot is the ring's until the writer comes round again.
 */
#ifndef NET_DPDK_POOL_H
#define NET_DPDK_POOL_H

#include "net/dpdk_dma.h"
#include "ring/writer.h"

struct rte_mbuf;
struct rte_mempool;

#define DPDK_SCRATCH    256u /* beside what a card has of it in its descriptors */
#define DPDK_POOL_SPARE 128u /* buffers beside a port's descriptors: what it takes and gives back in a burst */

struct dpdk_pool {
    struct ring_writer *writer;
    struct rte_mempool *pool;
    struct rte_mbuf *
        *mbuf; /* of position p: p & mask; only so many positions are in the device's hands at a time */
    uint64_t mask;
    uint64_t ahead; /* positions from writer->next on that a device may hold, at most */
    uint32_t shift; /* from a slot's start to where a frame's first byte is to lie */
    uint32_t frame_bytes;
    uint32_t scratch_left;     /* what is dropped because gating readers leave no slot: */
    struct rte_mbuf **scratch; /* free ones at 0 .. scratch_left - 1; NULL: the device waits instead */
    uint8_t *scratch_data;
    const struct rte_memzone *device_memory; /* what scratch and decoys lie in, for a device on the PCI bus */
    uint32_t registered;                     /* mbufs that DPDK has put into the pool so far, while it is made */
    uint32_t scratches;
    /* Some devices take buffers when they start which they never put a frame into: those are given decoys, or their
     * slots would be missing from the order. */
    uint32_t decoys;
    uint32_t decoys_left;
    uint64_t decoys_from; /* position from which on the device takes such */
    struct rte_mbuf **decoy;
    struct dpdk_dma dma;
};

struct dpdk_pool_spec {
    const char *name;     /* unique in the process */
    uint32_t shift;       /* a frame's first byte is to lie so many bytes behind a slot's start: at least
                             RING_DESCRIPTOR_BYTES + 12, virtio writes its header in front of the frame */
    uint32_t descriptors; /* how many buffers a device may hold, a quarter of the slots at most */
    bool drop;            /* frames that find no slot go to scratch memory */
    bool on_bus;          /* a device on the PCI bus writes them: what is no slot is memory of EAL's */
    uint32_t decoys;      /* buffers that the device takes for nothing when it starts, after as many for frames */
};

/* How many slots a ring needs for a port with so many descriptors. Pure. */
static inline uint64_t dpdk_slots_needed(uint32_t descriptors)
{
    uint64_t positions = 64;
    while (positions < descriptors + DPDK_POOL_SPARE) {
        positions *= 2;
    }
    return 4 * positions;
}

/* Makes the pool. `dma` is the pool's from here on, also on failure. 0 or -errno. Cold. */
int dpdk_pool_create(struct dpdk_pool *pool, const struct dpdk_pool_spec *spec, struct ring_writer *writer,
                     const struct dpdk_dma *dma, struct error *err);
void dpdk_pool_destroy(struct dpdk_pool *pool);

/* True if this mbuf lies in the slot that the writer commits next. Hot. */
static inline bool dpdk_pool_slot_is_next(const struct dpdk_pool *pool, const struct rte_mbuf *mbuf)
{
    return mbuf == pool->mbuf[pool->writer->next & pool->mask];
}

/* True if it lies in scratch memory; to be given back by dpdk_pool_scratch_back. */
bool dpdk_pool_is_scratch(const struct dpdk_pool *pool, const struct rte_mbuf *mbuf);
void dpdk_pool_scratch_back(struct dpdk_pool *pool, struct rte_mbuf *mbuf);

#endif
