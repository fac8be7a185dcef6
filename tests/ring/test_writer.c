/* The writer, and above all: a writer that died at any instruction is continued by the next one. */
#include <criterion/criterion.h>
#include <errno.h>

#include "ring/reader.h"
#include "tests/support/temporary_ring.h"

#define SLOTS UINT64_C(32)
#define WORDS 4u
#define SEED  11u

static void open_ring(struct temporary_ring *t)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    temporary_ring_create(t, &spec);
}

static struct ring_writer attach(struct temporary_ring *t)
{
    struct ring_writer writer;
    struct error err = {{0}};
    cr_assert_eq(ring_writer_attach(&writer, t->segment.base, t->segment.bytes, 99, NULL, &err), 0, "%s", err.text);
    return writer;
}

Test(writer, nothing_is_seen_before_it_is_published)
{
    struct temporary_ring t;
    struct ring_reader reader;
    struct sluice_frame frame;
    struct error err;
    open_ring(&t);
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err), 0);
    (void)ring_writer_reserve(&t.writer);
    cr_assert_eq(ring_reader_next(&reader, &frame), 0);
    temporary_commit(&t.writer, SEED, WORDS);
    cr_assert_eq(ring_reader_next(&reader, &frame), 0);
    ring_writer_publish(&t.writer);
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    cr_assert_eq(ring_reader_next(&reader, &frame), 0);
}

Test(writer, the_claim_is_always_ahead_of_what_is_written)
{
    struct temporary_ring t;
    open_ring(&t);
    struct ring_progress *progress = &temporary_header(&t)->progress;
    for (int i = 0; i < 500; i++) {
        (void)ring_writer_reserve(&t.writer);
        cr_assert_gt(progress->claimed, t.writer.next);
        cr_assert_leq(progress->claimed - t.writer.published, SLOTS / 2);
        temporary_commit(&t.writer, SEED, WORDS);
        if (i % 3 == 0) {
            ring_writer_publish(&t.writer);
            cr_assert_eq(progress->published, t.writer.next);
        }
    }
    uint64_t claimed = progress->claimed;
    ring_writer_claim(&t.writer, claimed - 1);
    cr_assert_eq(progress->claimed, claimed, "a claim never goes back");
}

Test(writer, a_frame_longer_than_its_slot_is_cut_and_lost_before_saturates)
{
    struct temporary_ring t;
    open_ring(&t);
    (void)ring_writer_reserve(&t.writer);
    ring_writer_commit(&t.writer, 100000, 1, 2, RING_FLAG_LOST_BEFORE | RING_LOSS_KERNEL << 8, 70000);
    const struct ring_descriptor *d = ring_descriptor_at(&t.writer.view, 0);
    cr_assert_eq(d->length_bytes, 32);
    cr_assert_eq(d->lost_before, 65535);
    cr_assert_eq(d->stream, 0);
    ring_writer_commit(&t.writer, 8, 1, 2, 0, 65534);
    cr_assert_eq(ring_descriptor_at(&t.writer.view, 1)->lost_before, 65534);
}

Test(writer, gap_records)
{
    struct temporary_ring t;
    struct ring_reader reader;
    struct sluice_frame frame;
    struct error err;
    struct ring_gap gap;
    open_ring(&t);
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err), 0);
    ring_writer_commit_gap(&t.writer, RING_LOSS_RESTART, 100000, 5, 6);
    ring_writer_publish(&t.writer);
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    cr_assert_eq(frame.flags, SLUICE_FRAME_GAP);
    cr_assert_eq(frame.cause, RING_LOSS_RESTART);
    cr_assert_eq(frame.lost_before, 65535);
    cr_assert_eq(frame.length_bytes, sizeof(gap));
    memcpy(&gap, frame.payload, sizeof(gap));
    cr_assert_eq(gap.count, 100000, "the record has the exact count");
    cr_assert_eq(gap.cause, RING_LOSS_RESTART);
    cr_assert_eq(gap.from_tai_ns, 5);
    cr_assert_eq(frame.tai_ns, 6);
    cr_assert_eq(temporary_header(&t)->ledger.gap_records, 1);
}

Test(writer, attach_refuses_what_is_no_ring)
{
    static uint8_t memory[8192];
    struct ring_writer writer;
    struct error err = {{0}};
    cr_assert_eq(ring_writer_attach(&writer, memory, sizeof(memory), 1, NULL, &err), -EPROTO);
}

/* Found by fuzz_ring_attach: at the end of the numbers a writer without gating readers found no free position. */
Test(writer, attach_refuses_a_position_that_no_writer_can_have_reached)
{
    struct temporary_ring t;
    open_ring(&t);
    struct ring_progress *progress = &temporary_header(&t)->progress;
    struct ring_writer writer;
    struct error err = {{0}};
    progress->published = UINT64_MAX - 3;
    cr_assert_eq(ring_writer_attach(&writer, t.segment.base, t.segment.bytes, 99, NULL, &err), -EPROTO);
    cr_assert(strstr(err.text, "18446744073709551612") != NULL && strstr(err.text, "overwritten") != NULL, "%s",
              err.text);
    cr_assert_eq(progress->epoch, 1, "a refused attach changes nothing");
    cr_assert_eq(progress->published, UINT64_MAX - 3);
    progress->published = 10;
    progress->claimed = 10 + t.writer.view.slot_count + 1;
    cr_assert_eq(ring_writer_attach(&writer, t.segment.base, t.segment.bytes, 99, NULL, &err), -EPROTO);
    progress->claimed = 10 + t.writer.view.slot_count;
    cr_assert_eq(ring_writer_attach(&writer, t.segment.base, t.segment.bytes, 99, NULL, &err), 0, "%s", err.text);
    cr_assert_eq(writer.next, 10);
}

Test(writer, each_attach_is_an_epoch)
{
    struct temporary_ring t;
    open_ring(&t);
    const struct ring_progress *progress = &temporary_header(&t)->progress;
    cr_assert_eq(progress->epoch, 1);
    cr_assert_eq(t.writer.restarted, 0);
    temporary_publish(&t.writer, SEED, WORDS, 3);
    struct ring_writer next = attach(&t);
    cr_assert_eq(progress->epoch, 2);
    cr_assert_eq(progress->writer_pid, 99);
    cr_assert_eq(progress->restart_position, 3);
    cr_assert_eq(next.restarted, 1);
}

/* How far the dying writer came with its last batch. */
struct death {
    uint32_t before;    /* frames published before the batch */
    uint32_t committed; /* of the batch */
    uint32_t words;     /* sequence words of the batch stored before the end */
    bool reserved;      /* one more slot was reserved and half filled */
    bool counted;       /* `published` was stored as well */
};

static void die(struct temporary_ring *t, const struct death *death)
{
    struct ring_writer *w = &t->writer;
    temporary_publish(w, SEED, WORDS, death->before);
    uint64_t first = w->next;
    for (uint32_t i = 0; i < death->committed; i++) {
        temporary_commit(w, SEED, WORDS);
    }
    if (death->reserved) {
        pattern_store(ring_writer_reserve(w), 999, w->next, 2);
    }
    for (uint32_t i = 0; i < death->words; i++) {
        __atomic_store_n(&ring_descriptor_at(&w->view, first + i)->sequence, first + i + 1, __ATOMIC_RELEASE);
    }
    if (death->counted) {
        __atomic_store_n(&temporary_header(t)->progress.published, first + death->words, __ATOMIC_RELEASE);
    }
}

/* What was published before the death is seen, in order and unharmed, and what comes after it follows on. */
static void check_followed(struct ring_reader *reader, uint64_t published, uint64_t end)
{
    struct sluice_frame frame;
    uint64_t expected = reader->position;
    while (ring_reader_next(reader, &frame) == 1) {
        cr_assert_eq(frame.position, expected + reader->lost);
        uint64_t seed = frame.position < published ? SEED : SEED + 1;
        cr_assert(pattern_matches(frame.payload, seed, frame.position, WORDS), "position %lu", frame.position);
        expected++;
    }
    cr_assert_eq(reader->position, end);
    cr_assert_eq(reader->lost, 0);
    cr_assert_eq(reader->corrupt, 0);
}

static void check_death(const struct death *death)
{
    struct temporary_ring t;
    struct ring_reader reader;
    struct error err;
    open_ring(&t);
    die(&t, death);
    uint64_t published = death->before + death->words;
    struct ring_writer next = attach(&t);
    const struct ring_progress *progress = &temporary_header(&t)->progress;
    cr_assert_eq(next.next, published, "before %u, %u committed, %u words: continues at %lu", death->before,
                 death->committed, death->words, next.next);
    cr_assert_eq(next.published, published);
    cr_assert_eq(progress->published, published);
    cr_assert_eq(progress->restart_position, published);
    cr_assert_eq(progress->epoch, 2);
    cr_assert_geq(progress->claimed, published);
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err), 0);
    temporary_publish(&next, SEED + 1, WORDS, 5);
    if (reader.position + SLOTS / 2 >= published + 5) {
        check_followed(&reader, published, published + 5);
    }
    temporary_ring_destroy(&t);
}

Test(writer, a_dead_writer_is_continued_from_every_point)
{
    for (uint32_t before = 0; before <= 3 * SLOTS; before++) {
        for (uint32_t committed = 0; committed <= 4; committed++) {
            for (uint32_t words = 0; words <= committed; words++) {
                for (unsigned variant = 0; variant < 4; variant++) {
                    struct death death = {.before = before,
                                          .committed = committed,
                                          .words = words,
                                          .reserved = (variant & 1) != 0,
                                          .counted = (variant & 2) != 0 && words == committed};
                    check_death(&death);
                }
            }
        }
    }
}

Test(writer, a_whole_ring_of_words_may_be_ahead_of_the_count)
{
    struct temporary_ring t;
    open_ring(&t);
    temporary_publish(&t.writer, SEED, WORDS, 3 * SLOTS);
    __atomic_store_n(&temporary_header(&t)->progress.published, 2 * SLOTS, __ATOMIC_RELEASE);
    struct ring_writer next = attach(&t);
    cr_assert_eq(next.next, 3 * SLOTS);
}

Test(writer, an_observer_goes_on_across_a_restart)
{
    struct temporary_ring t;
    struct ring_reader reader;
    struct error err;
    open_ring(&t);
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, SLUICE_NEWEST, &err), 0);
    for (uint64_t life = 0; life < 50; life++) {
        struct ring_writer writer = attach(&t);
        struct sluice_frame frame;
        temporary_publish(&writer, life, WORDS, 5);
        temporary_commit(&writer, life + 1000, WORDS); /* never published */
        for (uint64_t i = 0; i < 5; i++) {
            cr_assert_eq(ring_reader_next(&reader, &frame), 1);
            cr_assert_eq(frame.position, life * 5 + i);
            cr_assert(pattern_matches(frame.payload, life, frame.position, WORDS));
        }
        cr_assert_eq(ring_reader_next(&reader, &frame), 0);
    }
    cr_assert_eq(reader.lost + reader.corrupt, 0);
}

Test(writer, many_at_once)
{
    struct temporary_ring t;
    open_ring(&t);
    const struct ring_progress *progress = &temporary_header(&t)->progress;
    for (int round = 0; round < 50; round++) {
        cr_assert_eq(ring_writer_reserve_many(&t.writer, SLOTS / 2), SLOTS / 2);
        cr_assert_eq(progress->claimed, t.writer.next + SLOTS / 2);
        for (uint64_t i = 0; i < SLOTS / 2; i++) {
            cr_assert_eq(ring_payload_at(&t.writer.view, t.writer.next), ring_writer_reserve(&t.writer));
            temporary_commit(&t.writer, SEED, WORDS);
        }
        ring_writer_publish(&t.writer);
    }
    cr_assert_eq(ring_writer_reserve_many(&t.writer, 0), 0);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, 1), 1);
    cr_assert_eq(progress->claimed, t.writer.next + SLOTS / 16, "a chunk, however few are wanted");
}

/* A device that gets slots and fills them one after the other; `ahead` are in its hands. */
Test(writer, slots_are_handed_out_once_and_in_order)
{
    struct temporary_ring t;
    uint64_t expected = 0;
    uint64_t first;
    open_ring(&t);
    for (uint64_t round = 0; round < 500; round++) {
        uint32_t count = ring_writer_hand_out(&t.writer, SLOTS / 2, &first);
        cr_assert_eq(first, expected);
        expected += count;
        cr_assert_eq(expected, t.writer.next + SLOTS / 2);
        cr_assert_geq(temporary_header(&t)->progress.claimed, expected, "claimed before it is handed out");
        for (uint64_t i = 0; i < round % (SLOTS / 2 + 1); i++) {
            temporary_commit(&t.writer, SEED, WORDS);
        }
        ring_writer_publish(&t.writer);
    }
    cr_assert_eq(ring_writer_hand_out(&t.writer, 1, &first), 0, "it has more than that already");
}

Test(writer, what_a_device_had_is_handed_out_again_once_it_is_closed)
{
    struct temporary_ring t;
    uint64_t first;
    open_ring(&t);
    cr_assert_eq(ring_writer_hand_out(&t.writer, 8, &first), 8);
    temporary_publish(&t.writer, SEED, WORDS, 3);
    ring_writer_owe_gap(&t.writer, RING_LOSS_RESTART, 0, 0);
    cr_assert_not(ring_writer_pay_gap(&t.writer, 1), "the next slot is in the device's hands");
    ring_writer_take_back(&t.writer);
    cr_assert(ring_writer_pay_gap(&t.writer, 1));
    cr_assert_eq(ring_writer_hand_out(&t.writer, 8, &first), 8);
    cr_assert_eq(first, 4);
}

/* All handed slots are filled, then the writer commits something by itself: that slot is not the device's. */
Test(writer, what_was_committed_without_the_device_is_not_handed_out)
{
    struct temporary_ring t;
    uint64_t first;
    open_ring(&t);
    cr_assert_eq(ring_writer_hand_out(&t.writer, 2, &first), 2);
    temporary_publish(&t.writer, SEED, WORDS, 2);
    ring_writer_owe_gap(&t.writer, RING_LOSS_RING_FULL, 1, 0);
    cr_assert(ring_writer_pay_gap(&t.writer, 1));
    ring_writer_publish(&t.writer);
    cr_assert_eq(ring_writer_hand_out(&t.writer, 4, &first), 4);
    cr_assert_eq(first, 3, "2 is the gap record's, and published");
}

Test(writer, a_restart_stays_a_restart_among_owed_gaps)
{
    struct temporary_ring t;
    open_ring(&t);
    ring_writer_owe_gap(&t.writer, RING_LOSS_RING_FULL, 2, 5);
    ring_writer_owe_gap(&t.writer, RING_LOSS_RESTART, 0, 6);
    ring_writer_owe_gap(&t.writer, RING_LOSS_RING_FULL, 3, 7);
    cr_assert(ring_writer_pay_gap(&t.writer, 9));
    struct ring_gap gap;
    memcpy(&gap, ring_payload_at(&t.writer.view, 0), sizeof(gap));
    cr_assert_eq(gap.cause, RING_LOSS_RESTART);
    cr_assert_eq(gap.count, 5);
    cr_assert_eq(gap.from_tai_ns, 5);
    ring_writer_owe_gap(&t.writer, RING_LOSS_KERNEL, 1, 0);
    cr_assert(ring_writer_pay_gap(&t.writer, 9));
    memcpy(&gap, ring_payload_at(&t.writer.view, 1), sizeof(gap));
    cr_assert_eq(gap.cause, RING_LOSS_KERNEL, "a new account");
    cr_assert_eq(gap.count, 1);
}

Test(writer, the_slots_as_memory_for_a_device)
{
    static const struct {
        uint64_t slots;
        uint32_t slot_bytes, payload_offset, channels;
    } geometry[] = {
        {16, 64, 32, 0}, {64, 2048, 128, 1}, {32, 65536, 256, 64}, {4096, 192, 64, 7}, {64, 2048, 320, 0}};
    static struct ring_channel channels[RING_CHANNELS_MAX];
    for (size_t i = 0; i < RING_CHANNELS_MAX; i++) {
        channels[i] = (struct ring_channel){.name = "c", .unit = "u", .type = RING_TYPE_U8, .scale = 1};
    }
    for (size_t i = 0; i < sizeof(geometry) / sizeof(geometry[0]); i++) {
        struct temporary_ring t;
        struct ring_memory memory;
        struct ring_spec spec =
            temporary_spec(geometry[i].slots, geometry[i].slot_bytes, geometry[i].payload_offset);
        spec.channels = channels;
        spec.channel_count = geometry[i].channels;
        temporary_ring_create(&t, &spec);
        ring_writer_memory(&t.writer, &memory);
        cr_assert_eq(memory.base, t.segment.base);
        cr_assert_eq(memory.bytes, t.segment.bytes);
        cr_assert_eq(memory.page_bytes, 4096);
        cr_assert_eq((uintptr_t)memory.base % memory.page_bytes, 0);
        cr_assert_eq((uintptr_t)memory.first_slot % 4096, 0);
        cr_assert_eq(memory.slots, geometry[i].slots);
        cr_assert_eq(memory.slot_bytes, geometry[i].slot_bytes);
        cr_assert_eq(memory.payload_offset, geometry[i].payload_offset);
        cr_assert_eq(memory.headroom_bytes, geometry[i].payload_offset - 32);
        cr_assert_eq(memory.payload_bytes, geometry[i].slot_bytes - geometry[i].payload_offset);
        cr_assert_leq(memory.first_slot + memory.slots * memory.slot_bytes, memory.base + memory.bytes);
        for (uint64_t p = 0; p < 2 * memory.slots; p++) {
            const uint8_t *slot = memory.first_slot + p % memory.slots * memory.slot_bytes;
            cr_assert_eq(ring_payload_at(&t.writer.view, p), slot + memory.payload_offset);
            cr_assert_eq((const uint8_t *)ring_descriptor_at(&t.writer.view, p), slot);
        }
        temporary_ring_destroy(&t);
    }
}
