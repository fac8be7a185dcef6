/* Ethernet frames for the tests: built field by field by a slow and obvious hand, so that each field can be bent.
 */
#ifndef SUPPORT_FRAME_H
#define SUPPORT_FRAME_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "net/packet.h"

#define FRAME_MAX 9216u

struct test_frame {
    uint8_t bytes[FRAME_MAX];
    uint32_t count;
    uint32_t ip;  /* offset of the IP header */
    uint32_t udp; /* offset of the UDP header */
};

struct test_frame_spec {
    uint32_t tags;          /* 0..3 VLAN tags, outer first */
    uint16_t tag_type[3];   /* 0: 0x8100 */
    uint16_t vlan[3];       /* with whatever priority bits the test wants */
    uint32_t option_bytes;  /* of IP, a multiple of 4 */
    uint32_t payload_bytes; /* filled with a pattern */
    uint32_t padding_bytes; /* behind the datagram */
};

#define FRAME_MAC                                                                                                  \
    {                                                                                                              \
        0x02, 0x11, 0x22, 0x33, 0x44, 0x55                                                                         \
    }
#define FRAME_FROM      0x0a000001u /* 10.0.0.1, host order */
#define FRAME_TO        0xc0a80102u /* 192.168.1.2 */
#define FRAME_FROM_PORT 4000u
#define FRAME_TO_PORT   5000u

static inline void frame_put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static inline void frame_put32(uint8_t *to, uint32_t value)
{
    frame_put16(to, value >> 16);
    frame_put16(to + 2, value);
}

static inline uint32_t frame_get16(const uint8_t *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

/* RFC 1071, one 16-bit word after the other. */
static inline uint32_t frame_sum(uint32_t sum, const uint8_t *at, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static inline void frame_sum_ip(struct test_frame *f)
{
    uint8_t *ip = f->bytes + f->ip;
    frame_put16(ip + 10, 0);
    frame_put16(ip + 10, 0xffff ^ frame_sum(0, ip, (ip[0] & 15u) * 4));
}

static inline void frame_sum_udp(struct test_frame *f)
{
    uint8_t *udp = f->bytes + f->udp;
    uint32_t bytes = frame_get16(udp + 4);
    uint8_t pseudo[12];
    memcpy(pseudo, f->bytes + f->ip + 12, 8);
    frame_put16(pseudo + 8, 17);
    frame_put16(pseudo + 10, bytes);
    frame_put16(udp + 6, 0);
    uint32_t sum = 0xffff ^ frame_sum(frame_sum(0, pseudo, sizeof(pseudo)), udp, bytes);
    frame_put16(udp + 6, sum == 0 ? 0xffff : sum);
}

static inline void frame_build(struct test_frame *f, const struct test_frame_spec *spec)
{
    static const uint8_t mac[6] = FRAME_MAC;
    memset(f, 0, sizeof(*f));
    memcpy(f->bytes, mac, 6);
    f->bytes[6] = 2;
    uint32_t at = 12;
    for (uint32_t i = 0; i < spec->tags; i++, at += 4) {
        frame_put16(f->bytes + at, spec->tag_type[i] != 0 ? spec->tag_type[i] : 0x8100);
        frame_put16(f->bytes + at + 2, spec->vlan[i]);
    }
    frame_put16(f->bytes + at, 0x0800);
    f->ip = at + 2;
    f->udp = f->ip + 20 + spec->option_bytes;
    uint8_t *ip = f->bytes + f->ip;
    uint32_t udp_bytes = 8 + spec->payload_bytes;
    ip[0] = (uint8_t)(0x40 | (20 + spec->option_bytes) / 4);
    frame_put16(ip + 2, 20 + spec->option_bytes + udp_bytes);
    frame_put16(ip + 4, 0x1234);
    frame_put16(ip + 6, 0x4000); /* don't fragment */
    ip[8] = 64;
    ip[9] = 17;
    frame_put32(ip + 12, FRAME_FROM);
    frame_put32(ip + 16, FRAME_TO);
    memset(ip + 20, 1, spec->option_bytes); /* no operation */
    uint8_t *udp = f->bytes + f->udp;
    frame_put16(udp, FRAME_FROM_PORT);
    frame_put16(udp + 2, FRAME_TO_PORT);
    frame_put16(udp + 4, udp_bytes);
    for (uint32_t i = 0; i < spec->payload_bytes; i++) {
        udp[8 + i] = (uint8_t)(i * 7 + spec->payload_bytes);
    }
    memset(udp + udp_bytes, 0xee, spec->padding_bytes);
    f->count = f->udp + udp_bytes + spec->padding_bytes;
    frame_sum_ip(f);
    frame_sum_udp(f);
}

/* What takes these frames; `match`: what of them it looks at. */
static inline struct packet_filter frame_filter(uint32_t form, uint32_t match)
{
    return (struct packet_filter){.form = form,
                                  .match = match,
                                  .mac = FRAME_MAC,
                                  .vlan = 9,
                                  .ethertype = 0x0800,
                                  .to_port = FRAME_TO_PORT,
                                  .from_port = FRAME_FROM_PORT,
                                  .to_address = htonl(FRAME_TO),
                                  .from_address = htonl(FRAME_FROM)};
}

#endif
