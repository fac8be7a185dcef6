/* A UDP source with its ring, an observer of that, and a sender on the loopback: for test_udp*.c. */
#ifndef NET_UDP_RIG_H
#define NET_UDP_RIG_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/sequence.h"
#include "net/udp.h"
#include "ring/reader.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define SLOTS      UINT64_C(64)
#define SLOT_BYTES 1024u
#define CAPACITY   (SLOT_BYTES - UDP_PAYLOAD_OFFSET)
#define SEED       3u

struct rig {
    struct temporary_ring ring;
    struct uring *uring;
    struct source_plan plan;
    struct udp_source source;
    struct ring_reader reader;
    int sender;
};

static struct rig rig;

/* A port that nobody has at the moment and that the kernel gives to nobody by itself: below ip_local_port_range
 * (32768). The tests run side by side, each in a process of its own. */
static inline uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (uint32_t i = 0; i < 200; i++) {
        uint16_t port = (uint16_t)(12000 + ((uint32_t)getpid() * 37 + i) % 20000);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        address.sin_port = htons(port);
        int code = bind(fd, (const struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (code == 0) {
            return port;
        }
    }
    cr_assert_fail("200 ports tried, none is free");
    return 0;
}

static inline int open_sender(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static inline void open_rig(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, SLOT_BYTES, UDP_PAYLOAD_OFFSET);
    struct error err = {{0}};
    temporary_ring_create(&rig.ring, &spec);
    cr_assert_eq(uring_create(&rig.uring, 64, &err), 0, "%s", err.text);
    rig.plan = (struct source_plan){
        .name = "test",
        .kind = SOURCE_UDP,
        .sequence = {.width_bytes = 8, .at_byte = 0, .byte_order = RING_LITTLE_ENDIAN, .step = 1},
        .checksum = {.kind = CHECKSUM_NONE},
        .udp = {.listen_address = htonl(INADDR_LOOPBACK), .port = free_port(), .receive_buffer_bytes = 1u << 20}};
    cr_assert_eq(
        ring_reader_attach(&rig.reader, rig.ring.segment.base, rig.ring.segment.bytes, SLUICE_NEWEST, &err), 0);
    rig.sender = open_sender(rig.plan.udp.port);
}

static inline void start(void)
{
    struct error err = {{0}};
    cr_assert_eq(udp_open(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, 0, 9, &err), 0, "%s", err.text);
    udp_arm(&rig.source, 12345);
    cr_assert_eq(uring_wait(rig.uring, 0), 0);
}

static inline void close_rig(void)
{
    udp_close(&rig.source);
    udp_close(&rig.source);
    uring_destroy(rig.uring);
    temporary_ring_destroy(&rig.ring);
    close(rig.sender);
}

static inline struct ring_ledger *ledger(void)
{
    return &temporary_header(&rig.ring)->ledger;
}

static inline void pump_once(void)
{
    struct uring_event event;
    udp_arm(&rig.source, 12345);
    cr_assert_eq(uring_wait(rig.uring, CLOCK_NS_PER_MS), 0);
    while (uring_next(rig.uring, &event)) {
        if (event.user == UINT64_MAX) {
            continue; /* what came of a cancel */
        }
        cr_assert_eq(event.user & ~UDP_SCRATCH_USER, 9);
        udp_complete(&rig.source, &event, 12345);
        cr_assert_leq(rig.ring.writer.claimed - rig.ring.writer.published, SLOTS / 2); /* ring_writer_claim */
    }
    (void)udp_flush(&rig.source, 12345);
}

/* Until this many positions (frames and gap records) have been published. */
static inline void pump_to(uint64_t position)
{
    uint64_t since_ns = clock_monotonic_ns();
    while (rig.ring.writer.published < position) {
        cr_assert(test_still_patient(since_ns), "only %lu of %lu", rig.ring.writer.published, position);
        pump_once();
    }
    cr_assert_eq(rig.ring.writer.published, position);
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

/* A datagram of whole words: the sequence number, then a pattern. */
static inline void send_to(int fd, uint64_t number, uint32_t words)
{
    uint64_t datagram[CAPACITY];
    datagram[0] = number;
    pattern_store((uint8_t *)(datagram + 1), SEED, number, words - 1);
    cr_assert_eq(send(fd, datagram, (size_t)words * 8, 0), (ssize_t)words * 8);
}

static inline struct sluice_frame next_frame(void)
{
    struct sluice_frame frame;
    cr_assert_eq(ring_reader_next(&rig.reader, &frame), 1);
    return frame;
}

static inline void expect_frame(uint64_t number, uint32_t words)
{
    struct sluice_frame frame = next_frame();
    cr_assert_eq((uintptr_t)frame.payload % 64, 0, "payload on a cache line");
    cr_assert_eq(frame.flags & SLUICE_FRAME_GAP, 0);
    cr_assert_eq(frame.length_bytes, words * 8);
    cr_assert_eq(frame.source_sequence, number);
    cr_assert_eq(frame.tai_ns, 12345);
    cr_assert_eq(memcmp(frame.payload, &number, 8), 0);
    cr_assert(pattern_matches(frame.payload + 8, SEED, number, words - 1));
    cr_assert(ring_reader_valid(&rig.reader, frame.position));
}

#endif
