#include "net/packet.h"

#include <stdbool.h>
#include <string.h>

#define ETHERNET_BYTES 14u
#define TAG_BYTES      4u
#define TAGS_MAX       2u
#define IP_BYTES       20u /* without options */
#define UDP_BYTES      8u
#define ETHERTYPE_IPV4 0x0800u
#define PROTOCOL_UDP   17u
#define IP_PIECE       0x3fffu /* more fragments, or an offset */
#define IP_OFFSET      0x1fffu

#define unlikely(x) __builtin_expect(x, 0)

static bool is_tag(uint32_t ethertype)
{
    return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

/* Adds up words of the host's order: the sum's two bytes come out in the frame's order, and what is compared with
 * is the same in both. Four sums side by side: one would wait for itself. */
static uint64_t sum_words(const uint8_t *at, uint32_t bytes)
{
    uint64_t a = 0;
    uint64_t b = 0;
    uint64_t c = 0;
    uint64_t d = 0;
    for (; bytes >= 16; bytes -= 16, at += 16) {
        a += packet_load32(at);
        b += packet_load32(at + 4);
        c += packet_load32(at + 8);
        d += packet_load32(at + 12);
    }
    for (; bytes >= 4; bytes -= 4, at += 4) {
        a += packet_load32(at);
    }
    if ((bytes & 2) != 0) {
        uint16_t word;
        memcpy(&word, at, sizeof(word));
        b += word;
        at += 2;
    }
    c += (bytes & 1) != 0 ? *at : 0; /* as if a zero followed */
    return a + b + c + d;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* True if a sum that includes its checksum is all ones. */
static bool sum_is_right(uint64_t sum)
{
    return fold(sum) == 0xffff;
}

static bool udp_sum_is_right(const uint8_t *ip, const uint8_t *udp, uint32_t udp_bytes, uint32_t checks)
{
    /* The pseudo header: both addresses, the protocol and the length as UDP's own header has it. */
    uint16_t length;
    uint16_t found;
    memcpy(&length, udp + 4, sizeof(length));
    memcpy(&found, udp + 6, sizeof(found));
    uint64_t pseudo = sum_words(ip + 12, 8) + __builtin_bswap16(PROTOCOL_UDP) + length;
    return sum_is_right(pseudo + sum_words(udp, udp_bytes)) ||
           ((checks & PACKET_UDP_LEFT_OUT) != 0 && found == fold(pseudo));
}

/* The addresses decide before anything is called broken: a stranger's broken frame is no loss of ours. */
static bool is_ours(const struct packet_filter *filter, const uint8_t *ip)
{
    return ip[9] == PROTOCOL_UDP &&
           ((filter->match & PACKET_MATCH_TO) == 0 || packet_load32(ip + 16) == filter->to_address) &&
           ((filter->match & PACKET_MATCH_FROM) == 0 || packet_load32(ip + 12) == filter->from_address);
}

static bool ports_match(const struct packet_filter *filter, const uint8_t *udp)
{
    return ((filter->match & PACKET_MATCH_TO_PORT) == 0 || packet_load16(udp + 2) == filter->to_port) &&
           ((filter->match & PACKET_MATCH_FROM_PORT) == 0 || packet_load16(udp) == filter->from_port);
}

/* Everything behind the IP header, which is whole and right; the UDP header is there. `bytes`: what IP says it
 * carries. */
static enum ring_refusal judge_udp(const uint8_t *ip, const uint8_t *udp, uint32_t bytes, uint32_t checks)
{
    uint32_t udp_bytes = packet_load16(udp + 4);
    if (unlikely(udp_bytes < UDP_BYTES || udp_bytes > bytes)) {
        return RING_REFUSED_SYNTAX;
    }
    bool summed = packet_load16(udp + 6) != 0; /* 0: the sender has computed none */
    if (summed && (checks & PACKET_UDP_CHECKED) == 0 && !udp_sum_is_right(ip, udp, udp_bytes, checks)) {
        return RING_REFUSED_CHECKSUM;
    }
    return RING_REFUSALS;
}

/* `bytes`: from the IP header to the end of the frame, padding included. place->payload_offset is that of the IP
 * header at first. */
static enum ring_refusal judge_ip(const struct packet_filter *filter, const uint8_t *ip, uint32_t bytes,
                                  uint32_t checks, struct packet_place *place)
{
    if (unlikely(bytes < IP_BYTES)) {
        return RING_REFUSED_SHORT;
    }
    if (!is_ours(filter, ip)) {
        return RING_REFUSED_STRANGER;
    }
    uint32_t header_bytes = (ip[0] & 0xfu) * 4;
    uint32_t piece = packet_load16(ip + 6) & IP_PIECE;
    uint32_t total_bytes = packet_load16(ip + 2);
    if (unlikely(ip[0] >> 4 != 4 || header_bytes < IP_BYTES)) {
        return RING_REFUSED_SYNTAX;
    }
    if (unlikely(bytes < header_bytes + ((piece & IP_OFFSET) == 0 ? UDP_BYTES : 0))) {
        return RING_REFUSED_SHORT;
    }
    const uint8_t *udp = ip + header_bytes;
    if ((piece & IP_OFFSET) == 0 && !ports_match(filter, udp)) {
        return RING_REFUSED_STRANGER;
    }
    if (unlikely(total_bytes < header_bytes)) {
        return RING_REFUSED_SYNTAX;
    }
    if (unlikely(total_bytes > bytes)) {
        return RING_REFUSED_SHORT;
    }
    if ((checks & PACKET_IP_CHECKED) == 0 && !sum_is_right(sum_words(ip, header_bytes))) {
        return RING_REFUSED_CHECKSUM;
    }
    if (unlikely(piece != 0)) {
        return RING_REFUSED_FRAGMENT;
    }
    enum ring_refusal refusal = judge_udp(ip, udp, total_bytes - header_bytes, checks);
    if (refusal == RING_REFUSALS) {
        place->payload_offset += header_bytes + UDP_BYTES;
        place->payload_bytes = packet_load16(udp + 4) - UDP_BYTES;
    }
    return refusal;
}

/* Skips up to two tags. False: the frame ends within one. */
static bool skip_tags(const uint8_t *frame, uint32_t bytes, uint32_t *header_bytes, uint32_t *vlan)
{
    for (uint32_t tags = 0; tags < TAGS_MAX && is_tag(packet_load16(frame + *header_bytes - 2)); tags++) {
        if (bytes < *header_bytes + TAG_BYTES) {
            return false;
        }
        *vlan = packet_load16(frame + *header_bytes) & 0xfff;
        *header_bytes += TAG_BYTES;
    }
    return true;
}

enum ring_refusal packet_judge(const struct packet_filter *filter, const uint8_t *frame, uint32_t bytes,
                               uint32_t checks, struct packet_place *place)
{
    uint32_t header_bytes = ETHERNET_BYTES;
    uint32_t vlan = UINT32_MAX;
    if (unlikely(bytes < ETHERNET_BYTES)) {
        return RING_REFUSED_SHORT;
    }
    if ((filter->match & PACKET_MATCH_MAC) != 0 && memcmp(frame, filter->mac, sizeof(filter->mac)) != 0) {
        return RING_REFUSED_STRANGER;
    }
    uint32_t ethertype = packet_load16(frame + 12);
    if (unlikely(is_tag(ethertype))) {
        if (!skip_tags(frame, bytes, &header_bytes, &vlan)) {
            return RING_REFUSED_SHORT;
        }
        ethertype = packet_load16(frame + header_bytes - 2);
    }
    if (((filter->match & PACKET_MATCH_VLAN) != 0 && vlan != filter->vlan) ||
        ((filter->match & PACKET_MATCH_ETHERTYPE) != 0 && ethertype != filter->ethertype)) {
        return RING_REFUSED_STRANGER;
    }
    if (filter->form == PACKET_ETHERNET) {
        *place = (struct packet_place){.payload_offset = 0, .payload_bytes = bytes};
        return RING_REFUSALS;
    }
    if (ethertype != ETHERTYPE_IPV4) {
        return RING_REFUSED_STRANGER;
    }
    struct packet_place found = {.payload_offset = header_bytes};
    enum ring_refusal refusal = judge_ip(filter, frame + header_bytes, bytes - header_bytes, checks, &found);
    if (refusal == RING_REFUSALS) {
        *place = found;
    }
    return refusal;
}
