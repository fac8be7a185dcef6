/* What lies between the generator and a receiver: what a wire needs of the system, and what its two ends are
 * called. Nothing of it outlives the measurement, however that ends: a vhost socket is a file, and a process of its
 * own removes it; a veth pair lies in network namespaces of the process that measures. */
#ifndef BENCH_NET_WIRE_H
#define BENCH_NET_WIRE_H

#include "bench/net_rig.h"

#define NET_VETH_SENDING   "bench-from"
#define NET_VETH_RECEIVING "bench-to"
#define NET_VETH_ADDRESS   "192.0.2.2" /* that is sent to; nobody has it */

/* Of the rig's path and size: 0, or -errno; -ENOTSUP: there can be no such wire here. Moves this process into a
 * network namespace of its own if the wire is a veth pair. Close it in either case. */
int net_wire_open(struct net_rig *rig, struct error *err);
void net_wire_close(struct net_rig *rig);

/* Between two ports of DPDK's, whose buffers the generator writes itself. */
static inline bool net_wire_is_port(enum net_wire wire)
{
    return wire == NET_MEMIF || wire == NET_MEMIF_ZERO || wire == NET_VHOST;
}

/* The ends of a wire that DPDK has a port for: the port's arguments. */
void net_wire_receiving_port(const struct net_rig *rig, char *text, size_t bytes);
void net_wire_sending_port(const struct net_rig *rig, char *text, size_t bytes);

/* Bytes that a buffer of the receiving port must have for a frame, without what is in front of it. */
uint32_t net_wire_room(const struct net_rig *rig);

#endif
