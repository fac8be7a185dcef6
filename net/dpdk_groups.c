#include "net/dpdk_groups.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "ring/clock.h"

#define BUFFERS   255u /* a driver may keep as many as it has descriptors until it needs their places */
#define AGAIN_NS  CLOCK_NS_PER_S
#define REPEAT_NS (10 * CLOCK_NS_PER_S) /* queriers ask every 125 s and forget after twice that */
#define JOINS     2u                    /* the first may be lost (RFC 3376: the robustness variable) */

static void add(struct dpdk_groups *groups, const struct source_plan *source)
{
    const struct packet_filter *packet = &source->packet;
    struct igmp_group new = {.address = packet->to_address,
                             .from = source->dpdk.igmp == IGMP_V3 ? packet->from_address : 0,
                             .vlan = packet->vlan,
                             .is_tagged = (packet->match & PACKET_MATCH_VLAN) != 0};
    if ((packet->match & PACKET_MATCH_TO) == 0 || !igmp_is_multicast(packet->to_address)) {
        return;
    }
    groups->host.version = source->dpdk.igmp;
    groups->host.address = source->dpdk.igmp_address != 0 ? source->dpdk.igmp_address : groups->host.address;
    for (uint32_t i = 0; i < groups->count; i++) {
        struct igmp_group *old = &groups->group[i];
        if (old->address != new.address || old->is_tagged != new.is_tagged || old->vlan != new.vlan) {
            continue;
        }
        if (new.from == 0 || old->from == 0 || old->from == new.from) {
            old->from = new.from == old->from ? new.from : 0; /* from anyone includes from one */
            return;
        }
    }
    groups->group[groups->count++] = new;
}

void dpdk_groups_collect(struct dpdk_groups *groups, const struct worker_plan *plan, const char *port_name)
{
    groups->count = 0;
    for (uint32_t i = 0; i < plan->sources; i++) {
        if (strcmp(plan->source[i].dpdk.port, port_name) == 0) {
            add(groups, &plan->source[i]);
        }
    }
}

int dpdk_groups_open(struct dpdk_groups *groups, const struct worker_plan *plan, const struct source_plan *source,
                     uint16_t port, struct dpdk_grace *grace, struct error *err)
{
    struct rte_eth_dev_info info;
    struct rte_ether_addr own;
    char name[24];
    *groups = (struct dpdk_groups){.port = port, .grace = grace};
    dpdk_groups_collect(groups, plan, source->dpdk.port);
    if (groups->count == 0 || (groups->host.version != IGMP_V2 && groups->host.version != IGMP_V3)) {
        return 0;
    }
    int code = rte_eth_dev_info_get(port, &info);
    code = code == 0 ? rte_eth_macaddr_get(port, &own) : code;
    code = code == 0 && info.max_tx_queues == 0 ? -ENOTSUP : code;
    if (code != 0) {
        return error_set(err, code,
                         "source %s: port %s cannot send, and a multicast group is joined by a report: %s; if the "
                         "switch needs none, igmp: {version: none}",
                         source->name, source->dpdk.port, rte_strerror(-code));
    }
    memcpy(groups->host.mac, own.addr_bytes, sizeof(groups->host.mac));
    snprintf(name, sizeof(name), "reports%u", port);
    groups->pool =
        rte_pktmbuf_pool_create(name, BUFFERS, 0, 0, RTE_PKTMBUF_HEADROOM + IGMP_FRAME_BYTES_MAX, SOCKET_ID_ANY);
    return groups->pool != NULL
               ? 0
               : error_set(err, -rte_errno,
                           "source %s: no memory for %u reports of multicast groups: %s; raise the "
                           "worker's dpdk_memory_mb",
                           source->name, BUFFERS, rte_strerror(rte_errno));
}

static bool say(struct dpdk_groups *groups, const struct igmp_group *group, enum igmp_word word)
{
    uint8_t frame[IGMP_FRAME_BYTES_MAX];
    uint32_t bytes = igmp_frame(frame, &groups->host, group, word);
    struct rte_mbuf *mbuf = bytes > 0 ? rte_pktmbuf_alloc(groups->pool) : NULL;
    if (mbuf == NULL) {
        return bytes == 0;
    }
    memcpy(rte_pktmbuf_append(mbuf, (uint16_t)bytes), frame, bytes);
    dpdk_grace_enter(groups->grace);
    uint16_t taken = rte_eth_tx_burst(groups->port, 0, &mbuf, 1);
    dpdk_grace_exit(groups->grace);
    if (taken == 0) {
        rte_pktmbuf_free(mbuf);
    }
    return taken == 1;
}

static bool say_all(struct dpdk_groups *groups, enum igmp_word word)
{
    bool taken = true;
    for (uint32_t i = 0; i < groups->count; i++) {
        taken = say(groups, &groups->group[i], word) && taken;
    }
    return taken;
}

void dpdk_groups_look(struct dpdk_groups *groups, bool is_up, uint64_t monotonic_ns)
{
    if (groups->pool == NULL) {
        return;
    }
    if (!is_up) {
        groups->said = 0;
        groups->next_ns = 0;
        return;
    }
    if (monotonic_ns < groups->next_ns) {
        return;
    }
    if (say_all(groups, groups->said < JOINS ? IGMP_JOIN : IGMP_STILL)) {
        groups->said += groups->said < JOINS;
    }
    groups->next_ns = monotonic_ns + (groups->said < JOINS ? AGAIN_NS : REPEAT_NS);
}

bool dpdk_groups_leave(struct dpdk_groups *groups)
{
    if (groups->pool == NULL || groups->said == 0) {
        return false;
    }
    groups->said = 0;
    return say_all(groups, IGMP_LEAVE);
}

void dpdk_groups_close(struct dpdk_groups *groups)
{
    rte_mempool_free(groups->pool);
    groups->pool = NULL;
}
