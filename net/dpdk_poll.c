#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "net/dpdk.h"
#include "net/intake.h"
#include "net/plain.h"
#include "net/sequence.h"
#include "ring/clock.h"

#define TIMED_FRAMES (UINT64_C(16) * DPDK_BURST) /* as many as a round takes of one queue (daq/dpdk_worker.c) */

/* What the device has verified already. */
static uint32_t checks_of(const struct dpdk_source *s, const struct rte_mbuf *mbuf)
{
    uint32_t checks = s->checks;
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD) {
        checks |= PACKET_IP_CHECKED;
    }
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
        checks |= PACKET_UDP_CHECKED;
    }
    return checks;
}

/* What is wrong with a received frame, whose payload is to lie at `payload`. */
static enum ring_refusal judge(const struct dpdk_source *s, const struct rte_mbuf *mbuf, uint8_t *payload,
                               struct intake_packet *packet)
{
    if (mbuf->nb_segs > 1) {
        return RING_REFUSED_LONG; /* it did not fit one slot */
    }
    packet->frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
    packet->frame_bytes = mbuf->data_len;
    packet->checks = checks_of(s, mbuf);
    packet->payload = payload;
    packet->room = s->writer->view.payload_bytes;
    return intake_judge_packet(s->plan, packet);
}

/* What is left of a refused or dropped frame: each piece took a slot, or scratch. false: the device breaks the
 * order.
 */
static bool give_up(struct dpdk_source *s, struct rte_mbuf *piece, enum ring_loss cause, uint64_t lost,
                    uint64_t tai_ns)
{
    for (; piece != NULL; piece = piece->next) {
        if (dpdk_pool_is_scratch(&s->pool, piece)) {
            dpdk_pool_scratch_back(&s->pool, piece);
        } else if (dpdk_pool_slot_is_next(&s->pool, piece)) {
            (void)ring_writer_commit_gap(s->writer, cause, lost, 0, tai_ns);
            lost = 0;
        } else {
            return false;
        }
    }
    return true;
}

/* A gap in the numbers: what the device has dropped explains it. It is asked now, if it can have dropped any: one
 * that was full leaves a run of full bursts behind; for what else it drops now and then is enough, and once a burst
 * always, as each question costs reads across the bus. The port's counts are the business of its first queue's
 * thread.
 */
static void tell_drops(struct dpdk_source *s, uint64_t number, uint64_t tai_ns)
{
    struct dpdk_counters *counters = &s->counters;
    uint64_t gap = net_sequence_gap(&s->plan->sequence, &s->writer->view.header->ledger, number);
    uint64_t burst = s->writer->published + 1;
    bool was_full = (s->run + DPDK_BURST) * 2 >= s->plan->dpdk.descriptors;
    if (gap == 0) {
        return;
    }
    if (s->first == s && counters->asked_at != burst &&
        (was_full || tai_ns - counters->asked_ns > CLOCK_NS_PER_MS)) {
        counters->asked_at = burst;
        counters->asked_ns = tai_ns;
        dpdk_counters_look(counters, s->port, s->plan, s->writer);
    }
    dpdk_counters_tell(counters, s->plan, s->writer, gap);
}

/* One received frame. false: the device breaks the order. */
static bool take(struct dpdk_source *s, struct rte_mbuf *mbuf, uint64_t tai_ns)
{
    struct ring_writer *writer = s->writer;
    struct intake_packet packet;
    if (__builtin_expect(!dpdk_pool_slot_is_next(&s->pool, mbuf), 0)) {
        if (!dpdk_pool_is_scratch(&s->pool, mbuf)) {
            return false;
        }
        uint8_t *payload = rte_pktmbuf_mtod(mbuf, uint8_t *) + s->headers;
        intake_drop(s->plan, writer, judge(s, mbuf, payload, &packet), &packet.said);
        return give_up(s, mbuf, RING_LOSS_RING_FULL, 0, tai_ns);
    }
    enum ring_refusal refusal = judge(s, mbuf, ring_payload_at(&writer->view, writer->next), &packet);
    if (__builtin_expect(mbuf->nb_segs > 1, 0)) {
        return give_up(s, mbuf, intake_loss(refusal), intake_refuse(s->plan, writer, refusal), tai_ns);
    }
    if (refusal == RING_REFUSALS && s->plan->sequence.width_bytes != 0) {
        tell_drops(s, packet.said.number, tai_ns);
    }
    intake_commit(s->plan, writer, refusal, &packet.said, packet.payload_bytes, tai_ns, false);
    return true;
}

/* True: it was the next frame, and nothing about it is unusual. False: nothing is done. */
static inline bool take_plain(struct dpdk_source *s, struct rte_mbuf *mbuf, uint64_t tai_ns)
{
    struct ring_writer *writer = s->writer;
    const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
    const uint8_t *payload = ring_payload_at(&writer->view, writer->next);
    if (!s->is_plain || mbuf->nb_segs != 1 || frame + PLAIN_HEADERS != payload ||
        !dpdk_pool_slot_is_next(&s->pool, mbuf)) {
        return false;
    }
    uint32_t bytes = plain_packet(&s->plan->packet, frame, mbuf->data_len, checks_of(s, mbuf));
    return bytes != UINT32_MAX && plain_take(s->plan, writer, payload, bytes, tai_ns);
}

/* The clock is looked at when the queue was empty behind the burst, and now and then in a run of full ones: there
 * is no time for more, and nobody is kept waiting by it. */
static void publish(struct dpdk_source *s, uint64_t tai_ns)
{
    if (s->run % TIMED_FRAMES == 0) {
        ring_writer_publish_timed(s->writer, tai_ns);
    } else {
        ring_writer_publish(s->writer);
    }
}

uint32_t dpdk_poll(struct dpdk_source *source, uint64_t tai_ns)
{
    struct rte_mbuf *mbufs[DPDK_BURST];
    struct dpdk_source *s = source;
    if (__builtin_expect(s->disordered != 0, 0)) {
        return 0;
    }
    if (__builtin_expect(s->writer->owes, 0)) {
        (void)ring_writer_pay_gap(s->writer, tai_ns);
    }
    if (__builtin_expect(s->counters.is_untold, 0) && s->writer->next > s->counters.untold_before) {
        dpdk_counters_tell(&s->counters, s->plan, s->writer, UINT64_MAX);
    }
    dpdk_grace_enter(&s->grace);
    uint16_t count = rte_eth_rx_burst(s->port, s->queue, mbufs, DPDK_BURST);
    dpdk_grace_exit(&s->grace);
    for (uint16_t i = 0; i < count; i++) {
        if (__builtin_expect(!take_plain(s, mbufs[i], tai_ns) && !take(s, mbufs[i], tai_ns), 0)) {
            s->disordered = 1;
            ring_count_set(&s->writer->view.header->ledger.is_open, 0);
            break;
        }
    }
    s->run = count == DPDK_BURST ? s->run + DPDK_BURST : 0;
    if (count > 0) {
        publish(s, tai_ns);
    } else {
        ring_writer_account_rest(s->writer, tai_ns);
    }
    return count;
}
