/* The XDP program that gives a worker the frames of its flows and leaves everything else to the kernel. Compiled
 * for the kernel's BPF machine; loaded and attached by net/steer.c. It only says whose a frame is: what is wrong
 * with it is judged, and counted, where it lies (net/packet.c).
 *
 * Pieces of a datagram: the first has the ports and is the worker's, which refuses it and so counts the datagram
 * once; the later ones have none and are left to the kernel, they may be anybody's.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/steer_flow.h"

#define FORM_ETHERNET   1u
#define MATCH_MAC       1u
#define MATCH_VLAN      2u
#define MATCH_TO        4u
#define MATCH_FROM      8u
#define MATCH_TO_PORT   16u
#define MATCH_FROM_PORT 32u
#define MATCH_ETHERTYPE 64u

#define ETHERNET_BYTES 14
#define TAG_BYTES      4
#define TAGS_MAX       2
#define IP_BYTES       20
#define UDP_BYTES      8
#define ETHERTYPE_IPV4 0x0800
#define PROTOCOL_UDP   17
#define IP_OFFSET      0x1fff
#define NO_VLAN        0xffff

/* The maps' members are pointers by which libbpf reads sizes and types out of the debug information. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, STEER_QUEUES_MAX);
    __type(key, uint32_t);
    __type(value, struct steer_queue);
} queues SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, STEER_QUEUES_MAX);
    __type(key, uint32_t);
    __type(value, uint32_t);
} sockets SEC(".maps");

static __always_inline uint16_t load16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* In network order, as the flow has its addresses. */
static __always_inline uint32_t load32_raw(const uint8_t *at)
{
    uint32_t value;
    __builtin_memcpy(&value, at, sizeof(value));
    return value;
}

static __always_inline bool is_tag(uint16_t ethertype)
{
    return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

static __always_inline bool is_for_mac(const struct steer_queue *queue, const uint8_t *at)
{
    return at[0] == queue->mac[0] && at[1] == queue->mac[1] && at[2] == queue->mac[2] && at[3] == queue->mac[3] &&
           at[4] == queue->mac[4] && at[5] == queue->mac[5];
}

static __always_inline bool is_udp_of(const struct steer_queue *queue, const uint8_t *ip, const uint8_t *end)
{
    if (ip + IP_BYTES > end || ip[9] != PROTOCOL_UDP || (load16(ip + 6) & IP_OFFSET) != 0 ||
        ((queue->match & MATCH_TO) != 0 && load32_raw(ip + 16) != queue->to_address) ||
        ((queue->match & MATCH_FROM) != 0 && load32_raw(ip + 12) != queue->from_address)) {
        return false;
    }
    uint32_t header_bytes = (ip[0] & 0xfu) * 4;
    const uint8_t *udp = ip + header_bytes;
    if (header_bytes < IP_BYTES || udp + UDP_BYTES > end) {
        return false;
    }
    return ((queue->match & MATCH_TO_PORT) == 0 || load16(udp + 2) == queue->to_port) &&
           ((queue->match & MATCH_FROM_PORT) == 0 || load16(udp) == queue->from_port);
}

static __always_inline bool is_of(const struct steer_queue *queue, const uint8_t *at, const uint8_t *end)
{
    uint16_t vlan = NO_VLAN;
    if (at + ETHERNET_BYTES > end || ((queue->match & MATCH_MAC) != 0 && !is_for_mac(queue, at))) {
        return false;
    }
    at += ETHERNET_BYTES;
    uint16_t ethertype = load16(at - 2);
    for (int i = 0; i < TAGS_MAX && is_tag(ethertype); i++) {
        if (at + TAG_BYTES > end) {
            return false;
        }
        vlan = load16(at) & 0xfff;
        ethertype = load16(at + 2);
        at += TAG_BYTES;
    }
    if (((queue->match & MATCH_VLAN) != 0 && vlan != queue->vlan) ||
        ((queue->match & MATCH_ETHERTYPE) != 0 && ethertype != queue->ethertype)) {
        return false;
    }
    return queue->form == FORM_ETHERNET || (ethertype == ETHERTYPE_IPV4 && is_udp_of(queue, at, end));
}

/* "frags": also on an interface whose frames do not lie in one piece (an MTU beyond a page); the headers do. */
SEC("xdp.frags")
int steer(struct xdp_md *context)
{
    uint32_t index = context->rx_queue_index;
    struct steer_queue *queue = bpf_map_lookup_elem(&queues, &index);
    if (queue == NULL || queue->form == 0 ||
        !is_of(queue, (const uint8_t *)(long)context->data, (const uint8_t *)(long)context->data_end)) {
        return XDP_PASS;
    }
    if (bpf_xdp_get_buff_len(context) > queue->frame_bytes_max) {
        __sync_fetch_and_add(&queue->too_long, 1);
        return XDP_DROP;
    }
    return (int)bpf_redirect_map(&sockets, index, XDP_PASS); /* no socket there: the kernel's */
}

/* Nothing here needs a helper that asks for another licence. */
char licence[] SEC("license") = "BSD";
