/* Our own receiver as it is in earnest: sluice-worker, told by a sealed segment, sealed itself, waiting. Only
 * sluiced is missing, which is not in the samples' way. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bench/daq_rig.h"
#include "bench/net_process.h"
#include "daq/launch.h"
#include "daq/worker_hops.h"
#include "ring/clock.h"

#define RING_FD      64
#define ORDERS_FD    128
#define BUFFER_BYTES (4u << 20)
static_assert(RING_FD + DAQ_SOURCES_MAX <= ORDERS_FD, "no two descriptors have the same number");

static void fill_source(const struct daq_rig *rig, uint32_t i, struct source_plan *source)
{
    *source = (struct source_plan){
        .frame_bytes = sizeof(struct daq_frame),
        .ring_fd = RING_FD + i,
        .orders_fd = ORDERS_FD + i,
        .when_full = WHEN_FULL_WAIT,
        .when_missing = WHEN_MISSING_WAIT,
        .sequence = {.width_bytes = 4, .at_byte = 4, .byte_order = RING_LITTLE_ENDIAN, .step = 1},
        .checksum = {.kind = CHECKSUM_NONE},
        .format = {.kind = FORMAT_FIELD}};
    snprintf(source->name, sizeof(source->name), "bench%u", i);
    snprintf(source->ring, sizeof(source->ring), "bench%u", i);
    switch (rig->path->wire) {
    case DAQ_FIFO:
        source->kind = SOURCE_FIFO;
        source->framing = (struct framing_plan){.kind = FRAMING_FIXED,
                                                .sync = {0xa5, 0x5a},
                                                .sync_bytes = 2,
                                                .read_frames = 256,
                                                .bytes_max = sizeof(struct daq_frame)};
        daq_wire_name(rig, i, source->file.path, sizeof(source->file.path));
        break;
    case DAQ_UDP:
        source->kind = SOURCE_UDP;
        source->udp = (struct udp_plan){
            .listen_address = htonl(INADDR_LOOPBACK), .port = rig->port, .receive_buffer_bytes = BUFFER_BYTES};
        break;
    case DAQ_FILES:
        source->kind = SOURCE_SYSFS;
        source->frame_bytes = sizeof(double);
        source->sequence = (struct sequence_spec){.width_bytes = 0, .step = 1};
        source->framing = (struct framing_plan){.kind = FRAMING_POLLED, .bytes_max = sizeof(double)};
        source->poll = (struct poll_plan){.period_ns = DAQ_PERIOD_NS, .timeout_ns = CLOCK_NS_PER_S};
        source->sysfs.attributes = 1;
        daq_wire_name(rig, i, source->sysfs.path[0], sizeof(source->sysfs.path[0]));
        break;
    }
}

static int make_plan(struct daq_rig *rig, struct error *err)
{
    static struct worker_plan plan; /* too large for a stack */
    plan = (struct worker_plan){.magic = PLAN_MAGIC,
                                .version = PLAN_VERSION,
                                .sources = rig->path->sources,
                                .instance = "bench",
                                .name = "bench",
                                .tai_minus_monotonic_ns = rig->tai_offset_ns,
                                .supervisor_pid = (int32_t)getpid(),
                                .coalesce_us = rig->path->coalesce_us,
                                .thread = {.core = rig->receiver_core, .idle = IDLE_WAIT, .seal = 1}};
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        fill_source(rig, i, &plan.source[i]);
    }
    int code = segment_create_constant(&rig->plan, "plan", &plan, worker_plan_bytes(&plan), err);
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

static bool all_open(const struct daq_rig *rig)
{
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        if (ring_count_read(&rig->view[i].header->ledger.is_open) == 0) {
            return false;
        }
    }
    return true;
}

int daq_ours_start(struct daq_rig *rig, struct error *err)
{
    struct launch launch = {.program = "sluice-worker"};
    int code = make_plan(rig, err);
    if (code != 0) {
        return code;
    }
    launch_add(&launch, rig->plan_fd, 3, "plan");
    launch_add(&launch, rig->board.fd, 4, "board");
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        launch_add(&launch, rig->ring[i].fd, RING_FD + (int)i, NULL);
        launch_add(&launch, rig->orders_fd[i], ORDERS_FD + (int)i, NULL);
    }
    rig->receiver = launch_start(&launch, err);
    uint64_t from_ns = clock_monotonic_ns();
    while (rig->receiver > 0 && !all_open(rig)) {
        if (net_process_ended(rig->receiver) || clock_monotonic_ns() - from_ns > NET_PATIENCE_NS) {
            return error_set(err, -ECHILD, "sluice-worker does not read; the lines above say why");
        }
        net_rest_us(1000);
    }
    return rig->receiver > 0 ? 0 : (int)rig->receiver;
}
