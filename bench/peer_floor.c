/* The floors: what the machine allows to anyone. A cache line that goes to and fro, and the plainest ring there is:
 * one counter of the writer, one of the reader, both looked at for every frame. */
#include <errno.h>
#include <stdlib.h>

#include "bench/peer.h"

struct floor {
    struct link_spec spec;
    struct segment segment;
    uint8_t *slots;
    uint64_t slot_count;
    uint32_t slot_bytes;
    uint8_t pad[128];
    uint64_t written; /* by the writer */
    uint8_t pad1[120];
    uint64_t read; /* by the reader */
    uint8_t pad2[120];
};

static void floor_close(void *link)
{
    struct floor *f = link;
    segment_destroy(&f->segment);
    free(f);
}

static void *floor_open(const struct link_spec *spec, struct error *err)
{
    struct floor *f = aligned_alloc(128, (sizeof(*f) + 127) / 128 * 128);
    if (f == NULL) {
        error_set(err, -ENOMEM, "no memory for a ring's ends");
        return NULL;
    }
    *f = (struct floor){.spec = *spec, .segment = {.fd = -1}, .slot_bytes = bench_lines(spec->size_bytes)};
    f->slot_count = bench_slots(f->slot_bytes);
    if (bench_memory(&f->segment, f->slot_count * f->slot_bytes, err) != 0) {
        floor_close(f);
        return NULL;
    }
    f->slots = f->segment.base;
    return f;
}

static uint32_t counter_send(void *link, uint64_t first, uint32_t count)
{
    struct floor *f = link;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = first + i;
        if (number - __atomic_load_n(&f->read, __ATOMIC_ACQUIRE) >= f->slot_count) {
            return i;
        }
        payload_fill(f->slots + (number & (f->slot_count - 1)) * f->slot_bytes, f->spec.size_bytes,
                     payload_base(f->spec.seed, number));
        __atomic_store_n(&f->written, number + 1, __ATOMIC_RELEASE);
    }
    return count;
}

static uint32_t counter_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct floor *f = link;
    (void)reader;
    uint32_t n = 0;
    while (n < max && __atomic_load_n(&f->written, __ATOMIC_ACQUIRE) != tally->next) {
        tally_payload(tally, &f->spec, f->slots + (tally->next & (f->slot_count - 1)) * f->slot_bytes);
        __atomic_store_n(&f->read, tally->next, __ATOMIC_RELEASE);
        n++;
    }
    return n;
}

/* One word, and nothing else in its line: the number of the newest frame plus one. */
static uint32_t line_send(void *link, uint64_t first, uint32_t count)
{
    struct floor *f = link;
    __atomic_store_n(&f->written, first + count, __ATOMIC_RELEASE);
    return count;
}

static uint32_t line_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct floor *f = link;
    (void)reader;
    uint64_t written = __atomic_load_n(&f->written, __ATOMIC_ACQUIRE);
    uint32_t n = (uint32_t)(written - tally->next);
    n = n < max ? n : max;
    tally->next += n;
    tally->frames += n;
    return n;
}

const struct peer peer_floor_line = {"floor",     "line",    PEER_FLOOR,   floor_open,
                                     floor_close, line_send, line_receive, NULL};
const struct peer peer_floor_counter = {"floor",     "counter",    PEER_FLOOR,      floor_open,
                                        floor_close, counter_send, counter_receive, NULL};
