/* A capture (pcap, pcapng): of its packets those that the ring's source would have taken. The only file here that
 * includes libpcap. */
#include <pcap/pcap.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ring/clock.h"
#include "tools/import.h"

#define FRAME_BYTES_MAX 262144u /* libpcap's own bound of a packet */

/* A socket's kernel matches by itself; here its match is a filter over whole frames. */
static void filter_of_udp(const struct udp_plan *udp, struct packet_filter *filter)
{
    uint32_t to = udp->multicast_address != 0 ? udp->multicast_address : udp->listen_address;
    *filter = (struct packet_filter){.form = PACKET_UDP,
                                     .match = PACKET_MATCH_TO_PORT,
                                     .to_port = udp->port,
                                     .from_port = udp->from_port,
                                     .to_address = to,
                                     .from_address = udp->from_address};
    filter->match |= to != 0 ? PACKET_MATCH_TO : 0u;
    filter->match |= udp->from_address != 0 ? PACKET_MATCH_FROM : 0u;
    filter->match |= udp->from_port != 0 ? PACKET_MATCH_FROM_PORT : 0u;
}

static int make_plan(const struct import_sink *sink, struct source_plan *plan, struct error *err)
{
    *plan = *sink->plan;
    switch (plan->kind) {
    case SOURCE_UDP:
        filter_of_udp(&sink->plan->udp, &plan->packet);
        return 0;
    case SOURCE_DPDK:
    case SOURCE_AFXDP:
        return 0;
    default:
        return error_set(
            err, -EINVAL,
            "expected a ring whose source takes packets (udp, dpdk, afxdp), which says whose they are; "
            "ring %s has another",
            sink->ring->name);
    }
}

static uint64_t stamp_of(const struct pcap_pkthdr *head, int32_t utc_offset_s)
{
    return ((uint64_t)head->ts.tv_sec + (uint64_t)utc_offset_s) * CLOCK_NS_PER_S + (uint64_t)head->ts.tv_usec;
}

/* One packet. A capture on its sender's host has checksums that the device was to fill in: they are not looked at.
 */
static int take(struct import_sink *sink, const struct source_plan *plan, const struct pcap_pkthdr *head,
                const u_char *bytes, uint64_t number, int32_t utc_offset_s, struct error *err)
{
    struct intake_packet packet = {.frame_bytes = head->caplen,
                                   .checks = PACKET_IP_CHECKED | PACKET_UDP_CHECKED | PACKET_UDP_LEFT_OUT};
    memcpy(&packet.frame, &bytes, sizeof(bytes)); /* it is only read: the payload goes into a slot */
    packet.payload = import_sink_slot(sink, &packet.room);
    enum ring_refusal refusal = intake_judge_packet(plan, &packet);
    if (refusal == RING_REFUSED_STRANGER) {
        sink->skipped++;
        return 0;
    }
    if (head->caplen < head->len && refusal != RING_REFUSALS) {
        return error_set(err, -EINVAL,
                         "packet %" PRIu64
                         ": expected whole packets, found one of %u bytes cut to %u; capture with a "
                         "longer snapshot",
                         number, head->len, head->caplen);
    }
    return import_sink_commit(sink, refusal, &packet.said, packet.payload_bytes, stamp_of(head, utc_offset_s), err);
}

static int read_all(pcap_t *pcap, int32_t utc_offset_s, struct import_sink *sink, struct error *err)
{
    struct source_plan plan;
    struct pcap_pkthdr *head;
    const u_char *bytes;
    uint64_t number = 0;
    int got = 0;
    int code = make_plan(sink, &plan, err);
    if (code == 0 && pcap_datalink(pcap) != DLT_EN10MB) {
        code = error_set(err, -EINVAL,
                         "expected a capture of Ethernet, found link type %d; capture on an Ethernet interface",
                         pcap_datalink(pcap));
    }
    while (code == 0 && (got = pcap_next_ex(pcap, &head, &bytes)) == 1) {
        number++;
        if (head->caplen > FRAME_BYTES_MAX) {
            code = error_set(err, -EINVAL, "packet %" PRIu64 ": expected at most %u bytes, found %u", number,
                             FRAME_BYTES_MAX, head->caplen);
        } else {
            code = take(sink, &plan, head, bytes, number, utc_offset_s, err);
        }
    }
    if (code == 0 && got != PCAP_ERROR_BREAK) {
        code = error_set(err, -EINVAL, "expected a whole capture, found behind packet %" PRIu64 ": %s", number,
                         pcap_geterr(pcap));
    }
    if (code == 0 && sink->frames == 0) {
        code = error_set(err, -ENODATA,
                         "none of the %" PRIu64
                         " packets is the stream's: no address and port as the source of ring %s "
                         "has them",
                         number, sink->ring->name);
    }
    return code;
}

int import_pcap(FILE *file, int32_t utc_offset_s, struct import_sink *sink, struct error *err)
{
    char said[PCAP_ERRBUF_SIZE] = "";
    pcap_t *pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, said);
    if (pcap == NULL) {
        fclose(file);
        return error_set(err, -EINVAL, "expected a capture (pcap, pcapng): %.300s", said);
    }
    int code = read_all(pcap, utc_offset_s, sink, err);
    pcap_close(pcap); /* and the file */
    return code;
}
