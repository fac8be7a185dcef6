/* A ring's memory beyond its reader: what it shows, how long it stays, what of it has been overwritten. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/installed_reader.h"
#include "tests/support/random.h"

#define SLOTS      UINT64_C(64)
#define SLOT_BYTES UINT64_C(64)
#define WORDS      4u
#define SEED       6u

static struct temporary_ring t;
static struct installed_reader installed;

static void open_all(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, (uint32_t)SLOT_BYTES, 32);
    temporary_ring_create(&t, &spec);
    installed_reader_open(&installed, &t, SLUICE_OLDEST);
}

static void close_all(void)
{
    installed_reader_close(&installed);
    temporary_ring_destroy(&t);
}

TestSuite(memory, .init = open_all, .fini = close_all);

static bool is_mapped(void *base)
{
    bool mapped = msync(base, 4096, MS_ASYNC) == 0;
    cr_assert(mapped || errno == ENOMEM);
    return mapped;
}

Test(memory, shows_every_slot)
{
    struct sluice_frame frame;
    size_t bytes = 0;
    struct sluice_memory *memory = sluice_memory_keep(installed.reader);
    const uint8_t *slots = sluice_memory_slots(memory, &bytes);
    cr_assert_eq(bytes, SLOTS * SLOT_BYTES);
    for (uint64_t position = 0; position < 3 * SLOTS; position++) {
        temporary_publish(&t.writer, SEED, WORDS, 1);
        cr_assert_eq(sluice_reader_next(installed.reader, &frame), 1);
        cr_assert_eq(frame.payload, slots + position % SLOTS * SLOT_BYTES + 32);
    }
    sluice_memory_drop(memory);
}

/* The writer has it mapped too, through the same descriptor. */
Test(memory, cannot_be_written)
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    cr_assert_eq(read(fds[0], installed.reader->memory->base, 1), -1, "not even by the kernel");
    cr_assert_eq(errno, EFAULT);
    close(fds[0]);
    close(fds[1]);
}

Test(memory, stays_until_the_last_one_is_dropped)
{
    size_t bytes = 0;
    temporary_publish(&t.writer, SEED, WORDS, 10);
    struct sluice_memory *first = sluice_memory_keep(installed.reader);
    struct sluice_memory *second = sluice_memory_keep(installed.reader);
    const uint8_t *slots = sluice_memory_slots(first, &bytes);
    void *base = first->base;
    installed_reader_close(&installed);
    segment_destroy(&t.segment); /* its server has ended */
    cr_assert(pattern_matches(slots + 3 * SLOT_BYTES + 32, SEED, 3, WORDS));
    sluice_memory_drop(first);
    cr_assert(pattern_matches(slots + 9 * SLOT_BYTES + 32, SEED, 9, WORDS));
    cr_assert_eq(sluice_memory_overwritten(second, 0, 10), 0);
    cr_assert(is_mapped(base));
    sluice_memory_drop(second);
    cr_assert_not(is_mapped(base));
    sluice_memory_drop(NULL);
}

Test(memory, goes_with_its_reader_if_nobody_keeps_it)
{
    void *base = installed.reader->memory->base;
    sluice_memory_drop(sluice_memory_keep(installed.reader));
    cr_assert(is_mapped(base));
    installed_reader_close(&installed);
    cr_assert_not(is_mapped(base));
}

#define THREADS 4
#define KEPT    2000

static void *drop_many(void *memory)
{
    for (int i = 0; i < KEPT; i++) {
        sluice_memory_drop(memory);
    }
    return NULL;
}

Test(memory, any_thread_may_drop_it)
{
    pthread_t threads[THREADS];
    struct sluice_memory *memory = NULL;
    for (int i = 0; i < THREADS * KEPT; i++) {
        memory = sluice_memory_keep(installed.reader);
    }
    void *base = memory->base;
    installed_reader_close(&installed);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, drop_many, memory), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_assert_not(is_mapped(base));
}

static uint64_t overwritten_of(uint64_t position, uint64_t count)
{
    struct sluice_memory *memory = sluice_memory_keep(installed.reader);
    uint64_t gone = sluice_memory_overwritten(memory, position, count);
    sluice_memory_drop(memory);
    return gone;
}

Test(memory, tells_what_has_been_overwritten_one_by_one)
{
    cr_assert_eq(overwritten_of(0, 0), 0);
    while (t.writer.next < 5 * SLOTS) {
        temporary_publish(&t.writer, SEED, WORDS, 1);
        uint64_t claimed = temporary_header(&t)->progress.claimed;
        for (uint64_t position = 0; position < t.writer.next; position++) {
            cr_assert_eq(overwritten_of(position, 1), claimed - position > SLOTS ? 1 : 0, "%lu of %lu", position,
                         claimed);
        }
    }
}

Test(memory, tells_how_many_of_the_first_are_overwritten)
{
    struct test_random random = {7};
    temporary_publish(&t.writer, SEED, WORDS, 5 * SLOTS);
    uint64_t oldest = temporary_header(&t)->progress.claimed - SLOTS;
    for (int i = 0; i < 10000; i++) {
        uint64_t position = test_random_below(&random, 5 * SLOTS);
        uint64_t count = test_random_below(&random, 2 * SLOTS);
        uint64_t gone = position < oldest ? oldest - position : 0;
        cr_assert_eq(overwritten_of(position, count), gone < count ? gone : count);
    }
    cr_assert_eq(overwritten_of(0, UINT64_MAX), oldest);
    cr_assert_eq(overwritten_of(0, oldest), oldest);
    cr_assert_eq(overwritten_of(0, oldest + 1), oldest);
    cr_assert_eq(overwritten_of(oldest, 1), 0);
}

/* As the reader's own, which is of one batch. */
Test(memory, agrees_with_the_reader)
{
    struct test_random random = {8};
    struct sluice_batch batch;
    for (int i = 0; i < 3000; i++) {
        temporary_publish(&t.writer, SEED, WORDS, 1 + test_random_below(&random, SLOTS / 2));
        cr_assert_gt(sluice_reader_batch(installed.reader, UINT32_MAX, &batch), 0);
        temporary_publish(&t.writer, SEED, WORDS, test_random_below(&random, 2 * SLOTS));
        cr_assert_eq(overwritten_of(batch.position, batch.count),
                     sluice_reader_overwritten(installed.reader, &batch));
    }
    cr_assert_gt(sluice_reader_lost(installed.reader), 0);
}

/* Fault: positions that nobody has written, and a header that lies. Nothing of it passes for true. */
Test(memory, what_was_never_written_is_not_there)
{
    struct ring_progress *progress = &temporary_header(&t)->progress;
    temporary_publish(&t.writer, SEED, WORDS, 10);
    cr_assert_eq(overwritten_of(progress->claimed + 1, 5), 5);
    cr_assert_eq(overwritten_of(UINT64_MAX, 1), 1);
    cr_assert_eq(overwritten_of(UINT64_C(1) << 63, 7), 7);
    __atomic_store_n(&progress->claimed, 3, __ATOMIC_RELEASE);
    cr_assert_eq(overwritten_of(5, 5), 5);
    __atomic_store_n(&progress->claimed, UINT64_MAX, __ATOMIC_RELEASE);
    cr_assert_eq(overwritten_of(5, 5), 5);
}

/* Fault: what the server passes is no ring. */
Test(memory, of_something_else_is_refused)
{
    struct error err = {{0}};
    struct sluice_memory *memory = (struct sluice_memory *)&err;
    struct segment other;
    cr_assert_lt(sluice_memory_map(&memory, -1, &err), 0);
    cr_assert_null(memory);
    cr_assert_eq(segment_create(&other, "other", SLOTS * SLOT_BYTES, SEGMENT_NORMAL, &err), 0);
    cr_assert_eq(sluice_memory_map(&memory, other.fd, &err), -EPROTO);
    cr_assert_null(memory);
    cr_assert_neq(err.text[0], 0);
    segment_destroy(&other);
}
