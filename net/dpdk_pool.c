#include "net/dpdk_pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_memzone.h>

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
        } else if (pool->scratch_left < pool->scratches) {
            pool->scratch[pool->scratch_left++] = objects[i];
        } else {
            pool->decoy[pool->decoys_left++] = objects[i];
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
        uint8_t *slot = (uint8_t *)ring_descriptor_at(&writer->view, position);
        mbuf->buf_addr = slot + pool->shift - RTE_PKTMBUF_HEADROOM;
        mbuf->buf_iova =
            dpdk_dma_address(&pool->dma, (uint64_t)(uintptr_t)slot) + pool->shift - RTE_PKTMBUF_HEADROOM;
        begin_with(mbuf);
        objects[i] = mbuf;
    }
}

/* While the device starts. */
static int hand_decoys(struct dpdk_pool *pool, void **objects, unsigned count)
{
    if (count > pool->decoys_left) {
        return -ENOBUFS;
    }
    for (unsigned i = 0; i < count; i++) {
        objects[i] = pool->decoy[--pool->decoys_left];
    }
    return 0;
}

/* All or nothing, as DPDK wants it. */
static int pool_dequeue(struct rte_mempool *mp, void **objects, unsigned count)
{
    struct dpdk_pool *pool = mp->pool_data;
    struct ring_writer *writer = pool->writer;
    if (writer->handed < writer->next) {
        writer->handed = writer->next;
    }
    if (__builtin_expect(pool->decoys_left > 0, 0) && writer->handed >= pool->decoys_from) {
        return hand_decoys(pool, objects, count);
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

static void place(struct rte_mbuf *mbuf, uint8_t *data, const struct rte_memzone *zone)
{
    mbuf->buf_addr = data;
    mbuf->buf_iova =
        zone != NULL ? zone->iova + (rte_iova_t)(data - (uint8_t *)zone->addr) : (rte_iova_t)(uintptr_t)data;
}

/* Nobody reads what lies in a decoy: they all have the same memory, behind the scratch. */
static void init_others(struct dpdk_pool *pool)
{
    size_t stride = RTE_PKTMBUF_HEADROOM + pool->frame_bytes;
    for (uint32_t i = 0; i < pool->scratches; i++) {
        place(pool->scratch[i], pool->scratch_data + i * stride, pool->device_memory);
    }
    for (uint32_t i = 0; i < pool->decoys; i++) {
        place(pool->decoy[i], (uint8_t *)pool->device_memory->addr + pool->scratches * stride, pool->device_memory);
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
    init_others(pool);
    return 0;
}

/* A device on the bus reaches EAL's memory, and of ours only the slots. */
static int get_memory(struct dpdk_pool *pool, const struct dpdk_pool_spec *spec, struct error *err)
{
    size_t stride = RTE_PKTMBUF_HEADROOM + pool->frame_bytes;
    size_t bytes = stride * (pool->scratches + (pool->decoys > 0));
    bool there = true;
    pool->mbuf = calloc(pool->mask + 1, sizeof(struct rte_mbuf *));
    if (pool->scratches > 0) {
        pool->scratch = calloc(pool->scratches, sizeof(struct rte_mbuf *));
    }
    if (pool->decoys > 0) {
        pool->decoy = calloc(pool->decoys, sizeof(struct rte_mbuf *));
    }
    if (bytes > 0 && (spec->on_bus || pool->decoys > 0)) {
        pool->device_memory = dpdk_dma_memory(spec->name, bytes);
        pool->scratch_data = pool->device_memory != NULL && pool->scratches > 0 ? pool->device_memory->addr : NULL;
        there = pool->device_memory != NULL;
    } else if (bytes > 0) {
        pool->scratch_data = calloc(1, bytes);
        there = pool->scratch_data != NULL;
    }
    if (!there || pool->mbuf == NULL || (pool->scratches > 0 && pool->scratch == NULL) ||
        (pool->decoys > 0 && pool->decoy == NULL)) {
        return error_set(err, -ENOMEM, "no memory for a packet pool%s",
                         there ? "" : "; raise the worker's dpdk_memory_mb");
    }
    return 0;
}

/* A card holds buffers all the time, and takes a new one for each that it delivers: when no slot is left it has
 * nothing but scratch, and goes on only if there is more. */
static uint32_t scratches_of(const struct dpdk_pool_spec *spec)
{
    return spec->drop ? DPDK_SCRATCH + (spec->on_bus ? spec->descriptors : 0) : 0;
}

int dpdk_pool_create(struct dpdk_pool *pool, const struct dpdk_pool_spec *spec, struct ring_writer *writer,
                     const struct dpdk_dma *dma, struct error *err)
{
    uint32_t room = writer->view.slot_bytes - spec->shift;
    uint64_t positions = dpdk_slots_needed(spec->descriptors) / 4;
    *pool = (struct dpdk_pool){.writer = writer,
                               .shift = spec->shift,
                               .mask = positions - 1,
                               .ahead = positions,
                               .scratches = scratches_of(spec),
                               .decoys = spec->decoys,
                               .decoys_from = writer->next + spec->decoys,
                               .dma = *dma};
    pool->frame_bytes = room > UINT16_MAX - RTE_PKTMBUF_HEADROOM ? UINT16_MAX - RTE_PKTMBUF_HEADROOM : room;
    int code = 0;
    if (4 * positions > writer->view.slot_count) {
        code =
            error_set(err, -EINVAL,
                      "a ring of %" PRIu64 " slots is too small for a port of %u descriptors, which needs %" PRIu64,
                      writer->view.slot_count, spec->descriptors, 4 * positions);
    }
    code = code == 0 ? get_memory(pool, spec, err) : code;
    if (code == 0) {
        code = make(pool, spec->name, (uint32_t)positions + pool->scratches + pool->decoys, err);
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
    free(pool->decoy);
    if (pool->device_memory != NULL) {
        rte_memzone_free(pool->device_memory);
    } else {
        free(pool->scratch_data);
    }
    dpdk_dma_close(&pool->dma);
    *pool = (struct dpdk_pool){.writer = NULL};
}

bool dpdk_pool_is_scratch(const struct dpdk_pool *pool, const struct rte_mbuf *mbuf)
{
    const uint8_t *data = mbuf->buf_addr;
    return pool->scratch_data != NULL && data >= pool->scratch_data &&
           data < pool->scratch_data + (size_t)pool->scratches * (RTE_PKTMBUF_HEADROOM + pool->frame_bytes);
}

void dpdk_pool_scratch_back(struct dpdk_pool *pool, struct rte_mbuf *mbuf)
{
    if (pool->scratch_left < pool->scratches) {
        pool->scratch[pool->scratch_left++] = mbuf;
    }
}
