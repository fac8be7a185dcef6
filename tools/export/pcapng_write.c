#include "tools/export/pcapng_write.h"

#include <string.h>

#define TEXT_MAX     4000u
#define EPB          6u
#define HEAD_BYTES   8u /* type, total length */
#define TAIL_BYTES   4u /* total length again */
#define OPTION_BYTES 4u

static void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void put16_big(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static uint32_t padded(uint32_t bytes)
{
    return (bytes + 3) & ~3u;
}

void pcapng_begin(struct pcapng_block *block, uint32_t type, const void *fixed, uint32_t bytes)
{
    put32(block->bytes, type);
    if (bytes > 0) {
        memcpy(block->bytes + HEAD_BYTES, fixed, bytes);
    }
    block->used = HEAD_BYTES + bytes;
}

void pcapng_option(struct pcapng_block *block, uint16_t code, const void *value, uint16_t bytes)
{
    uint32_t room = PCAPNG_BLOCK_BYTES - block->used - TAIL_BYTES - OPTION_BYTES;
    if (OPTION_BYTES + padded(bytes) > room) {
        return;
    }
    uint8_t *at = block->bytes + block->used;
    memset(at, 0, OPTION_BYTES + padded(bytes));
    memcpy(at, &code, sizeof(code));
    memcpy(at + 2, &bytes, sizeof(bytes));
    memcpy(at + OPTION_BYTES, value, bytes);
    block->used += OPTION_BYTES + padded(bytes);
}

void pcapng_text(struct pcapng_block *block, uint16_t code, const char *text)
{
    pcapng_option(block, code, text, (uint16_t)strnlen(text, TEXT_MAX));
}

void pcapng_end(struct pcapng_block *block)
{
    memset(block->bytes + block->used, 0, OPTION_BYTES); /* opt_endofopt */
    block->used += OPTION_BYTES;
    uint32_t total = block->used + TAIL_BYTES;
    put32(block->bytes + 4, total);
    put32(block->bytes + block->used, total);
    block->used = total;
}

int pcapng_packet(struct output *output, uint32_t interface, uint64_t utc_ns, const uint8_t *head,
                  uint32_t head_bytes, const uint8_t *payload, uint32_t payload_bytes,
                  const struct pcapng_block *comments, struct error *err)
{
    uint32_t bytes = head_bytes + payload_bytes;
    const uint8_t *options = comments->bytes + HEAD_BYTES;
    uint32_t option_bytes = comments->used - HEAD_BYTES;
    uint32_t total = HEAD_BYTES + 20 + padded(bytes) + option_bytes + OPTION_BYTES + TAIL_BYTES;
    uint32_t lead[7] = {EPB, total, interface, (uint32_t)(utc_ns >> 32), (uint32_t)utc_ns, bytes, bytes};
    uint8_t tail[3 + OPTION_BYTES + TAIL_BYTES] = {0};
    put32(tail + 3 + OPTION_BYTES, total);
    int code = output_write(output, lead, sizeof(lead), err);
    code = code != 0 ? code : output_write(output, head, head_bytes, err);
    code = code != 0 ? code : output_write(output, payload, payload_bytes, err);
    code = code != 0 ? code : output_write(output, tail, padded(bytes) - bytes, err);
    code = code != 0 ? code : output_write(output, options, option_bytes, err);
    return code != 0 ? code : output_write(output, tail + 3, OPTION_BYTES + TAIL_BYTES, err);
}

/* RFC 1071: words in network order, carried round at the end. */
static uint64_t sum_words(uint64_t sum, const uint8_t *data, uint32_t bytes)
{
    for (; bytes > 1; bytes -= 2, data += 2) {
        sum += (uint64_t)data[0] << 8 | data[1];
    }
    return bytes == 1 ? sum + ((uint64_t)data[0] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

/* A multicast group has an address of its own (RFC 1112); others get one that is administered locally. */
static void put_macs(const struct pcapng_udp *udp, uint8_t *to)
{
    static const uint8_t here[6] = {0x02, 0, 0, 0, 0, 2};
    static const uint8_t there[6] = {0x02, 0, 0, 0, 0, 1};
    uint8_t address[4];
    memcpy(address, &udp->to, sizeof(address));
    memcpy(to, here, sizeof(here));
    if (address[0] >= 224 && address[0] < 240) {
        const uint8_t group[6] = {0x01, 0x00, 0x5e, address[1] & 0x7f, address[2], address[3]};
        memcpy(to, group, sizeof(group));
    }
    memcpy(to + 6, there, sizeof(there));
    put16_big(to + 12, 0x0800);
}

void pcapng_headers(const struct pcapng_udp *udp, const uint8_t *payload, uint32_t payload_bytes,
                    uint8_t to[PCAPNG_HEADERS_BYTES])
{
    uint8_t *ip = to + 14;
    uint8_t *head = ip + 20;
    uint32_t udp_bytes = 8 + payload_bytes;
    memset(to, 0, PCAPNG_HEADERS_BYTES);
    put_macs(udp, to);
    ip[0] = 0x45;
    put16_big(ip + 2, 20 + udp_bytes);
    ip[6] = 0x40; /* don't fragment: the number of the datagram may then be 0 */
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, &udp->from, sizeof(udp->from));
    memcpy(ip + 16, &udp->to, sizeof(udp->to));
    put16_big(ip + 10, fold(sum_words(0, ip, 20)));
    put16_big(head, udp->from_port);
    put16_big(head + 2, udp->to_port);
    put16_big(head + 4, udp_bytes);
    uint64_t sum = sum_words(17 + udp_bytes, ip + 12, 8); /* of the pseudo header */
    sum = sum_words(sum, head, 8);
    uint16_t checksum = fold(sum_words(sum, payload, payload_bytes));
    put16_big(head + 6, checksum != 0 ? checksum : 0xffff);
}
