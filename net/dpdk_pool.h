/* A DPDK packet pool whose data rooms are a ring's slots, handed out in ring order: whatever device takes its
 * buffers here writes each frame once, where every reader sees it. rte_* stays inside net/dpdk*.c.
 *
 * A device takes buffers one by one or in bursts, gives back at most the last ones that it took (what it took too
 * much of), and delivers frames in the order in which it took the buffers; dpdk_pool_slot_is_next shows a device
 * that does not. What is delivered is never given back: its slot is the ring's until the writer comes round again.
 */
#ifndef NET_DPDK_POOL_H
#define NET_DPDK_POOL_H

#include "ring/writer.h"

struct rte_mbuf;
struct rte_mempool;

#define DPDK_SCRATCH    256u
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
    uint32_t registered; /* mbufs that DPDK has put into the pool so far, while it is made */
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

/* Makes the pool: `name` unique in the process; a frame's first byte is to lie `shift` bytes behind a slot's start
 * (at least RING_DESCRIPTOR_BYTES + 12: virtio writes its header in front of the frame). `device_buffers`: how many
 * a device may hold, a quarter of the slots at most. `drop`: frames that find no slot go to scratch memory. 0 or
 * -errno. Cold. */
int dpdk_pool_create(struct dpdk_pool *pool, const char *name, struct ring_writer *writer, uint32_t shift,
                     uint32_t descriptors, bool drop, struct error *err);
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
