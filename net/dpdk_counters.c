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
    dpdk_counters_account(counters, &now, source, writer);
}

/* A device that was reset counts from 0: what it counted before the reset and after the last look is not known. The
 * registers of a card that was pulled out read as ones: that is no count. */
static uint64_t more(uint64_t last, uint64_t now)
{
    return now > last && now - last < UINT32_MAX ? now - last : 0;
}

/* Before the first number nobody knows of any. */
static void keep(struct dpdk_counters *counters, struct ring_writer *writer, enum ring_loss cause, uint64_t frames)
{
    if (frames > 0 && writer->view.header->ledger.tracker_started != 0) {
        counters->untold[cause] += frames;
        counters->untold_before = writer->handed > writer->next ? writer->handed : writer->next;
        counters->is_untold = true;
    }
}

static void explain(struct dpdk_counters *counters, const struct source_plan *source, struct ring_writer *writer,
                    enum ring_loss cause, uint64_t frames)
{
    if (source->sequence.width_bytes != 0) {
        keep(counters, writer, cause, frames);
    } else {
        net_sequence_explain(&source->sequence, &writer->view.header->ledger, cause, frames);
    }
}

static void refuse(struct dpdk_counters *counters, const struct source_plan *source, struct ring_writer *writer,
                   enum ring_refusal refusal, uint64_t frames)
{
    if (frames == 0) {
        return;
    }
    ring_count_add(&writer->view.header->ledger.refused[refusal], frames);
    explain(counters, source, writer, intake_loss(refusal), frames);
    if (source->sequence.width_bytes == 0) {
        ring_writer_owe_gap(writer, intake_loss(refusal), frames, 0); /* no number will ever show it */
    }
}

void dpdk_counters_account(struct dpdk_counters *counters, const struct dpdk_counts *now,
                           const struct source_plan *source, struct ring_writer *writer)
{
    const struct dpdk_counts *last = &counters->last;
    uint64_t left = more(last->errors, now->errors);
    explain(counters, source, writer, RING_LOSS_NIC, more(last->missed, now->missed));
    /* Some drivers count more under the names than they call errors: a frame is lost once. */
    for (uint32_t i = 0; i < RING_REFUSALS; i++) {
        uint64_t named = more(last->refused[i], now->refused[i]);
        named = named < left ? named : left;
        refuse(counters, source, writer, (enum ring_refusal)i, named);
        left -= named;
    }
    refuse(counters, source, writer, RING_REFUSED_SYNTAX, left);
    counters->last = *now;
}

void dpdk_counters_tell(struct dpdk_counters *counters, const struct source_plan *source,
                        struct ring_writer *writer, uint64_t frames)
{
    uint64_t left = 0;
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        uint64_t n = counters->untold[cause] < frames ? counters->untold[cause] : frames;
        if (n > 0) {
            net_sequence_explain(&source->sequence, &writer->view.header->ledger, (enum ring_loss)cause, n);
            counters->untold[cause] -= n;
            frames -= n;
        }
        left += counters->untold[cause];
    }
    counters->is_untold = left > 0;
}
