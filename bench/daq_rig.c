#include "bench/daq_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/net_process.h"
#include "bench/peer.h"
#include "net/udp.h"
#include "ring/clock.h"

#define SLOTS_TOTAL (UINT64_C(1) << 18) /* two seconds and a half of the fastest */

void daq_wire_name(const struct daq_rig *rig, uint32_t source, char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/%u", rig->folder, source);
}

static int make_wires(struct daq_rig *rig, struct error *err)
{
    snprintf(rig->folder, sizeof(rig->folder), "/tmp/sluice-bench-XXXXXX");
    if (mkdtemp(rig->folder) == NULL) {
        rig->folder[0] = 0;
        return error_set(err, -errno, "no folder under /tmp: %s", strerror(errno));
    }
    for (uint32_t i = 0; i < rig->path->sources && rig->path->wire != DAQ_UDP; i++) {
        char path[64];
        daq_wire_name(rig, i, path, sizeof(path));
        int fd =
            rig->path->wire == DAQ_FIFO ? mkfifo(path, 0600) : open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 || (rig->path->wire == DAQ_FILES && dprintf(fd, "%u\n", 20000 + i) < 0)) {
            return error_set(err, -errno, "cannot make %s: %s", path, strerror(errno));
        }
        if (rig->path->wire == DAQ_FILES) {
            close(fd);
        }
    }
    return 0;
}

/* Who has them open goes on; a bench that is killed leaves nothing behind. */
static void remove_wires(struct daq_rig *rig)
{
    if (rig->folder[0] == 0) {
        return;
    }
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        char path[64];
        daq_wire_name(rig, i, path, sizeof(path));
        (void)unlink(path);
    }
    (void)rmdir(rig->folder);
    rig->folder[0] = 0;
}

/* One that nobody has at present. */
static int choose_port(struct daq_rig *rig, struct error *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(at);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int code = fd >= 0 && bind(fd, (const struct sockaddr *)&at, bytes) == 0 &&
                       getsockname(fd, (struct sockaddr *)&at, &bytes) == 0
                   ? 0
                   : error_set(err, -errno, "no port on the loopback: %s", strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
    rig->port = ntohs(at.sin_port);
    return code;
}

static uint32_t payload_offset(const struct daq_rig *rig)
{
    return rig->path->wire == DAQ_UDP ? UDP_PAYLOAD_OFFSET : RING_DESCRIPTOR_BYTES;
}

static int make_ring(struct daq_rig *rig, uint32_t i, struct error *err)
{
    static const struct ring_stream stream = {.name = "bench", .source = "bench"};
    struct ring_spec spec = {.instance = "bench",
                             .name = "bench",
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = SLOTS_TOTAL / rig->path->sources,
                             .slot_bytes =
                                 (payload_offset(rig) + (uint32_t)sizeof(struct daq_frame) + 63) / 64 * 64,
                             .payload_offset = payload_offset(rig),
                             .page_bytes = 4096,
                             .numa_node = -1,
                             .tai_minus_monotonic_ns = rig->tai_offset_ns};
    int code = bench_memory(&rig->ring[i], ring_segment_bytes(&spec), err);
    if (code == 0) {
        spec.page_bytes = rig->ring[i].page_bytes;
        code = ring_create(rig->ring[i].base, rig->ring[i].bytes, &spec, err);
    }
    if (code == 0) {
        code = ring_attach(&rig->view[i], rig->ring[i].base, rig->ring[i].bytes, err);
    }
    if (code == 0) {
        code = segment_create(&rig->orders[i], "orders", RING_ORDERS_BYTES, SEGMENT_NORMAL, err);
    }
    if (code == 0) {
        ring_orders_create(rig->orders[i].base, 0);
        rig->orders_fd[i] = segment_reopen_read_only(rig->orders[i].fd, err);
        code = rig->orders_fd[i] < 0 ? rig->orders_fd[i] : 0;
    }
    return code;
}

/* A process of its own, so that its time and calls are its own too. */
static int start_other(struct daq_rig *rig, struct error *err)
{
    const struct daq_tally *tally = rig->tally.base;
    pid_t parent = getpid();
    rig->receiver = fork();
    if (rig->receiver == 0) {
        prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
        if (getppid() != parent) {
            _exit(1);
        }
        daq_others_run(rig);
    }
    uint64_t from_ns = clock_monotonic_ns();
    while (rig->receiver > 0 && __atomic_load_n(&tally->ready, __ATOMIC_ACQUIRE) == 0) {
        if (net_process_ended(rig->receiver) || clock_monotonic_ns() - from_ns > NET_PATIENCE_NS) {
            return error_set(err, -ECHILD, "%s does not start; the lines above say why", rig->path->variant);
        }
        net_rest_us(1000);
    }
    return rig->receiver > 0 ? 0 : error_set(err, -errno, "fork: %s", strerror(errno));
}

int daq_rig_open(struct daq_rig *rig, struct error *err)
{
    rig->plan_fd = -1;
    for (uint32_t i = 0; i < DAQ_SOURCES_MAX; i++) {
        rig->fd[i] = -1;
        rig->orders_fd[i] = -1;
        rig->ring[i].fd = -1;
        rig->orders[i].fd = -1;
    }
    rig->plan.fd = rig->board.fd = rig->tally.fd = -1;
    rig->tai_offset_ns = clock_measure_tai_offset_ns();
    int code = make_wires(rig, err);
    if (code == 0) {
        code = choose_port(rig, err);
    }
    for (uint32_t i = 0; code == 0 && i < rig->path->sources; i++) {
        code = make_ring(rig, i, err);
    }
    if (code == 0) {
        code = segment_create(&rig->tally, "tally", sizeof(struct daq_tally), SEGMENT_NORMAL, err);
    }
    if (code == 0) {
        code = rig->path->receiver == DAQ_OURS ? daq_ours_start(rig, err) : start_other(rig, err);
    }
    if (code == 0) {
        code = daq_send_open(rig, err);
    }
    remove_wires(rig);
    return code;
}

void daq_rig_close(struct daq_rig *rig)
{
    daq_send_close(rig);
    net_process_end(rig->receiver);
    for (uint32_t i = 0; i < DAQ_SOURCES_MAX; i++) {
        if (rig->orders_fd[i] >= 0) {
            close(rig->orders_fd[i]);
        }
        segment_destroy(&rig->ring[i]);
        segment_destroy(&rig->orders[i]);
    }
    if (rig->plan_fd >= 0) {
        close(rig->plan_fd);
    }
    segment_destroy(&rig->plan);
    segment_destroy(&rig->board);
    segment_destroy(&rig->tally);
}

uint64_t daq_rig_taken(const struct daq_rig *rig)
{
    if (rig->path->receiver == DAQ_BARE) {
        const struct daq_tally *tally = rig->tally.base;
        return __atomic_load_n(&tally->frames, __ATOMIC_ACQUIRE);
    }
    uint64_t taken = 0;
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        taken += ring_published_now(rig->view[i].header);
    }
    return taken;
}
