#include "net/dpdk_addresses.h"

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>

#include "net/igmp.h"

static_assert(sizeof(struct rte_ether_addr) == DPDK_ADDRESS_BYTES, "an address is six bytes, here and there");

static uint32_t add(uint8_t list[PLAN_SOURCES_MAX][DPDK_ADDRESS_BYTES], uint32_t count, const uint8_t *mac)
{
    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(list[i], mac, DPDK_ADDRESS_BYTES) == 0) {
            return count;
        }
    }
    memcpy(list[count], mac, DPDK_ADDRESS_BYTES);
    return count + 1;
}

void dpdk_addresses_collect(struct dpdk_addresses *addresses, const struct worker_plan *plan, const char *port_name)
{
    static const uint8_t everybody[DPDK_ADDRESS_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct dpdk_addresses *a = addresses;
    *a = (struct dpdk_addresses){.groups = 0};
    for (uint32_t i = 0; i < plan->sources; i++) {
        const struct packet_filter *packet = &plan->source[i].packet;
        uint8_t mac[DPDK_ADDRESS_BYTES];
        if (strcmp(plan->source[i].dpdk.port, port_name) != 0) {
            continue;
        }
        if ((packet->match & PACKET_MATCH_MAC) != 0) {
            memcpy(mac, packet->mac, sizeof(mac));
        } else if ((packet->match & PACKET_MATCH_TO) != 0 && igmp_is_multicast(packet->to_address)) {
            igmp_group_mac(packet->to_address, mac);
        } else {
            a->all = true;
            continue;
        }
        if ((mac[0] & 1) == 0) {
            a->hosts = add(a->host, a->hosts, mac);
        } else if (memcmp(mac, everybody, sizeof(mac)) != 0) { /* which every port takes */
            a->groups = add(a->group, a->groups, mac);
        }
    }
}

static int admit_groups(const struct dpdk_addresses *a, uint16_t port)
{
    struct rte_ether_addr list[PLAN_SOURCES_MAX];
    memcpy(list, a->group, sizeof(list));
    int code = rte_eth_dev_set_mc_addr_list(port, list, a->groups);
    if (code != 0) {
        code = rte_eth_allmulticast_enable(port);
    }
    return code;
}

/* The port's own address needs nothing. */
static int admit_host(const uint8_t *mac, uint16_t port)
{
    struct rte_ether_addr own;
    struct rte_ether_addr wanted;
    memcpy(&wanted, mac, sizeof(wanted));
    if (rte_eth_macaddr_get(port, &own) == 0 && rte_is_same_ether_addr(&own, &wanted)) {
        return 0;
    }
    return rte_eth_dev_mac_addr_add(port, &wanted, 0);
}

int dpdk_addresses_admit(const struct worker_plan *plan, const struct source_plan *source, uint16_t port,
                         struct error *err)
{
    struct dpdk_addresses a;
    dpdk_addresses_collect(&a, plan, source->dpdk.port);
    int code = a.groups > 0 ? admit_groups(&a, port) : 0;
    for (uint32_t i = 0; i < a.hosts && code == 0; i++) {
        code = admit_host(a.host[i], port);
    }
    if (code == 0 && !a.all) {
        return 0;
    }
    int all = rte_eth_promiscuous_enable(port);
    if (code == 0 || all == 0 || all == -ENOTSUP) {
        return 0; /* it takes all, or knows of no addresses */
    }
    return error_set(err, code,
                     "source %s: port %s takes neither the address of its frames (%s) nor all frames (%s); is it a "
                     "virtual function whose host does not trust it?",
                     source->name, source->dpdk.port, rte_strerror(-code), rte_strerror(-all));
}
