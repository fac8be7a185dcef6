/* IGMP: what a host says so that the network sends it a multicast group. For a port that the kernel does not have
 * (DPDK), where nobody else says it. Pure. RFC 2236 (version 2), RFC 3376 (version 3).
 */
#ifndef NET_IGMP_H
#define NET_IGMP_H

#include <stdbool.h>
#include <stdint.h>

enum igmp_version {
    IGMP_NONE = 1, /* the switch floods, or somebody else asks */
    IGMP_V2 = 2,
    IGMP_V3 = 3
};

enum igmp_word {
    IGMP_JOIN,  /* it begins now */
    IGMP_STILL, /* it goes on: said now and then, because queriers are not listened to */
    IGMP_LEAVE  /* it ends */
};

struct igmp_host {
    uint32_t version; /* enum igmp_version */
    uint32_t address; /* IPv4, network order; 0: it has none, which RFC 3376 4.2.13 allows */
    uint8_t mac[6];
};

struct igmp_group {
    uint32_t address; /* network order */
    uint32_t from;    /* the one sender that is wanted (version 3); 0: any */
    uint16_t vlan;
    bool is_tagged; /* the group is in this VLAN */
};

#define IGMP_FRAME_BYTES_MAX 64u

static inline bool igmp_is_multicast(uint32_t address)
{
    return (((const uint8_t *)&address)[0] & 0xf0) == 0xe0;
}

/* The Ethernet address that frames to the group have. */
void igmp_group_mac(uint32_t address, uint8_t mac[6]);

/* Writes the frame that says this; its bytes, at least Ethernet's 60. 0: nothing is to be said (version IGMP_NONE;
 * 224.0.0.1, in which everybody is). */
uint32_t igmp_frame(uint8_t frame[IGMP_FRAME_BYTES_MAX], const struct igmp_host *host,
                    const struct igmp_group *group, enum igmp_word word);

#endif
