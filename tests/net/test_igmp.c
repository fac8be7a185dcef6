/* What a port says to have a multicast group sent to it, byte by byte. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "net/igmp.h"

#define IP 14u /* where the IPv4 header is in a frame without a tag */

static const struct igmp_host host = {.version = IGMP_V3, .mac = {2, 0, 0, 0, 0, 1}};

static uint32_t address(const char *dotted)
{
    struct in_addr in;
    cr_assert_eq(inet_pton(AF_INET, dotted, &in), 1);
    return in.s_addr;
}

/* The sum over what carries its own checksum is all ones. */
static uint32_t sum(const uint8_t *bytes, uint32_t count)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
    }
    return (total >> 16) + (total & 0xffff);
}

static void check_sums(const uint8_t *ip, uint32_t message_bytes)
{
    cr_assert_eq(sum(ip, 24), 0xffff, "the header's checksum");
    cr_assert_eq(sum(ip + 24, message_bytes), 0xffff, "the message's checksum");
    cr_assert_eq(ip[2] << 8 | ip[3], (int)(24 + message_bytes), "the length");
}

Test(igmp, version_3_joins_by_a_record)
{
    static const uint8_t expected[60] = {
        0x01, 0x00, 0x5e, 0x00, 0x00, 0x16, 2,    0,    0,    0,    0,    1,    0x08, 0x00, /* Ethernet */
        0x46, 0xc0, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x03, 0xfa,             /* IPv4 .. */
        0,    0,    0,    0,    224,  0,    0,    22,   0x94, 0x04, 0,    0,                /* .. and its option */
        0x22, 0,    0xe8, 0xf9, 0,    0,    0,    1,                                        /* a report of 1 */
        4,    0,    0,    0,    239,  1,    2,    3};                                       /* to exclude nobody */
    uint8_t frame[IGMP_FRAME_BYTES_MAX];
    struct igmp_group group = {.address = address("239.1.2.3")};
    memset(frame, 0xee, sizeof(frame));
    cr_assert_eq(igmp_frame(frame, &host, &group, IGMP_JOIN), 60);
    check_sums(frame + IP, 16);
    for (uint32_t i = 0; i < sizeof(expected); i++) {
        cr_assert_eq(frame[i], expected[i], "byte %u is %02x", i, frame[i]);
    }
}

Test(igmp, version_3_goes_on_and_leaves)
{
    uint8_t frame[IGMP_FRAME_BYTES_MAX];
    struct igmp_group group = {.address = address("239.1.2.3")};
    struct igmp_host named = host;
    named.address = address("10.0.0.5");
    cr_assert_eq(igmp_frame(frame, &named, &group, IGMP_STILL), 60);
    check_sums(frame + IP, 16);
    cr_assert_eq(memcmp(frame + IP + 12, &named.address, 4), 0);
    cr_assert_eq(frame[IP + 24 + 8], 2, "is exclude");
    cr_assert_eq(igmp_frame(frame, &named, &group, IGMP_LEAVE), 60);
    check_sums(frame + IP, 16);
    cr_assert_eq(frame[IP + 24 + 8], 3, "to include (nobody)");
}

Test(igmp, version_3_names_the_sender_that_is_wanted)
{
    static const uint8_t kind[] = {5, 1, 6}; /* allow, include, block */
    uint8_t frame[IGMP_FRAME_BYTES_MAX];
    struct igmp_group group = {.address = address("232.1.2.3"), .from = address("10.0.0.9")};
    for (uint32_t word = IGMP_JOIN; word <= IGMP_LEAVE; word++) {
        cr_assert_eq(igmp_frame(frame, &host, &group, (enum igmp_word)word), 60);
        check_sums(frame + IP, 20);
        cr_assert_eq(frame[IP + 24 + 8], kind[word]);
        cr_assert_eq(frame[IP + 24 + 11], 1, "one sender");
        cr_assert_eq(memcmp(frame + IP + 24 + 16, &group.from, 4), 0);
    }
}

Test(igmp, version_2_speaks_to_the_group)
{
    static const uint8_t group_mac[6] = {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03};
    static const uint8_t routers_mac[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x02};
    uint8_t frame[IGMP_FRAME_BYTES_MAX];
    struct igmp_group group = {.address = address("239.129.2.3")}; /* the mapping drops a bit */
    struct igmp_host old = host;
    old.version = IGMP_V2;
    for (uint32_t word = IGMP_JOIN; word <= IGMP_STILL; word++) {
        cr_assert_eq(igmp_frame(frame, &old, &group, (enum igmp_word)word), 60);
        check_sums(frame + IP, 8);
        cr_assert_eq(memcmp(frame, group_mac, 6), 0);
        cr_assert_eq(memcmp(frame + IP + 16, &group.address, 4), 0);
        cr_assert_eq(frame[IP + 24], 0x16);
        cr_assert_eq(memcmp(frame + IP + 24 + 4, &group.address, 4), 0);
    }
    cr_assert_eq(igmp_frame(frame, &old, &group, IGMP_LEAVE), 60);
    check_sums(frame + IP, 8);
    cr_assert_eq(memcmp(frame, routers_mac, 6), 0);
    cr_assert_eq(frame[IP + 24], 0x17);
}

Test(igmp, a_group_in_a_vlan)
{
    static const uint8_t tag[6] = {0x81, 0x00, 0x01, 0x2c, 0x08, 0x00};
    uint8_t frame[IGMP_FRAME_BYTES_MAX];
    struct igmp_group group = {
        .address = address("232.1.2.3"), .from = address("10.0.0.9"), .vlan = 300, .is_tagged = true};
    cr_assert_eq(igmp_frame(frame, &host, &group, IGMP_JOIN), 62, "the longest there is");
    cr_assert_eq(memcmp(frame + 12, tag, sizeof(tag)), 0);
    check_sums(frame + IP + 4, 20);
}

Test(igmp, what_needs_no_word)
{
    uint8_t frame[IGMP_FRAME_BYTES_MAX];
    struct igmp_group group = {.address = address("224.0.0.1")};
    struct igmp_host silent = host;
    cr_assert_eq(igmp_frame(frame, &host, &group, IGMP_JOIN), 0, "everybody is in it");
    silent.version = IGMP_NONE;
    group.address = address("239.1.2.3");
    cr_assert_eq(igmp_frame(frame, &silent, &group, IGMP_JOIN), 0);
    cr_assert(igmp_is_multicast(address("224.0.0.0")) && igmp_is_multicast(address("239.255.255.255")));
    cr_assert_not(igmp_is_multicast(address("223.255.255.255")) || igmp_is_multicast(address("240.0.0.0")));
}
