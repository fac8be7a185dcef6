#include "net/dpdk_counters.h"

#include <string.h>

#include <rte_ethdev.h>

#include "net/intake.h"
#include "net/sequence.h"

/* The names that the drivers have for what they also count as errors. A frame that is short or long by its own
 * words counts as long. */
static const struct {
    const char *name;
    enum ring_refusal refusal;
} detail[] = {
    {"rx_crc_errors", RING_REFUSED_CHECKSUM},     {"rx_undersize_errors", RING_REFUSED_SHORT},
    {"rx_undersized_errors", RING_REFUSED_SHORT}, {"rx_fragment_errors", RING_REFUSED_SHORT},
    {"rx_fragmented_errors", RING_REFUSED_SHORT}, {"rx_mac_short_packet_dropped", RING_REFUSED_SHORT},
    {"rx_oversize_errors", RING_REFUSED_LONG},    {"rx_jabber_errors", RING_REFUSED_LONG},
    {"rx_length_errors", RING_REFUSED_LONG},      {"rx_len_errors", RING_REFUSED_LONG},
};
#define DETAILS ((uint32_t)(sizeof(detail) / sizeof(detail[0])))
static_assert(sizeof(detail) / sizeof(detail[0]) <= DPDK_DETAILS_MAX, "room for all of them");

static bool read_basic(uint16_t port, struct dpdk_counts *now)
{
    struct rte_eth_stats stats;
    if (rte_eth_stats_get(port, &stats) != 0) {
        return false;
    }
    now->missed = stats.imissed;
    now->errors = stats.ierrors;
    return true;
}

static void read_details(const struct dpdk_counters *counters, uint16_t port, struct dpdk_counts *now)
{
    uint64_t value[DPDK_DETAILS_MAX];
    memset(now->refused, 0, sizeof(now->refused));
    if (counters->details == 0 ||
        rte_eth_xstats_get_by_id(port, counters->id, value, counters->details) != (int)counters->details) {
        return;
    }
    for (uint32_t i = 0; i < counters->details; i++) {
        now->refused[counters->refusal[i]] += value[i];
    }
}

void dpdk_counters_begin(struct dpdk_counters *counters, uint16_t port)
{
    struct dpdk_counters *c = counters;
    struct rte_eth_dev_info info;
    *c = (struct dpdk_counters){.details = 0};
    /* vhost has none of these, and complains of each question that comes before its peer. */
    if (rte_eth_dev_info_get(port, &info) != 0 || strcmp(info.driver_name, "net_vhost") == 0) {
        return;
    }
    for (uint32_t i = 0; i < DETAILS; i++) {
        if (rte_eth_xstats_get_id_by_name(port, detail[i].name, &c->id[c->details]) == 0) {
            c->refusal[c->details++] = (uint32_t)detail[i].refusal;
        }
    }
}

void dpdk_counters_look(struct dpdk_counters *counters, uint16_t port, const struct source_plan *source,
                        struct ring_writer *writer)
{
    struct dpdk_counts now = counters->last;
    if (!read_basic(port, &now) || (now.missed == counters->last.missed && now.errors == counters->last.errors)) {
        return;
    }
    if (now.errors != counters->last.errors) {
        read_details(counters, port, &now);
    }
    dpdk_counters_account(&counters->last, &now, source, writer);
    counters->last = now;
}

/* A device that was reset counts from 0: what it counted before the reset and after the last look is not known. */
static uint64_t more(uint64_t last, uint64_t now)
{
    return now > last ? now - last : 0;
}

static void refuse(const struct source_plan *source, struct ring_writer *writer, enum ring_refusal refusal,
                   uint64_t frames)
{
    struct ring_ledger *ledger = &writer->view.header->ledger;
    if (frames == 0) {
        return;
    }
    ring_count_add(&ledger->refused[refusal], frames);
    net_sequence_explain(&source->sequence, ledger, intake_loss(refusal), frames);
    if (source->sequence.width_bytes == 0) {
        ring_writer_owe_gap(writer, intake_loss(refusal), frames, 0); /* no number will ever show it */
    }
}

void dpdk_counters_account(const struct dpdk_counts *last, const struct dpdk_counts *now,
                           const struct source_plan *source, struct ring_writer *writer)
{
    uint64_t left = more(last->errors, now->errors);
    net_sequence_explain(&source->sequence, &writer->view.header->ledger, RING_LOSS_NIC,
                         more(last->missed, now->missed));
    /* Some drivers count more under the names than they call errors: a frame is lost once. */
    for (uint32_t i = 0; i < RING_REFUSALS; i++) {
        uint64_t named = more(last->refused[i], now->refused[i]);
        named = named < left ? named : left;
        refuse(source, writer, (enum ring_refusal)i, named);
        left -= named;
    }
    refuse(source, writer, RING_REFUSED_SYNTAX, left);
}
