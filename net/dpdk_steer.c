#include "net/dpdk_steer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>

#define HASH_IP  (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER)
#define HASH_UDP RTE_ETH_RSS_NONFRAG_IPV4_UDP

static bool matches(const struct packet_filter *filter, uint32_t what)
{
    return (filter->match & what) != 0;
}

/* Adds one header to the pattern; without fields it only has to be there. */
static void add_item(struct dpdk_rule *rule, uint32_t *items, enum rte_flow_item_type type, bool fields,
                     const void *spec, const void *mask)
{
    rule->item[*items] = (struct rte_flow_item){.type = type};
    if (fields) {
        rule->item[*items].spec = spec;
        rule->item[*items].mask = mask;
    }
    (*items)++;
}

static void fill_ethernet(struct dpdk_rule *rule, const struct packet_filter *filter)
{
    if (matches(filter, PACKET_MATCH_MAC)) {
        memcpy(rule->eth.hdr.dst_addr.addr_bytes, filter->mac, sizeof(filter->mac));
        memset(rule->eth_mask.hdr.dst_addr.addr_bytes, 0xff, sizeof(filter->mac));
    }
    if (matches(filter, PACKET_MATCH_VLAN)) {
        rule->vlan.hdr.vlan_tci = htons(filter->vlan);
        rule->vlan_mask.hdr.vlan_tci = htons(0x0fff);
    }
    if (matches(filter, PACKET_MATCH_ETHERTYPE) && matches(filter, PACKET_MATCH_VLAN)) {
        rule->vlan.hdr.eth_proto = htons(filter->ethertype);
        rule->vlan_mask.hdr.eth_proto = 0xffff;
    } else if (matches(filter, PACKET_MATCH_ETHERTYPE)) {
        rule->eth.hdr.ether_type = htons(filter->ethertype);
        rule->eth_mask.hdr.ether_type = 0xffff;
    }
}

static void fill_ip_and_udp(struct dpdk_rule *rule, const struct packet_filter *filter)
{
    if (matches(filter, PACKET_MATCH_TO)) {
        rule->ip.hdr.dst_addr = filter->to_address;
        rule->ip_mask.hdr.dst_addr = UINT32_MAX;
    }
    if (matches(filter, PACKET_MATCH_FROM)) {
        rule->ip.hdr.src_addr = filter->from_address;
        rule->ip_mask.hdr.src_addr = UINT32_MAX;
    }
    if (matches(filter, PACKET_MATCH_TO_PORT)) {
        rule->udp.hdr.dst_port = htons(filter->to_port);
        rule->udp_mask.hdr.dst_port = UINT16_MAX;
    }
    if (matches(filter, PACKET_MATCH_FROM_PORT)) {
        rule->udp.hdr.src_port = htons(filter->from_port);
        rule->udp_mask.hdr.src_port = UINT16_MAX;
    }
}

void dpdk_rule_build(struct dpdk_rule *rule, const struct packet_filter *filter, uint16_t queue)
{
    bool tagged = matches(filter, PACKET_MATCH_VLAN);
    uint32_t items = 0;
    *rule = (struct dpdk_rule){.attr = {.ingress = 1}, .queue = {.index = queue}};
    fill_ethernet(rule, filter);
    add_item(rule, &items, RTE_FLOW_ITEM_TYPE_ETH,
             matches(filter, PACKET_MATCH_MAC) || (matches(filter, PACKET_MATCH_ETHERTYPE) && !tagged), &rule->eth,
             &rule->eth_mask);
    if (tagged) {
        add_item(rule, &items, RTE_FLOW_ITEM_TYPE_VLAN, true, &rule->vlan, &rule->vlan_mask);
    }
    if (filter->form == PACKET_UDP) {
        fill_ip_and_udp(rule, filter);
        add_item(rule, &items, RTE_FLOW_ITEM_TYPE_IPV4, matches(filter, PACKET_MATCH_TO | PACKET_MATCH_FROM),
                 &rule->ip, &rule->ip_mask);
        add_item(rule, &items, RTE_FLOW_ITEM_TYPE_UDP,
                 matches(filter, PACKET_MATCH_TO_PORT | PACKET_MATCH_FROM_PORT), &rule->udp, &rule->udp_mask);
    }
    rule->item[items] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_END};
    rule->action[0] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &rule->queue};
    rule->action[1] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};
}

struct words {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(words->at, words->left, format, args);
    va_end(args);
    size_t bytes = n > 0 && (size_t)n < words->left ? (size_t)n : words->left - 1;
    words->at += bytes;
    words->left -= bytes;
}

static void say_address(struct words *words, const char *which, uint32_t address)
{
    char dotted[INET_ADDRSTRLEN];
    say(words, " %s %s", which, inet_ntop(AF_INET, &address, dotted, sizeof(dotted)));
}

const char *dpdk_rule_text(const struct packet_filter *filter, char text[DPDK_RULE_TEXT_BYTES])
{
    struct words words = {.at = text, .left = DPDK_RULE_TEXT_BYTES};
    const uint8_t *mac = filter->mac;
    say(&words, "eth");
    if (matches(filter, PACKET_MATCH_MAC)) {
        say(&words, " to %02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    }
    if (matches(filter, PACKET_MATCH_VLAN)) {
        say(&words, " / vlan %u", filter->vlan);
    }
    if (matches(filter, PACKET_MATCH_ETHERTYPE)) {
        say(&words, " type 0x%04x", filter->ethertype);
    }
    if (filter->form != PACKET_UDP) {
        return text;
    }
    say(&words, " / ipv4");
    if (matches(filter, PACKET_MATCH_TO)) {
        say_address(&words, "to", filter->to_address);
    }
    if (matches(filter, PACKET_MATCH_FROM)) {
        say_address(&words, "from", filter->from_address);
    }
    say(&words, " / udp");
    if (matches(filter, PACKET_MATCH_TO_PORT)) {
        say(&words, " to %u", filter->to_port);
    }
    if (matches(filter, PACKET_MATCH_FROM_PORT)) {
        say(&words, " from %u", filter->from_port);
    }
    return text;
}

int dpdk_steer_hash(const struct source_plan *source, uint16_t queues, uint64_t offered, uint64_t *hash,
                    struct error *err)
{
    uint64_t ip = offered & HASH_IP;
    uint64_t udp = offered & HASH_UDP;
    *hash = 0;
    if (source->dpdk.steer == DPDK_STEER_AUTO) {
        *hash = queues > 1 ? offered & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) : 0;
        return 0;
    }
    if (source->dpdk.steer != DPDK_STEER_RSS_IP && source->dpdk.steer != DPDK_STEER_RSS_UDP) {
        return 0;
    }
    bool by_ports = source->dpdk.steer == DPDK_STEER_RSS_UDP;
    if (by_ports ? udp == 0 : ip == 0) {
        return error_set(err, -ENOTSUP,
                         "source %s: port %s does not hash by IPv4 addresses%s, which `steer: %s` wants%s; use %s, "
                         "or a port for each source",
                         source->name, source->dpdk.port, by_ports ? " and UDP ports" : "",
                         by_ports ? "rss_udp" : "rss_ip", offered == 0 ? ": it hashes nothing" : "",
                         by_ports && ip != 0 ? "steer: rss_ip" : "steer: flow");
    }
    *hash = ip | (by_ports ? udp : 0);
    return 0;
}

static int refused(const struct source_plan *source, uint16_t queue, const struct rte_flow_error *why, int code,
                   struct error *err)
{
    char text[DPDK_RULE_TEXT_BYTES];
    if (code == -ENOSYS || code == -ENOTSUP) {
        return error_set(err, code,
                         "source %s: expected a port that takes flow rules, which `steer: flow` wants; port %s%s; "
                         "use steer: rss_ip or rss_udp, or a port for each source",
                         source->name, source->dpdk.port,
                         code == -ENOSYS ? " has a driver that knows of none" : " does not take this kind");
    }
    return error_set(err, code,
                     "source %s: port %s does not take the rule '%s' to queue %u: %s; give packet fewer or other "
                     "fields, or use steer: rss_ip or rss_udp, or a port for each source",
                     source->name, source->dpdk.port, dpdk_rule_text(&source->packet, text), queue,
                     why->message != NULL ? why->message : rte_strerror(-code));
}

int dpdk_steer_add(struct rte_flow **flow, const struct source_plan *source, uint16_t port, uint16_t queue,
                   struct error *err)
{
    struct rte_flow_error why = {.message = NULL};
    struct dpdk_rule rule;
    if (source->dpdk.steer != DPDK_STEER_FLOW) {
        return 0;
    }
    dpdk_rule_build(&rule, &source->packet, queue);
    int code = rte_flow_validate(port, &rule.attr, rule.item, rule.action, &why);
    if (code == 0) {
        *flow = rte_flow_create(port, &rule.attr, rule.item, rule.action, &why);
        code = *flow != NULL ? 0 : rte_errno != 0 ? -rte_errno : -EIO;
    }
    return code == 0 ? 0 : refused(source, queue, &why, code, err);
}

void dpdk_steer_remove(struct rte_flow **flow, uint16_t port)
{
    struct rte_flow_error why;
    if (*flow != NULL) {
        (void)rte_flow_destroy(port, *flow, &why);
        *flow = NULL;
    }
}
