/* The sensors' side: frames at a steady rate, from a thread that never waits. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/daq_rig.h"
#include "bench/net_process.h"
#include "ring/clock.h"

#define REST_US    1000
#define PIPE_BYTES (1 << 20) /* as much as an ordinary user may have */

static int open_fifo(const struct daq_rig *rig, uint32_t source, struct error *err)
{
    char path[64];
    uint64_t from_ns = clock_monotonic_ns();
    daq_wire_name(rig, source, path, sizeof(path));
    for (;;) {
        int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) {
            (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
            return fd;
        }
        if (errno != ENXIO || net_process_ended(rig->receiver) ||
            clock_monotonic_ns() - from_ns > NET_PATIENCE_NS) {
            return error_set(err, -errno, "nobody reads %s: %s", path, strerror(errno));
        }
        net_rest_us(1000);
    }
}

static int open_socket(const struct daq_rig *rig, struct error *err)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(rig->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        int code = error_set(err, -errno, "no socket to send from: %s", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return code;
    }
    return fd;
}

int daq_send_open(struct daq_rig *rig, struct error *err)
{
    for (uint32_t i = 0; rig->path->wire != DAQ_FILES && i < rig->path->sources; i++) {
        rig->fd[i] = rig->path->wire == DAQ_FIFO ? open_fifo(rig, i, err) : open_socket(rig, err);
        if (rig->fd[i] < 0) {
            return rig->fd[i];
        }
    }
    return 0;
}

void daq_send_close(struct daq_rig *rig)
{
    for (uint32_t i = 0; i < DAQ_SOURCES_MAX; i++) {
        if (rig->fd[i] >= 0) {
            close(rig->fd[i]);
            rig->fd[i] = -1;
        }
    }
}

static void send_one(struct daq_rig *rig, uint64_t now_ns)
{
    uint32_t source = (uint32_t)(rig->sent % rig->path->sources);
    struct daq_frame frame = {
        .sync = {0xa5, 0x5a}, .number = (uint32_t)(rig->sent / rig->path->sources), .sent_ns = now_ns};
    rig->sent++;
    if (write(rig->fd[source], &frame, sizeof(frame)) != (ssize_t)sizeof(frame)) {
        rig->refused++;
    }
}

void daq_send(struct daq_rig *rig, double seconds)
{
    uint64_t from_ns = clock_monotonic_ns();
    uint64_t until_ns = from_ns + (uint64_t)(seconds * (double)CLOCK_NS_PER_S);
    uint64_t rate_hz = (uint64_t)rig->path->rate_hz * rig->path->sources;
    uint64_t sent = 0;
    uint64_t rest_ns = rig->path->wire == DAQ_FILES ? REST_US * CLOCK_NS_PER_US : 0;
    uint64_t last_ns = from_ns;
    for (uint64_t now_ns = from_ns; now_ns < until_ns; now_ns = clock_monotonic_ns()) {
        uint64_t gap_ns = now_ns - last_ns > rest_ns ? now_ns - last_ns - rest_ns : 0;
        rig->longest_ns = gap_ns > rig->longest_ns ? gap_ns : rig->longest_ns;
        last_ns = now_ns;
        if (rig->path->wire == DAQ_FILES) {
            net_rest_us(REST_US);
        } else if (now_ns - from_ns >= sent * CLOCK_NS_PER_S / rate_hz) {
            send_one(rig, now_ns);
            sent++;
        }
    }
}
