/* What is written into the ring that is read. */
#include "bench/plan.h"
#include "bench/readers_rig.h"

#define LANES ((size_t)2)

typedef double lanes __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

static void fill_frame(uint8_t *payload, uint32_t bytes, uint64_t number)
{
    double base = (double)(number % READERS_MODULUS);
    lanes *to = (lanes *)(void *)payload;
    lanes v = {base, base + 1};
    const lanes step = {LANES, LANES};
    for (size_t i = 0; i < bytes / sizeof(lanes); i++, v += step) {
        to[i] = v;
    }
}

static void publish(struct readers_rig *rig, uint32_t count, uint64_t now_ns)
{
    struct ring_writer *w = rig->writer;
    uint64_t tai_ns = now_ns + (uint64_t)rig->tai_offset_ns;
    uint32_t bytes = rig->path->frame_bytes;
    count = ring_writer_reserve_many(w, count); /* all of them: nobody gates */
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = w->next;
        fill_frame(ring_payload_at(&w->view, number), bytes, number);
        ring_writer_commit(w, bytes, tai_ns, number, 0, 0);
    }
    ring_writer_publish(w);
}

void readers_fill(struct readers_rig *rig, uint64_t frames)
{
    for (uint64_t left = frames; left > 0;) {
        uint32_t count = left < READERS_BATCH ? (uint32_t)left : READERS_BATCH;
        publish(rig, count, clock_monotonic_ns());
        left -= count;
    }
}

double readers_feed(struct readers_rig *rig, double seconds, double pace)
{
    double frames_per_ns = pace / rig->path->frame_bytes / 1e9;
    uint64_t from_ns = clock_monotonic_ns();
    uint64_t end_ns = from_ns + (uint64_t)(seconds * 1e9);
    uint64_t last_ns = from_ns;
    uint64_t written = 0;
    while (last_ns < end_ns && !plan_stopped()) {
        if (!(pace > 0) || (double)(written + READERS_BATCH) <= (double)(last_ns - from_ns) * frames_per_ns) {
            publish(rig, READERS_BATCH, last_ns);
            written += READERS_BATCH;
        }
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t gap_ns = now_ns - last_ns;
        rig->longest_ns = gap_ns > rig->longest_ns ? gap_ns : rig->longest_ns;
        last_ns = now_ns;
    }
    return (double)written * rig->path->frame_bytes / (double)(last_ns - from_ns) * 1e9;
}

/* Sum of p % READERS_MODULUS over positions below p. */
static uint64_t bases_below(uint64_t p)
{
    uint64_t whole = p / READERS_MODULUS;
    uint64_t rest = p % READERS_MODULUS;
    return whole * (READERS_MODULUS * (READERS_MODULUS - 1) / 2) + (rest > 0 ? rest * (rest - 1) / 2 : 0);
}

double readers_expected(uint64_t first, uint64_t end, uint64_t words, uint64_t index)
{
    uint64_t indices = words * (words - 1) / 2 + index * words;
    return (double)(words * (bases_below(end) - bases_below(first)) + (end - first) * indices);
}
