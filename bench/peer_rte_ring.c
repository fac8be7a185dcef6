/* DPDK's rte_ring, one producer and one consumer, elements that hold the payload itself: written and read in place
 * (its zero-copy calls), or copied in and out. It is laid out in the same memory as ours, so that no EAL is needed.
 */
#include <errno.h>
#include <stdlib.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>

#include "bench/peer.h"

#define COPY_BATCH_MAX 32u

struct rte {
    struct link_spec spec;
    struct segment segment;
    struct rte_ring *ring;
    uint32_t element_bytes;
    uint8_t out[COPY_BATCH_MAX * PAYLOAD_SMALL_BYTES]; /* the writer's, to copy from */
    uint8_t pad[64];
    uint8_t in[COPY_BATCH_MAX * PAYLOAD_SMALL_BYTES]; /* the reader's, to copy to */
};

static void rte_close(void *link)
{
    struct rte *r = link;
    segment_destroy(&r->segment);
    free(r);
}

static void *rte_open(const struct link_spec *spec, struct error *err)
{
    struct rte *r = aligned_alloc(64, bench_lines(sizeof(*r)));
    if (r == NULL) {
        error_set(err, -ENOMEM, "no memory for a ring's ends");
        return NULL;
    }
    *r = (struct rte){.spec = *spec, .segment = {.fd = -1}, .element_bytes = bench_lines(spec->size_bytes)};
    uint32_t count = (uint32_t)bench_slots(r->element_bytes);
    ssize_t bytes = rte_ring_get_memsize_elem(r->element_bytes, count);
    if (bytes < 0 || bench_memory(&r->segment, (uint64_t)bytes, err) != 0) {
        goto fail;
    }
    r->ring = r->segment.base;
    int code = rte_ring_init(r->ring, "bench", count, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (code != 0) {
        error_set(err, code, "rte_ring_init of %u elements: %d; expected 0", count, code);
        goto fail;
    }
    return r;
fail:
    rte_close(r);
    return NULL;
}

/* Element i of what a zero-copy call has handed out: it may wrap once. */
static inline uint8_t *element(const struct rte *r, const struct rte_ring_zc_data *zc, uint32_t i)
{
    return i < zc->n1 ? (uint8_t *)zc->ptr1 + (size_t)i * r->element_bytes
                      : (uint8_t *)zc->ptr2 + (size_t)(i - zc->n1) * r->element_bytes;
}

static uint32_t zc_send(void *link, uint64_t first, uint32_t count)
{
    struct rte *r = link;
    uint32_t sent = 0;
    while (sent < count) {
        struct rte_ring_zc_data zc;
        uint32_t want = count - sent < r->spec.batch ? count - sent : r->spec.batch;
        uint32_t n = rte_ring_enqueue_zc_burst_elem_start(r->ring, r->element_bytes, want, &zc, NULL);
        if (n == 0) {
            break;
        }
        for (uint32_t i = 0; i < n; i++) {
            payload_fill(element(r, &zc, i), r->spec.size_bytes, payload_base(r->spec.seed, first + sent + i));
        }
        rte_ring_enqueue_zc_elem_finish(r->ring, n);
        sent += n;
    }
    return sent;
}

static uint32_t zc_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct rte *r = link;
    (void)reader;
    uint32_t taken = 0;
    while (taken < max) {
        struct rte_ring_zc_data zc;
        uint32_t want = max - taken < r->spec.batch ? max - taken : r->spec.batch;
        uint32_t n = rte_ring_dequeue_zc_burst_elem_start(r->ring, r->element_bytes, want, &zc, NULL);
        if (n == 0) {
            break;
        }
        for (uint32_t i = 0; i < n; i++) {
            tally_payload(tally, &r->spec, element(r, &zc, i));
        }
        rte_ring_dequeue_zc_elem_finish(r->ring, n);
        taken += n;
    }
    return taken;
}

static uint32_t copy_send(void *link, uint64_t first, uint32_t count)
{
    struct rte *r = link;
    uint32_t sent = 0;
    while (sent < count) {
        uint32_t want = count - sent < r->spec.batch ? count - sent : r->spec.batch;
        for (uint32_t i = 0; i < want; i++) {
            payload_fill(r->out + (size_t)i * PAYLOAD_SMALL_BYTES, PAYLOAD_SMALL_BYTES,
                         payload_base(r->spec.seed, first + sent + i));
        }
        uint32_t n = rte_ring_sp_enqueue_burst_elem(r->ring, r->out, PAYLOAD_SMALL_BYTES, want, NULL);
        if (n == 0) {
            break;
        }
        sent += n;
    }
    return sent;
}

static uint32_t copy_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct rte *r = link;
    (void)reader;
    uint32_t taken = 0;
    while (taken < max) {
        uint32_t want = max - taken < r->spec.batch ? max - taken : r->spec.batch;
        uint32_t n = rte_ring_sc_dequeue_burst_elem(r->ring, r->in, PAYLOAD_SMALL_BYTES, want, NULL);
        if (n == 0) {
            break;
        }
        for (uint32_t i = 0; i < n; i++) {
            tally_payload(tally, &r->spec, r->in + (size_t)i * PAYLOAD_SMALL_BYTES);
        }
        taken += n;
    }
    return taken;
}

static void *copy_open(const struct link_spec *spec, struct error *err)
{
    if (spec->size_bytes != PAYLOAD_SMALL_BYTES || spec->batch > COPY_BATCH_MAX) {
        error_set(err, -EINVAL, "copies are made of frames of %u bytes, %u at a time", PAYLOAD_SMALL_BYTES,
                  COPY_BATCH_MAX);
        return NULL;
    }
    return rte_open(spec, err);
}

const struct peer peer_rte_ring_zc = {"rte_ring", "zc", PEER_OTHER, rte_open, rte_close, zc_send, zc_receive, NULL};
const struct peer peer_rte_ring_copy = {"rte_ring", "copy",    PEER_OTHER,   copy_open,
                                        rte_close,  copy_send, copy_receive, NULL};
