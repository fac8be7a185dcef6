/* Any bytes as an Ethernet frame, or as the payload of one: packet_judge, then the format's header, then the
 * tracker, into a ring.
 *
 *   byte 0  low 3 bits: the format; bit 3: two frames, so that a number follows another; bit 4: match addresses,
 *           ports and VLAN; bit 5: an Ethernet stream; bit 6: straight to the format, no frame around it; bit 7:
 * the device has verified the checksums byte 1  of the format: where its header begins (low 4 bits), threads and
 * stream id byte 2  frames a second, packets of a heap rest    the frame, or two halves
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net/intake.h"
#include "net/packet.h"
#include "net/plain.h"
#include "net/sequence.h"
#include "ring/segment.h"
#include "tests/support/frame.h"
#include "tests/support/temporary_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

#define OPTIONS 3u

static struct segment segment;
static struct ring_writer writer;
static struct source_plan plan;
static struct packet_filter filter;

static void prepare_ring(void)
{
    struct ring_spec spec = temporary_spec(16, 2048, 128);
    struct error err;
    int code = 0;
    if (segment.base == NULL) {
        code = segment_create(&segment, "fuzz", ring_segment_bytes(&spec), SEGMENT_NORMAL, &err);
    }
    memset(segment.base, 0, segment.bytes);
    code |= ring_create(segment.base, segment.bytes, &spec, &err);
    code |= ring_writer_attach(&writer, segment.base, segment.bytes, 1, NULL, &err);
    assert(code == 0);
    (void)code;
}

static void prepare_plan(const uint8_t *data)
{
    plan = (struct source_plan){
        .sequence = {.width_bytes = 4, .at_byte = data[1] & 15u, .byte_order = RING_BIG_ENDIAN, .step = 1},
        .checksum = {.kind = CHECKSUM_NONE},
        .format = {.kind = data[0] & 7u,
                   .at_byte = data[1] & 15u,
                   .frames_per_second = 1u + data[2],
                   .threads = 1 + data[1] / 64,
                   .thread_order = {0, 3, 1, 2},
                   .heap_bytes = 16u * (1 + data[2]),
                   .packet_bytes = data[1] & 0xf0,
                   .match_stream = data[1] >> 6 & 1,
                   .stream_id = 1}};
    format_sequence(&plan.format, &plan.sequence);
    filter = frame_filter((data[0] & 32) != 0 ? PACKET_ETHERNET : PACKET_UDP, (data[0] & 16) != 0 ? 127 : 0);
}

static void take(const uint8_t *payload, uint32_t bytes)
{
    struct format_frame frame;
    uint32_t room = writer.view.payload_bytes;
    uint64_t position = writer.next;
    enum ring_refusal refusal = intake_judge(&plan, payload, bytes, room, &frame);
    assert(refusal <= RING_REFUSED_FRAGMENT || refusal == RING_REFUSALS);
    uint8_t *slot = ring_writer_reserve(&writer);
    if (refusal == RING_REFUSALS && !frame.heartbeat) {
        memcpy(slot, payload, bytes);
    }
    intake_commit(&plan, &writer, refusal, &frame, bytes, 1000, true);
    ring_writer_publish(&writer);
    assert(writer.published == position + 1);
    assert(ring_ledger_residual(&writer.view.header->ledger) == 0);
}

/* In memory of exactly this size: the sanitizer sees a look beyond the end. */
static void judge(uint8_t options, const uint8_t *from, uint32_t bytes)
{
    uint8_t *frame = malloc(bytes + (bytes == 0));
    assert(frame != NULL);
    memcpy(frame, from, bytes);
    struct packet_place place = {.payload_offset = UINT32_MAX};
    uint32_t checks = (options & 128) != 0 ? PACKET_IP_CHECKED | PACKET_UDP_CHECKED : 0;
    uint32_t plain = plain_packet(&filter, frame, bytes, checks);
    if (plain != UINT32_MAX) {
        assert(packet_judge(&filter, frame, bytes, checks, &place) == RING_REFUSALS &&
               place.payload_offset == PLAIN_HEADERS && place.payload_bytes == plain);
        place = (struct packet_place){.payload_offset = UINT32_MAX};
    }
    if ((options & 64) != 0) {
        take(frame, bytes);
    } else if (packet_judge(&filter, frame, bytes, checks, &place) == RING_REFUSALS) {
        assert(place.payload_offset <= bytes && place.payload_bytes <= bytes - place.payload_offset);
        take(frame + place.payload_offset, place.payload_bytes);
    } else {
        assert(place.payload_offset == UINT32_MAX);
    }
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < OPTIONS) {
        return 0;
    }
    prepare_ring();
    prepare_plan(data);
    uint32_t bytes = (uint32_t)(size - OPTIONS);
    uint32_t first = (data[0] & 8) != 0 ? bytes / 2 : bytes;
    judge(data[0], data + OPTIONS, first);
    if (first < bytes) {
        judge(data[0], data + OPTIONS + first, bytes - first);
    }
    return 0;
}
