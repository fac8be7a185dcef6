/* Our own ring under the bench. The reader has a read-only map of its own, as it has in another process; it reads
 * in batch views whatever the writer's batches are. Orders and leases lie where the server's would. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/peer.h"
#include "ring/reader.h"
#include "ring/ring.h"
#include "ring/writer.h"

#define PAYLOAD_OFFSET 64u
#define RECEIVE_MAX    64u

struct ours {
    struct link_spec spec;
    struct segment segment;
    struct ring_writer writer;
    struct ring_gates gates;
    bool gating;
    void *read_base;
    size_t read_bytes;
    uint8_t pad[64];
    struct {
        struct ring_reader reader;
        uint64_t discarded; /* overwritten while being read */
        uint64_t sums[RECEIVE_MAX];
        uint8_t pad[128];
    } end[BENCH_READERS_MAX];
    union {
        struct ring_orders orders;
        uint8_t page[RING_ORDERS_BYTES];
    } orders __attribute__((aligned(4096)));
    union {
        struct ring_lease lease;
        uint8_t page[RING_LEASE_BYTES];
    } leases[BENCH_READERS_MAX]; /* each written by its reader */
};

static void ours_close(void *link)
{
    struct ours *o = link;
    if (o->read_base != NULL) {
        munmap(o->read_base, o->read_bytes);
    }
    segment_destroy(&o->segment);
    free(o);
}

/* A read-only map of the segment, for the readers. */
static int map_for_readers(struct ours *o, struct error *err)
{
    int fd = segment_reopen_read_only(o->segment.fd, err);
    if (fd < 0) {
        return fd;
    }
    int code = segment_map(fd, false, o->segment.bytes, &o->read_base, &o->read_bytes, err);
    close(fd);
    if (code == 0) {
        bench_touch(o->read_base, o->read_bytes, false);
    }
    return code;
}

/* Readers that the writer waits for, for as long as it takes. */
static void open_gates(struct ours *o)
{
    ring_orders_create(&o->orders, BENCH_READERS_MAX);
    ring_gates_init(&o->gates, &o->orders.orders, o->leases[0].page, BENCH_READERS_MAX);
    for (uint32_t i = 0; i < o->spec.readers; i++) {
        o->orders.orders.gate[i] = (struct ring_order){.generation = i + 1, .deadline_ns = UINT64_MAX};
        ring_gates_mapped(&o->gates, i, i + 1);
        o->end[i].reader.generation = i + 1;
        o->end[i].reader.gate = i;
    }
    ring_writer_look(&o->writer, 1);
}

static int build(struct ours *o, struct error *err)
{
    static const struct ring_stream stream = {.name = "bench", .source = "bench"};
    uint32_t slot_bytes = bench_lines(o->spec.size_bytes + PAYLOAD_OFFSET);
    struct ring_spec ring = {.instance = "bench",
                             .name = "bench",
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = bench_slots(slot_bytes),
                             .slot_bytes = slot_bytes,
                             .payload_offset = PAYLOAD_OFFSET,
                             .page_bytes = 4096};
    uint64_t bytes = ring_segment_bytes(&ring);
    if (bytes == 0) {
        return error_set(err, -EINVAL, "frames of %u bytes need slots of %u bytes; a slot has at most %u",
                         o->spec.size_bytes, slot_bytes, RING_SLOT_BYTES_MAX);
    }
    int code = bench_memory(&o->segment, bytes, err);
    if (code == 0) {
        ring.page_bytes = o->segment.page_bytes;
        code = ring_create(o->segment.base, o->segment.bytes, &ring, err);
    }
    if (code == 0) {
        code = ring_writer_attach(&o->writer, o->segment.base, o->segment.bytes, (uint64_t)getpid(),
                                  o->gating ? &o->gates : NULL, err);
    }
    if (code == 0) {
        code = map_for_readers(o, err);
    }
    for (uint32_t i = 0; i < o->spec.readers && code == 0; i++) {
        code = ring_reader_attach(&o->end[i].reader, o->read_base, o->read_bytes, SLUICE_OLDEST, err);
        o->end[i].reader.lease = &o->leases[i].lease;
    }
    if (code == 0 && o->gating) {
        open_gates(o);
    }
    return code;
}

static void *open_ours(const struct link_spec *spec, bool gating, struct error *err)
{
    struct ours *o = aligned_alloc(4096, sizeof(*o));
    if (o == NULL) {
        error_set(err, -ENOMEM, "no memory for a ring's ends");
        return NULL;
    }
    *o = (struct ours){.spec = *spec, .segment = {.fd = -1}, .gating = gating};
    if (build(o, err) != 0) {
        ours_close(o);
        return NULL;
    }
    return o;
}

static void *observer_open(const struct link_spec *spec, struct error *err)
{
    return open_ours(spec, false, err);
}

static void *gating_open(const struct link_spec *spec, struct error *err)
{
    return open_ours(spec, true, err);
}

static inline void send_one(struct ours *o, uint64_t number)
{
    struct ring_writer *w = &o->writer;
    payload_fill(ring_payload_at(&w->view, w->next), o->spec.size_bytes, payload_base(o->spec.seed, number));
    ring_writer_post(w, o->spec.size_bytes, 0, number, 0, 0);
}

static uint32_t ours_send(void *link, uint64_t first, uint32_t count)
{
    struct ours *o = link;
    struct ring_writer *w = &o->writer;
    uint32_t ready = ring_writer_reserve_many(w, count);
    uint32_t batch = o->spec.batch;
    if (batch == 1) {
        for (uint32_t i = 0; i < ready; i++) {
            send_one(o, first + i);
            ring_writer_publish(w);
        }
        return ready;
    }
    for (uint32_t sent = 0; sent < ready;) {
        uint32_t end = ready - sent < batch ? ready : sent + batch;
        for (; sent < end; sent++) {
            send_one(o, first + sent);
        }
        ring_writer_publish(w);
    }
    return ready;
}

static uint32_t ours_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct ours *o = link;
    struct ring_reader *r = &o->end[reader].reader;
    struct sluice_batch batch;
    ring_reader_release(r);
    uint32_t n = ring_reader_batch(r, max < RECEIVE_MAX ? max : RECEIVE_MAX, &batch);
    if (n == 0) {
        tally->lost = r->lost + o->end[reader].discarded;
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        o->end[reader].sums[i] = payload_sum(sluice_batch_payload(&batch, i), o->spec.size_bytes);
    }
    uint32_t gone = ring_reader_overwritten(r, &batch);
    o->end[reader].discarded += gone;
    tally->next = batch.position + gone;
    for (uint32_t i = gone; i < n; i++) {
        tally_frame(tally, &o->spec, o->end[reader].sums[i]);
    }
    tally->lost = r->lost + o->end[reader].discarded;
    return n;
}

_Noreturn void ours_harass(void *link)
{
    struct ours *o = link;
    const struct ring_view *view = &o->end[0].reader.view;
    struct ring_lease *lease = &o->leases[0].lease;
    for (uint64_t n = 0;; n++) {
        uint64_t at = __atomic_load_n(&view->header->progress.published, __ATOMIC_RELAXED) +
                      __atomic_load_n(&view->header->progress.claimed, __ATOMIC_RELAXED);
        (void)__atomic_load_n(&ring_descriptor_at(view, at / 2)->sequence, __ATOMIC_RELAXED);
        __atomic_store_n(&lease->position, n * UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
        __atomic_store_n(&lease->lost, at, __ATOMIC_RELAXED);
    }
}

const struct peer peer_ours_observer = {"sluice",   "observer", PEER_OURS,    observer_open,
                                        ours_close, ours_send,  ours_receive, NULL};
const struct peer peer_ours_gating = {"sluice",   "gating",  PEER_OURS,    gating_open,
                                      ours_close, ours_send, ours_receive, ours_gate_kill};
