/* What stands in front of a payload on a wire, written by us: Ethernet with or without a VLAN tag, and IPv4 and UDP
 * unless an EtherType of its own is asked for. Pure.
 */
#ifndef TOOLS_GEN_FRAME_H
#define TOOLS_GEN_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FRAME_HEAD_MAX    46u /* Ethernet 14, VLAN 4, IPv4 20, UDP 8 */
#define FRAME_VLAN_NONE   UINT32_MAX
#define FRAME_PAYLOAD_MAX 65507u /* what an IPv4 UDP datagram can hold */

struct frame_spec {
    uint8_t to_mac[6], from_mac[6];
    uint32_t vlan;           /* id, or FRAME_VLAN_NONE */
    uint32_t ethertype;      /* 0: IPv4 and UDP */
    uint32_t to_ip, from_ip; /* network byte order */
    uint16_t to_port, from_port;
    bool checksum; /* of UDP; else 0, "none" */
};

struct frame_head {
    uint8_t bytes[FRAME_HEAD_MAX];
    uint32_t count; /* of bytes[] */
    uint32_t ip_at; /* 0: there is no IP */
    bool checksum;
    uint32_t payload_bytes; /* that bytes[] has the lengths of */
    uint32_t ip_sum;        /* of the header's words but for the total length */
    uint32_t pseudo_sum;    /* addresses, protocol, ports */
    uint32_t udp_sum;       /* the same, and the lengths */
};

void frame_head_init(struct frame_head *head, const struct frame_spec *spec);

/* In front of a payload of so many bytes with this sum (frame_sum; not needed without a UDP checksum). */
void frame_head_write(struct frame_head *head, uint8_t *to, uint32_t payload_bytes, uint64_t payload_sum);

/* The sum of 16-bit words in memory order that the Internet checksum is made of, not yet folded: in halves of 32
 * bits, so that 64-bit sums cannot overflow, and the order of bytes does not matter to such a sum. */
uint64_t frame_sum_long(const uint8_t *bytes, uint32_t count);

static inline uint64_t frame_sum_short(const uint8_t *bytes, uint32_t count)
{
    unsigned __int128 sum = 0; /* an addition and its carry for each word */
    uint64_t word = 0;
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        memcpy(&word, bytes + i, 8);
        sum += word;
    }
    if (i < count) {
        word = 0; /* as if zeros followed */
        memcpy(&word, bytes + i, count - i);
        sum += word;
    }
    uint64_t low = (uint64_t)sum;
    return (low & UINT32_MAX) + (low >> 32) + (uint64_t)(sum >> 64);
}

static inline uint64_t frame_sum(const uint8_t *bytes, uint32_t count)
{
    return count < 128 ? frame_sum_short(bytes, count) : frame_sum_long(bytes, count);
}

/* To 16 bits, with the carries put back in. */
static inline uint16_t frame_fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

#endif
