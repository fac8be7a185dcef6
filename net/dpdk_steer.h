/* Which of a port's queues, each a source's, a frame goes to: by a hash over its addresses (RSS), or by a rule of
 * the device's for each source, built of the source's filter (rte_flow). The filter itself stays: what a device
 * steers wrongly is a stranger there. Cold.
 */
#ifndef NET_DPDK_STEER_H
#define NET_DPDK_STEER_H

#include <rte_flow.h>

#include "net/plan.h"
#include "ring/error.h"

/* A filter as rte_flow wants it; `item` and `action` point into it, so it is not to be copied. */
struct dpdk_rule {
    struct rte_flow_attr attr;
    struct rte_flow_item item[5]; /* the last one ends it */
    struct rte_flow_action action[2];
    struct rte_flow_action_queue queue;
    struct rte_flow_item_eth eth, eth_mask;
    struct rte_flow_item_vlan vlan, vlan_mask;
    struct rte_flow_item_ipv4 ip, ip_mask;
    struct rte_flow_item_udp udp, udp_mask;
};

/* The rule that steers what passes this filter to this queue. Pure. */
void dpdk_rule_build(struct dpdk_rule *rule, const struct packet_filter *filter, uint16_t queue);

/* The rule in words: "vlan 7 / ipv4 to 239.1.2.3 / udp to 5000". Pure. */
#define DPDK_RULE_TEXT_BYTES 160u
const char *dpdk_rule_text(const struct packet_filter *filter, char text[DPDK_RULE_TEXT_BYTES]);

/* What a port with so many queues hashes, of what it offers (RTE_ETH_RSS_*): 0, nothing. 0, or -ENOTSUP: it does
 * not offer what the source asks for. Pure. */
int dpdk_steer_hash(const struct source_plan *source, uint16_t queues, uint64_t offered, uint64_t *hash,
                    struct error *err);

/* Gives the started port the rule of one source. Untouched if it steers otherwise. 0 or -errno. */
int dpdk_steer_add(struct rte_flow **flow, const struct source_plan *source, uint16_t port, uint16_t queue,
                   struct error *err);
void dpdk_steer_remove(struct rte_flow **flow, uint16_t port);

#endif
