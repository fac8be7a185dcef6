/* What a ring says of itself to its readers: its tables as they were made, its progress, ledger and rate as they
 * are.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/support/installed_reader.h"

#define SLOTS UINT64_C(64)
#define WORDS 2u
#define SEED  12u

static const struct ring_stream streams[] = {
    {.name = "frames",
     .source = "udp",
     .frame_bytes = 16,
     .sequence_width_bytes = 4,
     .sequence_step = 2,
     .stamp = RING_STAMP_DEVICE,
     .nominal_hz = 1000},
    {.name = "text", .source = "serial"},
};
static const struct ring_channel channels[] = {
    {.name = "p",
     .unit = "mbar",
     .at_byte = 4,
     .type = RING_TYPE_F32,
     .byte_order = RING_BIG_ENDIAN,
     .scale = 0.5,
     .offset = -1,
     .range_low = 0,
     .range_high = 1000},
    {.name = "open",
     .at_byte = 12,
     .type = RING_TYPE_U16,
     .byte_order = RING_LITTLE_ENDIAN,
     .scale = 1,
     .bits = 3,
     .shift = 5,
     .calibration = RING_CALIBRATION_POLYNOMIAL,
     .numbers = 2},
};
static const double numbers[] = {1, 2};

static struct temporary_ring t;
static struct installed_reader installed;
static struct sluice_reader *reader;

static void open_all(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    spec.instance = "tvac1";
    spec.name = "chamber";
    spec.streams = streams;
    spec.stream_count = 2;
    spec.channels = channels;
    spec.channel_count = 2;
    spec.numbers = numbers;
    spec.number_count = 2;
    spec.numa_node = 1;
    spec.tai_minus_monotonic_ns = -77;
    temporary_ring_create(&t, &spec);
    temporary_header(&t)->identity.created_tai_ns = 99; /* these two the server fills in */
    temporary_header(&t)->identity.utc_offset_s = 37;
    installed_reader_open(&installed, &t, SLUICE_OLDEST);
    reader = installed.reader;
}

static void close_all(void)
{
    installed_reader_close(&installed);
    temporary_ring_destroy(&t);
}

TestSuite(describe, .init = open_all, .fini = close_all);

Test(describe, the_ring)
{
    struct sluice_ring ring;
    sluice_ring(reader, &ring);
    cr_assert_str_eq(ring.instance, "tvac1");
    cr_assert_str_eq(ring.name, "chamber");
    cr_assert_eq(ring.slots, SLOTS);
    cr_assert_eq(ring.slot_bytes, 64);
    cr_assert_eq(ring.payload_offset, 32);
    cr_assert_eq(ring.payload_bytes, 32);
    cr_assert_eq(ring.channels, 2);
    cr_assert_eq(ring.streams, 2);
    cr_assert_eq(ring.stamp, RING_STAMP_DEVICE);
    cr_assert_eq(ring.page_bytes, 4096);
    cr_assert_eq(ring.created_tai_ns, 99);
    cr_assert_eq(ring.tai_minus_monotonic_ns, -77);
    cr_assert_eq(ring.utc_offset_s, 37);
    cr_assert_eq(ring.numa_node, 1);
}

Test(describe, its_streams)
{
    struct sluice_stream stream;
    cr_assert_eq(sluice_stream(reader, 0, &stream), 0);
    cr_assert_str_eq(stream.name, "frames");
    cr_assert_str_eq(stream.source, "udp");
    cr_assert_eq(stream.frame_bytes, 16);
    cr_assert_eq(stream.sequence_width_bytes, 4);
    cr_assert_eq(stream.sequence_step, 2);
    cr_assert_eq(sluice_stream(reader, 1, &stream), 0);
    cr_assert_str_eq(stream.name, "text");
    cr_assert_eq(sluice_stream(reader, 2, &stream), -ERANGE);
    cr_assert_eq(sluice_stream(reader, UINT32_MAX, &stream), -ERANGE);
    cr_assert_str_eq(stream.name, "text", "untouched");
}

Test(describe, its_channels)
{
    struct sluice_channel c;
    cr_assert_eq(sluice_channels(reader), 2);
    cr_assert_eq(sluice_channel(reader, 0, &c), 0);
    cr_assert_str_eq(c.name, "p");
    cr_assert_str_eq(c.unit, "mbar");
    cr_assert_eq(c.at_byte, 4);
    cr_assert_eq(c.big_endian, 1);
    cr_assert_str_eq(sluice_type_name(c.type), "f32");
    cr_assert_eq(c.calibration + c.bits + c.shift, 0);
    cr_assert(c.scale == 0.5 && c.offset == -1 && c.range_low == 0 && c.range_high == 1000);
    cr_assert_eq(sluice_channel(reader, 1, &c), 0);
    cr_assert_str_eq(c.name, "open");
    cr_assert_eq(c.big_endian, 0);
    cr_assert_eq(c.calibration, RING_CALIBRATION_POLYNOMIAL);
    cr_assert_eq(c.bits, 3);
    cr_assert_eq(c.shift, 5);
    cr_assert_eq(sluice_channel(reader, 2, &c), -ERANGE);
    cr_assert_eq(sluice_channel(reader, UINT32_MAX, &c), -ERANGE);
    cr_assert_str_eq(c.name, "open", "untouched");
}

/* Fault: the server, or who wrote over it, changes its tables later. A reader has its own. */
Test(describe, tables_that_change_later_change_nothing)
{
    struct sluice_channel c;
    struct sluice_ring ring;
    struct ring_header *header = temporary_header(&t);
    memset((uint8_t *)header + RING_HEADER_BYTES, 0xff, sizeof(channels));
    memset(&header->identity, 0xff, sizeof(header->identity));
    memset(header->stream, 0xff, sizeof(header->stream));
    cr_assert_eq(sluice_channel(reader, 0, &c), 0);
    cr_assert_str_eq(c.name, "p");
    sluice_ring(reader, &ring);
    cr_assert_str_eq(ring.name, "chamber");
    cr_assert_eq(ring.slots, SLOTS);
    cr_assert_eq(sluice_channels(reader), 2);
}

Test(describe, progress_of_a_ring_that_is_empty)
{
    struct sluice_progress p;
    sluice_progress(reader, &p);
    cr_assert_eq(p.oldest, 0);
    cr_assert_eq(p.published, 0);
    cr_assert_eq(p.oldest_tai_ns, 0);
    cr_assert_eq(p.newest_tai_ns, 0);
    cr_assert_eq(p.epoch, sluice_reader_epoch(reader));
    cr_assert_eq(p.epoch, 1);
    cr_assert_eq(p.writer_pid, 1, "as the writer said when it attached");
}

Test(describe, progress_of_a_ring_that_was_filled_again_and_again)
{
    struct sluice_progress p;
    for (uint64_t published = 1; published < 5 * SLOTS; published++) {
        temporary_publish(&t.writer, SEED, WORDS, 1); /* the stamp is the position + 1000 */
        uint64_t claimed = temporary_header(&t)->progress.claimed;
        sluice_progress(reader, &p);
        cr_assert_eq(p.published, published);
        cr_assert_eq(p.newest_tai_ns, published - 1 + 1000);
        cr_assert_eq(p.oldest, claimed > SLOTS ? claimed - SLOTS : 0);
        cr_assert_eq(p.oldest_tai_ns, p.oldest + 1000);
    }
}

/* Fault: claims that no writer can have made. It ends, and says nothing that is not there. */
Test(describe, progress_of_a_header_that_lies)
{
    struct sluice_progress p;
    const uint64_t lies[] = {0, 5, 11, SLOTS, UINT64_C(1) << 40, UINT64_MAX};
    temporary_publish(&t.writer, SEED, WORDS, 10);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        __atomic_store_n(&temporary_header(&t)->progress.claimed, lies[i], __ATOMIC_RELEASE);
        sluice_progress(reader, &p);
        cr_assert_leq(p.oldest, p.published);
    }
}

Test(describe, a_ledger_adds_up)
{
    struct ring_ledger *l = &temporary_header(&t)->ledger;
    struct sluice_ledger ledger;
    uint64_t sent = 1000;
    l->delivered = 1000;
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        l->lost[i] = 10 + i;
        sent += 10 + i;
    }
    for (uint32_t i = 0; i < RING_REFUSALS; i++) {
        l->refused[i] = 100 + i;
    }
    l->sent = sent;
    l->duplicated = 1;
    l->reordered = 2;
    l->noise_bytes = 3;
    l->gap_records = 4;
    l->connects = 5;
    l->disconnects = 6;
    l->is_open = 1;
    l->bytes = 7;
    sluice_ledger(reader, &ledger);
    cr_assert_eq(ledger.sent, sent);
    cr_assert_eq(ledger.delivered, 1000);
    cr_assert_eq(ledger.residual, 0);
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        cr_assert_eq(ledger.lost[i], 10 + i);
        cr_assert_eq(ledger.refused[i], 100 + i);
    }
    cr_assert_eq(ledger.duplicated, 1);
    cr_assert_eq(ledger.reordered, 2);
    cr_assert_eq(ledger.noise_bytes, 3);
    cr_assert_eq(ledger.gap_records, 4);
    cr_assert_eq(ledger.connects, 5);
    cr_assert_eq(ledger.disconnects, 6);
    cr_assert_eq(ledger.is_open, 1);
    cr_assert_eq(ledger.bytes, 7);
}

/* Fault: a frame that nothing explains, and one that is there twice. */
Test(describe, a_ledger_that_does_not_add_up_says_by_how_much)
{
    struct ring_ledger *l = &temporary_header(&t)->ledger;
    struct sluice_ledger ledger;
    l->sent = 100;
    l->delivered = 90;
    l->lost[RING_LOSS_NIC] = 7;
    sluice_ledger(reader, &ledger);
    cr_assert_eq(ledger.residual, 3);
    l->lost[RING_LOSS_NIC] = 15;
    sluice_ledger(reader, &ledger);
    cr_assert_eq(ledger.residual, -5);
}

Test(describe, the_rate)
{
    struct ring_rate *r = &temporary_header(&t)->rate;
    struct sluice_rate rate;
    sluice_rate(reader, &rate);
    cr_assert(rate.nominal_hz == 1000 && rate.measured_hz == 0);
    cr_assert_eq(rate.window_ns, 0);
    *r = (struct ring_rate){.windows = 2,
                            .window_ns = 1000000000,
                            .frames = 501,
                            .intervals = 500,
                            .arrived_ns = 1000000000,
                            .interval_ns_min = 1900000,
                            .interval_ns_max = 2100000,
                            .missed = 3};
    sluice_rate(reader, &rate);
    cr_assert(rate.measured_hz == 500);
    cr_assert_eq(rate.window_ns, 1000000000);
    cr_assert_eq(rate.frames, 501);
    cr_assert_eq(rate.interval_ns_min, 1900000);
    cr_assert_eq(rate.interval_ns_max, 2100000);
    cr_assert_eq(rate.missed, 3);
    r->windows = 3; /* its writer died while it wrote this */
    sluice_rate(reader, &rate);
    cr_assert_eq(rate.window_ns, 0);
    cr_assert(rate.measured_hz == 0);
}

Test(describe, names)
{
    static const char *const losses[] = {"sender", "kernel",    "nic",       "ring_full",
                                         "late",   "malformed", "truncated", "restart"};
    static const char *const refusals[] = {"short", "long", "stranger", "checksum", "syntax", "fragment"};
    static const char *const types[] = {"none", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"};
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_str_eq(sluice_loss_name(i), losses[i]);
    }
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_str_eq(sluice_refusal_name(i), refusals[i]);
    }
    for (uint32_t i = 0; i < RING_TYPES; i++) {
        cr_assert_str_eq(sluice_type_name(i), types[i]);
    }
    cr_assert_str_eq(sluice_loss_name(8), "unknown");
    cr_assert_str_eq(sluice_refusal_name(6), "unknown");
    cr_assert_str_eq(sluice_type_name(RING_TYPES), "none");
    cr_assert_str_eq(sluice_loss_name(UINT32_MAX), "unknown");
    cr_assert_str_eq(sluice_refusal_name(UINT32_MAX), "unknown");
    cr_assert_str_eq(sluice_type_name(UINT32_MAX), "none");
}
