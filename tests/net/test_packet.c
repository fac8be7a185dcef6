/* Every rule of packet_judge, and each boundary from both sides. Frames lie in memory of exactly their size, so
 * that the address sanitizer sees a look beyond the end. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>

#include "net/packet.h"
#include "tests/support/frame.h"
#include "tests/support/random.h"

static struct test_frame f;
static struct packet_place place;

static const struct packet_filter all = {.form = PACKET_UDP};

static struct packet_filter strict(void)
{
    return frame_filter(PACKET_UDP, PACKET_MATCH_MAC | PACKET_MATCH_TO | PACKET_MATCH_FROM | PACKET_MATCH_TO_PORT |
                                        PACKET_MATCH_FROM_PORT);
}

static void build(uint32_t payload_bytes)
{
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = payload_bytes});
}

/* The first `bytes` of the frame, in memory of that size. */
static enum ring_refusal judge(const struct packet_filter *filter, uint32_t bytes, uint32_t checks)
{
    static const struct packet_place untouched = {.payload_offset = 0xdead, .payload_bytes = 0xbeef};
    uint8_t *copy = malloc(bytes + (bytes == 0));
    memcpy(copy, f.bytes, bytes);
    place = untouched;
    enum ring_refusal refusal = packet_judge(filter, copy, bytes, checks, &place);
    if (refusal != RING_REFUSALS) {
        cr_assert_eq(memcmp(&place, &untouched, sizeof(place)), 0, "*place only if the frame is good");
    }
    free(copy);
    return refusal;
}

static void expect(enum ring_refusal expected, const struct packet_filter *filter, const char *what)
{
    enum ring_refusal found = judge(filter, f.count, 0);
    cr_assert_eq(found, expected, "%s: %s instead of %s", what, ring_refusal_name(found),
                 ring_refusal_name(expected));
}

static void expect_payload(const struct packet_filter *filter, uint32_t bytes)
{
    expect(RING_REFUSALS, filter, "good");
    cr_assert_eq(place.payload_offset, f.udp + 8);
    cr_assert_eq(place.payload_bytes, bytes);
}

Test(packet, a_good_datagram_of_any_length)
{
    struct packet_filter filter = strict();
    for (uint32_t bytes = 0; bytes < 1500; bytes++) {
        build(bytes);
        expect_payload(&filter, bytes);
        expect_payload(&all, bytes);
    }
}

Test(packet, a_runt_is_short)
{
    build(10);
    for (uint32_t bytes = 0; bytes < 14; bytes++) {
        cr_assert_eq(judge(&all, bytes, 0), RING_REFUSED_SHORT);
    }
    struct packet_filter ethernet = {.form = PACKET_ETHERNET};
    cr_assert_eq(judge(&ethernet, 13, 0), RING_REFUSED_SHORT);
    cr_assert_eq(judge(&ethernet, 14, 0), RING_REFUSALS);
}

Test(packet, a_frame_cut_anywhere_is_short)
{
    for (uint32_t tags = 0; tags <= 2; tags++) {
        struct test_frame_spec spec = {.tags = tags, .option_bytes = 8, .payload_bytes = 50};
        frame_build(&f, &spec);
        cr_assert_eq(judge(&all, f.count, 0), RING_REFUSALS);
        for (uint32_t bytes = 0; bytes < f.count; bytes++) {
            cr_assert_eq(judge(&all, bytes, 0), RING_REFUSED_SHORT, "%u of %u bytes", bytes, f.count);
        }
    }
}

Test(packet, an_ethernet_stream_takes_the_whole_frame)
{
    struct packet_filter filter = {.form = PACKET_ETHERNET,
                                   .match = PACKET_MATCH_MAC | PACKET_MATCH_ETHERTYPE,
                                   .mac = FRAME_MAC,
                                   .ethertype = 0x0800};
    build(100);
    f.bytes[f.ip] = 0; /* nothing behind the Ethernet header is looked at */
    expect(RING_REFUSALS, &filter, "good");
    cr_assert_eq(place.payload_offset, 0);
    cr_assert_eq(place.payload_bytes, f.count);
    filter.ethertype = 0x88b5;
    expect(RING_REFUSED_STRANGER, &filter, "another EtherType");
    filter.ethertype = 0x0800;
    filter.mac[5]++;
    expect(RING_REFUSED_STRANGER, &filter, "another station");
}

Test(packet, each_byte_of_the_station_counts)
{
    struct packet_filter filter = strict();
    build(10);
    for (uint32_t i = 0; i < 6; i++) {
        filter.mac[i] ^= 0x80;
        expect(RING_REFUSED_STRANGER, &filter, "another station");
        filter.mac[i] ^= 0x80;
    }
    expect_payload(&filter, 10);
}

Test(packet, tags_are_skipped_up_to_two)
{
    static const uint16_t types[] = {0x8100, 0x88a8, 0x9100};
    struct packet_filter filter = strict();
    for (uint32_t t = 0; t < 3; t++) {
        for (uint32_t tags = 0; tags <= 2; tags++) {
            struct test_frame_spec spec = {
                .tags = tags, .tag_type = {types[t], types[(t + 1) % 3]}, .vlan = {7, 9}, .payload_bytes = 33};
            frame_build(&f, &spec);
            expect_payload(&filter, 33);
        }
    }
    frame_build(&f, &(struct test_frame_spec){.tags = 3, .payload_bytes = 33});
    expect(RING_REFUSED_STRANGER, &filter, "three tags: no IPv4 that we know");
}

Test(packet, the_inner_tag_says_which_vlan)
{
    struct packet_filter filter = strict();
    filter.match |= PACKET_MATCH_VLAN;
    filter.vlan = 9;
    build(20);
    expect(RING_REFUSED_STRANGER, &filter, "no tag");
    frame_build(&f, &(struct test_frame_spec){.tags = 1, .vlan = {9}, .payload_bytes = 20});
    expect_payload(&filter, 20);
    frame_build(&f, &(struct test_frame_spec){.tags = 1, .vlan = {0xe009}, .payload_bytes = 20});
    expect_payload(&filter, 20); /* priority and drop bits are no part of the id */
    frame_build(&f, &(struct test_frame_spec){.tags = 1, .vlan = {8}, .payload_bytes = 20});
    expect(RING_REFUSED_STRANGER, &filter, "another");
    frame_build(&f, &(struct test_frame_spec){.tags = 2, .vlan = {8, 9}, .payload_bytes = 20});
    expect_payload(&filter, 20);
    frame_build(&f, &(struct test_frame_spec){.tags = 2, .vlan = {9, 8}, .payload_bytes = 20});
    expect(RING_REFUSED_STRANGER, &filter, "the outer one does not count");
    filter.vlan = 0;
    build(20);
    expect(RING_REFUSED_STRANGER, &filter, "no tag is not tag 0");
    frame_build(&f, &(struct test_frame_spec){.tags = 1, .vlan = {0}, .payload_bytes = 20});
    expect_payload(&filter, 20);
}

Test(packet, the_ethertype_is_the_one_behind_the_tags)
{
    struct packet_filter filter = {.form = PACKET_ETHERNET, .match = PACKET_MATCH_ETHERTYPE, .ethertype = 0x0800};
    frame_build(&f, &(struct test_frame_spec){.tags = 2, .payload_bytes = 20});
    expect(RING_REFUSALS, &filter, "good");
    filter.ethertype = 0x8100;
    expect(RING_REFUSED_STRANGER, &filter, "the tag's own");
}

Test(packet, what_is_no_ipv4_udp_is_a_stranger)
{
    build(20);
    frame_put16(f.bytes + 12, 0x86dd);
    expect(RING_REFUSED_STRANGER, &all, "IPv6");
    frame_put16(f.bytes + 12, 0x0806);
    expect(RING_REFUSED_STRANGER, &all, "ARP");
    build(20);
    f.bytes[f.ip + 9] = 6;
    expect(RING_REFUSED_STRANGER, &all, "TCP, its checksum broken: nothing is lost by it");
}

Test(packet, another_address_or_port_is_a_stranger_s)
{
    static const struct {
        uint32_t from_ip, from_udp;
    } offsets[] = {{12, 0}, {15, 0}, {16, 0}, {19, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}};
    struct packet_filter filter = strict();
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        build(20);
        uint32_t at = offsets[i].from_ip != 0 ? f.ip + offsets[i].from_ip : f.udp + offsets[i].from_udp - 1;
        f.bytes[at] ^= 1;
        expect(RING_REFUSED_STRANGER, &filter, "before it is called broken");
        frame_sum_ip(&f);
        frame_sum_udp(&f);
        expect(RING_REFUSED_STRANGER, &filter, "whole");
        expect(RING_REFUSALS, &all, "who asks for nothing");
    }
}

Test(packet, each_match_is_asked_for_by_itself)
{
    struct packet_filter good = strict();
    struct packet_filter other = {.form = PACKET_UDP, .mac = {1}, .vlan = 3, .ethertype = 4, .to_port = 5};
    uint32_t matches[] = {PACKET_MATCH_MAC,       PACKET_MATCH_TO,   PACKET_MATCH_FROM,     PACKET_MATCH_TO_PORT,
                          PACKET_MATCH_FROM_PORT, PACKET_MATCH_VLAN, PACKET_MATCH_ETHERTYPE};
    build(20);
    expect(RING_REFUSALS, &other, "nothing is asked");
    for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
        other.match = matches[i];
        expect(RING_REFUSED_STRANGER, &other, "one is asked");
        good.match = matches[i] & ~(uint32_t)(PACKET_MATCH_VLAN | PACKET_MATCH_ETHERTYPE);
        expect(RING_REFUSALS, &good, "one is right");
    }
}

Test(packet, a_header_that_contradicts_itself)
{
    build(20);
    f.bytes[f.ip] = 0x44; /* 16 bytes of header */
    expect(RING_REFUSED_SYNTAX, &all, "IHL 4");
    f.bytes[f.ip] = 0x65;
    expect(RING_REFUSED_SYNTAX, &all, "version 6 in an IPv4 frame");
    build(20);
    frame_put16(f.bytes + f.ip + 2, 19);
    frame_sum_ip(&f);
    expect(RING_REFUSED_SYNTAX, &all, "the whole is shorter than its header");
    frame_put16(f.bytes + f.ip + 2, 27);
    frame_sum_ip(&f);
    expect(RING_REFUSED_SYNTAX, &all, "no room for a UDP header");
    frame_put16(f.bytes + f.ip + 2, 28);
    frame_sum_ip(&f);
    expect(RING_REFUSED_SYNTAX, &all, "UDP says more than IP");
    frame_put16(f.bytes + f.udp + 4, 8);
    frame_sum_udp(&f);
    expect_payload(&all, 0);
    build(20);
    frame_put16(f.bytes + f.udp + 4, 7);
    expect(RING_REFUSED_SYNTAX, &all, "UDP is shorter than its header");
    frame_put16(f.bytes + f.udp + 4, 29);
    expect(RING_REFUSED_SYNTAX, &all, "one byte more than IP has");
    frame_put16(f.bytes + f.udp + 4, 27);
    frame_sum_udp(&f);
    expect_payload(&all, 19); /* UDP may say less */
}

Test(packet, options_are_skipped_and_counted_in_the_checksum)
{
    struct packet_filter filter = strict();
    for (uint32_t options = 0; options <= 40; options += 4) {
        frame_build(&f, &(struct test_frame_spec){.option_bytes = options, .payload_bytes = 25});
        expect_payload(&filter, 25);
        if (options > 0) {
            f.bytes[f.ip + 20 + options - 1] ^= 4;
            expect(RING_REFUSED_CHECKSUM, &filter, "a flipped bit in the last option");
        }
    }
}

Test(packet, padding_is_no_payload)
{
    frame_build(&f, &(struct test_frame_spec){.payload_bytes = 5, .padding_bytes = 13});
    expect_payload(&all, 5);
}

Test(packet, a_datagram_longer_than_its_frame_is_short)
{
    build(20);
    frame_put16(f.bytes + f.ip + 2, 49);
    frame_sum_ip(&f);
    expect(RING_REFUSED_SHORT, &all, "one byte beyond");
}

Test(packet, every_bit_of_header_and_payload_is_covered)
{
    struct packet_filter filter = strict();
    build(30);
    for (uint32_t bit = 8 * f.ip; bit < 8 * f.count; bit++) {
        f.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_neq(judge(&filter, f.count, 0), RING_REFUSALS, "bit %u of byte %u", bit % 8, bit / 8);
        f.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    expect_payload(&filter, 30);
}

Test(packet, what_the_device_has_verified_is_not_verified_again)
{
    build(30);
    f.bytes[f.ip + 8]--; /* time to live */
    cr_assert_eq(judge(&all, f.count, 0), RING_REFUSED_CHECKSUM);
    cr_assert_eq(judge(&all, f.count, PACKET_UDP_CHECKED), RING_REFUSED_CHECKSUM);
    cr_assert_eq(judge(&all, f.count, PACKET_IP_CHECKED), RING_REFUSALS);
    build(30);
    f.bytes[f.count - 1] ^= 1;
    cr_assert_eq(judge(&all, f.count, 0), RING_REFUSED_CHECKSUM);
    cr_assert_eq(judge(&all, f.count, PACKET_IP_CHECKED), RING_REFUSED_CHECKSUM);
    cr_assert_eq(judge(&all, f.count, PACKET_UDP_CHECKED), RING_REFUSALS);
}

Test(packet, a_udp_checksum_of_zero_is_none)
{
    build(30);
    frame_put16(f.bytes + f.udp + 6, 0);
    f.bytes[f.count - 1] ^= 1;
    expect_payload(&all, 30);
}

/* A sum that comes out as zero is sent as its other form, all ones. */
Test(packet, a_checksum_of_all_ones)
{
    build(2);
    frame_put16(f.bytes + f.udp + 8, 0);
    frame_sum_udp(&f);
    frame_put16(f.bytes + f.udp + 8, frame_get16(f.bytes + f.udp + 6));
    frame_sum_udp(&f);
    cr_assert_eq(frame_get16(f.bytes + f.udp + 6), 0xffff);
    expect_payload(&all, 2);
}

Test(packet, fragments)
{
    struct packet_filter filter = strict();
    build(64);
    frame_put16(f.bytes + f.ip + 6, 0x2000);
    expect(RING_REFUSED_CHECKSUM, &filter, "a flipped bit is no fragment");
    frame_sum_ip(&f);
    expect(RING_REFUSED_FRAGMENT, &filter, "the first piece");
    frame_put16(f.bytes + f.ip + 6, 0x0001);
    frame_sum_ip(&f);
    expect(RING_REFUSED_FRAGMENT, &filter, "the last piece");
    filter.to_port++;
    expect(RING_REFUSED_FRAGMENT, &filter, "it has no ports");
    frame_put16(f.bytes + f.ip + 6, 0x3fff);
    frame_sum_ip(&f);
    expect(RING_REFUSED_FRAGMENT, &filter, "one in the middle");
    frame_put16(f.bytes + f.ip + 6, 0x2000);
    frame_sum_ip(&f);
    expect(RING_REFUSED_STRANGER, &filter, "the first piece, to another port");
    filter.to_port--;
    filter.to_address++;
    expect(RING_REFUSED_STRANGER, &filter, "to another address");
    frame_put16(f.bytes + f.ip + 6, 0x8000);
    frame_sum_ip(&f);
    expect(RING_REFUSALS, &all, "the reserved bit is none");
    filter.to_address--;
    f.count = f.ip + 20 + 3;
    frame_put16(f.bytes + f.ip + 6, 0x0001);
    frame_put16(f.bytes + f.ip + 2, 23);
    frame_sum_ip(&f);
    expect(RING_REFUSED_FRAGMENT, &filter, "a last piece of three bytes");
}

/* Anything at all: no verdict but one of the list, a payload inside the frame, and the same verdict twice. */
Test(packet, anything)
{
    struct test_random random = {5};
    struct packet_filter filter = strict();
    uint32_t good = 0;
    for (int i = 0; i < 200000; i++) {
        struct test_frame_spec spec = {.tags = (uint32_t)test_random_below(&random, 4),
                                       .option_bytes = 4 * (uint32_t)test_random_below(&random, 11),
                                       .payload_bytes = (uint32_t)test_random_below(&random, 64)};
        frame_build(&f, &spec);
        for (uint64_t n = test_random_below(&random, 4); n > 0; n--) {
            f.bytes[test_random_below(&random, f.udp + 8)] = (uint8_t)test_random_next(&random);
        }
        uint32_t bytes = (uint32_t)test_random_below(&random, f.count + 1);
        bytes = test_random_chance(&random, 500) ? f.count : bytes;
        filter.match = (uint32_t)test_random_below(&random, 128);
        uint32_t checks = (uint32_t)test_random_below(&random, 4);
        enum ring_refusal refusal = judge(&filter, bytes, checks);
        good += refusal == RING_REFUSALS;
        cr_assert(refusal <= RING_REFUSED_FRAGMENT || refusal == RING_REFUSALS);
        cr_assert_neq(refusal, RING_REFUSED_LONG);
        if (refusal == RING_REFUSALS) {
            cr_assert_leq((uint64_t)place.payload_offset + place.payload_bytes, bytes);
        }
    }
    cr_assert_gt(good, 1000);
}

/* A sender on this machine leaves the sum over the payload to a device; a virtual one does not add it up. */
Test(packet, a_checksum_that_was_left_out_is_taken_where_that_is_allowed)
{
    for (uint32_t bytes = 0; bytes < 100; bytes++) {
        uint8_t pseudo[12];
        build(bytes);
        memcpy(pseudo, f.bytes + f.ip + 12, 8);
        frame_put16(pseudo + 8, 17);
        frame_put16(pseudo + 10, 8 + bytes);
        uint32_t left = frame_sum(0, pseudo, sizeof(pseudo));
        cr_assert_eq(judge(&all, f.count, PACKET_UDP_LEFT_OUT), RING_REFUSALS, "a whole one");
        f.bytes[f.udp + 1] ^= 1;
        cr_assert_eq(judge(&all, f.count, PACKET_UDP_LEFT_OUT), RING_REFUSED_CHECKSUM, "a bit flipped");
        frame_put16(f.bytes + f.udp + 6, left);
        cr_assert_eq(judge(&all, f.count, PACKET_UDP_LEFT_OUT), RING_REFUSALS, "left out");
        cr_assert_eq(judge(&all, f.count, 0), RING_REFUSED_CHECKSUM, "not allowed");
        frame_put16(f.bytes + f.udp + 6, left ^ 0x100);
        cr_assert_eq(judge(&all, f.count, PACKET_UDP_LEFT_OUT), RING_REFUSED_CHECKSUM, "neither");
    }
}
