/* ConcurrencyKit's ck_ring, one producer and one consumer: frames by value (64 bytes), or pointers into an array of
 * slots. It has no batches. */
#include <errno.h>
#include <stdlib.h>

#include <ck_ring.h>

#include "bench/peer.h"

struct ck_frame {
    uint8_t bytes[PAYLOAD_SMALL_BYTES];
};

CK_RING_PROTOTYPE(frame, ck_frame)

struct ck {
    struct link_spec spec;
    struct segment segment;
    ck_ring_buffer_t *pointers; /* half as many as slots: a slot is not used again while it may be read */
    uint64_t slot_count;
    uint32_t slot_bytes;
    uint8_t pad[64];
    ck_ring_t ring __attribute__((aligned(64)));
};

static void ck_close(void *link)
{
    struct ck *c = link;
    segment_destroy(&c->segment);
    free(c->pointers);
    free(c);
}

static void *ck_open(const struct link_spec *spec, bool by_value, struct error *err)
{
    struct ck *c = aligned_alloc(64, bench_lines(sizeof(*c)));
    if (c == NULL) {
        error_set(err, -ENOMEM, "no memory for a ring's ends");
        return NULL;
    }
    *c = (struct ck){.spec = *spec, .segment = {.fd = -1}, .slot_bytes = bench_lines(spec->size_bytes)};
    c->slot_count = bench_slots(c->slot_bytes);
    ck_ring_init(&c->ring, (unsigned)(by_value ? c->slot_count : c->slot_count / 2));
    if (!by_value) {
        c->pointers = aligned_alloc(64, c->slot_count / 2 * sizeof(*c->pointers));
    }
    if ((!by_value && c->pointers == NULL) || bench_memory(&c->segment, c->slot_count * c->slot_bytes, err) != 0) {
        ck_close(c);
        return NULL;
    }
    return c;
}

static void *value_open(const struct link_spec *spec, struct error *err)
{
    if (spec->size_bytes != PAYLOAD_SMALL_BYTES) {
        error_set(err, -EINVAL, "values are frames of %u bytes", PAYLOAD_SMALL_BYTES);
        return NULL;
    }
    return ck_open(spec, true, err);
}

static void *pointer_open(const struct link_spec *spec, struct error *err)
{
    return ck_open(spec, false, err);
}

static uint32_t value_send(void *link, uint64_t first, uint32_t count)
{
    struct ck *c = link;
    struct ck_frame frame;
    for (uint32_t i = 0; i < count; i++) {
        payload_fill(frame.bytes, PAYLOAD_SMALL_BYTES, payload_base(c->spec.seed, first + i));
        if (!CK_RING_ENQUEUE_SPSC(frame, &c->ring, c->segment.base, &frame)) {
            return i;
        }
    }
    return count;
}

static uint32_t value_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct ck *c = link;
    (void)reader;
    struct ck_frame frame;
    uint32_t n = 0;
    while (n < max && CK_RING_DEQUEUE_SPSC(frame, &c->ring, c->segment.base, &frame)) {
        tally_payload(tally, &c->spec, frame.bytes);
        n++;
    }
    return n;
}

static uint32_t pointer_send(void *link, uint64_t first, uint32_t count)
{
    struct ck *c = link;
    uint8_t *slots = c->segment.base;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *slot = slots + ((first + i) & (c->slot_count - 1)) * c->slot_bytes;
        payload_fill(slot, c->spec.size_bytes, payload_base(c->spec.seed, first + i));
        if (!ck_ring_enqueue_spsc(&c->ring, c->pointers, slot)) {
            return i;
        }
    }
    return count;
}

static uint32_t pointer_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct ck *c = link;
    (void)reader;
    uint8_t *slot;
    uint32_t n = 0;
    while (n < max && ck_ring_dequeue_spsc(&c->ring, c->pointers, (void *)&slot)) {
        tally_payload(tally, &c->spec, slot);
        n++;
    }
    return n;
}

const struct peer peer_ck_ring_value = {"ck_ring", "value",    PEER_OTHER,    value_open,
                                        ck_close,  value_send, value_receive, NULL};
const struct peer peer_ck_ring_pointer = {"ck_ring", "pointer",    PEER_OTHER,      pointer_open,
                                          ck_close,  pointer_send, pointer_receive, NULL};
