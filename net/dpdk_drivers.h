/* What is peculiar to the drivers of some ports. Cold. */
#ifndef NET_DPDK_DRIVERS_H
#define NET_DPDK_DRIVERS_H

#include "net/dpdk.h"

struct rte_eth_dev_info;

/* enum packet_checks: what holds for every frame of a port. */
uint32_t dpdk_drivers_checks(uint16_t port);

/* How many buffers beside its descriptors' a port takes when it starts, into which it never puts a frame. */
uint32_t dpdk_drivers_decoys(uint16_t port, uint32_t descriptors);

/* The longest frame that a card is to take, as an MTU; 0: the driver's default. */
uint32_t dpdk_drivers_mtu(const struct dpdk_source *source, const struct rte_eth_dev_info *info);

/* What its driver does that its user should know, for the board, when the port runs; NULL: nothing. */
#define DPDK_DRIVERS_NOTE_BYTES 512u
const char *dpdk_drivers_note(const struct dpdk_source *source, char text[DPDK_DRIVERS_NOTE_BYTES]);

#endif
