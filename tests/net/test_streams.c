/* Streams of every format with injected loss, repeats, disorder and late frames, through intake.c into a ring: the
 * ledger against a slow, obvious bookkeeping of what was injected. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "net/intake.h"
#include "net/sequence.h"
#include "ring/reader.h"
#include "tests/support/formats.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"

#define FRAMES_MAX   30000u
#define ARRIVALS_MAX (4u * FRAMES_MAX)
#define TAIL_FRAMES  30u
#define WINDOW       64u /* net/sequence.c: what is further behind is late */
#define PAYLOAD      64u

enum event { EVENT_FRAME, EVENT_LOST, EVENT_KERNEL, EVENT_BROKEN, EVENT_HEARTBEAT, EVENT_END };

struct arrival {
    uint64_t index; /* of the frame in the order of sending; of a heartbeat: of the next one */
    uint64_t when;  /* sort key */
    enum event event;
};

struct mixture {
    uint32_t kind;                                    /* enum stream_format */
    unsigned lose, drop, refuse, repeat, delay, late; /* per mille */
    uint64_t burst_max;
    uint64_t reach;     /* frames by which a delayed one or a repeat is behind, at most */
    uint64_t heartbeat; /* one each so many frames; 0: none */
    bool lose_tail;     /* the last frames, and only a heartbeat says so */
};

struct injected {
    uint64_t delivered, duplicated, reordered, refused;
    uint64_t lost[RING_LOSSES];
};

static struct arrival arrivals[ARRIVALS_MAX];
static uint8_t seen[FRAMES_MAX];
static struct temporary_ring ring;
static struct ring_reader reader;
static struct source_plan plan;
static uint64_t first_number;

/* --- what a sender writes ------------------------------------------------------------------------------------ */

static const struct format_spec vdif = {
    .kind = FORMAT_VDIF, .frames_per_second = 50, .threads = 3, .thread_order = {4, 0, 9}};
static const struct format_spec spead = {.kind = FORMAT_SPEAD, .heap_bytes = 40, .packet_bytes = 16};

static void plan_stream(uint32_t kind)
{
    plan = (struct source_plan){.checksum = {.kind = CHECKSUM_NONE}};
    plan.format.kind = kind;
    plan.format = kind == FORMAT_VDIF ? vdif : kind == FORMAT_SPEAD ? spead : plan.format;
    plan.sequence =
        (struct sequence_spec){.width_bytes = 2, .at_byte = 6, .byte_order = RING_BIG_ENDIAN, .step = 1};
    format_sequence(&plan.format, &plan.sequence);
    first_number = kind == FORMAT_FIELD ? 65000 : kind == FORMAT_VRT ? 13 : 3000; /* a wrap is near */
}

/* A packet is cut as its heap wants it. */
static uint32_t write_spead(uint8_t *to, uint64_t number)
{
    uint64_t part = number % 3;
    uint32_t bytes = part == 2 ? 8 : 16;
    formats_spead(to, number / 3, 40, part * 16, bytes);
    return FORMATS_SPEAD_BYTES + bytes;
}

static uint32_t write_frame(uint8_t *to, uint64_t index)
{
    uint64_t number = first_number + index;
    struct test_vdif v = {.seconds = (uint32_t)(number / 150),
                          .in_second = (uint32_t)(number / 3 % 50),
                          .length_8 = PAYLOAD / 8,
                          .thread = vdif.thread_order[number % 3]};
    memset(to, 0, PAYLOAD);
    switch (plan.format.kind) {
    case FORMAT_VDIF:
        formats_vdif(to, &v);
        return PAYLOAD;
    case FORMAT_VRT:
        (void)formats_vrt(to, &(struct test_vrt){.type = 1, .count = number % 16, .words = PAYLOAD / 4});
        return PAYLOAD;
    case FORMAT_SPEAD:
        return write_spead(to, number);
    case FORMAT_SLUICE:
        format_write_sluice(
            to, &(struct format_sluice){.sequence = number, .payload_bytes = PAYLOAD - FORMAT_SLUICE_BYTES});
        return PAYLOAD;
    default:
        formats_put_big(to + 6, number & 0xffff, 2);
        return PAYLOAD;
    }
}

static uint32_t write_heartbeat(uint8_t *to, uint64_t next, bool end)
{
    uint64_t number = first_number + next;
    if (plan.format.kind == FORMAT_SPEAD) {
        cr_assert(end && number % 3 == 0);
        formats_spead_head(to, 2);
        formats_spead_item(to, 0, 1, 1, number / 3);
        formats_spead_item(to, 1, 1, 6, 2);
        return 24;
    }
    format_write_sluice(to,
                        &(struct format_sluice){.sequence = number,
                                                .flags = FORMAT_SLUICE_HEARTBEAT | (end ? FORMAT_SLUICE_END : 0)});
    return FORMAT_SLUICE_BYTES;
}

/* Nothing in it may pass for a frame of any of the formats with a header. */
static uint32_t write_broken(uint8_t *to, uint64_t index)
{
    uint32_t bytes = write_frame(to, index);
    return plan.format.kind == FORMAT_FIELD ? 7 : plan.format.kind == FORMAT_VRT ? bytes - 4 : bytes - 1;
}

/* --- what the network does to it ----------------------------------------------------------------------------- */

static bool fate_of(const struct mixture *mix, struct test_random *random, enum event *event)
{
    uint64_t dice = test_random_below(random, 1000);
    *event = dice < mix->lose                             ? EVENT_LOST
             : dice < mix->lose + mix->drop               ? EVENT_KERNEL
             : dice < mix->lose + mix->drop + mix->refuse ? EVENT_BROKEN
                                                          : EVENT_FRAME;
    return *event != EVENT_FRAME;
}

static size_t send_one(const struct mixture *mix, struct test_random *random, uint64_t i, size_t n)
{
    uint64_t when = 100 * i;
    if (test_random_chance(random, mix->late)) {
        when += 100 * (WINDOW + 1 + test_random_below(random, 100)) + 50;
    } else if (test_random_chance(random, mix->delay)) {
        when += 100 * (1 + test_random_below(random, mix->reach)) + 50;
    } else if (test_random_chance(random, mix->repeat)) {
        arrivals[n++] = (struct arrival){i, when + 1 + 100 * test_random_below(random, mix->reach), EVENT_FRAME};
    }
    arrivals[n++] = (struct arrival){i, when, EVENT_FRAME};
    return n;
}

static int by_moment(const void *a, const void *b)
{
    const struct arrival *x = a;
    const struct arrival *y = b;
    return x->when != y->when ? (x->when < y->when ? -1 : 1) : x->index < y->index ? -1 : x->index > y->index;
}

static size_t send_frames(const struct mixture *mix, struct test_random *random, uint64_t frames)
{
    size_t n = 0;
    uint64_t burst = 0;
    enum event event = EVENT_FRAME;
    for (uint64_t i = 0; i < frames; i++) {
        bool at_an_end = i == 0 || i + 200 > frames; /* so that whatever is late is late within the run */
        if (at_an_end) {
            burst = 0;
        } else if (burst > 0) {
            burst--;
        } else if (fate_of(mix, random, &event)) {
            burst = test_random_below(random, mix->burst_max);
        }
        if (at_an_end || event == EVENT_FRAME) {
            bool lost = mix->lose_tail && i + TAIL_FRAMES >= frames;
            if (at_an_end && !lost) {
                arrivals[n++] = (struct arrival){i, 100 * i, EVENT_FRAME};
            } else if (!lost) {
                n = send_one(mix, random, i, n);
            }
        } else if (event != EVENT_LOST) {
            arrivals[n++] = (struct arrival){i, 100 * i, event};
        }
        event = burst > 0 ? event : EVENT_FRAME;
        if (mix->heartbeat != 0 && i % mix->heartbeat == 0) {
            arrivals[n++] = (struct arrival){i + 1, 100 * i + 99, EVENT_HEARTBEAT};
        }
    }
    if (mix->lose_tail) {
        arrivals[n++] = (struct arrival){frames, 100 * frames + 99, EVENT_END};
    }
    qsort(arrivals, n, sizeof(arrivals[0]), by_moment);
    return n;
}

/* The slow and obvious one: looks at every arrival in turn. */
static struct injected count_injected(size_t n, uint64_t frames)
{
    struct injected told = {0};
    uint64_t next = 0;
    memset(seen, 0, sizeof(seen));
    for (size_t i = 0; i < n; i++) {
        const struct arrival *a = &arrivals[i];
        if (a->event == EVENT_KERNEL) {
            told.lost[RING_LOSS_KERNEL]++;
        } else if (a->event == EVENT_BROKEN) {
            told.refused++;
        } else if (a->event == EVENT_FRAME && seen[a->index] != 0) {
            told.duplicated++;
        } else if (a->event == EVENT_FRAME && next > a->index + WINDOW) {
            told.lost[RING_LOSS_LATE]++;
        } else if (a->event == EVENT_FRAME) {
            seen[a->index] = 1;
            told.delivered++;
            told.reordered += a->index < next;
        }
        uint64_t known = a->index + (a->event == EVENT_FRAME);
        if (a->event != EVENT_KERNEL && a->event != EVENT_BROKEN && known > next) {
            next = known;
        }
    }
    uint64_t noticed = told.lost[RING_LOSS_KERNEL] + told.refused + told.lost[RING_LOSS_LATE];
    told.lost[plan.format.kind == FORMAT_FIELD ? RING_LOSS_TRUNCATED : RING_LOSS_MALFORMED] = told.refused;
    told.lost[RING_LOSS_SENDER] = frames - told.delivered - noticed;
    return told;
}

/* --- and what is made of it ---------------------------------------------------------------------------------- */

static void check_published(const struct arrival *a)
{
    static uint64_t offset;
    struct sluice_frame frame;
    while (ring_reader_next(&reader, &frame) == 1) {
        if ((frame.flags & SLUICE_FRAME_GAP) == 0) {
            offset = ring.writer.next == 1 ? frame.source_sequence : offset;
            cr_assert_eq(frame.source_sequence - offset, a->index, "unwrapped number of frame %lu", a->index);
            cr_assert_eq((frame.flags & SLUICE_FRAME_DUPLICATE) != 0, seen[a->index] != 0);
            seen[a->index] = 1;
        }
    }
}

static void take(const struct arrival *a)
{
    uint8_t bytes[2 * PAYLOAD];
    struct format_frame frame = {0};
    uint32_t count = a->event == EVENT_FRAME    ? write_frame(bytes, a->index)
                     : a->event == EVENT_BROKEN ? write_broken(bytes, a->index)
                                                : write_heartbeat(bytes, a->index, a->event == EVENT_END);
    enum ring_refusal refusal = intake_judge(&plan, bytes, count, ring.writer.view.payload_bytes, &frame);
    cr_assert_eq(refusal == RING_REFUSALS, a->event != EVENT_BROKEN, "%s", ring_refusal_name(refusal));
    cr_assert_eq(frame.heartbeat, a->event == EVENT_HEARTBEAT || a->event == EVENT_END);
    memcpy(ring_writer_reserve(&ring.writer), bytes, count);
    intake_commit(&plan, &ring.writer, refusal, &frame, count, 1000, true);
    ring_writer_publish(&ring.writer);
    check_published(a);
}

static void check(const struct mixture *mix, uint64_t seed)
{
    uint64_t frames = FRAMES_MAX;
    struct test_random random = {seed};
    struct error err;
    struct ring_spec spec = temporary_spec(256, 256, 64);
    plan_stream(mix->kind);
    size_t n = send_frames(mix, &random, frames);
    struct injected told = count_injected(n, frames);
    memset(seen, 0, sizeof(seen));
    temporary_ring_create(&ring, &spec);
    cr_assert_eq(ring_reader_attach(&reader, ring.segment.base, ring.segment.bytes, SLUICE_NEWEST, &err), 0);
    struct ring_ledger *ledger = &temporary_header(&ring)->ledger;
    for (size_t i = 0; i < n; i++) {
        if (arrivals[i].event == EVENT_KERNEL) {
            net_sequence_explain(&plan.sequence, ledger, RING_LOSS_KERNEL, 1);
        } else {
            take(&arrivals[i]);
        }
        cr_assert_eq(ring_ledger_residual(ledger), 0);
    }
    cr_assert_eq(ledger->sent, frames, "format %u: sent %lu", mix->kind, ledger->sent);
    cr_assert_eq(ledger->delivered, told.delivered, "format %u", mix->kind);
    cr_assert_eq(ledger->duplicated, told.duplicated, "format %u", mix->kind);
    cr_assert_eq(ledger->reordered, told.reordered, "format %u", mix->kind);
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        cr_assert_eq(ledger->lost[cause], told.lost[cause], "format %u, %s: %lu instead of %lu", mix->kind,
                     ring_loss_name(cause), ledger->lost[cause], told.lost[cause]);
    }
    temporary_ring_destroy(&ring);
}

/* Half of VRT's 16 numbers: what is longer in a row is told in test_sequence.c. */
static struct mixture mixture_of(uint32_t kind)
{
    bool narrow = kind == FORMAT_VRT;
    return (struct mixture){.kind = kind, .burst_max = narrow ? 3 : 40, .reach = narrow ? 5 : 30};
}

Test(streams, loss_and_repeats)
{
    for (uint32_t kind = FORMAT_FIELD; kind < FORMATS; kind++) {
        struct mixture mix = mixture_of(kind);
        mix.lose = 10, mix.repeat = 20;
        check(&mix, kind);
    }
}

Test(streams, losses_are_put_down_to_what_caused_them)
{
    for (uint32_t kind = FORMAT_FIELD; kind < FORMATS; kind++) {
        struct mixture mix = mixture_of(kind);
        mix.lose = 10, mix.drop = 10, mix.refuse = 10, mix.repeat = 20;
        if (kind == FORMAT_VRT) {
            mix.drop = 0; /* with others at the same time its sum is ambiguous */
        }
        check(&mix, 10 + kind);
    }
}

Test(streams, disorder)
{
    for (uint32_t kind = FORMAT_FIELD; kind < FORMATS; kind++) {
        struct mixture mix = mixture_of(kind);
        mix.lose = 5, mix.repeat = 20, mix.delay = 20;
        mix.burst_max = kind == FORMAT_VRT ? 1 : mix.burst_max;
        check(&mix, 20 + kind);
    }
}

Test(streams, late_frames_are_refused_and_counted_as_such)
{
    for (uint32_t kind = FORMAT_FIELD; kind < FORMATS; kind++) {
        struct mixture mix = mixture_of(kind);
        mix.lose = 10, mix.delay = 20, mix.late = 5;
        if (kind != FORMAT_VRT) { /* whose numbers know nothing so far behind */
            check(&mix, 30 + kind);
        }
    }
}

/* However many this host drops in a row, it knows how many. */
Test(streams, drops_on_this_host_are_exact_even_with_four_bits)
{
    for (uint32_t kind = FORMAT_FIELD; kind < FORMATS; kind++) {
        struct mixture mix = mixture_of(kind);
        mix.drop = 10, mix.burst_max = 200;
        check(&mix, 40 + kind);
    }
}

Test(streams, heartbeats_change_nothing_while_frames_come)
{
    struct mixture mix = mixture_of(FORMAT_SLUICE);
    mix.lose = 10, mix.delay = 20, mix.late = 5, mix.repeat = 20, mix.heartbeat = 25;
    check(&mix, 50);
}

Test(streams, a_lost_tail_is_known_by_the_last_word)
{
    for (uint32_t kind = FORMAT_SPEAD; kind <= FORMAT_SLUICE; kind++) {
        struct mixture mix = mixture_of(kind);
        mix.lose = 10, mix.drop = 10, mix.refuse = 10, mix.repeat = 20, mix.lose_tail = true;
        check(&mix, 60 + kind);
    }
}

static void open_sluice_ring(void)
{
    struct ring_spec spec = temporary_spec(256, 256, 64);
    struct error err;
    temporary_ring_create(&ring, &spec);
    cr_assert_eq(ring_reader_attach(&reader, ring.segment.base, ring.segment.bytes, SLUICE_NEWEST, &err), 0);
    plan_stream(FORMAT_SLUICE);
    plan.format.match_stream = 1;
}

static struct sluice_frame take_one(uint64_t sequence, uint32_t stream_id, uint32_t flags, bool room)
{
    uint8_t bytes[PAYLOAD] = {0};
    struct format_frame frame;
    struct sluice_frame found = {0};
    uint32_t payload_bytes = flags == 0 ? PAYLOAD - FORMAT_SLUICE_BYTES : 0;
    uint32_t count = FORMAT_SLUICE_BYTES + payload_bytes;
    format_write_sluice(
        bytes, &(struct format_sluice){
                   .sequence = sequence, .stream_id = stream_id, .payload_bytes = payload_bytes, .flags = flags});
    enum ring_refusal refusal = intake_judge(&plan, bytes, count, ring.writer.view.payload_bytes, &frame);
    if (!room) {
        intake_drop(&plan, &ring.writer, refusal, &frame);
        return found;
    }
    memcpy(ring_writer_reserve(&ring.writer), bytes, count);
    intake_commit(&plan, &ring.writer, refusal, &frame, count, 1000, false);
    ring_writer_publish(&ring.writer);
    cr_assert_eq(ring_reader_next(&reader, &found), 1);
    return found;
}

Test(streams, another_stream_s_frames_are_no_loss_and_explain_none)
{
    open_sluice_ring();
    struct ring_ledger *ledger = &temporary_header(&ring)->ledger;
    (void)take_one(1, 0, 0, true);
    struct sluice_frame frame = take_one(77, 5, 0, true);
    cr_assert_eq(frame.flags, SLUICE_FRAME_GAP);
    cr_assert_eq(frame.lost_before, 0);
    cr_assert_eq(ledger->refused[RING_REFUSED_STRANGER], 1);
    frame = take_one(3, 0, 0, true);
    cr_assert_eq(frame.lost_before, 1);
    cr_assert_eq(frame.cause, RING_LOSS_SENDER);
    take_one(78, 5, 0, false);
    cr_assert_eq(ledger->refused[RING_REFUSED_STRANGER], 2);
    cr_assert_not(ring.writer.owes);
    temporary_ring_destroy(&ring);
}

Test(streams, a_heartbeat_without_room_is_not_missed)
{
    open_sluice_ring();
    struct ring_ledger *ledger = &temporary_header(&ring)->ledger;
    (void)take_one(1, 0, 0, true);
    take_one(4, 0, FORMAT_SLUICE_HEARTBEAT, false);
    cr_assert_not(ring.writer.owes);
    take_one(2, 0, 0, false);
    cr_assert_eq(ring.writer.owed_count, 1);
    cr_assert(ring_writer_pay_gap(&ring.writer, 1000));
    struct sluice_frame frame;
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    cr_assert_eq(frame.lost_before, 1, "the record of what was dropped");
    frame = take_one(5, 0, FORMAT_SLUICE_HEARTBEAT, true);
    cr_assert_eq(frame.lost_before, 2, "of three missing, one has been told");
    cr_assert_eq(frame.cause, RING_LOSS_RING_FULL);
    cr_assert_eq(ledger->sent, 4);
    cr_assert_eq(ledger->lost[RING_LOSS_RING_FULL], 1);
    cr_assert_eq(ledger->lost[RING_LOSS_SENDER], 2);
    cr_assert_eq(ring_ledger_residual(ledger), 0);
    temporary_ring_destroy(&ring);
}
