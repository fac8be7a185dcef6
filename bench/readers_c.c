/* Readers in C: what a program of one's own would do with libsluice, in a thread of the bench. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plan.h"
#include "bench/readers_rig.h"
#include "bench/tsc.h"
#include "ring/sluice.h"

#define ATTACHES 31u
#define WAIT_MS  100
#define LANES    ((size_t)2)

typedef double lanes __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

/* Eight sums side by side, in vectors of what every machine has: the same as NumPy's loop. */
static double sum_row(const uint8_t *row, size_t words)
{
    const lanes *from = (const lanes *)(const void *)row;
    lanes s[4] = {{0}};
    for (size_t i = 0; i + 4 <= words / LANES; i += 4) {
        s[0] += from[i];
        s[1] += from[i + 1];
        s[2] += from[i + 2];
        s[3] += from[i + 3];
    }
    lanes all = (s[0] + s[1]) + (s[2] + s[3]);
    return all[0] + all[1];
}

static double sum_column(const uint8_t *first, size_t count, size_t stride)
{
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (size_t k = 0; k < 4; k++) {
            s[k] += *(const double *)(const void *)(first + (i + k) * stride);
        }
    }
    for (; i < count; i++) {
        s[0] += *(const double *)(const void *)(first + i * stride);
    }
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static bool is_column(const struct readers_path *path)
{
    return path->frame_bytes < READERS_LONG_BYTES;
}

static uint32_t words_of(const struct readers_path *path)
{
    return is_column(path) ? 1 : path->frame_bytes / (uint32_t)sizeof(double);
}

static double sum_batch(const struct readers_path *path, const struct sluice_batch *batch)
{
    double total = 0;
    if (is_column(path)) {
        return sum_column(sluice_batch_payload(batch, 0) + READERS_COLUMN * sizeof(double), batch->count,
                          batch->slot_bytes);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        total += sum_row(sluice_batch_payload(batch, i), path->frame_bytes / sizeof(double));
    }
    return total;
}

struct pass {
    uint64_t ticks;
    uint64_t of; /* what is divided by */
    uint64_t frames;
    uint64_t wrong;
};

typedef struct pass once_of(struct readers_rig *rig, struct sluice_reader *reader);

/* Until the time is spent; the first one is for nothing: pages are seen for the first time. ns for each. */
static double passes(struct readers_rig *rig, struct sluice_reader *reader, once_of *once)
{
    struct readers_page *page = readers_page_of(rig, 0);
    struct pass all = {0};
    double most = rig->question->seconds * 1e9 * tsc_per_ns();
    (void)once(rig, reader);
    while (((double)all.ticks < most || all.of == 0) && !plan_stopped()) {
        struct pass p = once(rig, reader);
        all = (struct pass){all.ticks + p.ticks, all.of + p.of, all.frames + p.frames, all.wrong + p.wrong};
    }
    page->frames = all.frames;
    page->wrong = all.wrong;
    return (double)all.ticks / tsc_per_ns() / (double)all.of;
}

static struct pass sum_once(struct readers_rig *rig, struct sluice_reader *reader)
{
    const struct readers_path *path = rig->path;
    struct sluice_batch batch;
    struct pass p = {0};
    double total = 0;
    (void)sluice_reader_seek(reader, SLUICE_OLDEST, 0);
    uint64_t first = sluice_reader_position(reader);
    uint64_t from = tsc_now();
    while (sluice_reader_batch(reader, path->batch, &batch) > 0) {
        total += sum_batch(path, &batch);
        p.wrong += sluice_reader_overwritten(reader, &batch);
        p.frames += batch.count;
    }
    p.ticks = tsc_now() - from;
    p.of = p.frames * words_of(path);
    p.wrong += p.frames != path->frames;
    p.wrong +=
        total != readers_expected(first, first + p.frames, words_of(path), is_column(path) ? READERS_COLUMN : 0);
    return p;
}

static struct pass overhead_once(struct readers_rig *rig, struct sluice_reader *reader)
{
    struct sluice_batch batch;
    struct pass p = {0};
    const double *view = NULL;
    uint64_t last = 0;
    (void)sluice_reader_seek(reader, SLUICE_OLDEST, 0);
    uint64_t from = tsc_now();
    while (sluice_reader_batch(reader, rig->path->batch, &batch) > 0) {
        view = (const double *)(const void *)sluice_batch_payload(&batch, batch.count - 1);
        __asm__ volatile("" ::"r"(view) : "memory"); /* whoever it is for may look at it */
        p.wrong += sluice_reader_overwritten(reader, &batch) != 0;
        p.of++;
    }
    p.ticks = tsc_now() - from;
    last = sluice_reader_position(reader);
    p.frames = last;
    p.wrong += last != rig->path->frames || view == NULL ||
               view[READERS_COLUMN] != (double)((last - 1) % READERS_MODULUS + READERS_COLUMN);
    return p;
}

/* Consumes every byte until it is told to end. */
static int consume(struct readers_rig *rig, struct sluice_reader *reader)
{
    struct readers_page *page = readers_page_of(rig, 0);
    struct sluice_batch batch;
    int code = 0;
    while (__atomic_load_n(&page->order, __ATOMIC_ACQUIRE) != READERS_END && code >= 0) {
        if (sluice_reader_batch(reader, rig->path->batch, &batch) == 0) {
            code = sluice_reader_wait(reader, WAIT_MS);
            continue;
        }
        double total = sum_batch(rig->path, &batch);
        uint64_t end = batch.position + batch.count;
        uint32_t gone = sluice_reader_overwritten(reader, &batch);
        page->frames += batch.count - gone;
        page->wrong +=
            gone == 0 && total != readers_expected(batch.position, end, words_of(rig->path), 0) ? batch.count : 0;
        __atomic_store_n(&page->lost, sluice_reader_lost(reader), __ATOMIC_RELAXED);
        __atomic_store_n(&page->position, end, __ATOMIC_RELEASE);
        if (end >= rig->path->slots) {
            __atomic_store_n(&page->state, READERS_READY, __ATOMIC_RELEASE);
        }
    }
    return code < 0 ? code : 0;
}

static int attach(struct sluice_reader **reader, struct readers_page *page)
{
    return sluice_attach(reader, READERS_INSTANCE, READERS_RING, SLUICE_OLDEST, page->text, sizeof(page->text));
}

/* Attach and the first batch, in ms; negative: it failed. */
static double attach_once(struct readers_rig *rig, struct readers_page *page)
{
    struct sluice_reader *reader;
    struct sluice_batch batch;
    uint64_t from = tsc_now();
    if (attach(&reader, page) != 0) {
        return -1;
    }
    uint32_t count = sluice_reader_batch(reader, rig->path->batch, &batch);
    const double *first = (const double *)(const void *)sluice_batch_payload(&batch, 0);
    page->wrong +=
        count == 0 || first[READERS_COLUMN] != (double)(batch.position % READERS_MODULUS + READERS_COLUMN);
    double ms = (double)(tsc_now() - from) / tsc_per_ns() / 1e6;
    page->frames += count;
    sluice_detach(reader);
    return ms;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int attach_often(struct readers_rig *rig, struct readers_page *page)
{
    double ms[ATTACHES];
    for (uint32_t i = 0; i < ATTACHES; i++) {
        ms[i] = attach_once(rig, page);
        if (ms[i] < 0) {
            return -ECONNREFUSED;
        }
    }
    page->values[0] = ms[0];
    qsort(ms + 1, ATTACHES - 1, sizeof(ms[0]), compare);
    page->values[1] = ms[1 + (ATTACHES - 1) / 2];
    return 0;
}

static int run(struct readers_rig *rig, struct readers_page *page)
{
    struct sluice_reader *reader;
    const struct readers_path *path = rig->path;
    if (path->way == READERS_ATTACH) {
        return attach_often(rig, page);
    }
    int code = attach(&reader, page);
    if (code != 0) {
        return code;
    }
    if (path->way != READERS_SUM) {
        code = consume(rig, reader);
    } else if (strcmp(path->mode, "overhead") == 0) {
        page->values[0] = passes(rig, reader, overhead_once) / 1e3;
    } else {
        page->values[0] = (double)sizeof(double) / passes(rig, reader, sum_once);
    }
    sluice_detach(reader);
    return code;
}

void *readers_c_run(void *argument)
{
    struct readers_rig *rig = argument;
    struct readers_page *page = readers_page_of(rig, 0);
    (void)pin_to(rig->reader_core);
    int code = run(rig, page);
    __atomic_store_n(&page->state, code == 0 ? READERS_DONE : READERS_FAILED, __ATOMIC_RELEASE);
    return NULL;
}

/* As the ring has it, without a ring: frame behind frame, or a column of them. */
static double sum_memory(const struct readers_path *path, const uint8_t *memory)
{
    double total = 0;
    if (is_column(path)) {
        return sum_column(memory + READERS_COLUMN * sizeof(double), path->frames, path->slot_bytes);
    }
    for (uint64_t i = 0; i < path->frames; i++) {
        total += sum_row(memory + i * path->frame_bytes, path->frame_bytes / sizeof(double));
    }
    return total;
}

int readers_memory(const struct question *question, struct outcome *outcome)
{
    const struct readers_path *path = question->readers;
    struct segment memory = {.fd = -1};
    size_t stride = is_column(path) ? path->slot_bytes : path->frame_bytes;
    double most = question->seconds * 1e9 * tsc_per_ns();
    double expected = readers_expected(0, path->frames, words_of(path), is_column(path) ? READERS_COLUMN : 0);
    int code = segment_create(&memory, "sluice-bench-memory", path->frames * stride, SEGMENT_HUGE_OR_NORMAL,
                              &outcome->err);
    if (code != 0) {
        return code;
    }
    (void)pin_to(question->cores[1]);
    for (uint64_t i = 0; i < path->frames; i++) {
        double *frame = (double *)(void *)((uint8_t *)memory.base + i * stride);
        for (uint32_t k = 0; k < path->frame_bytes / sizeof(double); k++) {
            frame[k] = (double)(i % READERS_MODULUS + k);
        }
    }
    uint64_t ticks = 0;
    uint64_t rounds = 0;
    while (((double)ticks < most || rounds == 0) && !plan_stopped()) {
        uint64_t from = tsc_now();
        double total = sum_memory(path, memory.base);
        ticks += tsc_now() - from;
        outcome->wrong += total != expected;
        rounds++;
    }
    double bytes = (double)(rounds * path->frames * words_of(path)) * sizeof(double);
    outcome->values[0] = bytes / ((double)ticks / tsc_per_ns());
    outcome->frames = rounds * path->frames;
    segment_destroy(&memory);
    return 0;
}
