/* Our own receivers as they are in earnest: the same programs, told the same way by sealed segments, with the ring
 * in huge pages. Only sluiced is missing, which is not in the frames' way. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/net_process.h"
#include "bench/net_rig.h"
#include "bench/net_wire.h"
#include "daq/launch.h"
#include "daq/worker_hops.h"
#include "net/afxdp.h"
#include "net/dpdk.h"
#include "net/udp.h"

#define RING_BYTES_MAX ((uint64_t)160 << 20)
#define MEMORY_MB      64u
#define RING_FD        10
#define ORDERS_FD      11
#define OPEN_NS        (5 * CLOCK_NS_PER_S)
static_assert(DPDK_PAYLOAD_OFFSET_UDP == UDP_PAYLOAD_OFFSET, "one kind of slot does for both");

static bool by_xdp(const struct net_rig *rig)
{
    return rig->path->receiver == NET_OURS_XDP;
}

static uint32_t payload_offset(const struct net_rig *rig)
{
    return by_xdp(rig) ? AFXDP_PAYLOAD_OFFSET_UDP : UDP_PAYLOAD_OFFSET;
}

/* A frame in its slot, with room for whole lines as a port's buffers have them, or for what AF_XDP calls a chunk.
 */
static uint32_t slot_bytes(const struct net_rig *rig)
{
    uint32_t bytes = payload_offset(rig) + rig->payload_bytes;
    if (by_xdp(rig) && bytes <= XSK_CHUNK_BYTES_MAX) {
        return bytes <= XSK_CHUNK_BYTES_MIN ? XSK_CHUNK_BYTES_MIN : XSK_CHUNK_BYTES_MAX;
    }
    return bench_lines(bytes + 64);
}

static uint64_t slots_of(uint32_t bytes)
{
    uint64_t slots = 1;
    while (slots * 2 * bytes <= RING_BYTES_MAX) {
        slots *= 2;
    }
    return slots;
}

static int make_ring(struct net_rig *rig, int64_t tai_offset_ns, struct error *err)
{
    static const struct ring_stream stream = {.name = "bench", .source = "bench"};
    struct ring_spec spec = {.instance = "bench",
                             .name = "bench",
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = slots_of(slot_bytes(rig)),
                             .slot_bytes = slot_bytes(rig),
                             .payload_offset = payload_offset(rig),
                             .page_bytes = 4096,
                             .numa_node = -1,
                             .tai_minus_monotonic_ns = tai_offset_ns};
    int code = bench_memory(&rig->ring, ring_segment_bytes(&spec), err);
    if (code == 0) {
        spec.page_bytes = rig->ring.page_bytes;
        code = ring_create(rig->ring.base, rig->ring.bytes, &spec, err);
        rig->header = rig->ring.base;
    }
    if (code == 0) {
        code = segment_create(&rig->orders, "orders", RING_ORDERS_BYTES, SEGMENT_NORMAL, err);
    }
    if (code == 0) {
        ring_orders_create(rig->orders.base, 0);
        rig->orders_fd = segment_reopen_read_only(rig->orders.fd, err);
        code = rig->orders_fd < 0 ? rig->orders_fd : 0;
    }
    return code;
}

static void fill_source(const struct net_rig *rig, struct source_plan *source)
{
    *source = (struct source_plan){.name = "bench",
                                   .ring = "bench",
                                   .frame_bytes = rig->payload_bytes,
                                   .ring_fd = RING_FD,
                                   .orders_fd = ORDERS_FD,
                                   .when_full = WHEN_FULL_WAIT,
                                   .sequence = {.width_bytes = 8, .byte_order = RING_BIG_ENDIAN, .step = 1},
                                   .checksum = {.kind = CHECKSUM_NONE},
                                   .format = {.kind = FORMAT_FIELD}};
    if (rig->path->wire == NET_UDP) {
        source->kind = SOURCE_UDP;
        source->udp = (struct udp_plan){.listen_address = htonl(INADDR_LOOPBACK),
                                        .port = rig->port,
                                        .receive_buffer_bytes = NET_RECEIVE_BUFFER_BYTES,
                                        .gro = rig->path->receiver == NET_OURS_GRO};
        return;
    }
    source->packet = (struct packet_filter){.form = PACKET_UDP, .match = PACKET_MATCH_TO_PORT, .to_port = NET_PORT};
    if (by_xdp(rig)) {
        source->kind = SOURCE_AFXDP;
        source->afxdp = (struct afxdp_plan){.interface = NET_VETH_RECEIVING, .descriptors = rig->descriptors};
        return;
    }
    source->kind = SOURCE_DPDK;
    source->dpdk.descriptors = rig->descriptors;
    net_wire_receiving_port(rig, source->dpdk.port, sizeof(source->dpdk.port));
}

static int make_plan(struct net_rig *rig, int64_t tai_offset_ns, struct error *err)
{
    static struct worker_plan plan; /* too large for a stack */
    plan = (struct worker_plan){.magic = PLAN_MAGIC,
                                .version = PLAN_VERSION,
                                .sources = 1,
                                .instance = "bench",
                                .name = "bench",
                                .tai_minus_monotonic_ns = tai_offset_ns,
                                .supervisor_pid = (int32_t)getpid(),
                                .dpdk_memory_mb = MEMORY_MB,
                                .thread = {.core = rig->receiver_core, .idle = IDLE_BUSY, .seal = 1}};
    fill_source(rig, &plan.source[0]);
    int code = segment_create_constant(&rig->plan, "plan", &plan, sizeof(plan), err);
    if (code == 0) {
        rig->plan_fd = segment_reopen_read_only(rig->plan.fd, err);
        code = rig->plan_fd < 0 ? rig->plan_fd : 0;
    }
    if (code == 0) {
        code = segment_create(&rig->board, "board", worker_board_bytes(&plan), SEGMENT_NORMAL, err);
    }
    if (code == 0) {
        worker_board_lay_out(rig->board.base, &plan); /* it measures, as in earnest */
        board_init(rig->board.base, BOARD_WORKER, "bench", "bench");
    }
    return code;
}

/* The worker goes on trying while it cannot have an interface. Here nobody gives it one later. */
static int wait_open(const struct net_rig *rig, struct error *err)
{
    const struct ring_ledger *ledger = &rig->header->ledger;
    uint64_t from_ns = clock_monotonic_ns();
    while (__atomic_load_n(&ledger->is_open, __ATOMIC_ACQUIRE) == 0) {
        if (net_process_ended(rig->receiver) || clock_monotonic_ns() - from_ns > OPEN_NS) {
            uint64_t why = __atomic_load_n(&ledger->open_errno, __ATOMIC_RELAXED);
            return error_set(err, -ENOTSUP, "not available: no AF_XDP socket on the veth pair: %s%s",
                             why != 0 ? strerror((int)why) : "the lines above say why",
                             rig->size_bytes > XSK_CHUNK_BYTES_MAX
                                 ? "; frames of more than a page, which come in pieces, need Linux 6.6"
                                 : "");
        }
        net_rest_us(1000);
    }
    return 0;
}

static int start(struct net_rig *rig, struct error *err)
{
    bool is_worker = rig->path->wire == NET_UDP || by_xdp(rig);
    struct launch launch = {.program = is_worker ? "sluice-worker" : "sluice-dpdk"};
    const struct board *board = rig->board.base;
    launch_add(&launch, rig->plan_fd, 3, "plan");
    launch_add(&launch, rig->board.fd, 4, "board");
    launch_add(&launch, rig->ring.fd, RING_FD, NULL);
    launch_add(&launch, rig->orders_fd, ORDERS_FD, NULL);
    rig->receiver = launch_start(&launch, err);
    if (rig->receiver < 0) {
        return (int)rig->receiver;
    }
    uint64_t from_ns = clock_monotonic_ns();
    while (__atomic_load_n(&board->heartbeat, __ATOMIC_ACQUIRE) == 0) {
        if (net_process_ended(rig->receiver) || clock_monotonic_ns() - from_ns > NET_PATIENCE_NS) {
            return error_set(err, by_xdp(rig) ? -ENOTSUP : -ECHILD, "%s%s does not start; the lines above say why",
                             by_xdp(rig) ? "not available: " : "", launch.program);
        }
        net_rest_us(1000);
    }
    return by_xdp(rig) ? wait_open(rig, err) : 0;
}

int net_ours_open(struct net_rig *rig, struct error *err)
{
    int64_t tai_offset_ns = clock_measure_tai_offset_ns();
    int code = make_ring(rig, tai_offset_ns, err);
    if (code == 0) {
        code = make_plan(rig, tai_offset_ns, err);
    }
    return code == 0 ? start(rig, err) : code;
}

void net_ours_close(struct net_rig *rig)
{
    net_process_end(rig->receiver);
    rig->receiver = 0;
    if (rig->plan_fd >= 0) {
        close(rig->plan_fd);
    }
    if (rig->orders_fd >= 0) {
        close(rig->orders_fd);
    }
    segment_destroy(&rig->ring);
    segment_destroy(&rig->orders);
    segment_destroy(&rig->plan);
    segment_destroy(&rig->board);
}
