/* The frame that nearly all are, decided in a handful of compares: untagged UDP without IP options, whole, of the
 * expected length, with the number that was expected. Whatever is different in any way is none of these: then
 * nothing has been done, and packet_judge, intake_judge and net_sequence_track decide in full. They would come to
 * the same result for a plain one (tests/net/test_plain.c). Hot; inline, because a call costs what the work does.
 */
#ifndef NET_PLAIN_H
#define NET_PLAIN_H

#include <stdbool.h>
#include <string.h>

#include "net/packet.h"
#include "net/plan.h"
#include "net/sequence.h"
#include "ring/writer.h"

#define PLAIN_HEADERS 42u /* Ethernet 14, IPv4 20, UDP 8 */

/* Of an IPv4 header of 20 bytes, its checksum included (RFC 1071: the sum's byte order does not matter). */
static inline bool plain_ip_sum(const uint8_t *ip)
{
    uint64_t sum = (uint64_t)packet_load32(ip) + packet_load32(ip + 4) + packet_load32(ip + 8) +
                   packet_load32(ip + 12) + packet_load32(ip + 16);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* Bytes of the UDP payload, which begins at PLAIN_HEADERS; UINT32_MAX: not plain, ask packet_judge. */
static inline uint32_t plain_packet(const struct packet_filter *filter, const uint8_t *frame, uint32_t bytes,
                                    uint32_t checks)
{
    const uint32_t known =
        PACKET_MATCH_MAC | PACKET_MATCH_TO | PACKET_MATCH_FROM | PACKET_MATCH_TO_PORT | PACKET_MATCH_FROM_PORT;
    const uint8_t *ip = frame + 14;
    const uint8_t *udp = ip + 20;
    uint32_t match = filter->match;
    if (bytes < PLAIN_HEADERS || filter->form != PACKET_UDP || (match & ~known) != 0) {
        return UINT32_MAX;
    }
    uint32_t total_bytes = packet_load16(ip + 2);
    uint32_t udp_bytes = packet_load16(udp + 4);
    bool is_plain = packet_load16(frame + 12) == 0x0800 && ip[0] == 0x45 && ip[9] == 17 &&
                    (packet_load16(ip + 6) & 0x3fff) == 0 && total_bytes <= bytes - 14 && udp_bytes >= 8 &&
                    total_bytes >= 20 && udp_bytes <= total_bytes - 20 &&
                    (packet_load16(udp + 6) == 0 || (checks & PACKET_UDP_CHECKED) != 0) &&
                    ((checks & PACKET_IP_CHECKED) != 0 || plain_ip_sum(ip));
    bool is_ours = ((match & PACKET_MATCH_TO) == 0 || packet_load32(ip + 16) == filter->to_address) &&
                   ((match & PACKET_MATCH_FROM) == 0 || packet_load32(ip + 12) == filter->from_address) &&
                   ((match & PACKET_MATCH_TO_PORT) == 0 || packet_load16(udp + 2) == filter->to_port) &&
                   ((match & PACKET_MATCH_FROM_PORT) == 0 || packet_load16(udp) == filter->from_port) &&
                   ((match & PACKET_MATCH_MAC) == 0 || memcmp(frame, filter->mac, sizeof(filter->mac)) == 0);
    return is_plain && is_ours ? udp_bytes - 8 : UINT32_MAX;
}

/* True: the frame with this raw number is the one expected, and nothing is pending that it would have to tell; it
 * is counted. False: nothing is done, ask net_sequence_track. */
static inline bool plain_number(const struct sequence_spec *spec, struct ring_ledger *ledger, uint64_t raw)
{
    const uint64_t *pending = ledger->tracker_pending;
    static_assert(RING_LOSSES == 8, "each of them is looked at");
    uint64_t told = pending[0] | pending[1] | pending[2] | pending[3] | pending[4] | pending[5] | pending[6] |
                    pending[7] | ledger->tracker_restart_left | ledger->tracker_late_run;
    if (spec->width_bytes == 0 || spec->width_bits != 0 || ledger->tracker_started == 0 || told != 0 ||
        raw != ((ledger->tracker_next * spec->step) & net_sequence_mask(spec))) {
        return false;
    }
    ledger->tracker_window = ledger->tracker_window << 1 | 1;
    ledger->tracker_next++;
    ring_count_add(&ledger->sent, 1);
    ring_count_add(&ledger->delivered, 1);
    return true;
}

/* True if plain_take can take a source's frames at all: its number is a field by itself and there is no checksum of
 * its own. Cold. */
static inline bool plain_source(const struct source_plan *plan)
{
    return plan->format.kind <= FORMAT_FIELD && plan->checksum.kind != CHECKSUM_CRC16_CCITT &&
           plan->sequence.width_bytes != 0 && plan->sequence.width_bits == 0;
}

/* True: the payload, which lies in its place in the slot at writer->next, is committed. False: nothing is done; ask
 * intake_judge. Only of a plain_source. */
static inline bool plain_take(const struct source_plan *plan, struct ring_writer *writer, const uint8_t *payload,
                              uint32_t bytes, uint64_t tai_ns)
{
    const struct sequence_spec *spec = &plan->sequence;
    struct ring_ledger *ledger = &writer->view.header->ledger;
    if (bytes > writer->view.payload_bytes || (plan->frame_bytes != 0 && bytes != plan->frame_bytes) ||
        bytes < spec->at_byte + spec->width_bytes) {
        return false;
    }
    uint64_t number = ledger->tracker_next;
    if (!plain_number(spec, ledger, net_sequence_read(spec, payload))) {
        return false;
    }
    ring_count_add(&ledger->bytes, bytes);
    ring_writer_commit(writer, bytes, tai_ns, number, 0, 0);
    return true;
}

#endif
