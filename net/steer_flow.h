/* What the XDP program (net/steer.bpf.c) is told of each queue of an interface, and what it counts there: an array
 * that the worker has mapped. Both sides include this; so no libc, and every field has its size.
 */
#ifndef NET_STEER_FLOW_H
#define NET_STEER_FLOW_H

#include <stdint.h>

#define STEER_QUEUES_MAX 64u

struct steer_queue {
    /* Written by the worker before frames of the queue are steered. As struct packet_filter (net/packet.h). */
    uint32_t form;  /* enum packet_form; 0: nobody reads this queue */
    uint32_t match; /* enum packet_match */
    uint32_t to_address;
    uint32_t from_address;
    uint32_t frame_bytes_max; /* what a slot takes; longer ones are dropped here, and counted */
    uint16_t to_port;
    uint16_t from_port;
    uint16_t vlan;
    uint16_t ethertype;
    uint8_t mac[6];
    uint8_t reserved[6];
    uint64_t too_long; /* written by the program: frames of the flow that were dropped */
};

#endif
