#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/export/pcapng_write.h"

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* Over all words and the checksum among them: 0xffff. */
static uint32_t sum(uint32_t so_far, const uint8_t *at, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        so_far += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    }
    while (so_far >> 16 != 0) {
        so_far = (so_far & 0xffff) + (so_far >> 16);
    }
    return so_far;
}

static void check_headers(uint32_t payload_bytes, uint8_t fill)
{
    struct pcapng_udp udp = {
        .from = htonl(0xc0000214), .to = htonl(0xef8102ff), .from_port = 4321, .to_port = 5000};
    uint8_t head[PCAPNG_HEADERS_BYTES];
    uint8_t *payload = malloc(payload_bytes + 1);
    memset(payload, fill, payload_bytes);
    pcapng_headers(&udp, payload, payload_bytes, head);
    static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0x01, 0x02, 0xff};
    cr_assert_arr_eq(head, group, 6);
    cr_assert_eq(sum(0, head + 14, 20), 0xffff);
    uint32_t udp_bytes = 8 + payload_bytes;
    uint32_t whole = sum(17 + udp_bytes, head + 26, 8); /* the pseudo header */
    whole = sum(whole, head + 34, 8);
    cr_assert_eq(sum(whole, payload, payload_bytes), 0xffff);
    cr_assert_eq((uint32_t)head[16] << 8 | head[17], 20 + udp_bytes);
    cr_assert_eq((uint32_t)head[38] << 8 | head[39], udp_bytes);
    free(payload);
}

Test(pcapng, headers_have_right_sums)
{
    check_headers(0, 0);
    check_headers(1, 0xff);
    check_headers(1472, 0x5a);
    check_headers(8191, 0xff);
    check_headers(PCAPNG_UDP_MAX, 0xff);
}

Test(pcapng, a_sum_of_nothing_is_told_as_ones)
{
    /* A payload that makes the sum 0, which would say that there is none. */
    struct pcapng_udp udp = {.from = htonl(0xc0000201), .to = htonl(0xc0000202), .from_port = 1, .to_port = 1};
    uint8_t head[PCAPNG_HEADERS_BYTES];
    uint8_t payload[2] = {0, 0};
    pcapng_headers(&udp, payload, 2, head);
    memcpy(payload, head + 40, 2);
    pcapng_headers(&udp, payload, 2, head);
    cr_assert_eq(head[40] << 8 | head[41], 0xffff);
}

Test(pcapng, unicast_has_an_address_of_its_own)
{
    struct pcapng_udp udp = {.to = htonl(0x0a000001)};
    uint8_t head[PCAPNG_HEADERS_BYTES] = {0};
    pcapng_headers(&udp, (const uint8_t *)"", 0, head);
    cr_assert_eq(head[0], 2);
}

Test(pcapng, blocks_are_padded_and_told_twice)
{
    struct pcapng_block block;
    const uint32_t fixed[2] = {PCAPNG_LINK_USER0, 0};
    pcapng_begin(&block, 1, fixed, sizeof(fixed));
    pcapng_text(&block, PCAPNG_IF_NAME, "abcde");
    pcapng_end(&block);
    cr_assert_eq(block.used, 8 + 8 + 4 + 8 + 4 + 4);
    cr_assert_eq(get32(block.bytes), 1);
    cr_assert_eq(get32(block.bytes + 4), block.used);
    cr_assert_eq(get32(block.bytes + 16), 2 | 5 << 16);
    cr_assert_arr_eq(block.bytes + 20, "abcde\0\0\0", 8);
    cr_assert_eq(get32(block.bytes + 28), 0);
    cr_assert_eq(get32(block.bytes + 32), block.used);
}

Test(pcapng, an_option_without_room_is_left_out)
{
    struct pcapng_block block;
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    pcapng_begin(&block, 1, NULL, 0);
    pcapng_text(&block, PCAPNG_COMMENT, text);
    cr_assert_eq(block.used, 8 + 4 + 4000);
    pcapng_text(&block, PCAPNG_COMMENT, text);
    cr_assert_eq(block.used, 8 + 2 * 4004);
    uint32_t before = block.used;
    pcapng_text(&block, PCAPNG_COMMENT, text);
    cr_assert_eq(block.used, before);
    pcapng_end(&block);
    cr_assert_leq(block.used, PCAPNG_BLOCK_BYTES);
}

Test(pcapng, a_packet)
{
    struct output output;
    struct error err;
    struct pcapng_block comments;
    char path[] = "/tmp/sluice-pcapng-XXXXXX";
    uint8_t bytes[128];
    close(mkstemp(path));
    cr_assert_eq(output_begin(&output, path, true, &err), 0);
    pcapng_begin(&comments, 0, NULL, 0);
    pcapng_text(&comments, PCAPNG_COMMENT, "seven..");
    cr_assert_eq(pcapng_packet(&output, 3, UINT64_C(0x1122334455667788), (const uint8_t *)"hd", 2,
                               (const uint8_t *)"payload", 7, &comments, &err),
                 0);
    cr_assert_eq(output_commit(&output, &err), 0);
    FILE *file = fopen(path, "rb");
    cr_assert_eq(fread(bytes, 1, sizeof(bytes), file), 28 + 12 + 12 + 4 + 4);
    fclose(file);
    unlink(path);
    cr_assert_eq(get32(bytes), 6);
    cr_assert_eq(get32(bytes + 4), 60);
    cr_assert_eq(get32(bytes + 8), 3);
    cr_assert_eq(get32(bytes + 12), 0x11223344);
    cr_assert_eq(get32(bytes + 16), 0x55667788);
    cr_assert_eq(get32(bytes + 20), 9);
    cr_assert_eq(get32(bytes + 24), 9);
    cr_assert_arr_eq(bytes + 28, "hdpayload\0\0\0", 12);
    cr_assert_eq(get32(bytes + 40), 1 | 7 << 16);
    cr_assert_eq(get32(bytes + 56), 60);
}
