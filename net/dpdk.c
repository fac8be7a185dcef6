#include "net/dpdk.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <rte_ethdev.h>

#include "net/dpdk_addresses.h"
#include "net/dpdk_arguments.h"
#include "net/dpdk_drivers.h"
#include "net/dpdk_steer.h"
#include "net/plain.h"
#include "net/sequence.h"
#include "ring/clock.h"

#define LOOK_NS          CLOCK_NS_PER_MS
#define LOOK_CARD_NS     (10 * CLOCK_NS_PER_MS)
#define SEND_DESCRIPTORS 64u
#define LEAVE_NS         (2 * CLOCK_NS_PER_MS) /* that a device has to send what it was given last */

static uint16_t queues_of(const struct worker_plan *plan, const char *port)
{
    uint16_t queues = 0;
    for (uint32_t i = 0; i < plan->sources; i++) {
        queues = (uint16_t)(queues + (strcmp(plan->source[i].dpdk.port, port) == 0));
    }
    return queues;
}

/* The first source of a port configures it for all. */
static int configure(const struct worker_plan *plan, const struct dpdk_source *s, struct error *err)
{
    const struct source_plan *source = s->plan;
    uint16_t port = s->port;
    struct rte_eth_conf conf = {.rxmode = {.mq_mode = RTE_ETH_MQ_RX_NONE}};
    uint16_t queues = queues_of(plan, source->dpdk.port);
    struct rte_eth_dev_info info;
    int code = rte_eth_dev_info_get(port, &info);
    if (code != 0) {
        return error_set(err, code, "source %s: the port does not tell what it is: %s", source->name,
                         rte_strerror(-code));
    }
    if (queues > info.max_rx_queues) {
        return error_set(err, -EINVAL, "source %s: %u sources read port %s, which has %u queues; use fewer",
                         source->name, queues, source->dpdk.port, info.max_rx_queues);
    }
    code = dpdk_steer_hash(source, queues, info.flow_type_rss_offloads, &conf.rx_adv_conf.rss_conf.rss_hf, err);
    if (code != 0) {
        return code;
    }
    if (conf.rx_adv_conf.rss_conf.rss_hf != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    }
    uint64_t checksums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    conf.rxmode.offloads = info.rx_offload_capa & checksums;
    conf.rxmode.mtu = dpdk_drivers_mtu(s, &info);
    uint16_t senders = info.max_tx_queues > 0 ? 1 : 0; /* some drivers do not start without */
    uint16_t received = 0;
    uint16_t sent = SEND_DESCRIPTORS;
    code = rte_eth_dev_configure(port, queues, senders, &conf);
    if (code == 0 && senders > 0) {
        (void)rte_eth_dev_adjust_nb_rx_tx_desc(port, &received, &sent);
        code = rte_eth_tx_queue_setup(port, 0, sent, SOCKET_ID_ANY, NULL);
    }
    return code == 0 ? 0
                     : error_set(err, code, "source %s: port %s cannot be configured with %u queues: %s",
                                 source->name, source->dpdk.port, queues, rte_strerror(-code));
}

/* What the driver makes of the plan's descriptors: it has bounds and steps of its own. */
static uint16_t descriptors_of(const struct dpdk_source *s)
{
    uint16_t count = (uint16_t)s->plan->dpdk.descriptors;
    uint16_t senders = 0;
    (void)rte_eth_dev_adjust_nb_rx_tx_desc(s->port, &count, &senders);
    return count;
}

static int make_pool(struct dpdk_source *s, const struct dpdk *dpdk, uint32_t i, uint32_t offset, struct error *err)
{
    const struct source_plan *plan = s->plan;
    char name[16];
    struct dpdk_dma dma;
    struct dpdk_pool_spec spec = {.name = name,
                                  .shift = offset - s->headers,
                                  .descriptors = descriptors_of(s),
                                  .drop = plan->gates > 0 && plan->when_full == WHEN_FULL_DROP,
                                  .on_bus = dpdk_port_is_pci(plan->dpdk.port)};
    snprintf(name, sizeof(name), "ring%u", i);
    spec.decoys = dpdk_drivers_decoys(s->port, spec.descriptors);
    int code = dpdk_dma_open(&dma, &dpdk->bind, plan, s->writer, err);
    return code == 0 ? dpdk_pool_create(&s->pool, &spec, s->writer, &dma, err) : code;
}

static int set_up_queue(struct dpdk_source *s, struct error *err)
{
    uint16_t count = descriptors_of(s);
    int code = rte_eth_rx_queue_setup(s->port, s->queue, count, SOCKET_ID_ANY, NULL, s->pool.pool);
    return code == 0 ? 0
                     : error_set(err, code, "source %s: port %s refuses a queue of %u descriptors: %s",
                                 s->plan->name, s->plan->dpdk.port, count, rte_strerror(-code));
}

int dpdk_open(struct dpdk *dpdk, const struct worker_plan *plan, uint32_t i, struct dpdk_source *source,
              struct ring_writer *writer, struct error *err)
{
    const struct source_plan *from = &plan->source[i];
    uint32_t offset = from->packet.form == PACKET_UDP ? DPDK_PAYLOAD_OFFSET_UDP : DPDK_PAYLOAD_OFFSET_ETHERNET;
    *source = (struct dpdk_source){.plan = from,
                                   .writer = writer,
                                   .headers = packet_headers(&from->packet),
                                   .is_plain = plain_source(from),
                                   .look_ns = dpdk_port_is_pci(from->dpdk.port) ? LOOK_CARD_NS : LOOK_NS};
    if (writer->view.payload_offset != offset) {
        return error_set(err, -EINVAL, "source %s: its ring has its payload at %u, it needs %u", from->name,
                         writer->view.payload_offset, offset);
    }
    int code = dpdk_find_port(from, &source->port);
    if (code != 0) {
        return error_set(err, code, "source %s: no DPDK port '%s'", from->name, from->dpdk.port);
    }
    source->checks = dpdk_drivers_checks(source->port);
    source->first = source;
    for (uint32_t j = i; j-- > 0;) {
        if (strcmp(plan->source[j].dpdk.port, from->dpdk.port) == 0) {
            source->queue++;
            source->first = dpdk->source[j];
        }
    }
    if (source->queue == 0) {
        code = configure(plan, source, err);
        code = code == 0 ? dpdk_groups_open(&source->groups, plan, from, source->port, &source->grace, err) : code;
    }
    ring_writer_take_back(writer);
    if (code == 0) {
        code = make_pool(source, dpdk, i, offset, err);
    }
    if (code == 0) {
        code = set_up_queue(source, err);
    }
    if (code == 0) {
        code = dpdk_grace_join(&source->grace);
    }
    if (code == 0) {
        dpdk->source[dpdk->sources++] = source;
    }
    return code;
}

static int run_port(struct dpdk_source *s, const struct worker_plan *plan, struct error *err)
{
    int code = rte_eth_dev_start(s->port);
    if (code != 0) {
        return error_set(err, code, "source %s: port %s does not start: %s", s->plan->name, s->plan->dpdk.port,
                         rte_strerror(-code));
    }
    dpdk_counters_begin(&s->counters, s->port);
    return dpdk_addresses_admit(plan, s->plan, s->port, err);
}

int dpdk_run_ports(struct dpdk *dpdk, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; i < dpdk->sources && code == 0; i++) {
        struct dpdk_source *s = dpdk->source[i];
        code = s->queue == 0 ? run_port(s, dpdk->plan, err) : 0;
    }
    for (uint32_t i = 0; i < dpdk->sources && code == 0; i++) {
        struct dpdk_source *s = dpdk->source[i];
        if (s->pool.decoys_left > 0) {
            return error_set(
                err, -EAGAIN,
                "source %s: port %s wants %u free slots to start with, and gating readers hold more than "
                "the ring has left; waiting for them",
                s->plan->name, s->plan->dpdk.port, s->pool.decoys);
        }
        code = dpdk_steer_add(&s->flow, s->plan, s->port, s->queue, err);
    }
    return code;
}

void dpdk_leave(struct dpdk *dpdk)
{
    bool said = false;
    for (uint32_t i = 0; i < dpdk->sources; i++) {
        struct dpdk_source *s = dpdk->source[i];
        said = (s->queue == 0 && dpdk_groups_leave(&s->groups)) || said;
    }
    if (said) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = LEAVE_NS}, NULL);
    }
}

void dpdk_abandon(struct dpdk *dpdk)
{
    for (uint32_t i = 0; i < dpdk->sources; i++) {
        struct ring_ledger *ledger = &dpdk->source[i]->writer->view.header->ledger;
        ring_count_add(&ledger->disconnects, ring_count_read(&ledger->is_open) != 0);
        ring_count_set(&ledger->is_open, 0);
    }
}

void dpdk_stop(struct dpdk *dpdk)
{
    dpdk_leave(dpdk);
    for (uint32_t i = 0; i < dpdk->sources; i++) {
        dpdk_steer_remove(&dpdk->source[i]->flow, dpdk->source[i]->port);
    }
    for (uint32_t i = 0; i < dpdk->sources; i++) {
        struct dpdk_source *s = dpdk->source[i];
        if (s->queue == 0) {
            (void)rte_eth_dev_stop(s->port);
            (void)rte_eth_dev_close(s->port);
            dpdk_groups_close(&s->groups);
        }
        ring_count_set(&s->writer->view.header->ledger.is_open, 0);
    }
    for (uint32_t i = 0; i < dpdk->sources; i++) {
        dpdk_grace_leave(&dpdk->source[i]->grace);
        ring_writer_take_back(dpdk->source[i]->writer);
        dpdk_pool_destroy(&dpdk->source[i]->pool);
    }
    dpdk->sources = 0;
}

/* The thread of a port's first queue asks, and tells those of the others. */
static void ask_for_link(struct dpdk_source *s)
{
    struct rte_eth_link link;
    if (rte_eth_link_get_nowait(s->port, &link) == 0 && (link.link_status == RTE_ETH_LINK_UP) != (s->links % 2)) {
        __atomic_store_n(&s->links, s->links + 1, __ATOMIC_RELEASE);
    }
}

/* A lost link is told by a gap record, which takes the slot of the next frame. dpdk_poll puts it there at its next
 * round if the device holds no slot then: so it is with ports that take a buffer when they have a frame for it
 * (memif that copies, vhost, af_packet, tap, pcap). A port that holds buffers all the time (a network card, virtio,
 * memif's zero copy) has that very slot and those behind it, and may be writing there; to take one back out of the
 * middle would break the order that everything rests on, so the record stays owed until the device holds none. What
 * is missing is told all the same: by the next frame's lost_before and cause if frames are numbered, and by
 * is_open, which the interlock goes by. */
static void link_has_changed(struct dpdk_source *s, bool is_up)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    ring_count_set(&ledger->is_open, is_up);
    if (is_up) {
        ring_count_add(&ledger->connects, 1);
    } else {
        ring_count_add(&ledger->disconnects, 1);
        net_sequence_interrupted(&s->plan->sequence, ledger);
        ring_writer_owe_gap(s->writer, RING_LOSS_RESTART, 0, 0);
    }
}

/* One change after the other, so that a link that went and came between two looks was gone for everybody. */
static void look_at_link(struct dpdk_source *s)
{
    if (s->first == s) {
        ask_for_link(s);
    }
    uint32_t links = __atomic_load_n(&s->first->links, __ATOMIC_ACQUIRE);
    while (s->links_seen != links) {
        s->links_seen++;
        link_has_changed(s, s->links_seen % 2 != 0);
    }
}

void dpdk_look(struct dpdk_source *source, uint64_t monotonic_ns)
{
    struct dpdk_source *s = source;
    if (monotonic_ns - s->looked_ns < s->look_ns) {
        return;
    }
    s->looked_ns = monotonic_ns;
    look_at_link(s);
    if (s->first == s) {
        dpdk_counters_look(&s->counters, s->port, s->plan, s->writer);
        dpdk_groups_look(&s->groups, s->links_seen % 2 != 0, monotonic_ns);
    }
}
