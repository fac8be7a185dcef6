/* An AF_XDP source on one end of a veth pair in a network namespace of the test's own, a raw socket on the other
 * end, and a second listener there that sees what the kernel was left. Both go with the process: nothing is left
 * behind.
 */
#ifndef NET_AFXDP_RIG_H
#define NET_AFXDP_RIG_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/afxdp.h"
#include "net/sequence.h"
#include "ring/clock.h"
#include "ring/reader.h"
#include "tests/support/frame.h"
#include "tests/support/gates.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define SLOTS UINT64_C(256)
#define WORDS 16u
#define SEED  11u
#define USER  5u

struct rig {
    struct temporary_ring ring;
    struct uring *uring;
    struct steer steers[PLAN_SOURCES_MAX];
    struct source_plan plan;
    struct afxdp_source source;
    struct ring_reader reader;
    int wire;   /* raw frames to the source's interface */
    int kernel; /* what the kernel got there */
};

static struct rig rig;

/* As an operator would type it. True if it succeeds. */
static inline bool shell(const char *command)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

__attribute__((format(printf, 1, 2))) static inline void ip(const char *format, ...)
{
    char command[256] = "ip ";
    va_list args;
    va_start(args, format);
    vsnprintf(command + 3, sizeof(command) - 3, format, args);
    va_end(args);
    cr_assert(shell(command), "%s", command);
}

static inline unsigned index_of(const char *name)
{
    struct interface interface;
    struct error err = {{0}};
    unsigned ifindex = 0;
    uint64_t since_ns = clock_monotonic_ns();
    cr_assert_eq(interface_open(&interface, name, &err), 0, "%s", err.text);
    while (interface_find(&interface, &ifindex) != 0) {
        cr_assert(test_still_patient(since_ns), "no interface %s that is up", name);
    }
    interface_close(&interface);
    return ifindex;
}

static inline int raw_socket(const char *interface, uint16_t protocol)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = (int)index_of(interface)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(protocol));
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void make_wire(void)
{
    ip("link add wire type veth peer name taken");
    ip("link set wire up");
    ip("link set taken up");
    rig.wire = raw_socket("wire", 0);
    rig.kernel = raw_socket("taken", ETH_P_IP);
}

static inline void unmake_wire(void)
{
    close(rig.wire);
    close(rig.kernel);
    ip("link del wire");
}

/* In a namespace of its own, or the test is skipped. */
static inline void enter_namespace(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        cr_skip_test("SKIPPED: no network namespace (%s): AF_XDP WAS NOT TESTED; run as root", strerror(errno));
    }
    if (!shell("command -v ip > /dev/null")) {
        cr_skip_test("SKIPPED: no program ip (iproute2): AF_XDP WAS NOT TESTED");
    }
}

static inline void make_ring(uint32_t slot_bytes, uint32_t form)
{
    struct error err = {{0}};
    struct ring_spec spec = temporary_spec(
        SLOTS, slot_bytes, form == PACKET_UDP ? AFXDP_PAYLOAD_OFFSET_UDP : AFXDP_PAYLOAD_OFFSET_ETHERNET);
    temporary_ring_create(&rig.ring, &spec);
    cr_assert_eq(uring_create(&rig.uring, 64, &err), 0, "%s", err.text);
    cr_assert_eq(
        ring_reader_attach(&rig.reader, rig.ring.segment.base, rig.ring.segment.bytes, SLUICE_OLDEST, &err), 0);
    rig.plan = (struct source_plan){
        .name = "test",
        .kind = SOURCE_AFXDP,
        .sequence = {.width_bytes = 8, .at_byte = 0, .byte_order = RING_LITTLE_ENDIAN, .step = 1},
        .packet = {.form = form,
                   .match = PACKET_MATCH_TO | PACKET_MATCH_TO_PORT,
                   .to_address = htonl(FRAME_TO),
                   .to_port = FRAME_TO_PORT},
        .afxdp = {.interface = "taken", .descriptors = 64}};
    if (form == PACKET_ETHERNET) {
        rig.plan.packet.match = PACKET_MATCH_ETHERTYPE;
        rig.plan.packet.ethertype = ETH_P_IP;
        rig.plan.sequence.at_byte = 42;
    }
}

/* Before the start: the rig's reader gates, and the source does this when it holds it up. */
static inline void gate(enum when_full when_full)
{
    static struct test_gates server;
    static struct ring_gates gates;
    test_gates_set_up(&server, &gates, &rig.ring.writer);
    rig.plan.gates = 1;
    rig.plan.when_full = when_full;
    test_gates_let_in(&server, &gates, &rig.ring.writer, &rig.reader);
}

static inline void start(void)
{
    struct error err = {{0}};
    cr_assert_eq(afxdp_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, USER, rig.steers, true, &err), 0,
                 "%s", err.text);
    cr_assert_eq(uring_start(rig.uring), 0);
}

static inline void open_rig(void)
{
    enter_namespace();
    make_wire();
    make_ring(2048, PACKET_UDP);
}

static inline void close_rig(void)
{
    afxdp_fini(&rig.source);
    for (uint32_t i = 0; i < PLAN_SOURCES_MAX; i++) {
        steer_unload(&rig.steers[i]);
    }
    uring_destroy(rig.uring);
    temporary_ring_destroy(&rig.ring);
}

static inline struct ring_ledger *ledger(void)
{
    return &temporary_header(&rig.ring)->ledger;
}

static inline void pump_once(void)
{
    struct uring_event event;
    bool more = true;
    uint64_t now_ns = clock_monotonic_ns();
    ring_writer_look(&rig.ring.writer, now_ns);
    afxdp_arm(&rig.source, now_ns, 12345);
    cr_assert_eq(uring_wait(rig.uring, CLOCK_NS_PER_MS), 0);
    while (uring_next(rig.uring, &event)) {
        if (event.user == USER) {
            afxdp_complete(&rig.source, &event, 12345);
        }
    }
    while (more) {
        (void)afxdp_take(&rig.source, 12345, &more);
    }
}

static inline void pump_until(const uint64_t *counter, uint64_t value)
{
    uint64_t since_ns = clock_monotonic_ns();
    while (__atomic_load_n(counter, __ATOMIC_RELAXED) != value) {
        cr_assert(test_still_patient(since_ns), "%lu instead of %lu", *counter, value);
        pump_once();
    }
    cr_assert_eq(ring_ledger_residual(ledger()), 0);
}

/* Until this many positions (frames and gap records) have been published. */
static inline void pump_to(uint64_t position)
{
    pump_until(&rig.ring.writer.published, position);
}

static inline void send_frame(const struct test_frame *f)
{
    uint64_t since_ns = clock_monotonic_ns();
    while (send(rig.wire, f->bytes, f->count, 0) != (ssize_t)f->count) {
        cr_assert(test_still_patient(since_ns), "cannot send: %s", strerror(errno));
    }
}

/* A frame whose payload is its number and a pattern. */
static inline void build(struct test_frame *f, uint64_t number, struct test_frame_spec spec)
{
    uint64_t payload[FRAME_MAX / 8];
    uint32_t words = spec.payload_bytes / 8;
    payload[0] = number;
    pattern_store((uint8_t *)(payload + 1), SEED, number, words - 1);
    frame_build(f, &spec);
    memcpy(f->bytes + f->udp + 8, payload, (size_t)words * 8);
    frame_sum_udp(f);
}

static inline void send_number(uint64_t number)
{
    struct test_frame f;
    build(&f, number, (struct test_frame_spec){.payload_bytes = WORDS * 8});
    send_frame(&f);
}

static inline struct sluice_frame next_frame(void)
{
    struct sluice_frame frame;
    cr_assert_eq(ring_reader_next(&rig.reader, &frame), 1);
    return frame;
}

static inline struct sluice_frame expect_frame(uint64_t number, uint32_t words)
{
    struct sluice_frame frame = next_frame();
    const uint8_t *slot = (const uint8_t *)ring_descriptor_at(&rig.ring.writer.view, frame.position);
    cr_assert_eq(frame.flags & SLUICE_FRAME_GAP, 0, "a gap record instead of %lu", number);
    cr_assert_eq(frame.source_sequence, number, "%lu instead of %lu", frame.source_sequence, number);
    cr_assert_eq(frame.length_bytes, words * 8);
    cr_assert_eq((uintptr_t)frame.payload % 64, 0, "on a cache line");
    cr_assert_eq(frame.payload, slot + AFXDP_PAYLOAD_OFFSET_UDP, "where it was received");
    cr_assert_eq(memcmp(frame.payload, &number, 8), 0);
    cr_assert(pattern_matches(frame.payload + 8, SEED, number, words - 1));
    cr_assert(ring_reader_valid(&rig.reader, frame.position));
    return frame;
}

static inline void expect_gap(enum ring_loss cause, uint64_t count)
{
    struct sluice_frame frame = next_frame();
    struct ring_gap gap;
    cr_assert_neq(frame.flags & SLUICE_FRAME_GAP, 0);
    memcpy(&gap, frame.payload, sizeof(gap));
    cr_assert_eq(gap.cause, cause);
    cr_assert_eq(gap.count, count);
}

/* IPv4 frames that the kernel got. */
static inline uint32_t kernel_got(void)
{
    uint8_t bytes[FRAME_MAX];
    uint32_t frames = 0;
    while (recv(rig.kernel, bytes, sizeof(bytes), 0) > 0) {
        frames++;
    }
    return frames;
}

#endif
