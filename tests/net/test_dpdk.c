/* DPDK ports into rings, with ports that need no hardware: a file of packets (net_pcap) is the wire. Each test is a
 * process of its own, as EAL wants it. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "net/dpdk.h"
#include "net/sequence.h"
#include "ring/clock.h"
#include "ring/reader.h"
#include "tests/support/gates.h"
#include "tests/support/temporary_ring.h"

#define SLOTS      UINT64_C(4096)
#define SLOT_BYTES 2048u
#define WORDS      64u
#define FRAMES     500u

static struct temporary_ring ring;
static struct ring_reader reader;
static struct worker_plan plan;
static struct dpdk dpdk;
static struct dpdk_source source;
static char path[] = "/tmp/sluice-pcap-XXXXXX";
static FILE *file;

static void open_wire(void)
{
    const uint32_t head[6] = {0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65535, 1};
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    file = fdopen(fd, "w");
    cr_assert_eq(fwrite(head, sizeof(head), 1, file), 1);
}

static void on_wire(const uint8_t *frame, uint32_t bytes)
{
    const uint32_t head[4] = {0, 0, bytes, bytes};
    cr_assert_eq(fwrite(head, sizeof(head), 1, file), 1);
    cr_assert_eq(fwrite(frame, bytes, 1, file), 1);
}

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static uint16_t ip_checksum(const uint8_t *header, uint32_t bytes)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < bytes; i += 2) {
        sum += (uint32_t)header[i] << 8 | header[i + 1];
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

/* An IPv4 UDP frame to port 5000, `options` bytes of IP options, without a UDP checksum; its bytes. */
static uint32_t make_udp(uint8_t *frame, const uint8_t *payload, uint32_t payload_bytes, uint32_t options,
                         uint16_t port)
{
    uint32_t ip_bytes = 20 + options;
    memset(frame, 0, 14 + ip_bytes + 8);
    put16(frame + 12, 0x0800);
    uint8_t *ip = frame + 14;
    ip[0] = (uint8_t)(0x40 | ip_bytes / 4);
    put16(ip + 2, ip_bytes + 8 + payload_bytes);
    ip[8] = 64;
    ip[9] = 17;
    ip[12] = 10;
    ip[16] = 10;
    memset(ip + 20, 1, options); /* no-operation */
    put16(ip + 10, ip_checksum(ip, ip_bytes));
    uint8_t *udp = ip + ip_bytes;
    put16(udp + 2, port);
    put16(udp + 4, 8 + payload_bytes);
    memcpy(udp + 8, payload, payload_bytes);
    return 14 + ip_bytes + 8 + payload_bytes;
}

/* Number n in the first word (little-endian), the rest tells of it. */
static uint32_t make_numbered(uint8_t *frame, uint64_t n, uint32_t words, uint32_t options)
{
    uint64_t payload[1024];
    payload[0] = n;
    for (uint32_t i = 1; i < words; i++) {
        payload[i] = pattern_word(7, n, i);
    }
    return make_udp(frame, (const uint8_t *)payload, words * 8, options, 5000);
}

static void start(uint32_t form, uint32_t gates, struct ring_gates *ring_gates)
{
    struct error err = {{0}};
    struct ring_spec spec = temporary_spec(
        SLOTS, SLOT_BYTES, form == PACKET_UDP ? DPDK_PAYLOAD_OFFSET_UDP : DPDK_PAYLOAD_OFFSET_ETHERNET);
    temporary_ring_create(&ring, &spec);
    if (ring_gates != NULL) {
        cr_assert_eq(ring_writer_attach(&ring.writer, ring.segment.base, ring.segment.bytes, 1, ring_gates, &err),
                     0);
    }
    cr_assert_eq(ring_reader_attach(&reader, ring.segment.base, ring.segment.bytes, SLUICE_OLDEST, &err), 0);
    fclose(file);
    plan = (struct worker_plan){.sources = 1, .name = "test", .dpdk_memory_mb = 64, .thread = {.core = -1}};
    struct source_plan *s = &plan.source[0];
    *s = (struct source_plan){.name = "wire",
                              .kind = SOURCE_DPDK,
                              .gates = gates,
                              .when_full = WHEN_FULL_DROP,
                              .sequence = {.width_bytes = 8, .byte_order = RING_LITTLE_ENDIAN, .step = 1},
                              .packet = {.form = form, .match = PACKET_MATCH_TO_PORT, .to_port = 5000},
                              .dpdk = {.descriptors = 256}};
    if (form == PACKET_ETHERNET) {
        s->packet.match = 0;
        s->sequence.at_byte = 42;
    }
    snprintf(s->dpdk.port, sizeof(s->dpdk.port), "net_pcap0,rx_pcap=%s", path);
    cr_assert_eq(dpdk_start(&dpdk, &plan, &err), 0, "%s", err.text);
    cr_assert_eq(dpdk_open(&dpdk, &plan, 0, &source, &ring.writer, &err), 0, "%s", err.text);
    cr_assert_eq(dpdk_run_ports(&dpdk, &err), 0, "%s", err.text);
}

static void poll_all(void)
{
    while (dpdk_poll(&source, 12345) > 0) {
    }
}

static void finish(void)
{
    dpdk_stop(&dpdk);
    temporary_ring_destroy(&ring);
    unlink(path);
}

static struct ring_ledger *ledger(void)
{
    return &temporary_header(&ring)->ledger;
}

static bool holds(const uint8_t *payload, uint64_t n, uint32_t words)
{
    uint64_t word;
    memcpy(&word, payload, 8);
    bool same = word == n;
    for (uint32_t i = 1; i < words; i++) {
        memcpy(&word, payload + 8 * (size_t)i, 8);
        same = same && word == pattern_word(7, n, i);
    }
    return same;
}

Test(dpdk, every_frame_lies_in_its_slot)
{
    static uint8_t frame[SLOT_BYTES];
    struct sluice_frame f;
    open_wire();
    for (uint32_t n = 0; n < FRAMES; n++) {
        on_wire(frame, make_numbered(frame, n, 2 + n % 170, 0));
    }
    start(PACKET_UDP, 0, NULL);
    poll_all();
    for (uint32_t n = 0; n < FRAMES; n++) {
        cr_assert_eq(ring_reader_next(&reader, &f), 1, "frame %u", n);
        cr_assert_eq(f.source_sequence, n);
        cr_assert_eq(f.length_bytes, 8 * (2 + n % 170));
        cr_assert((const uint8_t *)f.payload == ring_payload_at(&ring.writer.view, n), "read in place");
        cr_assert(holds(f.payload, n, 2 + n % 170), "frame %u", n);
    }
    cr_assert_eq(ledger()->delivered, FRAMES);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
    finish();
}

Test(dpdk, headers_longer_than_expected_move_the_payload)
{
    static uint8_t frame[SLOT_BYTES];
    struct sluice_frame f;
    open_wire();
    for (uint32_t n = 0; n < 40; n++) {
        on_wire(frame, make_numbered(frame, n, WORDS, n % 2 * 8));
    }
    start(PACKET_UDP, 0, NULL);
    poll_all();
    for (uint32_t n = 0; n < 40; n++) {
        cr_assert_eq(ring_reader_next(&reader, &f), 1);
        cr_assert(holds(f.payload, n, WORDS), "frame %u", n);
    }
    finish();
}

Test(dpdk, whole_frames)
{
    static uint8_t frame[SLOT_BYTES];
    struct sluice_frame f;
    open_wire();
    for (uint32_t n = 0; n < 40; n++) {
        on_wire(frame, make_numbered(frame, n, WORDS, 0));
    }
    start(PACKET_ETHERNET, 0, NULL);
    poll_all();
    for (uint32_t n = 0; n < 40; n++) {
        cr_assert_eq(ring_reader_next(&reader, &f), 1);
        cr_assert_eq(f.length_bytes, 42 + 8 * WORDS);
        cr_assert(holds((const uint8_t *)f.payload + 42, n, WORDS), "frame %u", n);
    }
    finish();
}

/* What is not the stream's, or broken, takes a slot too: it is a gap record, and counted for what it is. */
Test(dpdk, refused_frames_become_records)
{
    static uint8_t frame[9000];
    struct sluice_frame f;
    uint64_t number = 1;
    open_wire();
    on_wire(frame, make_numbered(frame, 0, WORDS, 0));
    on_wire(frame, make_udp(frame, (const uint8_t *)&number, 8, 0, 5001)); /* a stranger */
    uint32_t bytes = make_numbered(frame, 1, WORDS, 0);
    frame[14 + 8] = 63; /* the header's checksum is wrong now */
    on_wire(frame, bytes);
    bytes = make_numbered(frame, 2, WORDS, 0);
    frame[14 + 6] = 0x20; /* more fragments */
    put16(frame + 14 + 10, 0);
    put16(frame + 14 + 10, ip_checksum(frame + 14, 20));
    on_wire(frame, bytes);
    on_wire(frame, 20);                               /* cut short */
    on_wire(frame, make_numbered(frame, 4, 1000, 0)); /* 8,000 bytes into slots of 2,048 */
    on_wire(frame, make_numbered(frame, 5, WORDS, 0));
    start(PACKET_UDP, 0, NULL);
    poll_all();
    uint64_t frames = 0;
    uint64_t records = 0;
    while (ring_reader_next(&reader, &f) == 1) {
        frames += (f.flags & SLUICE_FRAME_GAP) == 0;
        records += (f.flags & SLUICE_FRAME_GAP) != 0;
        cr_assert((f.flags & SLUICE_FRAME_GAP) != 0 || holds(f.payload, f.source_sequence, WORDS));
    }
    cr_assert_eq(frames, 2);
    cr_assert_geq(records, 4);
    cr_assert_eq(ledger()->refused[RING_REFUSED_STRANGER], 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_CHECKSUM], 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_FRAGMENT], 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SHORT], 1);
    cr_assert_eq(ledger()->sent, 6);
    cr_assert_eq(ledger()->delivered, 2);
    cr_assert_eq(ring_ledger_lost(ledger()), 4);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
    finish();
}

/* A gating reader that releases nothing: what finds no slot is dropped and counted, and said when there is room. */
Test(dpdk, full_ring_drops_and_says_so)
{
    static uint8_t frame[SLOT_BYTES];
    static struct test_gates server;
    struct ring_gates gates;
    uint32_t sent = (uint32_t)SLOTS + 300;
    open_wire();
    for (uint32_t n = 0; n < sent; n++) {
        on_wire(frame, make_numbered(frame, n, 4, 0));
    }
    test_gates_create(&server, 1);
    test_gates_attach(&server, &gates);
    start(PACKET_UDP, 1, &gates);
    uint64_t generation = test_gates_open(&server, &gates, 0, 0, 1000000000000);
    (void)generation;
    ring_writer_look(&ring.writer, 1);
    for (int i = 0; i < 2000; i++) {
        ring_writer_look(&ring.writer, 2);
        (void)dpdk_poll(&source, 12345);
    }
    cr_assert_eq(ring.writer.published, SLOTS);
    cr_assert_eq(ledger()->delivered, SLOTS);
    test_gates_release(&server, 0, SLOTS);
    ring_writer_look(&ring.writer, 3);
    (void)dpdk_poll(&source, 12345);
    cr_assert_eq(ring.writer.owes, false);
    cr_assert_eq(ledger()->gap_records, 1);
    cr_assert_eq(ledger()->tracker_pending[RING_LOSS_RING_FULL], 300);
    finish();
}

Test(dpdk, a_port_that_is_not_there)
{
    struct error err = {{0}};
    plan = (struct worker_plan){.sources = 1, .name = "test", .dpdk_memory_mb = 64, .thread = {.core = -1}};
    plan.source[0] = (struct source_plan){.name = "wire", .kind = SOURCE_DPDK, .dpdk = {.descriptors = 256}};
    snprintf(plan.source[0].dpdk.port, sizeof(plan.source[0].dpdk.port), "0000:7f:1f.7");
    cr_assert_eq(dpdk_start(&dpdk, &plan, &err), -ENODEV);
    cr_assert(strstr(err.text, "wire") != NULL && strstr(err.text, "0000:7f:1f.7") != NULL &&
                  strstr(err.text, "lspci") != NULL,
              "%s", err.text);
}

Test(dpdk, a_virtual_device_that_is_none)
{
    struct error err = {{0}};
    plan = (struct worker_plan){.sources = 1, .name = "test", .dpdk_memory_mb = 64, .thread = {.core = -1}};
    plan.source[0] = (struct source_plan){.name = "wire", .kind = SOURCE_DPDK, .dpdk = {.descriptors = 256}};
    snprintf(plan.source[0].dpdk.port, sizeof(plan.source[0].dpdk.port), "net_nonsense0,a=b");
    cr_assert_neq(dpdk_start(&dpdk, &plan, &err), 0);
    cr_assert(strstr(err.text, "DPDK") != NULL, "%s", err.text);
}
