/* Whose frame is it, and where does its payload lie: an Ethernet frame as a device delivers it, judged where it
 * lies. Pure; hot (HOT_SOURCES). For every source that sees whole frames (DPDK, AF_XDP); a socket's kernel does
 * this by itself.
 */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include <stdint.h>
#include <string.h>

#include "ring/ledger.h"

enum packet_form {
    PACKET_ETHERNET = 1, /* the payload is the whole frame, header and all */
    PACKET_UDP = 2       /* the payload is that of an IPv4 UDP datagram */
};

/* What a frame must have to be the stream's. A PACKET_ETHERNET stream knows the first two and the last. */
enum packet_match {
    PACKET_MATCH_MAC = 1,
    PACKET_MATCH_VLAN = 2, /* of two tags the inner one; a frame without a tag does not match */
    PACKET_MATCH_TO = 4,
    PACKET_MATCH_FROM = 8,
    PACKET_MATCH_TO_PORT = 16,
    PACKET_MATCH_FROM_PORT = 32,
    PACKET_MATCH_ETHERTYPE = 64 /* the one behind the tags */
};

struct packet_filter {
    uint32_t form;  /* enum packet_form */
    uint32_t match; /* enum packet_match, or-ed; 0: every frame of that form */
    uint8_t mac[6]; /* destination */
    uint16_t vlan;  /* 0..4095 */
    uint16_t ethertype;
    uint16_t to_port; /* host order, as all but the addresses */
    uint16_t from_port;
    uint16_t reserved;
    uint32_t to_address; /* network order */
    uint32_t from_address;
};

/* What the device has verified already: it is not computed again. */
enum packet_checks {
    PACKET_IP_CHECKED = 1,
    PACKET_UDP_CHECKED = 2,
    /* A sender on this machine, or in a virtual one's host, leaves the sum over the payload to the device; where
     * the device is virtual nobody adds it up. The checksum is then that of the pseudo header alone: taken as
     * right. */
    PACKET_UDP_LEFT_OUT = 4
};

/* A field of a header, in the host's order. */
static inline uint32_t packet_load16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return __builtin_bswap16(value);
}

/* In network order, as the filter has its addresses. */
static inline uint32_t packet_load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

struct packet_place {
    uint32_t payload_offset; /* from the start of the frame */
    uint32_t payload_bytes;
};

/* Bytes of Ethernet's, IP's and UDP's headers that are to be expected in front of a stream's payload, without IP
 * options. Pure. */
static inline uint32_t packet_headers(const struct packet_filter *filter)
{
    uint32_t tag = (filter->match & PACKET_MATCH_VLAN) != 0 ? 4 : 0;
    return filter->form == PACKET_ETHERNET ? 0 : 14 + tag + 20 + 8;
}

/* RING_REFUSALS if the frame is the stream's, then *place says where its payload lies; else why not, and *place is
 * untouched. Nothing beyond `bytes` is read. STRANGER: another's, nothing is lost by it. SHORT: the bytes end
 * before what the headers announce. SYNTAX: the headers contradict themselves. FRAGMENT: a piece of a datagram;
 * nothing here puts them together (the later pieces have no ports: they are called so whenever the addresses
 * match). */
enum ring_refusal packet_judge(const struct packet_filter *filter, const uint8_t *frame, uint32_t bytes,
                               uint32_t checks, struct packet_place *place);

#endif
