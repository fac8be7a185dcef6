/* What sources ask of a DPDK port beside its frames: rules, hashes, addresses, multicast groups; and what becomes
 * of its counters. No virtual port has rules or addresses: what would be told to one is looked at here. The port of
 * the last tests is a file (net_pcap), into which it also writes what it sends. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "net/dpdk.h"
#include "net/dpdk_addresses.h"
#include "net/dpdk_arguments.h"
#include "net/dpdk_steer.h"
#include "net/sequence.h"
#include "ring/clock.h"
#include "tests/support/temporary_ring.h"

#define PORT "net_pcap0"

static struct temporary_ring ring;
static struct worker_plan plan;
static struct dpdk dpdk;
static struct dpdk_source source;

static uint32_t address(const char *dotted)
{
    struct in_addr in;
    cr_assert_eq(inet_pton(AF_INET, dotted, &in), 1);
    return in.s_addr;
}

static struct source_plan *add_source(uint32_t match, const char *to)
{
    struct source_plan *s = &plan.source[plan.sources++];
    *s = (struct source_plan){.name = "wire",
                              .kind = SOURCE_DPDK,
                              .packet = {.form = PACKET_UDP, .match = match},
                              .dpdk = {.port = PORT, .descriptors = 256, .igmp = IGMP_V3}};
    s->packet.to_address = to != NULL ? address(to) : 0;
    return s;
}

/* ---- Ports' names. */

Test(dpdk_port, names)
{
    char name[DPDK_PORT_NAME_BYTES];
    cr_assert(dpdk_port_is_pci("0000:03:00.0") && dpdk_port_is_pci("03:00.1") && dpdk_port_is_pci("03:00.1,a=b"));
    cr_assert_not(dpdk_port_is_pci("net_memif0,role=server") || dpdk_port_is_pci("0000:03:00") ||
                  dpdk_port_is_pci("03:00.01") || dpdk_port_is_pci("") || dpdk_port_is_pci("3:0.0"));
    cr_assert_str_eq(dpdk_port_name("net_memif0,role=server", name), "net_memif0");
    cr_assert_str_eq(dpdk_port_name("AB:00.1,a=b", name), "0000:ab:00.1", "as DPDK calls it");
    cr_assert_str_eq(dpdk_port_name("0001:AB:00.1", name), "0001:ab:00.1");
}

/* Which of the arguments it is; -1: none. */
static int find_argument(const struct dpdk_arguments *a, const char *text)
{
    for (int i = 0; i < a->argc; i++) {
        if (strcmp(a->argv[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

Test(dpdk_port, arguments)
{
    static struct dpdk_arguments a;
    dpdk_arguments_begin(&a, "program", "1");
    dpdk_arguments_port(&a, "net_null0,size=64");
    dpdk_arguments_end(&a, false);
    cr_assert_str_eq(a.argv[0], "program");
    cr_assert_null(a.argv[a.argc]);
    cr_assert_geq(find_argument(&a, "--lcores=0@1"), 0);
    cr_assert_geq(find_argument(&a, "--vdev=net_null0,size=64"), 0);
    cr_assert_geq(find_argument(&a, "--no-pci"), 0, "or EAL takes the machine's own card");
    cr_assert_geq(find_argument(&a, "--iova-mode=va"), 0);
    dpdk_arguments_begin(&a, "program", NULL);
    dpdk_arguments_port(&a, "03:00.0");
    dpdk_arguments_end(&a, true);
    cr_assert_geq(find_argument(&a, "--iova-mode=pa"), 0);
    cr_assert_geq(find_argument(&a, "--allow=03:00.0"), 0);
    cr_assert_lt(find_argument(&a, "--no-pci"), 0);
    for (uint32_t i = 0; i < 2 * DPDK_ARGUMENTS_MAX; i++) {
        dpdk_arguments_add(&a, "%u", i);
    }
    cr_assert_leq(a.argc, (int)DPDK_ARGUMENTS_MAX);
    cr_assert_null(a.argv[a.argc]);
}

/* ---- Rules. */

static bool all_are(const void *bytes, uint8_t value, size_t count)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) {
        if (at[i] != value) {
            return false;
        }
    }
    return true;
}

Test(dpdk_port, a_rule_of_everything)
{
    struct packet_filter f = {.form = PACKET_UDP,
                              .match = PACKET_MATCH_MAC | PACKET_MATCH_VLAN | PACKET_MATCH_TO | PACKET_MATCH_FROM |
                                       PACKET_MATCH_TO_PORT | PACKET_MATCH_FROM_PORT,
                              .mac = {2, 0, 0, 0, 0, 7},
                              .vlan = 300,
                              .to_port = 5000,
                              .from_port = 6000,
                              .to_address = address("10.0.0.1"),
                              .from_address = address("10.0.0.2")};
    char text[DPDK_RULE_TEXT_BYTES];
    struct dpdk_rule r;
    dpdk_rule_build(&r, &f, 3);
    cr_assert_eq(r.attr.ingress, 1);
    cr_assert_eq(r.attr.egress, 0);
    const enum rte_flow_item_type types[] = {RTE_FLOW_ITEM_TYPE_ETH, RTE_FLOW_ITEM_TYPE_VLAN,
                                             RTE_FLOW_ITEM_TYPE_IPV4, RTE_FLOW_ITEM_TYPE_UDP,
                                             RTE_FLOW_ITEM_TYPE_END};
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(r.item[i].type, types[i], "item %u", i);
        cr_assert_null(r.item[i].last);
    }
    const struct rte_flow_item_eth *eth = r.item[0].spec;
    const struct rte_flow_item_eth *eth_mask = r.item[0].mask;
    cr_assert_eq(memcmp(&eth->hdr.dst_addr, f.mac, 6), 0);
    cr_assert(all_are(&eth_mask->hdr.dst_addr, 0xff, 6));
    cr_assert(all_are(&eth_mask->hdr.src_addr, 0, sizeof(*eth_mask) - 6), "and nothing else");
    const struct rte_flow_item_vlan *vlan = r.item[1].spec;
    const struct rte_flow_item_vlan *vlan_mask = r.item[1].mask;
    cr_assert_eq(ntohs(vlan->hdr.vlan_tci), 300);
    cr_assert_eq(ntohs(vlan_mask->hdr.vlan_tci), 0x0fff, "the priority is anything");
    const struct rte_flow_item_ipv4 *ip = r.item[2].spec;
    const struct rte_flow_item_ipv4 *ip_mask = r.item[2].mask;
    cr_assert_eq(ip->hdr.dst_addr, f.to_address);
    cr_assert_eq(ip->hdr.src_addr, f.from_address);
    cr_assert(ip_mask->hdr.dst_addr == UINT32_MAX && ip_mask->hdr.src_addr == UINT32_MAX);
    cr_assert(all_are(ip_mask, 0, 12), "nothing of the header but the addresses");
    const struct rte_flow_item_udp *udp = r.item[3].spec;
    const struct rte_flow_item_udp *udp_mask = r.item[3].mask;
    cr_assert_eq(ntohs(udp->hdr.dst_port), 5000);
    cr_assert_eq(ntohs(udp->hdr.src_port), 6000);
    cr_assert(udp_mask->hdr.dst_port == 0xffff && udp_mask->hdr.src_port == 0xffff);
    cr_assert(udp_mask->hdr.dgram_len == 0 && udp_mask->hdr.dgram_cksum == 0);
    cr_assert_eq(r.action[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
    cr_assert_eq(((const struct rte_flow_action_queue *)r.action[0].conf)->index, 3);
    cr_assert_eq(r.action[1].type, RTE_FLOW_ACTION_TYPE_END);
    cr_assert_str_eq(dpdk_rule_text(&f, text),
                     "eth to 02:00:00:00:00:07 / vlan 300 / ipv4 to 10.0.0.1 from 10.0.0.2 "
                     "/ udp to 5000 from 6000");
}

Test(dpdk_port, a_rule_of_one_udp_port)
{
    struct packet_filter f = {.form = PACKET_UDP, .match = PACKET_MATCH_TO_PORT, .to_port = 5000};
    struct dpdk_rule r;
    dpdk_rule_build(&r, &f, 0);
    cr_assert_eq(r.item[0].type, RTE_FLOW_ITEM_TYPE_ETH);
    cr_assert(r.item[0].spec == NULL && r.item[0].mask == NULL, "whatever is in it");
    cr_assert_eq(r.item[1].type, RTE_FLOW_ITEM_TYPE_IPV4);
    cr_assert(r.item[1].spec == NULL && r.item[1].mask == NULL);
    const struct rte_flow_item_udp *mask = r.item[2].mask;
    cr_assert_eq(r.item[2].type, RTE_FLOW_ITEM_TYPE_UDP);
    cr_assert_eq(mask->hdr.src_port, 0);
    cr_assert_eq(r.item[3].type, RTE_FLOW_ITEM_TYPE_END);
}

Test(dpdk_port, a_rule_of_whole_frames)
{
    struct packet_filter f = {.form = PACKET_ETHERNET, .match = PACKET_MATCH_ETHERTYPE, .ethertype = 0x88b5};
    char text[DPDK_RULE_TEXT_BYTES];
    struct dpdk_rule r;
    dpdk_rule_build(&r, &f, 0);
    const struct rte_flow_item_eth *eth = r.item[0].spec;
    const struct rte_flow_item_eth *mask = r.item[0].mask;
    cr_assert_eq(ntohs(eth->hdr.ether_type), 0x88b5);
    cr_assert_eq(mask->hdr.ether_type, 0xffff);
    cr_assert(all_are(&mask->hdr, 0, 12), "of no address");
    cr_assert_eq(r.item[1].type, RTE_FLOW_ITEM_TYPE_END);
    cr_assert_str_eq(dpdk_rule_text(&f, text), "eth type 0x88b5");

    f.match |= PACKET_MATCH_VLAN; /* then the EtherType stands behind the tag */
    f.vlan = 7;
    dpdk_rule_build(&r, &f, 0);
    const struct rte_flow_item_vlan *vlan = r.item[1].spec;
    const struct rte_flow_item_vlan *vlan_mask = r.item[1].mask;
    cr_assert_null(r.item[0].spec);
    cr_assert_eq(ntohs(vlan->hdr.eth_proto), 0x88b5);
    cr_assert_eq(vlan_mask->hdr.eth_proto, 0xffff);
    cr_assert_eq(r.item[2].type, RTE_FLOW_ITEM_TYPE_END);
}

/* ---- Hashes. */

Test(dpdk_port, hashes)
{
    const uint64_t ip = RTE_ETH_RSS_IPV4;
    const uint64_t udp = RTE_ETH_RSS_NONFRAG_IPV4_UDP;
    struct source_plan *s = add_source(0, NULL);
    struct error err = {{0}};
    uint64_t hash = 1;
    cr_assert_eq(dpdk_steer_hash(s, 1, ip | udp, &hash, &err), 0);
    cr_assert_eq(hash, 0, "one queue, nothing to share out");
    cr_assert_eq(dpdk_steer_hash(s, 2, ip | udp | RTE_ETH_RSS_TCP, &hash, &err), 0);
    cr_assert_eq(hash, ip | udp, "what is there of both");
    cr_assert_eq(dpdk_steer_hash(s, 2, 0, &hash, &err), 0, "a port that has none goes by its own lights");
    cr_assert_eq(hash, 0);
    s->dpdk.steer = DPDK_STEER_NONE;
    cr_assert_eq(dpdk_steer_hash(s, 2, ip | udp, &hash, &err), 0);
    cr_assert_eq(hash, 0);
    s->dpdk.steer = DPDK_STEER_RSS_IP;
    cr_assert_eq(dpdk_steer_hash(s, 2, ip | udp, &hash, &err), 0);
    cr_assert_eq(hash, ip);
    cr_assert_eq(dpdk_steer_hash(s, 2, 0, &hash, &err), -ENOTSUP);
    cr_assert(strstr(err.text, "wire") != NULL && strstr(err.text, "hashes nothing") != NULL, "%s", err.text);
    s->dpdk.steer = DPDK_STEER_RSS_UDP;
    cr_assert_eq(dpdk_steer_hash(s, 2, ip | udp, &hash, &err), 0);
    cr_assert_eq(hash, ip | udp);
    cr_assert_eq(dpdk_steer_hash(s, 2, ip, &hash, &err), -ENOTSUP);
    cr_assert(strstr(err.text, "steer: rss_ip") != NULL, "%s", err.text);
}

/* ---- Addresses and groups of a port. */

Test(dpdk_port, addresses)
{
    static const uint8_t mac[6] = {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03};
    struct dpdk_addresses a;
    add_source(PACKET_MATCH_TO, "239.1.2.3");
    add_source(PACKET_MATCH_TO, "239.129.2.3"); /* the same Ethernet address */
    struct source_plan *host = add_source(PACKET_MATCH_MAC, NULL);
    host->packet.mac[0] = 2;
    struct source_plan *all = add_source(PACKET_MATCH_MAC, NULL);
    memset(all->packet.mac, 0xff, 6);
    add_source(0, NULL)->dpdk.port[0] = 'x'; /* of another port */
    dpdk_addresses_collect(&a, &plan, PORT);
    cr_assert_eq(a.groups, 1);
    cr_assert_eq(memcmp(a.group[0], mac, 6), 0);
    cr_assert_eq(a.hosts, 1);
    cr_assert_not(a.all);
    add_source(PACKET_MATCH_TO, "10.0.0.1"); /* to whatever Ethernet address */
    dpdk_addresses_collect(&a, &plan, PORT);
    cr_assert(a.all);
}

Test(dpdk_port, groups)
{
    struct dpdk_groups g = {.count = 0};
    add_source(PACKET_MATCH_TO, "239.1.2.3");
    add_source(PACKET_MATCH_TO, "239.1.2.3");
    add_source(PACKET_MATCH_TO, "10.0.0.1");
    add_source(0, NULL);
    struct source_plan *tagged = add_source(PACKET_MATCH_TO | PACKET_MATCH_VLAN, "239.1.2.3");
    tagged->packet.vlan = 5;
    struct source_plan *one = add_source(PACKET_MATCH_TO | PACKET_MATCH_FROM, "232.1.1.1");
    one->packet.from_address = address("10.0.0.9");
    struct source_plan *other = add_source(PACKET_MATCH_TO | PACKET_MATCH_FROM, "232.1.1.1");
    other->packet.from_address = address("10.0.0.10");
    struct source_plan *of_two = add_source(PACKET_MATCH_TO | PACKET_MATCH_FROM, "239.1.2.3");
    of_two->packet.from_address = address("10.0.0.9");
    of_two->dpdk.igmp_address = address("10.0.0.5");
    dpdk_groups_collect(&g, &plan, PORT);
    cr_assert_eq(g.count, 4);
    cr_assert(g.group[0].address == address("239.1.2.3") && g.group[0].from == 0, "anyone includes one");
    cr_assert(g.group[1].is_tagged && g.group[1].vlan == 5);
    cr_assert_eq(g.group[2].from, address("10.0.0.9"));
    cr_assert_eq(g.group[3].from, address("10.0.0.10"));
    cr_assert_eq(g.host.version, IGMP_V3);
    cr_assert_eq(g.host.address, address("10.0.0.5"));
}

/* ---- Counters. */

static void create_ring(void)
{
    struct ring_spec spec = temporary_spec(4096, 2048, DPDK_PAYLOAD_OFFSET_UDP);
    temporary_ring_create(&ring, &spec);
}

static struct ring_ledger *ledger(void)
{
    return &temporary_header(&ring)->ledger;
}

Test(dpdk_port, counters_of_a_stream_without_numbers_are_its_loss)
{
    struct source_plan *s = add_source(0, NULL);
    struct dpdk_counters c = {.last = {.missed = 5, .errors = 100, .refused = {[RING_REFUSED_CHECKSUM] = 50}}};
    const struct dpdk_counts now = {
        .missed = 8,
        .errors = 110,
        .refused = {[RING_REFUSED_CHECKSUM] = 54, [RING_REFUSED_LONG] = 2, [RING_REFUSED_SHORT] = 1}};
    create_ring();
    dpdk_counters_account(&c, &now, s, &ring.writer);
    cr_assert_eq(ledger()->lost[RING_LOSS_NIC], 3);
    cr_assert_eq(ledger()->lost[RING_LOSS_MALFORMED], 7, "4 checksums, 3 that have no name");
    cr_assert_eq(ledger()->lost[RING_LOSS_TRUNCATED], 3);
    cr_assert_eq(ledger()->refused[RING_REFUSED_CHECKSUM], 4);
    cr_assert_eq(ledger()->refused[RING_REFUSED_LONG], 2);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SHORT], 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SYNTAX], 3);
    cr_assert_eq(ledger()->sent, 13);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
    cr_assert(ring.writer.owes, "nothing else will tell readers");
    temporary_ring_destroy(&ring);
}

Test(dpdk_port, counters_of_a_numbered_stream_explain_its_gaps)
{
    struct source_plan *s = add_source(0, NULL);
    const struct dpdk_counts now = {.missed = 2, .errors = 3, .refused = {[RING_REFUSED_CHECKSUM] = 9}};
    const struct dpdk_counts later = {.missed = 4, .errors = 6, .refused = {[RING_REFUSED_CHECKSUM] = 18}};
    struct dpdk_counters c = {.details = 0};
    struct sequence_result result;
    uint64_t number = 10;
    s->sequence = (struct sequence_spec){.width_bytes = 8, .byte_order = RING_LITTLE_ENDIAN, .step = 1};
    create_ring();
    dpdk_counters_account(&c, &now, s, &ring.writer);
    cr_assert_not(c.is_untold, "before the first frame nobody knows of any");
    net_sequence_track(&s->sequence, ledger(), number, &result);
    ring.writer.handed = 32;
    dpdk_counters_account(&c, &later, s, &ring.writer);
    cr_assert(c.is_untold);
    cr_assert_eq(c.untold_before, 32, "the device has the buffers up to there");
    net_sequence_track(&s->sequence, ledger(), ++number, &result);
    cr_assert_eq(result.lost_before, 0, "this one is older than what was dropped");
    dpdk_counters_tell(&c, s, &ring.writer, 7);
    cr_assert_not(c.is_untold);
    net_sequence_track(&s->sequence, ledger(), number + 8, &result); /* 7 are missing */
    cr_assert_eq(ledger()->lost[RING_LOSS_NIC], 2);
    cr_assert_eq(ledger()->lost[RING_LOSS_MALFORMED], 3, "not more than there were errors, whatever their names");
    cr_assert_eq(ledger()->lost[RING_LOSS_SENDER], 2);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
    cr_assert_not(ring.writer.owes, "the next frame tells it");
    temporary_ring_destroy(&ring);
}

Test(dpdk_port, what_is_left_of_the_counters_explains_the_next_gap)
{
    struct source_plan *s = add_source(0, NULL);
    const struct dpdk_counts now = {.missed = 5};
    struct dpdk_counters c = {.details = 0};
    struct sequence_result result;
    s->sequence = (struct sequence_spec){.width_bytes = 8, .byte_order = RING_LITTLE_ENDIAN, .step = 1};
    create_ring();
    net_sequence_track(&s->sequence, ledger(), 0, &result);
    dpdk_counters_account(&c, &now, s, &ring.writer);
    dpdk_counters_tell(&c, s, &ring.writer, 3);
    net_sequence_track(&s->sequence, ledger(), 4, &result); /* 3 are missing */
    cr_assert(c.is_untold);
    dpdk_counters_tell(&c, s, &ring.writer, UINT64_MAX);
    net_sequence_track(&s->sequence, ledger(), 8, &result); /* and 3 */
    cr_assert_eq(ledger()->lost[RING_LOSS_NIC], 5);
    cr_assert_eq(ledger()->lost[RING_LOSS_SENDER], 1);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
    temporary_ring_destroy(&ring);
}

Test(dpdk_port, counters_that_begin_again)
{
    struct source_plan *s = add_source(0, NULL);
    struct dpdk_counters c = {.last = {.missed = 500, .errors = 100}};
    const struct dpdk_counts now = {.missed = 8, .errors = 1};
    create_ring();
    dpdk_counters_account(&c, &now, s, &ring.writer);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    temporary_ring_destroy(&ring);
}

Test(dpdk_port, counters_of_a_card_that_is_gone)
{
    struct source_plan *s = add_source(0, NULL);
    struct dpdk_counters c = {.last = {.missed = 7, .errors = 2}};
    const struct dpdk_counts ones = {.missed = 7 + (uint64_t)UINT32_MAX, .errors = 2 + 5 * (uint64_t)UINT32_MAX};
    create_ring();
    dpdk_counters_account(&c, &ones, s, &ring.writer);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
    cr_assert_eq(ledger()->sent, 0);
    temporary_ring_destroy(&ring);
}

/* ---- A port that sends into a file. */

static char received[] = "/tmp/sluice-pcap-XXXXXX";
static char sent[] = "/tmp/sluice-sent-XXXXXX";

static void make_files(void)
{
    const uint32_t head[6] = {0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65535, 1};
    int fd = mkstemp(received);
    cr_assert_eq(write(fd, head, sizeof(head)), (ssize_t)sizeof(head));
    close(fd);
    fd = mkstemp(sent);
    cr_assert_geq(fd, 0);
    close(fd);
}

/* The port of add_source()'s name, with its files. */
static int start(struct error *err)
{
    create_ring();
    make_files();
    plan.dpdk_memory_mb = 32;
    plan.thread.core = -1;
    for (uint32_t i = 0; i < plan.sources; i++) {
        snprintf(plan.source[i].dpdk.port, sizeof(plan.source[i].dpdk.port), "%s,rx_pcap=%s,tx_pcap=%s", PORT,
                 received, sent);
    }
    cr_assert_eq(dpdk_start(&dpdk, &plan, err), 0, "%s", err->text);
    int code = dpdk_open(&dpdk, &plan, 0, &source, &ring.writer, err);
    return code == 0 ? dpdk_run_ports(&dpdk, err) : code;
}

static void finish(void)
{
    dpdk_stop(&dpdk);
    temporary_ring_destroy(&ring);
    unlink(received);
    unlink(sent);
}

/* The frames in the file, each with IGMP_FRAME_BYTES_MAX bytes of room. */
static uint32_t read_sent(uint8_t frames[][IGMP_FRAME_BYTES_MAX], uint32_t max)
{
    uint32_t count = 0;
    uint32_t head[4];
    FILE *file = fopen(sent, "re");
    cr_assert_not_null(file);
    cr_assert_eq(fseek(file, 24, SEEK_SET), 0);
    while (count < max && fread(head, sizeof(head), 1, file) == 1) {
        cr_assert_leq(head[2], IGMP_FRAME_BYTES_MAX);
        cr_assert_eq(fread(frames[count], head[2], 1, file), 1);
        count++;
    }
    fclose(file);
    return count;
}

static void expect(const uint8_t *frame, const char *group, enum igmp_word word)
{
    uint8_t expected[IGMP_FRAME_BYTES_MAX];
    struct igmp_group g = {.address = address(group)};
    struct rte_ether_addr own;
    struct igmp_host host = {.version = IGMP_V3, .address = address("10.0.0.5")};
    cr_assert_eq(rte_eth_macaddr_get(source.port, &own), 0);
    memcpy(host.mac, own.addr_bytes, sizeof(host.mac));
    uint32_t bytes = igmp_frame(expected, &host, &g, word);
    cr_assert_eq(memcmp(frame, expected, bytes), 0, "%s, %d", group, word);
}

Test(dpdk_port, groups_are_joined_kept_and_left)
{
    static uint8_t frames[16][IGMP_FRAME_BYTES_MAX];
    struct error err = {{0}};
    uint64_t t = CLOCK_NS_PER_S;
    add_source(PACKET_MATCH_TO, "239.1.2.3")->dpdk.igmp_address = address("10.0.0.5");
    cr_assert_eq(start(&err), 0, "%s", err.text);
    dpdk_look(&source, t);
    cr_assert_eq(read_sent(frames, 16), 1, "at once when the link is there");
    dpdk_look(&source, t + 900 * CLOCK_NS_PER_MS);
    cr_assert_eq(read_sent(frames, 16), 1);
    dpdk_look(&source, t + CLOCK_NS_PER_S);
    cr_assert_eq(read_sent(frames, 16), 2, "and again, the first may be lost");
    for (uint64_t s = 2; s < 21; s++) {
        dpdk_look(&source, t + s * CLOCK_NS_PER_S);
    }
    cr_assert_eq(read_sent(frames, 16), 3, "every 10 s from then on");
    dpdk_look(&source, t + 21 * CLOCK_NS_PER_S);
    dpdk_leave(&dpdk);
    dpdk_leave(&dpdk);
    cr_assert_eq(read_sent(frames, 16), 5, "left once");
    expect(frames[0], "239.1.2.3", IGMP_JOIN);
    expect(frames[1], "239.1.2.3", IGMP_JOIN);
    expect(frames[2], "239.1.2.3", IGMP_STILL);
    expect(frames[3], "239.1.2.3", IGMP_STILL);
    expect(frames[4], "239.1.2.3", IGMP_LEAVE);
    finish();
}

Test(dpdk_port, nothing_is_said_of_what_is_no_group)
{
    static uint8_t frames[1][IGMP_FRAME_BYTES_MAX];
    struct error err = {{0}};
    add_source(PACKET_MATCH_TO, "10.0.0.1");
    cr_assert_eq(start(&err), 0, "%s", err.text);
    dpdk_look(&source, CLOCK_NS_PER_S);
    dpdk_leave(&dpdk);
    cr_assert_eq(read_sent(frames, 1), 0);
    finish();
}

Test(dpdk_port, a_port_without_rules_says_so)
{
    struct error err = {{0}};
    struct source_plan *s = add_source(PACKET_MATCH_TO_PORT, NULL);
    s->packet.to_port = 5000;
    s->dpdk.steer = DPDK_STEER_FLOW;
    cr_assert_eq(start(&err), -ENOSYS);
    cr_assert(strstr(err.text, "wire") != NULL && strstr(err.text, "steer: flow") != NULL &&
                  strstr(err.text, "rss_ip") != NULL,
              "%s", err.text);
    finish();
}

Test(dpdk_port, a_port_without_hashes_says_so)
{
    struct error err = {{0}};
    add_source(PACKET_MATCH_TO_PORT, NULL)->dpdk.steer = DPDK_STEER_RSS_UDP;
    cr_assert_eq(start(&err), -ENOTSUP);
    cr_assert(strstr(err.text, "hashes nothing") != NULL, "%s", err.text);
    finish();
}

/* A link that is lost while the device holds no slot: its record needs no frame behind it. */
Test(dpdk_port, the_record_of_a_lost_link_waits_for_no_frame)
{
    struct error err = {{0}};
    add_source(PACKET_MATCH_TO_PORT, NULL);
    cr_assert_eq(start(&err), 0, "%s", err.text);
    ring_writer_owe_gap(&ring.writer, RING_LOSS_RESTART, 0, 0); /* what dpdk_look does then */
    cr_assert_eq(dpdk_poll(&source, 12345), 0);
    cr_assert_eq(ledger()->gap_records, 1);
    cr_assert_eq(ring.writer.published, 1);
    cr_assert_not(ring.writer.owes);
    finish();
}
