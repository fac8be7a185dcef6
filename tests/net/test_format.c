/* What each format's header says, every rule and every boundary; and three real recordings. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "net/sequence.h"
#include "tests/support/beside.h"
#include "tests/support/formats.h"
#include "tests/support/random.h"

static struct format_frame frame;
static struct sequence_spec sequence;
static uint8_t payload[4096];

/* In memory of exactly this size: the address sanitizer sees a look beyond the end. */
static bool read_bytes(const struct format_spec *format, const uint8_t *from, uint32_t bytes)
{
    uint8_t *copy = malloc(bytes + (bytes == 0));
    memcpy(copy, from, bytes);
    bool good = format_read(format, &sequence, copy, bytes, &frame);
    free(copy);
    return good;
}

static bool read_it(const struct format_spec *format, uint32_t bytes)
{
    return read_bytes(format, payload, bytes);
}

Test(format, a_declared_field)
{
    struct format_spec format = {.kind = FORMAT_FIELD};
    sequence = (struct sequence_spec){.width_bytes = 4, .at_byte = 6, .byte_order = RING_BIG_ENDIAN, .step = 1};
    formats_put_big(payload + 6, 0x01020304, 4);
    for (uint32_t kind = 0; kind <= FORMAT_FIELD; kind++) {
        format.kind = kind;
        cr_assert_not(read_it(&format, 9));
        cr_assert_not(frame.stranger);
        cr_assert(read_it(&format, 10));
        cr_assert_eq(frame.number, 0x01020304);
        cr_assert_not(frame.heartbeat);
    }
    cr_assert_not(read_it(&format, 0));
    sequence.at_byte = UINT32_MAX;
    cr_assert_not(read_it(&format, 100));
    sequence.width_bytes = 0;
    sequence.at_byte = 0;
    cr_assert(read_it(&format, 0), "no number is declared");
}

Test(format, a_kind_that_there_is_not)
{
    struct format_spec format = {.kind = FORMATS};
    cr_assert_not(read_it(&format, 100));
    format.kind = UINT32_MAX;
    cr_assert_not(read_it(&format, 100));
}

static struct format_spec vdif_of(uint32_t frames_per_second, uint32_t threads)
{
    struct format_spec format = {.kind = FORMAT_VDIF, .frames_per_second = frames_per_second, .threads = threads};
    for (uint32_t i = 0; i < threads; i++) {
        format.thread_order[i] = i;
    }
    return format;
}

static bool read_vdif(const struct format_spec *format, const struct test_vdif *v)
{
    formats_vdif(payload, v);
    return read_it(format, v->length_8 * 8);
}

Test(format, vdif_numbers_count_threads_within_frames_within_seconds)
{
    struct format_spec format = vdif_of(1000, 4);
    struct test_vdif v = {.seconds = 7, .in_second = 12, .length_8 = 10, .thread = 3, .epoch = 42};
    cr_assert(read_vdif(&format, &v));
    cr_assert_eq(frame.number, (7 * 1000 + 12) * 4 + 3);
    v.seconds = 0x3fffffff;
    v.in_second = 999;
    cr_assert(read_vdif(&format, &v));
    cr_assert_eq(frame.number, (UINT64_C(0x3fffffff) * 1000 + 999) * 4 + 3);
    v.in_second = 1000;
    cr_assert_not(read_vdif(&format, &v), "a second has frames 0 .. 999");
    v.in_second = 0xffffff;
    format.frames_per_second = 1u << 24;
    cr_assert(read_vdif(&format, &v));
    format.frames_per_second = 0;
    v.in_second = 0;
    cr_assert_not(read_vdif(&format, &v));
}

Test(format, vdif_threads_stand_in_the_order_in_which_they_are_sent)
{
    static const uint32_t order[] = {1, 3, 5, 7, 0, 2, 4, 1023};
    struct format_spec format = vdif_of(1000, 8);
    memcpy(format.thread_order, order, sizeof(order));
    struct test_vdif v = {.in_second = 2, .length_8 = 4};
    for (uint32_t rank = 0; rank < 8; rank++) {
        v.thread = order[rank];
        cr_assert(read_vdif(&format, &v));
        cr_assert_eq(frame.number, 2 * 8 + rank);
    }
    v.thread = 6;
    cr_assert_not(read_vdif(&format, &v), "none of the stream's");
    v.thread = 1022;
    cr_assert_not(read_vdif(&format, &v));
    format.threads = 0;
    v.thread = 1;
    cr_assert_not(read_vdif(&format, &v));
    format = vdif_of(1000, FORMAT_THREADS_MAX);
    v.thread = FORMAT_THREADS_MAX - 1;
    cr_assert(read_vdif(&format, &v));
    cr_assert_eq(frame.number, 3 * FORMAT_THREADS_MAX - 1);
    v.thread = FORMAT_THREADS_MAX;
    cr_assert_not(read_vdif(&format, &v));
}

Test(format, vdif_lengths)
{
    struct format_spec format = vdif_of(1000, 1);
    struct test_vdif v = {.length_8 = 4};
    cr_assert(read_vdif(&format, &v), "a header and no data");
    v.length_8 = 3;
    cr_assert_not(read_vdif(&format, &v), "less than a header");
    v.legacy = 1;
    cr_assert(read_vdif(&format, &v), "a legacy header has 16 bytes");
    v.length_8 = 2;
    cr_assert(read_vdif(&format, &v));
    cr_assert_not(read_it(&format, 15));
    cr_assert_not(read_it(&format, 17));
    v.length_8 = 1;
    cr_assert_not(read_vdif(&format, &v));
    v = (struct test_vdif){.length_8 = 100, .invalid = 1};
    cr_assert(read_vdif(&format, &v), "invalid data were sent as well");
    cr_assert_not(read_it(&format, 799));
    cr_assert_not(read_it(&format, 801));
    v.length_8 = 0;
    formats_vdif(payload, &v);
    cr_assert_not(read_it(&format, 0));
    cr_assert_not(read_it(&format, 32));
}

Test(format, a_header_behind_something_else)
{
    struct format_spec format = vdif_of(1000, 1);
    struct test_vdif v = {.in_second = 5, .length_8 = 8};
    format.at_byte = 8; /* a packet number of 64 bits, as many VDIF senders have it */
    formats_vdif(payload + 8, &v);
    cr_assert(read_it(&format, 72));
    cr_assert_eq(frame.number, 5);
    cr_assert_not(read_it(&format, 64));
    cr_assert_not(read_it(&format, 8));
    cr_assert_not(read_it(&format, 7));
    cr_assert_not(read_it(&format, 0));
}

static bool read_vrt(const struct format_spec *format, const struct test_vrt *v)
{
    (void)formats_vrt(payload, v);
    return read_it(format, v->words * 4);
}

Test(format, vrt_counts_data_packets)
{
    struct format_spec format = {.kind = FORMAT_VRT};
    struct test_vrt v = {.words = 50, .stream_id = 0x12345678};
    for (v.type = 0; v.type < 4; v.type++) {
        for (v.count = 0; v.count < 16; v.count++) {
            cr_assert(read_vrt(&format, &v));
            cr_assert_eq(frame.number, v.count);
        }
        v.count = 0;
    }
    for (v.type = 4; v.type < 8; v.type++) {
        cr_assert_not(read_vrt(&format, &v), "context and commands are counted apart");
        cr_assert(frame.stranger, "and are no loss");
    }
}

Test(format, vrt_streams_are_told_apart)
{
    struct format_spec format = {.kind = FORMAT_VRT, .match_stream = 1, .stream_id = 0x12345678};
    struct test_vrt v = {.type = 1, .words = 50, .stream_id = 0x12345678};
    cr_assert(read_vrt(&format, &v));
    v.stream_id++;
    cr_assert_not(read_vrt(&format, &v));
    cr_assert(frame.stranger);
    v.stream_id--;
    v.type = 0;
    cr_assert_not(read_vrt(&format, &v), "it has no stream id");
    cr_assert(frame.stranger);
    format.match_stream = 0;
    cr_assert(read_vrt(&format, &v));
}

Test(format, vrt_sizes)
{
    struct format_spec format = {.kind = FORMAT_VRT};
    for (uint32_t bits = 0; bits < 256; bits++) {
        struct test_vrt v = {.type = bits & 3,
                             .has_class = bits >> 2 & 1,
                             .has_trailer = bits >> 3 & 1,
                             .tsi = bits >> 4 & 3,
                             .tsf = bits >> 6 & 3};
        uint32_t header = formats_vrt(payload, &v);
        v.words = header / 4;
        cr_assert(read_vrt(&format, &v), "a header and no data");
        v.words--;
        cr_assert_not(read_vrt(&format, &v), "less than a header");
        cr_assert_not(frame.stranger);
    }
    struct test_vrt v = {.words = 50};
    (void)formats_vrt(payload, &v);
    cr_assert_not(read_it(&format, 199));
    cr_assert(read_it(&format, 201), "a datagram may be longer");
    cr_assert_not(read_it(&format, 3));
    v.type = 4;
    (void)formats_vrt(payload, &v);
    cr_assert_not(read_it(&format, 199));
    cr_assert_not(frame.stranger, "what is broken is no stranger's");
}

static struct format_spec spead_of(uint32_t heap_bytes, uint32_t packet_bytes)
{
    return (struct format_spec){.kind = FORMAT_SPEAD, .heap_bytes = heap_bytes, .packet_bytes = packet_bytes};
}

static bool read_spead(const struct format_spec *format, uint64_t heap, uint64_t heap_bytes, uint64_t offset,
                       uint64_t bytes)
{
    formats_spead(payload, heap, heap_bytes, offset, bytes);
    return read_it(format, FORMATS_SPEAD_BYTES + (uint32_t)bytes);
}

Test(format, spead_numbers_count_packets_within_heaps)
{
    struct format_spec format = spead_of(4096, 1024);
    cr_assert(read_spead(&format, 5, 4096, 2048, 1024));
    cr_assert_eq(frame.number, 5 * 4 + 2);
    cr_assert_not(frame.heartbeat);
    cr_assert(read_spead(&format, 0xffffffffffff, 4096, 3072, 1024));
    cr_assert_eq(frame.number, UINT64_C(0xffffffffffff) * 4 + 3);
    cr_assert(read_spead(&format, 5, 0, 0, 1024), "a heap length of 0 is none told");
    cr_assert_not(read_spead(&format, 5, 4095, 0, 1024), "another heap length");
    cr_assert_not(read_spead(&format, 5, 4096, 4096, 1024), "beyond the heap");
    cr_assert_not(read_spead(&format, 5, 4096, 3584, 1024), "it reaches beyond the heap");
    cr_assert_not(read_spead(&format, 5, 4096, 512, 1024), "between two packets");
    cr_assert_not(read_spead(&format, 5, 4096, 0, 1000), "another packet length");
    cr_assert_not(read_spead(&format, 5, 4096, 0, 0));
    format.packet_bytes = 0;
    cr_assert(read_spead(&format, 5, 4096, 2048, 1024));
    cr_assert_eq(frame.number, 5 * 4 + 2, "as the packet has it");
    cr_assert_not(read_spead(&format, 5, 4096, 0, 1000), "4096 is no multiple");
}

Test(format, spead_heaps_may_end_with_a_shorter_packet)
{
    struct format_spec format = spead_of(2500, 1000);
    cr_assert(read_spead(&format, 2, 2500, 1000, 1000));
    cr_assert_eq(frame.number, 2 * 3 + 1);
    cr_assert(read_spead(&format, 2, 2500, 2000, 500));
    cr_assert_eq(frame.number, 2 * 3 + 2);
    cr_assert_not(read_spead(&format, 2, 2500, 2000, 499));
    cr_assert_not(read_spead(&format, 2, 2500, 1000, 500));
    format = spead_of(700, 1000);
    cr_assert(read_spead(&format, 9, 700, 0, 700));
    cr_assert_eq(frame.number, 9);
    format.heap_bytes = 0;
    cr_assert_not(read_spead(&format, 9, 0, 0, 700));
}

Test(format, spead_headers)
{
    struct format_spec format = spead_of(4096, 1024);
    for (uint32_t byte = 0; byte < 4; byte++) {
        formats_spead(payload, 1, 4096, 0, 1024);
        payload[byte] ^= 1;
        cr_assert_not(read_it(&format, 1064), "byte %u of the header", byte);
    }
    formats_spead(payload, 1, 4096, 0, 1024);
    cr_assert(read_it(&format, 1064));
    for (uint32_t bytes = 0; bytes < 1064; bytes++) {
        cr_assert_not(read_it(&format, bytes));
    }
    cr_assert_not(read_it(&format, 1065), "the payload's length is told");
    payload[7] = 5; /* items: the fifth is payload, and says nothing that is asked for */
    memset(payload + 40, 0, 8);
    cr_assert_not(read_it(&format, 1064));
    cr_assert(read_it(&format, 1072));
}

Test(format, spead_items_are_immediate_and_all_there)
{
    struct format_spec format = spead_of(4096, 1024);
    for (uint32_t item = 0; item < 4; item++) {
        formats_spead(payload, 1, 4096, 0, 1024);
        payload[8 + 8 * item] &= 0x7f; /* a pointer */
        cr_assert_eq(read_it(&format, 1064), item == 1, "only the heap's length may be missing");
        formats_spead(payload, 1, 4096, 0, 1024);
        payload[8 + 8 * item] |= 0x40; /* another id */
        cr_assert_eq(read_it(&format, 1064), item == 1);
    }
}

Test(format, spead_says_that_the_stream_ends)
{
    struct format_spec format = spead_of(2500, 1000);
    formats_spead_head(payload, 2);
    formats_spead_item(payload, 0, 1, 1, 8);
    formats_spead_item(payload, 1, 1, 6, 2);
    cr_assert(read_it(&format, 24));
    cr_assert(frame.heartbeat);
    cr_assert(frame.end);
    cr_assert_eq(frame.number, 24, "as many as have been sent: 8 heaps of 3");
    format.packet_bytes = 0;
    cr_assert_not(read_it(&format, 24));
    cr_assert(frame.stranger, "nobody knows which number that is");
    format.packet_bytes = 1000;
    formats_spead_item(payload, 1, 1, 6, 1);
    cr_assert_not(read_it(&format, 24), "the end is 2");
    cr_assert_not(frame.stranger);
    formats_spead_head(payload, 1);
    formats_spead_item(payload, 0, 1, 6, 2);
    cr_assert_not(read_it(&format, 16));
    cr_assert(frame.stranger);
}

static struct format_sluice ours = {.sequence = UINT64_C(0x0102030405060708),
                                    .sender_tai_ns = UINT64_C(0x1112131415161718),
                                    .stream_id = 0x21222324,
                                    .payload_bytes = 100};

Test(format, our_own_header_byte_by_byte)
{
    static const uint8_t expected[FORMAT_SLUICE_BYTES] = {
        0x53, 0x4c, 0x55, 0x43, 0,    1,    0,    2,    1,    2,    3,    4,    5, 6, 7, 8,
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0, 0, 0, 100};
    struct format_spec format = {.kind = FORMAT_SLUICE};
    ours.flags = FORMAT_SLUICE_END;
    format_write_sluice(payload, &ours);
    cr_assert_eq(memcmp(payload, expected, sizeof(expected)), 0);
    cr_assert(read_it(&format, 132));
    cr_assert_eq(frame.number, ours.sequence);
    cr_assert_eq(frame.sender_tai_ns, ours.sender_tai_ns);
    cr_assert(frame.end);
    cr_assert_not(frame.heartbeat);
    for (uint32_t byte = 0; byte < 6; byte++) {
        payload[byte] ^= 4;
        cr_assert_not(read_it(&format, 132), "byte %u: magic or version", byte);
        payload[byte] ^= 4;
    }
    for (uint32_t bytes = 0; bytes < 132; bytes++) {
        cr_assert_not(read_it(&format, bytes));
    }
    cr_assert_not(read_it(&format, 133));
}

Test(format, our_own_heartbeat)
{
    struct format_spec format = {.kind = FORMAT_SLUICE};
    ours.flags = FORMAT_SLUICE_HEARTBEAT;
    ours.payload_bytes = 0;
    format_write_sluice(payload, &ours);
    cr_assert(read_it(&format, 32));
    cr_assert(frame.heartbeat);
    cr_assert_not(frame.end);
    cr_assert_eq(frame.number, ours.sequence);
    ours.flags |= FORMAT_SLUICE_END;
    format_write_sluice(payload, &ours);
    cr_assert(read_it(&format, 32));
    cr_assert(frame.heartbeat && frame.end);
    ours.payload_bytes = 1;
    format_write_sluice(payload, &ours);
    cr_assert_not(read_it(&format, 33), "a heartbeat has no payload");
}

Test(format, our_own_streams_are_told_apart)
{
    struct format_spec format = {.kind = FORMAT_SLUICE, .match_stream = 1, .stream_id = 0x21222324};
    format_write_sluice(payload, &ours);
    cr_assert(read_it(&format, 132));
    format.stream_id++;
    cr_assert_not(read_it(&format, 132));
    cr_assert(frame.stranger);
    cr_assert_not(read_it(&format, 131));
    cr_assert_not(frame.stranger, "what is broken is no stranger's");
}

/* Ethernet fills what is shorter up to 60 bytes. */
Test(format, our_own_header_in_a_padded_frame)
{
    struct format_spec format = {.kind = FORMAT_SLUICE};
    ours.payload_bytes = 3;
    format_write_sluice(payload, &ours);
    cr_assert(read_it(&format, 35));
    cr_assert(read_it(&format, 46));
    cr_assert(read_it(&format, 60));
    cr_assert_not(read_it(&format, 61));
    cr_assert_not(read_it(&format, 34));
}

Test(format, how_each_is_to_be_followed)
{
    struct format_spec format = {.kind = FORMAT_FIELD};
    struct sequence_spec spec = {.width_bytes = 2, .at_byte = 3, .byte_order = RING_LITTLE_ENDIAN, .step = 5};
    format_sequence(&format, &spec);
    cr_assert_eq(spec.width_bytes, 2, "as it was declared");
    cr_assert_eq(spec.step, 5);
    for (uint32_t kind = FORMAT_VDIF; kind < FORMATS; kind++) {
        format.kind = kind;
        format_sequence(&format, &spec);
        cr_assert_eq(spec.step, 1);
        cr_assert_eq(spec.width_bits, kind == FORMAT_VRT ? 4 : 0);
        cr_assert_eq(spec.width_bytes, kind == FORMAT_VRT ? 1 : 8);
    }
}

Test(format, anything_at_all)
{
    struct test_random random = {4};
    for (uint32_t i = 0; i < 300000; i++) {
        struct format_spec format = vdif_of(1 + (uint32_t)test_random_below(&random, 20), 2);
        format.kind = (uint32_t)test_random_below(&random, FORMATS);
        format.heap_bytes = (uint32_t)test_random_below(&random, 64);
        format.packet_bytes = (uint32_t)test_random_below(&random, 16);
        format.at_byte = (uint32_t)test_random_below(&random, 3);
        sequence = (struct sequence_spec){.width_bytes = 4, .at_byte = (uint32_t)test_random_below(&random, 9)};
        uint32_t bytes = (uint32_t)test_random_below(&random, 100);
        for (uint32_t b = 0; b < bytes; b++) {
            payload[b] = (uint8_t)test_random_next(&random);
        }
        uint8_t *at = payload + format.at_byte;
        if (format.kind == FORMAT_SPEAD) {
            formats_spead_head(at, (uint32_t)test_random_below(&random, 8));
        } else if (format.kind == FORMAT_SLUICE) {
            format_write_sluice(at, &(struct format_sluice){.payload_bytes = bytes});
        } else if (format.kind == FORMAT_VDIF) {
            formats_vdif(at, &(struct test_vdif){.length_8 = bytes / 8, .in_second = i % 24, .thread = i % 3});
        }
        if (read_it(&format, bytes)) {
            cr_assert_not(frame.stranger);
        }
    }
}

/* Reads a recording frame by frame; each must follow the one before without a gap. */
static void follow_recording(const char *name, const struct format_spec *format, uint32_t frames)
{
    static uint8_t recording[1 << 17];
    static struct ring_ledger ledger;
    uint32_t bytes = beside_read(name, recording, sizeof(recording));
    uint32_t each = bytes / frames;
    cr_assert_eq(bytes % frames, 0);
    format_sequence(format, &sequence);
    for (uint32_t i = 0; i < frames; i++) {
        struct sequence_result result;
        cr_assert(read_bytes(format, recording + (size_t)i * each, each), "%s: frame %u", name, i);
        net_sequence_track(&sequence, &ledger, frame.number, &result);
        cr_assert_eq(result.lost_before, 0, "%s: %lu missing before frame %u", name, result.lost_before, i);
        cr_assert_eq(result.verdict, SEQUENCE_NEXT, "%s: frame %u", name, i);
    }
    cr_assert_eq(ledger.delivered, frames);
    cr_assert_eq(ledger.sent, frames);
}

Test(format, a_recording_of_eight_threads)
{
    static const uint32_t order[] = {1, 3, 5, 7, 0, 2, 4, 6};
    struct format_spec format = vdif_of(1600, 8);
    memcpy(format.thread_order, order, sizeof(order));
    follow_recording("vdif/sample.vdif", &format, 16);
}

Test(format, a_recording_of_two_threads)
{
    struct format_spec format = vdif_of(390625, 2);
    follow_recording("vdif/sample_arochime.vdif", &format, 10);
}

Test(format, a_recording_of_one_thread)
{
    struct format_spec format = vdif_of(5000, 1);
    follow_recording("vdif/sample_mwa.vdif", &format, 10);
}
