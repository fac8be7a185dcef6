/* What net/plain.h takes, the full judgement takes with the same result; what it leaves, it has not touched. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>

#include "net/intake.h"
#include "net/plain.h"
#include "net/sequence.h"
#include "ring/segment.h"
#include "tests/support/frame.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"

#define PAYLOAD 64u

static struct test_frame f;

/* In memory of exactly this size; true: plain. */
static bool compare(const struct packet_filter *filter, uint32_t bytes, uint32_t checks)
{
    struct packet_place place;
    uint8_t *copy = malloc(bytes + (bytes == 0));
    memcpy(copy, f.bytes, bytes);
    uint32_t plain = plain_packet(filter, copy, bytes, checks);
    enum ring_refusal refusal = packet_judge(filter, copy, bytes, checks, &place);
    free(copy);
    if (plain == UINT32_MAX) {
        return false;
    }
    cr_assert_eq(refusal, RING_REFUSALS, "taken as plain, judged %s", ring_refusal_name(refusal));
    cr_assert_eq(place.payload_offset, PLAIN_HEADERS);
    cr_assert_eq(place.payload_bytes, plain);
    return true;
}

static void build(uint32_t payload_bytes)
{
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = payload_bytes});
    frame_put16(f.bytes + f.udp + 6, 0); /* no checksum, as fast senders do */
}

Test(plain, a_usual_frame_is_plain)
{
    for (uint32_t bytes = 0; bytes < 1500; bytes++) {
        build(bytes);
        for (uint32_t match = 0; match < 64; match++) {
            struct packet_filter filter = frame_filter(PACKET_UDP, match);
            cr_assert_eq(compare(&filter, f.count, 0), (match & PACKET_MATCH_VLAN) == 0, "%u bytes, match %u",
                         bytes, match);
        }
    }
}

Test(plain, the_device_has_added_up)
{
    struct packet_filter filter = frame_filter(PACKET_UDP, 0);
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = 100});
    cr_assert(!compare(&filter, f.count, 0), "its checksum is to be added up");
    cr_assert(compare(&filter, f.count, PACKET_UDP_CHECKED));
    f.bytes[f.ip + 10] ^= 1;
    cr_assert(!compare(&filter, f.count, PACKET_UDP_CHECKED));
    cr_assert(compare(&filter, f.count, PACKET_UDP_CHECKED | PACKET_IP_CHECKED));
}

Test(plain, tags_options_and_other_forms_are_not)
{
    struct packet_filter filter = frame_filter(PACKET_UDP, 0);
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = 100, .tags = 1});
    cr_assert(!compare(&filter, f.count, 3));
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = 100, .option_bytes = 4});
    cr_assert(!compare(&filter, f.count, 3));
    build(100);
    filter.form = PACKET_ETHERNET;
    cr_assert(!compare(&filter, f.count, 3));
}

/* Every bit of the headers bent, every length, and heaps of both at random. */
Test(plain, nothing_bent_is_taken_that_is_not_good)
{
    uint32_t taken = 0;
    uint32_t looked = 0;
    struct test_random random = {.state = 5};
    for (uint32_t round = 0; round < 20000; round++) {
        struct packet_filter filter = frame_filter(PACKET_UDP, (uint32_t)test_random_below(&random, 128));
        build((uint32_t)test_random_below(&random, PAYLOAD));
        for (uint64_t n = test_random_below(&random, 4); n > 0; n--) {
            f.bytes[test_random_below(&random, PLAIN_HEADERS)] ^= (uint8_t)(1u << test_random_below(&random, 8));
        }
        if (test_random_below(&random, 2) == 0) {
            frame_sum_ip(&f);
        }
        uint32_t bytes = (uint32_t)test_random_below(&random, f.count + 1);
        bytes = test_random_below(&random, 2) == 0 ? f.count : bytes;
        taken += compare(&filter, bytes, (uint32_t)test_random_below(&random, 8));
        looked++;
    }
    cr_assert_gt(taken, looked / 50, "some of them are still plain");
    cr_assert_lt(taken, looked / 2);
}

/* One tracker asked plain_number first, the other one never: they must agree on every word. */
static void follow(const struct sequence_spec *spec, uint64_t seed)
{
    static struct ring_ledger quick;
    static struct ring_ledger full;
    struct test_random random = {.state = seed};
    uint64_t number = test_random_below(&random, 1000);
    uint32_t plain = 0;
    quick = full = (struct ring_ledger){0};
    for (uint32_t i = 0; i < 20000; i++) {
        struct sequence_result result;
        uint64_t dice = test_random_below(&random, 400);
        uint64_t raw = number * spec->step;
        if (dice == 0) {
            number += test_random_below(&random, 100);
            raw = number * spec->step;
        } else if (dice == 1) {
            raw = (number - test_random_below(&random, 100)) * spec->step;
            number--;
        } else if (dice == 2) {
            net_sequence_explain(spec, &quick, RING_LOSS_KERNEL, 1);
            net_sequence_explain(spec, &full, RING_LOSS_KERNEL, 1);
        } else if (dice == 3 && test_random_below(&random, 10) == 0) {
            net_sequence_interrupted(spec, &quick);
            net_sequence_interrupted(spec, &full);
        }
        number++;
        if (spec->width_bytes < 8) {
            raw &= (UINT64_C(1) << (8 * spec->width_bytes)) - 1;
        }
        uint64_t expected = quick.tracker_next;
        bool is_plain = plain_number(spec, &quick, raw);
        if (!is_plain) {
            net_sequence_track(spec, &quick, raw, &result);
        }
        net_sequence_track(spec, &full, raw, &result);
        if (is_plain) {
            cr_assert_eq(result.number, expected);
            cr_assert_eq(net_sequence_flags(&result), 0);
            plain++;
        }
        cr_assert_eq(memcmp(&quick, &full, sizeof(full)), 0, "frame %u", i);
    }
    cr_assert_gt(plain, 1000);
}

Test(plain, both_trackers_agree)
{
    for (uint32_t width = 1; width <= 8; width *= 2) {
        for (uint32_t step = 1; step < (width == 1 ? 2u : 4u); step++) {
            follow(&(struct sequence_spec){.width_bytes = width, .step = step}, width * 10 + step);
        }
    }
}

Test(plain, numbers_are_read_byte_by_byte)
{
    struct test_random random = {.state = 9};
    for (uint32_t i = 0; i < 4000; i++) {
        uint8_t payload[24];
        for (uint32_t b = 0; b < sizeof(payload); b++) {
            payload[b] = (uint8_t)test_random_below(&random, 256);
        }
        struct sequence_spec spec = {.width_bytes = 1u << (i & 3),
                                     .at_byte = i % 16,
                                     .byte_order = (i & 4) != 0 ? RING_BIG_ENDIAN : RING_LITTLE_ENDIAN};
        uint64_t expected = 0;
        for (uint32_t b = 0; b < spec.width_bytes; b++) {
            uint32_t from_the_end = spec.byte_order == RING_BIG_ENDIAN ? b : spec.width_bytes - 1 - b;
            expected = expected << 8 | payload[spec.at_byte + from_the_end];
        }
        cr_assert_eq(net_sequence_read(&spec, payload), expected);
    }
}

Test(plain, what_is_taken_is_committed_and_what_is_left_is_untouched)
{
    struct segment segment = {.base = NULL};
    struct ring_spec ring = temporary_spec(16, 256, 128);
    struct ring_writer writer;
    struct error err;
    struct source_plan plan = {.frame_bytes = 16,
                               .sequence = {.width_bytes = 8, .byte_order = RING_BIG_ENDIAN, .step = 1}};
    uint8_t payload[16] = {0, 0, 0, 0, 0, 0, 0, 7};
    cr_assert_eq(segment_create(&segment, "plain", ring_segment_bytes(&ring), SEGMENT_NORMAL, &err), 0);
    cr_assert_eq(ring_create(segment.base, segment.bytes, &ring, &err), 0);
    cr_assert_eq(ring_writer_attach(&writer, segment.base, segment.bytes, 1, NULL, &err), 0);
    struct ring_ledger *ledger = &writer.view.header->ledger;
    cr_assert(plain_source(&plan));
    cr_assert_not_null(ring_writer_reserve(&writer));
    cr_assert(!plain_take(&plan, &writer, payload, 16, 5), "the first number of a stream is not expected");
    cr_assert_eq(writer.next, 0);
    struct sequence_result result;
    net_sequence_track(&plan.sequence, ledger, 6, &result);
    cr_assert(!plain_take(&plan, &writer, payload, 15, 5), "too short");
    cr_assert(!plain_take(&plan, &writer, payload, 17, 5), "too long");
    cr_assert_eq(writer.next, 0);
    cr_assert(plain_take(&plan, &writer, payload, 16, 5));
    cr_assert_eq(writer.next, 1);
    ring_writer_publish(&writer);
    const struct ring_descriptor *d = ring_descriptor_at(&writer.view, 0);
    cr_assert_eq(d->sequence, 1);
    cr_assert_eq(d->source_sequence, 7);
    cr_assert_eq(d->tai_ns, 5);
    cr_assert_eq(d->length_bytes, 16);
    cr_assert_eq(d->flags, 0);
    cr_assert_eq(ledger->delivered, 2);
    cr_assert_eq(ledger->bytes, 16);
    cr_assert(!plain_take(&plan, &writer, payload, 16, 5), "a repeat");
    cr_assert_eq(writer.next, 1);
    plan.checksum.kind = CHECKSUM_CRC16_CCITT;
    cr_assert(!plain_source(&plan));
    segment_destroy(&segment);
}
