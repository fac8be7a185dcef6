#include "net/dpdk_pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#define OPS_NAME   "sluice_ring_order"
#define NAME_BYTES 26 /* RTE_MEMPOOL_NAMESIZE, less DPDK's own */

static int pool_alloc(struct rte_mempool *mp)
{
    mp->pool_data = mp->pool_config;
    return 0;
}

static void pool_free(struct rte_mempool *mp)
{
    mp->pool_data = NULL;
}

/* While the pool is made DPDK puts every mbuf in: these are all there are. */
static void take_new(struct dpdk_pool *pool, void *const *objects, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (pool->registered <= pool->mask) {
            pool->mbuf[pool->registered] = objects[i];
        } else {
            pool->scratch[pool->scratch_left++] = objects[i];
        }
        pool->registered++;
    }
}

/* What comes back is what was taken last: a device that asked for more than it needed. Anything else was delivered
 * before, and its slot is in the ring. */
static int pool_enqueue(struct rte_mempool *mp, void *const *objects, unsigned count)
{
    struct dpdk_pool *pool = mp->pool_data;
    if (pool->registered < mp->size) {
        take_new(pool, objects, count);
        return 0;
    }
    struct ring_writer *writer = pool->writer;
    for (unsigned i = count; i > 0; i--) {
        struct rte_mbuf *mbuf = objects[i - 1];
        if (dpdk_pool_is_scratch(pool, mbuf)) {
            dpdk_pool_scratch_back(pool, mbuf);
        } else if (writer->handed > writer->next && mbuf == pool->mbuf[(writer->handed - 1) & pool->mask]) {
            writer->handed--;
        }
    }
    return 0;
}

static void begin_with(struct rte_mbuf *mbuf)
{
    mbuf->next = NULL;
    mbuf->nb_segs = 1;
    rte_mbuf_refcnt_set(mbuf, 1);
}

static void hand_slots(struct dpdk_pool *pool, void **objects, uint32_t count)
{
    struct ring_writer *writer = pool->writer;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t position = writer->handed++;
        struct rte_mbuf *mbuf = pool->mbuf[position & pool->mask];
        mbuf->buf_addr =
            (uint8_t *)ring_descriptor_at(&writer->view, position) + pool->shift - RTE_PKTMBUF_HEADROOM;
        mbuf->buf_iova = (rte_iova_t)(uintptr_t)mbuf->buf_addr;
        begin_with(mbuf);
        objects[i] = mbuf;
    }
}

/* All or nothing, as DPDK wants it. */
static int pool_dequeue(struct rte_mempool *mp, void **objects, unsigned count)
{
    struct dpdk_pool *pool = mp->pool_data;
    struct ring_writer *writer = pool->writer;
    if (writer->handed < writer->next) {
        writer->handed = writer->next;
    }
    uint64_t wanted = writer->handed + count;
    if (wanted - writer->next > pool->ahead) {
        return -ENOBUFS;
    }
    uint64_t end = writer->claimed;
    if (wanted > end) {
        end = ring_writer_claim(writer, wanted > end + writer->claim_chunk ? wanted : end + writer->claim_chunk);
    }
    uint32_t slots = count;
    if (end < wanted) {
        slots = end > writer->handed ? (uint32_t)(end - writer->handed) : 0;
        if (count - slots > pool->scratch_left) {
            return -ENOBUFS;
        }
    }
    hand_slots(pool, objects, slots);
    for (uint32_t i = slots; i < count; i++) {
        struct rte_mbuf *mbuf = pool->scratch[--pool->scratch_left];
        begin_with(mbuf);
        objects[i] = mbuf;
    }
    return 0;
}

static unsigned pool_count(const struct rte_mempool *mp)
{
    const struct dpdk_pool *pool = mp->pool_data;
    uint64_t held = pool->writer->handed > pool->writer->next ? pool->writer->handed - pool->writer->next : 0;
    return (unsigned)(pool->ahead - held) + pool->scratch_left;
}

static const struct rte_mempool_ops ops = {.name = OPS_NAME,
                                           .alloc = pool_alloc,
                                           .free = pool_free,
                                           .enqueue = pool_enqueue,
                                           .dequeue = pool_dequeue,
                                           .get_count = pool_count};
RTE_MEMPOOL_REGISTER_OPS(ops)

/* Called by DPDK if ever the last reference to a slot goes: there is nothing to free. */
static void nothing_to_free(void *address, void *opaque)
{
    (void)address;
    (void)opaque;
}

/* Every mbuf has its data elsewhere, for ever (a pinned external buffer): the slot that it is given with, or
 * scratch. */
static void init_mbuf(struct rte_mempool *mp, void *context, void *object, unsigned index)
{
    struct dpdk_pool *pool = context;
    struct rte_mbuf *mbuf = object;
    struct rte_mbuf_ext_shared_info *shared = rte_mbuf_to_priv(mbuf);
    (void)index;
    memset(mbuf, 0, sizeof(*mbuf));
    shared->free_cb = nothing_to_free;
    shared->fcb_opaque = mbuf;
    rte_mbuf_ext_refcnt_set(shared, 1);
    mbuf->priv_size = sizeof(*shared);
    mbuf->buf_len = (uint16_t)(RTE_PKTMBUF_HEADROOM + pool->frame_bytes);
    mbuf->data_off = RTE_PKTMBUF_HEADROOM;
    mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
    mbuf->shinfo = shared;
    mbuf->pool = mp;
    mbuf->port = RTE_MBUF_PORT_INVALID;
    begin_with(mbuf);
}

static void init_scratch(struct dpdk_pool *pool)
{
    size_t stride = RTE_PKTMBUF_HEADROOM + pool->frame_bytes;
    for (uint32_t i = 0; i < pool->scratch_left; i++) {
        pool->scratch[i]->buf_addr = pool->scratch_data + i * stride;
        pool->scratch[i]->buf_iova = (rte_iova_t)(uintptr_t)pool->scratch[i]->buf_addr;
    }
}

static int make(struct dpdk_pool *pool, const char *name, uint32_t count, struct error *err)
{
    struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size =
                                                   (uint16_t)(RTE_PKTMBUF_HEADROOM + pool->frame_bytes),
                                               .mbuf_priv_size = sizeof(struct rte_mbuf_ext_shared_info),
                                               .flags = RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF};
    pool->pool =
        rte_mempool_create_empty(name, count, sizeof(struct rte_mbuf) + sizeof(struct rte_mbuf_ext_shared_info), 0,
                                 sizeof(private), SOCKET_ID_ANY, 0);
    if (pool->pool == NULL) {
        return error_set(err, -rte_errno, "cannot make a packet pool of %u: %s", count, rte_strerror(rte_errno));
    }
    int code = rte_mempool_set_ops_byname(pool->pool, OPS_NAME, pool);
    if (code == 0) {
        rte_pktmbuf_pool_init(pool->pool, &private);
        code = rte_mempool_populate_default(pool->pool);
    }
    if (code < 0) {
        return error_set(err, code, "no memory for a packet pool of %u: %s; raise the worker's dpdk_memory_mb",
                         count, rte_strerror(-code));
    }
    rte_mempool_obj_iter(pool->pool, init_mbuf, pool);
    init_scratch(pool);
    return 0;
}

int dpdk_pool_create(struct dpdk_pool *pool, const char *name, struct ring_writer *writer, uint32_t shift,
                     uint32_t descriptors, bool drop, struct error *err)
{
    uint32_t room = writer->view.slot_bytes - shift;
    uint64_t positions = dpdk_slots_needed(descriptors) / 4;
    *pool = (struct dpdk_pool){.writer = writer, .shift = shift};
    pool->frame_bytes = room > UINT16_MAX - RTE_PKTMBUF_HEADROOM ? UINT16_MAX - RTE_PKTMBUF_HEADROOM : room;
    if (4 * positions > writer->view.slot_count) {
        return error_set(err, -EINVAL,
                         "a ring of %" PRIu64
                         " slots is too small for a port of %u descriptors, which needs %" PRIu64,
                         writer->view.slot_count, descriptors, 4 * positions);
    }
    pool->mask = positions - 1;
    pool->ahead = positions;
    pool->mbuf = calloc(positions, sizeof(struct rte_mbuf *));
    if (drop) {
        pool->scratch = calloc(DPDK_SCRATCH, sizeof(struct rte_mbuf *));
        pool->scratch_data = calloc(DPDK_SCRATCH, RTE_PKTMBUF_HEADROOM + pool->frame_bytes);
    }
    int code = 0;
    if (pool->mbuf == NULL || (drop && (pool->scratch == NULL || pool->scratch_data == NULL))) {
        code = error_set(err, -ENOMEM, "no memory for a packet pool");
    }
    if (code == 0) {
        code = make(pool, name, (uint32_t)positions + (drop ? DPDK_SCRATCH : 0), err);
    }
    if (code != 0) {
        dpdk_pool_destroy(pool);
    }
    return code;
}

void dpdk_pool_destroy(struct dpdk_pool *pool)
{
    rte_mempool_free(pool->pool);
    free(pool->mbuf);
    free(pool->scratch);
    free(pool->scratch_data);
    *pool = (struct dpdk_pool){.writer = NULL};
}

bool dpdk_pool_is_scratch(const struct dpdk_pool *pool, const struct rte_mbuf *mbuf)
{
    const uint8_t *data = mbuf->buf_addr;
    return pool->scratch_data != NULL && data >= pool->scratch_data &&
           data < pool->scratch_data + (size_t)DPDK_SCRATCH * (RTE_PKTMBUF_HEADROOM + pool->frame_bytes);
}

void dpdk_pool_scratch_back(struct dpdk_pool *pool, struct rte_mbuf *mbuf)
{
    if (pool->scratch_left < DPDK_SCRATCH) {
        pool->scratch[pool->scratch_left++] = mbuf;
    }
}
