#include "tools/gen/frame.h"

#include <arpa/inet.h>
#include <string.h>

#define ETHERTYPE_VLAN_TAG 0x8100u
#define ETHERTYPE_IPV4     0x0800u
#define FRAME_HEAD_USUAL   42u /* no VLAN tag, IPv4 and UDP */
#define IP_BYTES           20u
#define UDP_BYTES          8u
#define PROTOCOL_UDP       17u
#define HOPS               64u
#define DO_NOT_FRAGMENT    0x40u

typedef uint64_t sum_v4 __attribute__((vector_size(32), aligned(1), may_alias));

__attribute__((always_inline)) static inline uint64_t sum_body(const uint8_t *bytes, uint32_t count)
{
    const sum_v4 low = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const sum_v4 *from = (const sum_v4 *)(const void *)bytes;
    sum_v4 a = {0, 0, 0, 0};
    sum_v4 b = a;
    uint32_t i = 0;
    for (; i + 32 <= count; i += 32, from++) {
        a += *from & low;
        b += *from >> 32;
    }
    a += b;
    return a[0] + a[1] + a[2] + a[3] + frame_sum_short(bytes + i, count - i);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *bytes, uint32_t count)
{
    return sum_body(bytes, count);
}
#endif

uint64_t frame_sum_long(const uint8_t *bytes, uint32_t count)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        return sum_avx2(bytes, count);
    }
#endif
    return sum_body(bytes, count);
}

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* The field in memory order, as frame_sum sees it. */
static void put_sum(uint8_t *to, uint16_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void init_ip(struct frame_head *head, const struct frame_spec *spec)
{
    uint8_t *ip = head->bytes + head->count;
    uint8_t *udp = ip + IP_BYTES;
    ip[0] = 0x45;
    ip[6] = DO_NOT_FRAGMENT;
    ip[8] = HOPS;
    ip[9] = PROTOCOL_UDP;
    memcpy(ip + 12, &spec->from_ip, 4);
    memcpy(ip + 16, &spec->to_ip, 4);
    put16(udp, spec->from_port);
    put16(udp + 2, spec->to_port);
    head->ip_at = head->count;
    head->count += IP_BYTES + UDP_BYTES;
    head->checksum = spec->checksum;
    head->payload_bytes = UINT32_MAX;
    head->ip_sum = frame_fold(frame_sum(ip, IP_BYTES));
    head->pseudo_sum = frame_fold(frame_sum(ip + 12, 8) + frame_sum(udp, 4) + htons(PROTOCOL_UDP));
}

void frame_head_init(struct frame_head *head, const struct frame_spec *spec)
{
    *head = (struct frame_head){0};
    memcpy(head->bytes, spec->to_mac, 6);
    memcpy(head->bytes + 6, spec->from_mac, 6);
    head->count = 12;
    if (spec->vlan != FRAME_VLAN_NONE) {
        put16(head->bytes + head->count, ETHERTYPE_VLAN_TAG);
        put16(head->bytes + head->count + 2, spec->vlan);
        head->count += 4;
    }
    put16(head->bytes + head->count, spec->ethertype != 0 ? spec->ethertype : ETHERTYPE_IPV4);
    head->count += 2;
    if (spec->ethertype == 0) {
        init_ip(head, spec);
    }
}

/* Mostly all frames have one size: what follows from it is worked out once. */
static void set_lengths(struct frame_head *head, uint32_t payload_bytes)
{
    uint8_t *ip = head->bytes + head->ip_at;
    uint32_t udp_bytes = UDP_BYTES + payload_bytes;
    head->payload_bytes = payload_bytes;
    put16(ip + 2, IP_BYTES + udp_bytes);
    put_sum(ip + 10, (uint16_t)~frame_fold((uint64_t)head->ip_sum + htons((uint16_t)(IP_BYTES + udp_bytes))));
    put16(ip + IP_BYTES + 4, udp_bytes);
    /* The length counts twice: in the pseudo header and in the UDP header. */
    head->udp_sum = head->pseudo_sum + 2u * htons((uint16_t)udp_bytes);
}

void frame_head_write(struct frame_head *head, uint8_t *to, uint32_t payload_bytes, uint64_t payload_sum)
{
    if (head->ip_at != 0 && head->payload_bytes != payload_bytes) {
        set_lengths(head, payload_bytes);
    }
    if (head->count == FRAME_HEAD_USUAL) {
        memcpy(to, head->bytes, FRAME_HEAD_USUAL); /* a constant count: no call */
    } else {
        memcpy(to, head->bytes, head->count);
    }
    if (head->checksum) {
        uint16_t sum = (uint16_t)~frame_fold(head->udp_sum + frame_fold(payload_sum));
        put_sum(to + head->ip_at + IP_BYTES + 6, sum != 0 ? sum : 0xffff);
    }
}
