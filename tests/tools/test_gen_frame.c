/* Frames as they stand on the wire, against a second reading of the standards, byte by byte. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "net/format.h"
#include "net/packet.h"
#include "net/payload.h"
#include "tools/gen/writer.h"

#define SEED 42

static uint8_t room[70000];

static uint64_t big(const uint8_t *at, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

/* RFC 1071, the plain way. */
static uint32_t sum_of(uint32_t sum, const uint8_t *at, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        sum += (uint32_t)at[i] << (i % 2 == 0 ? 8 : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static struct frame_spec spec_of(void)
{
    struct frame_spec spec = {.to_mac = {1, 2, 3, 4, 5, 6},
                              .from_mac = {7, 8, 9, 10, 11, 12},
                              .vlan = FRAME_VLAN_NONE,
                              .to_ip = inet_addr("192.0.2.2"),
                              .from_ip = inet_addr("192.0.2.1"),
                              .to_port = 4000,
                              .from_port = 40000,
                              .checksum = true};
    return spec;
}

static struct writer writer_of(struct frame_head *head, enum writer_format format, enum writer_content content)
{
    struct writer writer;
    struct writer_spec spec = {.format = format, .content = content, .seed = SEED, .stream = 3, .head = head};
    writer_init(&writer, &spec);
    return writer;
}

/* IP and UDP of a frame whose payload has so many bytes. */
static void check_ip(const uint8_t *ip, uint32_t payload, bool checksum)
{
    const uint8_t *udp = ip + 20;
    cr_assert_eq(ip[0], 0x45);
    cr_assert_eq(big(ip + 2, 2), 28 + payload);
    cr_assert_eq(ip[9], 17);
    cr_assert_eq(sum_of(0, ip, 20), 0xffff, "the header's checksum");
    cr_assert_eq(big(ip + 12, 4), 0xc0000201);
    cr_assert_eq(big(ip + 16, 4), 0xc0000202);
    cr_assert_eq(big(udp, 2), 40000);
    cr_assert_eq(big(udp + 2, 2), 4000);
    cr_assert_eq(big(udp + 4, 2), 8 + payload);
    if (checksum) {
        cr_assert_neq(big(udp + 6, 2), 0);
        cr_assert_eq(sum_of(sum_of(17 + 8 + payload, ip + 12, 8), udp, 8 + payload), 0xffff, "%u bytes", payload);
    } else {
        cr_assert_eq(big(udp + 6, 2), 0);
    }
}

static void check_content(const uint8_t *content, uint32_t bytes, uint64_t number)
{
    static uint8_t expected[70000];
    payload_fill(expected, bytes, payload_base(SEED, number));
    cr_assert_eq(memcmp(content, expected, bytes), 0, "content of %lu, %u bytes", number, bytes);
}

Test(gen_frame, every_size_has_right_lengths_checksums_and_content)
{
    struct frame_spec spec = spec_of();
    struct frame_head head;
    frame_head_init(&head, &spec);
    cr_assert_eq(head.count, 42);
    for (int same = 0; same < 2; same++) {
        struct writer writer = writer_of(&head, WRITER_SLUICE, same ? WRITER_SAME : WRITER_EACH);
        for (uint32_t bytes = FORMAT_SLUICE_BYTES; bytes < 65000; bytes += bytes < 300 ? 1 : 997) {
            struct plan_item item = {.number = 1000 + bytes, .bytes = bytes};
            memset(room, 0xa5, sizeof(room));
            writer_frame(&writer, &item, UINT64_C(0x1122334455667788), room);
            cr_assert_eq(big(room, 6), 0x010203040506);
            cr_assert_eq(big(room + 6, 6), 0x0708090a0b0c);
            cr_assert_eq(big(room + 12, 2), 0x0800);
            check_ip(room + 14, bytes, true);
            check_content(room + 42 + FORMAT_SLUICE_BYTES, bytes - FORMAT_SLUICE_BYTES, same ? 0 : item.number);
            cr_assert_eq(room[42 + bytes], 0xa5, "nothing behind it");
        }
    }
}

Test(gen_frame, the_header_of_32_bytes)
{
    struct writer writer = writer_of(NULL, WRITER_SLUICE, WRITER_EACH);
    struct plan_item item = {.number = UINT64_C(0x0102030405060708), .bytes = 40};
    writer_frame(&writer, &item, UINT64_C(0x1122334455667788), room);
    cr_assert_eq(big(room, 4), 0x534c5543);
    cr_assert_eq(big(room + 4, 2), 1);
    cr_assert_eq(big(room + 6, 2), 0);
    cr_assert_eq(big(room + 8, 8), 0x0102030405060708);
    cr_assert_eq(big(room + 16, 8), 0x1122334455667788);
    cr_assert_eq(big(room + 24, 4), 3);
    cr_assert_eq(big(room + 28, 4), 8);
}

Test(gen_frame, vdif)
{
    struct writer writer = writer_of(NULL, WRITER_VDIF, WRITER_EACH);
    writer.spec.frames_per_second = 1000;
    writer.spec.threads = 4;
    struct plan_item item = {.number = (7 * 1000 + 999) * 4 + 3, .bytes = 1032};
    writer_frame(&writer, &item, 0, room);
    const uint8_t expected[32] = {7, 0, 0, 0, 0xe7, 3, 0, 52, 129, 0, 0, 0x20, 0, 0, 3, 0x1c};
    cr_assert_arr_eq(room, expected, sizeof(expected));
    check_content(room + 32, 1000, item.number);
}

Test(gen_frame, heartbeats)
{
    struct frame_spec spec = spec_of();
    struct frame_head head;
    frame_head_init(&head, &spec);
    struct writer writer = writer_of(&head, WRITER_SLUICE, WRITER_EACH);
    for (int end = 0; end < 2; end++) {
        memset(room, 0xff, sizeof(room));
        cr_assert_eq(writer_heartbeat(&writer, 77, end, 5, room), 42 + 32);
        check_ip(room + 14, 32, true);
        cr_assert_eq(big(room + 42 + 6, 2), end ? 3 : 1);
        cr_assert_eq(big(room + 42 + 8, 8), 77);
        cr_assert_eq(big(room + 42 + 28, 4), 0);
    }
}

/* The receiving side's own eyes. */
static enum ring_refusal judge(uint32_t bytes, struct packet_place *place)
{
    struct packet_filter filter = {.form = PACKET_UDP,
                                   .match = PACKET_MATCH_TO | PACKET_MATCH_FROM | PACKET_MATCH_TO_PORT |
                                            PACKET_MATCH_FROM_PORT | PACKET_MATCH_MAC,
                                   .mac = {1, 2, 3, 4, 5, 6},
                                   .to_port = 4000,
                                   .from_port = 40000,
                                   .to_address = inet_addr("192.0.2.2"),
                                   .from_address = inet_addr("192.0.2.1")};
    return packet_judge(&filter, room, bytes, 0, place);
}

Test(gen_frame, a_receiver_takes_them_and_refuses_the_corrupted)
{
    struct frame_spec spec = spec_of();
    struct frame_head head;
    struct format_spec format = {.kind = FORMAT_SLUICE};
    frame_head_init(&head, &spec);
    struct writer writer = writer_of(&head, WRITER_SLUICE, WRITER_EACH);
    for (uint64_t number = 0; number < 3000; number++) {
        struct plan_item item = {.number = number << 33, .bytes = 33 + (uint32_t)number, .corrupt = number % 2};
        struct packet_place place;
        struct format_frame frame;
        writer_frame(&writer, &item, 99, room);
        enum ring_refusal refusal = judge(42 + item.bytes, &place);
        cr_assert_eq(refusal, item.corrupt ? RING_REFUSED_CHECKSUM : RING_REFUSALS, "%lu: %d", number, refusal);
        if (!item.corrupt) {
            cr_assert_eq(place.payload_offset, 42);
            cr_assert_eq(place.payload_bytes, item.bytes);
            cr_assert(format_read(&format, NULL, room + 42, item.bytes, &frame));
            cr_assert_eq(frame.number, number << 33);
            cr_assert_eq(frame.sender_tai_ns, 99);
            cr_assert_not(frame.heartbeat);
        }
    }
}

Test(gen_frame, a_receiver_reads_heartbeats_and_vdif)
{
    struct format_spec sluice = {.kind = FORMAT_SLUICE};
    struct format_spec vdif = {
        .kind = FORMAT_VDIF, .frames_per_second = 1000, .threads = 4, .thread_order = {0, 1, 2, 3}};
    struct format_frame frame;
    struct writer writer = writer_of(NULL, WRITER_SLUICE, WRITER_EACH);
    uint32_t bytes = writer_heartbeat(&writer, 77, true, 5, room);
    cr_assert(format_read(&sluice, NULL, room, bytes, &frame));
    cr_assert(frame.heartbeat && frame.end && frame.number == 77);
    writer = writer_of(NULL, WRITER_VDIF, WRITER_EACH);
    writer.spec.frames_per_second = 1000;
    writer.spec.threads = 4;
    for (uint64_t number = 0; number < 10000; number++) {
        struct plan_item item = {.number = number, .bytes = 64};
        writer_frame(&writer, &item, 0, room);
        cr_assert(format_read(&vdif, NULL, room, 64, &frame));
        cr_assert_eq(frame.number, number);
    }
}

Test(gen_frame, a_tag_and_no_checksum)
{
    struct frame_spec spec = spec_of();
    struct frame_head head;
    spec.vlan = 0x123;
    spec.checksum = false;
    frame_head_init(&head, &spec);
    struct writer writer = writer_of(&head, WRITER_FIELD, WRITER_EACH);
    struct plan_item item = {.number = 9, .bytes = 100};
    writer_frame(&writer, &item, 0, room);
    cr_assert_eq(big(room + 12, 2), 0x8100);
    cr_assert_eq(big(room + 14, 2), 0x123);
    cr_assert_eq(big(room + 16, 2), 0x0800);
    check_ip(room + 18, 100, false);
    cr_assert_eq(big(room + 46, 8), 9);
    check_content(room + 54, 92, 9);
}

Test(gen_frame, an_ethertype_of_its_own_has_no_ip)
{
    struct frame_spec spec = spec_of();
    struct frame_head head;
    spec.ethertype = 0x88b5;
    frame_head_init(&head, &spec);
    struct writer writer = writer_of(&head, WRITER_RAW, WRITER_EACH);
    struct plan_item item = {.number = 9, .bytes = 46};
    writer_frame(&writer, &item, 0, room);
    cr_assert_eq(writer_head_bytes(&writer), 14);
    cr_assert_eq(big(room + 12, 2), 0x88b5);
    check_content(room + 14, 46, 9);
}

Test(gen_frame, corrupted_is_one_bit_of_content_behind_the_checksum)
{
    struct frame_spec spec = spec_of();
    struct frame_head head;
    static uint8_t good[2000];
    frame_head_init(&head, &spec);
    struct writer writer = writer_of(&head, WRITER_SLUICE, WRITER_EACH);
    for (uint64_t number = 0; number < 2000; number++) {
        struct plan_item item = {.number = number, .bytes = 33 + (uint32_t)number % 1000};
        uint32_t wrong = 0;
        writer_frame(&writer, &item, 0, good);
        item.corrupt = 1;
        writer_frame(&writer, &item, 0, room);
        for (uint32_t i = 0; i < 42 + item.bytes; i++) {
            wrong += (uint32_t)__builtin_popcount(good[i] ^ room[i]);
            cr_assert(i >= 42 + 32 || good[i] == room[i]);
        }
        cr_assert_eq(wrong, 1);
        cr_assert_neq(sum_of(sum_of(17 + 8 + item.bytes, room + 26, 8), room + 34, 8 + item.bytes), 0xffff);
    }
}

Test(gen_frame, a_room_that_keeps_its_content_is_written_once)
{
    struct frame_spec spec = spec_of();
    struct frame_head head;
    frame_head_init(&head, &spec);
    struct writer writer = writer_of(&head, WRITER_SLUICE, WRITER_SAME);
    writer.spec.keeps_content = true;
    memset(room, 0, sizeof(room));
    writer_prepare(&writer, room, 2048);
    for (uint64_t number = 0; number < 100; number++) {
        struct plan_item item = {.number = number, .bytes = 32 + (uint32_t)(number * 37 % 1900)};
        writer_frame(&writer, &item, 0, room);
        check_ip(room + 14, item.bytes, true);
        check_content(room + 42 + 32, item.bytes - 32, 0);
        cr_assert_eq(big(room + 42 + 8, 8), number);
    }
}

/* 0 would say that there is none: it is sent as ffff. */
Test(gen_frame, a_checksum_of_zero)
{
    struct frame_spec spec = spec_of();
    struct frame_head head;
    frame_head_init(&head, &spec);
    uint32_t seen = 0;
    for (uint32_t word = 0; word < 0x10000; word++) {
        uint8_t *payload = room + 42;
        payload[0] = (uint8_t)(word >> 8);
        payload[1] = (uint8_t)word;
        frame_head_write(&head, room, 2, frame_sum(payload, 2));
        check_ip(room + 14, 2, true);
        seen += big(room + 40, 2) == 0xffff;
    }
    cr_assert_geq(seen, 1);
}

Test(gen_frame, sums_of_any_length_and_place)
{
    static uint8_t bytes[1000];
    payload_fill(bytes, sizeof(bytes), 12345);
    for (uint32_t from = 0; from < 8; from++) {
        for (uint32_t count = 0; count < 900; count++) {
            uint16_t folded = frame_fold(frame_sum(bytes + from, count));
            cr_assert_eq(ntohs(folded) % 0xffff, sum_of(0, bytes + from, count) % 0xffff, "%u bytes", count);
        }
    }
    memset(bytes, 0xff, sizeof(bytes));
    cr_assert_eq(frame_fold(frame_sum(bytes, 1000)), 0xffff);
}
