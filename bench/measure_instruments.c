/* What measuring costs who is measured: one record, and a writer that takes packets which lie in their slots
 * already, with and without. Both in turn, in one thread without a reader: whatever else a writer has to do (system
 * calls, lines that readers have) makes the share smaller. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/spread.h"
#include "bench/tsc.h"
#include "net/intake.h"
#include "net/plain.h"
#include "ring/segment.h"

#define SLOTS           4096u
#define SLOT_BYTES      192u
#define PAYLOAD_AT      128u
#define PAYLOAD_BYTES   64u
#define FRAMES          512u /* are timed at a time: 16 bursts of 32, as a round of a poll-mode thread has, or .. */
#define BURST           32u
#define PACKETS         64u  /* .. full bursts of so many, as AF_XDP's, .. */
#define TIMED           256u /* .. which look at the clock every so many */
#define UNITS_PER_NS    100.0
#define RECORD_BITS     20u /* up to a millisecond */
#define PIECES_AT_LEAST 16u

enum piece { PIECE_RECORD = 0, PIECE_PLAIN_OFF, PIECE_PLAIN_ON, PIECE_PACKETS_OFF, PIECE_PACKETS_ON, PIECES };

struct bed {
    struct segment segment;
    struct ring_writer writer;
    struct ring_hops hops;
    struct source_plan plain;
    struct source_plan packets;
    uint64_t number; /* the next frame's */
    uint64_t values[FRAMES];
    uint8_t headers[PLAIN_HEADERS];
    struct spread spread[PIECES];
};

/* Ethernet, IPv4 with its checksum, UDP without one. */
static void make_headers(uint8_t to[PLAIN_HEADERS])
{
    const uint32_t udp_bytes = 8 + PAYLOAD_BYTES;
    const uint32_t ip_bytes = 20 + udp_bytes;
    uint32_t sum = 0;
    memset(to, 0, PLAIN_HEADERS);
    to[12] = 0x08;
    to[14] = 0x45;
    to[16] = (uint8_t)(ip_bytes >> 8);
    to[17] = (uint8_t)ip_bytes;
    to[22] = 64;
    to[23] = 17;
    for (uint32_t i = 14; i < 34; i += 2) {
        sum += (uint32_t)to[i] << 8 | to[i + 1];
    }
    sum = ~((sum & 0xffff) + (sum >> 16));
    to[24] = (uint8_t)(sum >> 8);
    to[25] = (uint8_t)sum;
    to[38] = (uint8_t)(udp_bytes >> 8);
    to[39] = (uint8_t)udp_bytes;
}

static int make_ring(struct bed *bed, struct error *err)
{
    static const struct ring_stream stream = {.name = "bench", .source = "bench"};
    struct ring_spec spec = {.instance = "bench",
                             .name = "bench",
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = SLOTS,
                             .slot_bytes = SLOT_BYTES,
                             .payload_offset = PAYLOAD_AT,
                             .numa_node = -1,
                             .tai_minus_monotonic_ns = clock_measure_tai_offset_ns()};
    bed->segment.fd = -1;
    int code = bench_memory(&bed->segment, ring_segment_bytes(&spec), err);
    if (code == 0) {
        spec.page_bytes = bed->segment.page_bytes;
        code = ring_create(bed->segment.base, bed->segment.bytes, &spec, err);
    }
    if (code == 0) {
        code =
            ring_writer_attach(&bed->writer, bed->segment.base, bed->segment.bytes, (uint64_t)getpid(), NULL, err);
    }
    return code;
}

static void make_plans(struct bed *bed)
{
    bed->packets = (struct source_plan){.frame_bytes = PAYLOAD_BYTES,
                                        .checksum = {.kind = CHECKSUM_NONE},
                                        .packet = {.form = PACKET_UDP},
                                        .format = {.kind = FORMAT_SLUICE}};
    format_sequence(&bed->packets.format, &bed->packets.sequence);
    bed->plain = bed->packets; /* the same number, by its place */
    bed->plain.format.kind = FORMAT_FIELD;
    bed->plain.sequence =
        (struct sequence_spec){.width_bytes = 8, .at_byte = 8, .byte_order = RING_BIG_ENDIAN, .step = 1};
    make_headers(bed->headers);
    for (uint32_t i = 0; i < FRAMES; i++) { /* of all sizes, as latencies are */
        uint64_t random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        bed->values[i] = random >> (64 - RECORD_BITS + random % (RECORD_BITS - 8));
    }
}

/* What a device would have written, not timed. */
static void fill(struct bed *bed)
{
    struct ring_writer *w = &bed->writer;
    uint64_t sent_ns = clock_tai_ns(w->view.tai_minus_monotonic_ns);
    (void)ring_writer_reserve_many(w, FRAMES);
    for (uint64_t p = w->next; p < w->next + FRAMES; p++) {
        uint8_t *payload = ring_payload_at(&w->view, p);
        memcpy(payload - PLAIN_HEADERS, bed->headers, PLAIN_HEADERS);
        format_write_sluice(payload, &(struct format_sluice){.sequence = bed->number++,
                                                             .sender_tai_ns = sent_ns,
                                                             .payload_bytes = PAYLOAD_BYTES - FORMAT_SLUICE_BYTES});
    }
}

/* As net/dpdk_poll.c. Frames that were not plain. */
static uint32_t take_plain(struct bed *bed, uint64_t tai_ns)
{
    struct ring_writer *w = &bed->writer;
    uint32_t wrong = 0;
    for (uint32_t taken = BURST; taken <= FRAMES; taken += BURST) {
        for (uint32_t i = 0; i < BURST; i++) {
            const uint8_t *payload = ring_payload_at(&w->view, w->next);
            uint32_t bytes =
                plain_packet(&bed->plain.packet, payload - PLAIN_HEADERS, PLAIN_HEADERS + PAYLOAD_BYTES, 0);
            wrong += bytes == UINT32_MAX || !plain_take(&bed->plain, w, payload, bytes, tai_ns);
        }
        if (taken % FRAMES == 0) {
            ring_writer_publish_timed(w, tai_ns);
        } else {
            ring_writer_publish(w);
        }
    }
    return wrong;
}

/* As net/afxdp_take.c. Frames that were refused. */
static uint32_t take_packets(struct bed *bed, uint64_t tai_ns)
{
    struct ring_writer *w = &bed->writer;
    uint32_t wrong = 0;
    for (uint32_t taken = 0; taken < FRAMES; taken++) {
        uint8_t *payload = ring_payload_at(&w->view, w->next);
        struct intake_packet packet = {.frame = payload - PLAIN_HEADERS,
                                       .frame_bytes = PLAIN_HEADERS + PAYLOAD_BYTES,
                                       .checks = PACKET_UDP_LEFT_OUT,
                                       .payload = payload,
                                       .room = w->view.payload_bytes};
        enum ring_refusal refusal = intake_judge_packet(&bed->packets, &packet);
        intake_commit(&bed->packets, w, refusal, &packet.said, packet.payload_bytes, tai_ns, false);
        wrong += refusal != RING_REFUSALS;
        if ((taken + 1) % TIMED == 0) {
            ring_writer_publish_timed(w, tai_ns);
        } else if ((taken + 1) % PACKETS == 0) {
            ring_writer_publish(w);
        }
    }
    return wrong;
}

static uint32_t run_piece(struct bed *bed, enum piece piece)
{
    bool on = piece == PIECE_PLAIN_ON || piece == PIECE_PACKETS_ON;
    uint32_t wrong = 0;
    ring_writer_measure(&bed->writer, on ? &bed->hops : NULL, piece == PIECE_PACKETS_ON, true);
    if (piece != PIECE_RECORD) {
        fill(bed);
    }
    uint64_t tai_ns = clock_tai_ns(bed->writer.view.tai_minus_monotonic_ns);
    uint64_t from = tsc_ordered();
    if (piece == PIECE_RECORD) {
        for (uint32_t i = 0; i < FRAMES; i++) {
            hist_record(&bed->hops.arrival_to_publish, bed->values[i]);
        }
    } else {
        wrong = piece <= PIECE_PLAIN_ON ? take_plain(bed, tai_ns) : take_packets(bed, tai_ns);
    }
    double ns = (double)(tsc_ordered() - from) / tsc_per_ns() / FRAMES;
    spread_add(&bed->spread[piece], (uint64_t)(ns * UNITS_PER_NS + 0.5));
    return wrong;
}

void measure_instruments(const struct question *question, struct outcome *outcome)
{
    static struct bed bed;
    pin_to(question->cores[1]);
    make_plans(&bed);
    outcome->code = make_ring(&bed, &outcome->err);
    if (outcome->code == 0) { /* a stream's first frame is never plain */
        fill(&bed);
        outcome->wrong += take_packets(&bed, 0);
    }
    uint64_t end = tsc_now() + (uint64_t)(question->seconds * 1e9 * tsc_per_ns());
    while (outcome->code == 0 && (tsc_now() < end || bed.spread[PIECE_RECORD].count < PIECES_AT_LEAST)) {
        for (uint32_t piece = 0; piece < PIECES; piece++) {
            outcome->wrong += run_piece(&bed, (enum piece)piece);
        }
    }
    for (uint32_t piece = 0; piece < PIECES && outcome->code == 0; piece++) {
        outcome->values[piece] = (double)spread_quantile_ns(&bed.spread[piece], 0.5) / UNITS_PER_NS;
        outcome->frames += piece == PIECE_RECORD ? 0 : bed.spread[piece].count * FRAMES;
    }
    segment_destroy(&bed.segment);
}
