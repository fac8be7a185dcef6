/* What others do for the same: the calls of the system, as a good programmer would use them, with the samples put
 * into the same rings. Each runs in a process of its own until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/daq_rig.h"
#include "bench/measure.h"
#include "ring/clock.h"
#include "ring/writer.h"

#define BATCH        64u
#define READ_BYTES   ((size_t)4096)
#define BUFFER_BYTES (4 << 20)

static struct ring_writer writers[DAQ_SOURCES_MAX];
static int fds[DAQ_SOURCES_MAX];

_Noreturn static void give_up(const char *what)
{
    fprintf(stderr, "sluice-bench daq: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void get_ready(struct daq_rig *rig)
{
    struct daq_tally *tally = rig->tally.base;
    __atomic_store_n(&tally->ready, 1, __ATOMIC_RELEASE);
}

static int open_wire(const struct daq_rig *rig, uint32_t i, bool waits)
{
    char path[64];
    int fd;
    if (rig->path->wire == DAQ_UDP) {
        struct sockaddr_in at = {
            .sin_family = AF_INET, .sin_port = htons(rig->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
        int bytes = BUFFER_BYTES;
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0);
        if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
            give_up("no socket");
        }
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
        }
        return fd;
    }
    daq_wire_name(rig, i, path, sizeof(path));
    fd = open(path,
              rig->path->wire == DAQ_FILES ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CLOEXEC | (waits ? 0 : O_NONBLOCK));
    if (fd < 0) {
        give_up(path);
    }
    return fd;
}

static uint64_t tai_now(const struct daq_rig *rig)
{
    return clock_monotonic_ns() + (uint64_t)rig->tai_offset_ns;
}

static bool is_frame(const struct daq_frame *frame)
{
    return frame->sync[0] == 0xa5 && frame->sync[1] == 0x5a;
}

/* read(2) or recv(2), and nothing else. */
_Noreturn static void run_bare(struct daq_rig *rig)
{
    struct daq_tally *tally = rig->tally.base;
    int fd = open_wire(rig, 0, true);
    struct daq_frame frame[BATCH];
    get_ready(rig);
    for (;;) {
        ssize_t n = read(fd, frame, rig->path->wire == DAQ_UDP ? sizeof(frame[0]) : sizeof(frame));
        uint64_t now_ns = clock_monotonic_ns();
        for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(frame[0]); i++) {
            tally->wrong += !is_frame(&frame[i]);
            if (__atomic_load_n(&tally->counts, __ATOMIC_RELAXED) != 0) {
                spread_add(&tally->late, now_ns - frame[i].sent_ns);
            }
            __atomic_store_n(&tally->frames, tally->frames + 1, __ATOMIC_RELEASE);
        }
    }
}

static void put(struct ring_writer *writer, const void *frame, uint32_t bytes, uint64_t number, uint64_t tai_ns)
{
    memcpy(ring_writer_reserve(writer), frame, bytes);
    ring_writer_commit(writer, bytes, tai_ns, number, 0, 0);
}

/* All that a wire has by now, up to a buffer full; a FIFO's frames are written whole, and are read whole. */
static void take_ready(struct daq_rig *rig, uint32_t source)
{
    struct daq_frame frame[READ_BYTES / sizeof(struct daq_frame)];
    size_t most = rig->path->wire == DAQ_UDP ? sizeof(frame[0]) : sizeof(frame);
    for (;;) {
        ssize_t n = read(fds[source], frame, most);
        if (n <= 0) {
            return;
        }
        uint64_t tai_ns = tai_now(rig);
        for (size_t i = 0; i < (size_t)n / sizeof(frame[0]); i++) {
            if (is_frame(&frame[i])) {
                put(&writers[source], &frame[i], sizeof(frame[i]), frame[i].number, tai_ns);
            }
        }
        ring_writer_publish(&writers[source]);
        if ((size_t)n < most) {
            return; /* there was no more: one read less that says so */
        }
    }
}

_Noreturn static void run_epoll(struct daq_rig *rig)
{
    struct epoll_event events[DAQ_SOURCES_MAX];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = i}};
        fds[i] = open_wire(rig, i, false);
        if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &event) != 0) {
            give_up("epoll");
        }
    }
    get_ready(rig);
    for (;;) {
        int n = epoll_wait(poll, events, (int)rig->path->sources, -1);
        for (int i = 0; i < n; i++) {
            take_ready(rig, events[i].data.u32);
        }
    }
}

/* Straight into the slots. */
_Noreturn static void run_recvmmsg(struct daq_rig *rig)
{
    struct mmsghdr message[BATCH];
    struct iovec part[BATCH];
    struct ring_writer *writer = &writers[0];
    int fd = open_wire(rig, 0, true);
    get_ready(rig);
    for (;;) {
        uint32_t slots = ring_writer_reserve_many(writer, BATCH);
        for (uint32_t i = 0; i < slots; i++) {
            part[i] = (struct iovec){.iov_base = ring_payload_at(&writer->view, writer->next + i),
                                     .iov_len = sizeof(struct daq_frame)};
            message[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &part[i], .msg_iovlen = 1}};
        }
        int n = recvmmsg(fd, message, slots, MSG_WAITFORONE, NULL);
        uint64_t tai_ns = tai_now(rig);
        for (int i = 0; i < n; i++) {
            struct daq_frame frame;
            memcpy(&frame, ring_payload_at(&writer->view, writer->next), sizeof(frame));
            ring_writer_commit(writer, message[i].msg_len, tai_ns, frame.number, 0, 0);
        }
        ring_writer_publish(writer);
    }
}

static void poll_one(const struct daq_rig *rig, uint32_t source)
{
    char text[32];
    double value = 0;
    if (rig->path->receiver == DAQ_LOOP) {
        ssize_t n = pread(fds[source], text, sizeof(text) - 1, 0);
        text[n > 0 ? n : 0] = 0;
        value = strtod(text, NULL);
    }
    put(&writers[source], &value, sizeof(value), writers[source].next, tai_now(rig));
    ring_writer_publish(&writers[source]);
}

/* A timer's loop: nothing else of this has a schedule. What is due while it is late is missed. */
_Noreturn static void run_timer(struct daq_rig *rig)
{
    uint32_t sources = rig->path->receiver == DAQ_TIMER ? 1 : rig->path->sources;
    for (uint32_t i = 0; i < sources; i++) {
        fds[i] = open_wire(rig, i, true);
    }
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    get_ready(rig);
    uint64_t due_ns = clock_monotonic_ns();
    for (;;) {
        for (uint32_t i = 0; i < sources; i++) {
            poll_one(rig, i);
        }
        uint64_t now_ns = clock_monotonic_ns();
        due_ns += DAQ_PERIOD_NS;
        due_ns += now_ns > due_ns ? ((now_ns - due_ns) / DAQ_PERIOD_NS + 1) * DAQ_PERIOD_NS : 0;
        struct timespec until = {.tv_sec = (time_t)(due_ns / CLOCK_NS_PER_S),
                                 .tv_nsec = (long)(due_ns % CLOCK_NS_PER_S)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
}

_Noreturn void daq_others_run(struct daq_rig *rig)
{
    struct error err = {{0}};
    if (pin_to(rig->receiver_core) != 0) {
        give_up("cannot be pinned");
    }
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        if (ring_writer_attach(&writers[i], rig->ring[i].base, rig->ring[i].bytes, (uint64_t)getpid(), NULL,
                               &err) != 0) {
            fprintf(stderr, "sluice-bench daq: %s\n", err.text);
            _exit(1);
        }
    }
    switch (rig->path->receiver) {
    case DAQ_BARE:
        run_bare(rig);
    case DAQ_EPOLL:
        run_epoll(rig);
    case DAQ_RECVMMSG:
        run_recvmmsg(rig);
    default:
        run_timer(rig);
    }
}
