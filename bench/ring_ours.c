/* Our own ring under the bench. All use of the ring's writer and reader is in this file. The reader has a read-only
 * map of its own, as it has in another process. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/peer.h"
#include "ring/reader.h"
#include "ring/ring.h"
#include "ring/writer.h"

#define PAYLOAD_OFFSET 64u

struct ours {
    struct link_spec spec;
    struct segment segment;
    struct ring_writer writer;
    uint64_t gate; /* the writer's copy of the slowest lease */
    bool paced;
    void *read_base;
    size_t read_bytes;
    uint8_t pad[64];
    struct {
        struct ring_reader reader;
        uint64_t discarded; /* overwritten while being read */
        uint8_t pad[64];
        struct ring_lease lease; /* written by the reader, read by a paced writer */
        uint8_t pad2[64];
    } end[BENCH_READERS_MAX];
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

static int build(struct ours *o, struct error *err)
{
    uint32_t slot_bytes = bench_lines(o->spec.size_bytes + PAYLOAD_OFFSET);
    struct ring_spec ring = {.instance = "bench",
                             .name = "bench",
                             .stream = "bench",
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
        code = ring_writer_attach(&o->writer, o->segment.base, o->segment.bytes, (uint64_t)getpid(), err);
    }
    if (code == 0) {
        code = map_for_readers(o, err);
    }
    for (uint32_t i = 0; i < o->spec.readers && code == 0; i++) {
        code = ring_reader_attach(&o->end[i].reader, o->read_base, o->read_bytes, SLUICE_OLDEST, err);
        o->end[i].reader.lease = &o->end[i].lease;
    }
    return code;
}

static void *open_ours(const struct link_spec *spec, bool paced, struct error *err)
{
    struct ours *o = aligned_alloc(64, bench_lines(sizeof(*o)));
    if (o == NULL) {
        error_set(err, -ENOMEM, "no memory for a ring's ends");
        return NULL;
    }
    *o = (struct ours){.spec = *spec, .segment = {.fd = -1}, .paced = paced};
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

static void *paced_open(const struct link_spec *spec, struct error *err)
{
    return open_ours(spec, true, err);
}

static void *gating_open(const struct link_spec *spec, struct error *err)
{
    (void)spec;
    error_set(err, -ENOTSUP, "not available: this ring has no gating readers");
    return NULL;
}

/* Whether `count` frames may be written without overwriting what a reader has not yet seen. The claim runs ahead of
 * the frames by up to a chunk. */
static bool has_room(struct ours *o, uint32_t count)
{
    uint64_t limit = o->writer.view.slot_count - o->writer.claim_chunk;
    if (o->writer.next + count - o->gate <= limit) {
        return true;
    }
    uint64_t slowest = UINT64_MAX;
    for (uint32_t i = 0; i < o->spec.readers; i++) {
        uint64_t at = __atomic_load_n(&o->end[i].lease.position, __ATOMIC_ACQUIRE);
        slowest = at < slowest ? at : slowest;
    }
    o->gate = slowest;
    return o->writer.next + count - o->gate <= limit;
}

static uint32_t ours_send(void *link, uint64_t first, uint32_t count)
{
    struct ours *o = link;
    struct ring_writer *w = &o->writer;
    if (o->paced && !has_room(o, count)) {
        return 0;
    }
    uint32_t batch = o->spec.batch;
    uint32_t left = batch;
    for (uint32_t i = 0; i < count; i++) {
        payload_fill(ring_writer_reserve(w), o->spec.size_bytes, payload_base(o->spec.seed, first + i));
        ring_writer_commit(w, o->spec.size_bytes, 0, first + i, 0, 0);
        if (--left == 0) {
            ring_writer_publish(w);
            left = batch;
        }
    }
    ring_writer_publish(w);
    return count;
}

static uint32_t ours_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct ours *o = link;
    struct ring_reader *r = &o->end[reader].reader;
    struct sluice_frame frame;
    uint32_t n = 0;
    while (n < max && ring_reader_next(r, &frame) == 1) {
        uint64_t sum = payload_sum(frame.payload, o->spec.size_bytes);
        n++;
        if (ring_reader_valid(r, frame.position)) {
            tally->next = frame.position;
            tally_frame(tally, &o->spec, sum);
        } else {
            tally->next = frame.position + 1;
            o->end[reader].discarded++;
        }
    }
    tally->lost = r->lost + o->end[reader].discarded;
    ring_reader_report(r);
    return n;
}

/* kill -9 of a gating reader. The ring has none. */
static int ours_gate_kill(double cap_s, double *stall_us, bool *capped, struct error *err)
{
    (void)cap_s;
    (void)stall_us;
    (void)capped;
    return error_set(err, -ENOTSUP, "not available: this ring has no gating readers");
}

const struct peer peer_ours_observer = {"sluice",   "observer", PEER_OURS,    observer_open,
                                        ours_close, ours_send,  ours_receive, NULL};
const struct peer peer_ours_paced = {"sluice",   "paced",   PEER_OURS,    paced_open,
                                     ours_close, ours_send, ours_receive, NULL};
const struct peer peer_ours_gating = {"sluice",   "gating",  PEER_OURS,    gating_open,
                                      ours_close, ours_send, ours_receive, ours_gate_kill};
