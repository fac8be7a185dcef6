/* A reader's frames folded into statistics, while a writer overwrites them at the worst moments: the functions that
 * are wrapped (-Wl,--wrap) run the writer between the reading and the question whether it was whole. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "ring/stats.h"
#include "tests/support/installed_reader.h"
#include "tests/support/random.h"

#define SLOTS      1024u
#define SLOT_BYTES 256u
#define WORDS      16u /* doubles in a frame */

static struct temporary_ring ring;
static struct installed_reader installed;
static const struct ring_channel channels[2] = {
    {.name = "a", .unit = "V", .type = RING_TYPE_F64, .byte_order = RING_LITTLE_ENDIAN, .scale = 1},
    {.name = "b", .unit = "V", .at_byte = 8, .type = RING_TYPE_F64, .byte_order = RING_LITTLE_ENDIAN, .scale = 1}};

/* What writes at the wrapped places: so many frames at the n-th call from now. */
static uint64_t write_frames;
static uint32_t write_at_call;

/* Every word of frame p is p, so that whatever is folded can be told apart. */
static void publish(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        double *to = (double *)(void *)ring_writer_reserve(&ring.writer);
        double value = (double)ring.writer.next;
        for (uint32_t w = 0; w < WORDS; w++) {
            uint64_t bits;
            memcpy(&bits, &value, sizeof(bits));
            __atomic_store_n((uint64_t *)(void *)(to + w), bits, __ATOMIC_RELAXED);
        }
        ring_writer_commit(&ring.writer, WORDS * 8, 1000 + ring.writer.next, ring.writer.next, 0, 0);
        ring_writer_publish(&ring.writer);
    }
}

static void maybe_write(void)
{
    if (write_at_call > 0 && --write_at_call == 0) {
        publish(write_frames);
    }
}

/* The linker's names for what is wrapped. */
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)
uint32_t __real_sluice_batch_values(const struct sluice_reader *reader, uint32_t index,
                                    const struct sluice_batch *batch, uint32_t first, uint32_t count,
                                    double *values);
uint32_t __wrap_sluice_batch_values(const struct sluice_reader *reader, uint32_t index,
                                    const struct sluice_batch *batch, uint32_t first, uint32_t count,
                                    double *values);
uint32_t __wrap_sluice_batch_values(const struct sluice_reader *reader, uint32_t index,
                                    const struct sluice_batch *batch, uint32_t first, uint32_t count,
                                    double *values)
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)
{
    uint32_t got = __real_sluice_batch_values(reader, index, batch, first, count, values);
    maybe_write(); /* .. after what was read: what is folded of overwritten frames would be a guess */
    return got;
}

static void setup(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, SLOT_BYTES, 64);
    spec.channels = channels;
    spec.channel_count = 2;
    temporary_ring_create(&ring, &spec);
    installed_reader_open(&installed, &ring, SLUICE_OLDEST);
    write_at_call = 0;
}

static void teardown(void)
{
    installed_reader_close(&installed);
    temporary_ring_destroy(&ring);
}

TestSuite(stats_fold, .init = setup, .fini = teardown);

/* What a function of an item saw. */
struct seen {
    uint64_t values;
    uint64_t wrong; /* of another frame than its position says */
    uint64_t gaps;
    uint64_t next; /* position */
    uint64_t out_of_order;
};

static void see(void *context, const struct sluice_chunk *chunk)
{
    struct seen *seen = context;
    for (size_t i = 0; i < chunk->count; i++) {
        uint64_t position = chunk->position + (chunk->tai_ns != NULL ? i : 0);
        uint64_t tai_ns = chunk->tai_ns != NULL ? chunk->tai_ns[i] : chunk->frame_tai_ns;
        seen->wrong += chunk->values[i] != (double)position || tai_ns != position + 1000 ? 1 : 0;
    }
    seen->gaps += chunk->is_after_gap;
    seen->out_of_order +=
        chunk->position < seen->next && (chunk->tai_ns != NULL || chunk->first_sample == 0) ? 1 : 0;
    seen->out_of_order +=
        chunk->position != seen->next && chunk->is_after_gap == 0 && chunk->first_sample == 0 ? 1 : 0;
    seen->values += chunk->count;
    seen->next = chunk->position + (chunk->tai_ns != NULL ? chunk->count : 1);
}

static double buffer[4096];

Test(stats_fold, all_frames_of_two_channels)
{
    struct sluice_summary s = {0};
    struct seen a = {0};
    struct seen b = {0};
    struct sluice_fold_item items[] = {{0, 0, see, &a}, {0, 0, sluice_fold_summary, &s}, {1, 0, see, &b}};
    struct sluice_fold fold = {.items = items, .item_count = 3, .buffer = buffer, .buffer_values = 30};
    publish(500);
    cr_assert_eq(sluice_fold(installed.reader, &fold, 123), 123, "no more than was asked for");
    while (sluice_fold(installed.reader, &fold, 1000) > 0) {
    }
    publish(300);
    while (sluice_fold(installed.reader, &fold, 1000) > 0) {
    }
    cr_assert(fold.frames == 800 && fold.lost == 0 && fold.discarded == 0 && fold.gaps == 0 && fold.missing == 0);
    cr_assert(a.values == 800 && a.wrong == 0 && a.gaps == 1 && a.out_of_order == 0,
              "only the first is after a gap");
    cr_assert(b.values == 800 && b.wrong == 0);
    cr_assert(s.count == 800 && s.mean == 399.5 && s.min == 0 && s.max == 799);
    cr_assert_eq(installed_lease(&installed)->position, 800, "all is released");
}

/* The fault: the writer laps the frames just after their values were read. */
Test(stats_fold, overwritten_in_the_middle)
{
    const uint64_t laps[] = {1, 10, 500, SLOTS, UINT64_C(3) * SLOTS};
    for (size_t k = 0; k < sizeof(laps) / sizeof(laps[0]); k++) {
        for (uint32_t call = 1; call <= 2; call++) { /* between the two channels, and after both */
            struct seen a = {0};
            struct seen b = {0};
            struct sluice_fold_item items[] = {{0, 0, see, &a}, {1, 0, see, &b}};
            struct sluice_fold fold = {.items = items, .item_count = 2, .buffer = buffer, .buffer_values = 1024};
            teardown();
            setup();
            publish(SLOTS);
            write_frames = laps[k];
            write_at_call = call;
            while (sluice_fold(installed.reader, &fold, 100000) > 0) {
            }
            cr_assert(a.wrong == 0 && b.wrong == 0 && a.out_of_order == 0, "%lu frames at call %u", laps[k], call);
            cr_assert(a.values == fold.frames && b.values == fold.frames, "both see the same frames");
            cr_assert_gt(fold.discarded, 0);
            cr_assert_eq(fold.frames + fold.discarded + fold.lost, SLOTS + laps[k], "every frame is accounted for");
            cr_assert_eq(fold.discarded + fold.lost, sluice_reader_lost(installed.reader));
        }
    }
}

Test(stats_fold, gaps_and_frames_that_are_missing)
{
    struct seen a = {0};
    struct sluice_fold_item item = {0, 0, see, &a};
    struct sluice_fold fold = {.items = &item, .item_count = 1, .buffer = buffer, .buffer_values = 1024};
    publish(10);
    cr_assert(ring_writer_commit_gap(&ring.writer, RING_LOSS_KERNEL, 7, 0, 5));
    ring_writer_publish(&ring.writer);
    publish(10);
    double *to = (double *)(void *)ring_writer_reserve(&ring.writer);
    to[0] = (double)ring.writer.next;
    ring_writer_commit(&ring.writer, WORDS * 8, 1000 + ring.writer.next, 0, RING_FLAG_LOST_BEFORE, 3);
    ring_writer_publish(&ring.writer);
    publish(10);
    while (sluice_fold(installed.reader, &fold, 1000) > 0) {
    }
    cr_assert(fold.frames == 31 && fold.gaps == 1 && fold.missing == 10 && fold.lost == 0 && fold.discarded == 0);
    cr_assert(a.values == 31 && a.wrong == 0 && a.gaps == 3 && a.out_of_order == 0);
}

Test(stats_fold, samples_of_a_payload)
{
    struct seen a = {0};
    struct sluice_summary s = {0};
    struct sluice_fold_item items[] = {{0, 0, see, &a}, {0, 0, sluice_fold_summary, &s}};
    const struct sluice_samples samples[] = {{.type = RING_TYPE_F64},
                                             {.type = RING_TYPE_F64, .at_byte = 8},
                                             {.type = RING_TYPE_F64, .stride_bytes = 24},
                                             {.type = RING_TYPE_F64, .count = 5},
                                             {.type = RING_TYPE_F64, .at_byte = 60000}};
    const uint64_t per_frame[] = {WORDS, WORDS - 1, 6, 5, 0};
    publish(50);
    for (size_t k = 0; k < 5; k++) {
        for (size_t values = 2; values < 40; values += 13) { /* also in pieces */
            struct sluice_fold fold = {.items = items, .item_count = 2, .buffer = buffer, .buffer_values = values};
            a = (struct seen){0};
            s = (struct sluice_summary){0};
            cr_assert_eq(sluice_reader_seek(installed.reader, SLUICE_OLDEST, 0), 0);
            while (sluice_fold_samples(installed.reader, &samples[k], &fold, 1000) > 0) {
            }
            cr_assert_eq(fold.frames, 50);
            cr_assert(a.values == 50 * per_frame[k] && a.wrong == 0 && a.out_of_order == 0, "%zu", k);
            cr_assert(s.count == a.values && (s.count == 0 || fabs(s.mean - 24.5) < 1e-12));
        }
    }
}

/* The fault: while samples of one frame are used the writer laps those behind it. */
static void see_and_write(void *context, const struct sluice_chunk *chunk)
{
    see(context, chunk);
    maybe_write();
}

Test(stats_fold, samples_overwritten_in_the_middle)
{
    const uint64_t laps[] = {1, 10, 500, SLOTS, UINT64_C(3) * SLOTS};
    for (size_t k = 0; k < sizeof(laps) / sizeof(laps[0]); k++) {
        for (uint32_t call = 1; call < 600; call += 83) {
            struct seen a = {0};
            struct sluice_fold_item item = {0, 0, see_and_write, &a};
            struct sluice_fold fold = {.items = &item, .item_count = 1, .buffer = buffer, .buffer_values = 5};
            const struct sluice_samples samples = {.type = RING_TYPE_F64};
            teardown();
            setup();
            publish(SLOTS);
            write_frames = laps[k];
            write_at_call = call;
            while (sluice_fold_samples(installed.reader, &samples, &fold, 100000) > 0) {
            }
            cr_assert_eq(a.wrong, 0);
            cr_assert_eq(fold.frames + fold.discarded + fold.lost, SLOTS + laps[k], "%lu at %u: %lu %lu %lu",
                         laps[k], call, fold.frames, fold.discarded, fold.lost);
            cr_assert_eq(fold.discarded + fold.lost, sluice_reader_lost(installed.reader));
        }
    }
}

/* The fault: a writer in a thread of its own that laps the reader again and again. */
static bool is_to_end;

static void *write_on(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&is_to_end, __ATOMIC_RELAXED)) {
        publish(64);
    }
    return NULL;
}

Test(stats_fold, beside_a_writer_that_does_not_wait)
{
    struct seen a = {0};
    struct seen b = {0};
    struct sluice_fold_item items[] = {{0, 0, see, &a}, {1, 0, see, &b}};
    struct sluice_fold fold = {.items = items, .item_count = 2, .buffer = buffer, .buffer_values = 2048};
    pthread_t thread;
    is_to_end = false;
    cr_assert_eq(pthread_create(&thread, NULL, write_on, NULL), 0);
    while (fold.frames < 200000) {
        (void)sluice_fold(installed.reader, &fold, 5000);
    }
    __atomic_store_n(&is_to_end, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    cr_assert(a.wrong == 0 && b.wrong == 0 && a.values == fold.frames && b.values == fold.frames);
    cr_assert(a.out_of_order == 0 && b.out_of_order == 0, "a jump is told as a gap");
    cr_assert_eq(fold.frames + fold.discarded + fold.lost, sluice_reader_position(installed.reader));
}

Test(stats_fold, envelope_and_edges_are_told_of_gaps)
{
    static struct sluice_envelope_point points[200];
    static struct sluice_edge edges[200];
    struct sluice_envelope envelope;
    struct sluice_edges level;
    struct sluice_fold_envelope_context e = {.envelope = &envelope, .points = points, .room = 200};
    struct sluice_fold_edges_context x = {.edges = &level, .out = edges, .room = 200};
    struct sluice_fold_item items[] = {{0, 0, sluice_fold_envelope, &e}, {0, 0, sluice_fold_edges, &x}};
    struct sluice_fold fold = {.items = items, .item_count = 2, .buffer = buffer, .buffer_values = 1024};
    cr_assert_eq(sluice_envelope_init(&envelope, 10, 0), 0);
    cr_assert_eq(sluice_edges_init(&level, 25, 25), 0);
    publish(15);
    cr_assert(ring_writer_commit_gap(&ring.writer, RING_LOSS_KERNEL, 7, 0, 5));
    ring_writer_publish(&ring.writer);
    publish(15);
    while (sluice_fold(installed.reader, &fold, 1000) > 0) {
    }
    cr_assert(e.written == 3 && points[0].count == 10 && points[1].count == 5 && points[2].count == 10);
    cr_assert(points[1].is_after_gap == 0 && points[2].is_after_gap == 1 && points[2].min == 16 && e.dropped == 0);
    cr_assert(x.written == 1 && edges[0].position == 25 && edges[0].tai_ns == 1025 && x.dropped == 0);
    cr_assert_eq(level.unknown_ns, 2, "the gap record's place is unknown");
}

Test(stats_fold, what_finds_no_room_is_counted)
{
    struct sluice_envelope_point point;
    struct sluice_envelope envelope;
    struct sluice_fold_envelope_context e = {.envelope = &envelope, .points = &point, .room = 1};
    struct sluice_fold_item item = {0, 0, sluice_fold_envelope, &e};
    struct sluice_fold fold = {.items = &item, .item_count = 1, .buffer = buffer, .buffer_values = 1024};
    const struct sluice_samples samples = {.type = RING_TYPE_F64};
    cr_assert_eq(sluice_envelope_init(&envelope, 10, 0), 0);
    publish(30);
    while (sluice_fold(installed.reader, &fold, 1000) > 0) {
    }
    cr_assert(e.written == 1 && e.dropped == 10, "%lu", e.dropped);
    e.written = 0;
    e.dropped = 0;
    publish(10);
    while (sluice_fold_samples(installed.reader, &samples, &fold, 1000) > 0) {
    }
    cr_assert(e.written == 1 && e.dropped > 100);
}

Test(stats_fold, misuse)
{
    struct seen a = {0};
    struct sluice_fold_item item = {0, 0, see, &a};
    struct sluice_fold fold = {.items = &item, .item_count = 1, .buffer = buffer, .buffer_values = 0};
    const struct sluice_samples none = {.type = 0};
    publish(1);
    cr_assert_eq(sluice_fold(installed.reader, &fold, 1), -EINVAL);
    fold.buffer_values = 10;
    cr_assert_eq(sluice_fold_samples(installed.reader, &none, &fold, 1), -EINVAL);
    item.channel = 99;
    cr_assert_eq(sluice_fold(installed.reader, &fold, 1), 1);
    cr_assert(a.values == 1 && a.wrong == 1, "no such channel: NaN");
    fold.item_count = 0;
    cr_assert_eq(sluice_fold(installed.reader, &fold, 1), -EINVAL);
}
