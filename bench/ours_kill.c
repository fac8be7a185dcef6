/* kill -9 of a gating reader of ours while the writer waits for it: how long until the writer goes on? As in the
 * server: the reader is a process of its own, its socket is owned by the usher's thread, its lease reaches the
 * writer through a socket, and the writer is a thread that looks at its gates whenever it has no room. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/peer.h"
#include "bench/tsc.h"
#include "daq/leases.h"
#include "daq/log.h"
#include "daq/usher.h"
#include "ring/clock.h"
#include "ring/reader.h"
#include "ring/writer.h"

#define SLOTS         4096u
#define FRAMES_BEFORE 1000u /* read by the reader before it holds still */
#define DEADLINE_NS   (60 * CLOCK_NS_PER_S)
#define HELD_PATIENCE 10.0 /* s */
#define HELD_NS       (20 * CLOCK_NS_PER_MS)

struct rig {
    struct usher usher;
    struct supervisor_board *board;
    struct ring_plan plan;
    struct shared ring;
    struct shared orders;
    struct ring_writer writer;
    struct ring_gates gates;
    int leases_fd;
    int core;
    uint64_t sent;    /* by the writer */
    uint64_t last;    /* ticks: its last frame */
    uint64_t went_on; /* ticks: its first frame after the kill; 0: none yet */
    uint64_t killed;  /* ticks, by the one who kills; 0: not yet */
    uint64_t stop;
};

/* The usher is the server's; what it would log there is not for the bench's output. */
void log_line(const char *format, ...)
{
    (void)format;
}

_Noreturn static void be_reader(int fd)
{
    struct error err;
    struct protocol_request request = {.op = PROTOCOL_GATE, .from = UINT64_MAX, .name = "bench"};
    struct protocol_reply reply;
    struct ring_reader reader;
    struct sluice_frame frame;
    int fds[PROTOCOL_FDS_MAX];
    unsigned count;
    void *base;
    void *lease;
    size_t bytes;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (protocol_ask(fd, &request, &reply, fds, &count, &err) != 0 || count != 2 ||
        segment_map(fds[0], false, RING_HEADER_BYTES, &base, &bytes, &err) != 0 ||
        ring_reader_attach(&reader, base, bytes, SLUICE_NEWEST, &err) != 0 ||
        segment_map(fds[1], true, RING_LEASE_BYTES, &lease, &bytes, &err) != 0) {
        _exit(1);
    }
    reader.lease = lease;
    reader.generation = reply.value;
    reader.gate = reply.gate;
    while (ring_reader_gate(&reader) != RING_GATE_GATING) {
    }
    reader.position = reader.view.header->gate[reader.gate].base;
    for (uint32_t n = 0; n < FRAMES_BEFORE;) {
        n += (uint32_t)ring_reader_next(&reader, &frame);
        ring_reader_release(&reader);
    }
    for (;;) {
        pause(); /* and never releases anything again */
    }
}

static void *write_all(void *argument)
{
    struct rig *rig = argument;
    struct ring_writer *w = &rig->writer;
    struct ring_gates *gates[1] = {&rig->gates};
    pin_to(rig->core);
    while (__atomic_load_n(&rig->stop, __ATOMIC_ACQUIRE) == 0) {
        if (ring_gates_ordered(&rig->gates)) {
            leases_take(rig->leases_fd, gates, 1);
        }
        ring_writer_look(w, clock_monotonic_ns());
        uint8_t *payload = ring_writer_reserve(w);
        if (payload == NULL) {
            continue;
        }
        payload_fill(payload, PAYLOAD_SMALL_BYTES, w->next);
        ring_writer_commit(w, PAYLOAD_SMALL_BYTES, 0, w->next, 0, 0);
        ring_writer_publish(w);
        uint64_t now = tsc_now();
        if (rig->went_on == 0 && __atomic_load_n(&rig->killed, __ATOMIC_ACQUIRE) != 0) {
            __atomic_store_n(&rig->went_on, now, __ATOMIC_RELEASE);
        }
        __atomic_store_n(&rig->sent, w->next, __ATOMIC_RELEASE);
    }
    return NULL;
}

static int build(struct rig *rig, struct error *err)
{
    static const struct ring_stream stream = {.name = "bench", .source = "bench"};
    struct ring_spec spec = {.instance = "bench",
                             .name = "bench",
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = SLOTS,
                             .slot_bytes = 128,
                             .payload_offset = 64,
                             .page_bytes = 4096,
                             .numa_node = -1};
    rig->plan = (struct ring_plan){
        .name = "bench", .slots = SLOTS, .gates = 1, .gate_deadline_ns = DEADLINE_NS, .gate_evict_ns = DEADLINE_NS};
    rig->board = calloc(1, sizeof(*rig->board));
    int code = rig->board == NULL ? error_set(err, -ENOMEM, "no memory for a board") : 0;
    if (code == 0) {
        code = shared_create(&rig->ring, "sluice-bench", ring_segment_bytes(&spec), err);
    }
    if (code == 0) {
        code = shared_create(&rig->orders, "sluice-bench-orders", RING_ORDERS_BYTES, err);
    }
    if (code == 0) {
        code = ring_create(rig->ring.segment.base, rig->ring.segment.bytes, &spec, err);
    }
    if (code == 0) {
        ring_orders_create(rig->orders.segment.base, 1);
        code = leases_open(&rig->gates, rig->orders.segment.base, 1, err);
    }
    if (code == 0) {
        code =
            ring_writer_attach(&rig->writer, rig->ring.segment.base, rig->ring.segment.bytes, 1, &rig->gates, err);
    }
    if (code == 0) {
        code = usher_init(&rig->usher, 1, rig->board, 0, err);
    }
    if (code == 0) {
        usher_add_ring(&rig->usher, &rig->plan, &rig->ring, &rig->orders, 0, 0);
        rig->leases_fd = usher_leases_for(&rig->usher, 0, err);
        code = rig->leases_fd < 0 ? rig->leases_fd : usher_start(&rig->usher, err);
    }
    return code;
}

/* Shows the reader in, waits until it holds the writer up, kills it, and waits until the writer goes on. */
static int kill_it(struct rig *rig, pid_t reader, int fd, double cap_s, bool *capped, struct error *err)
{
    struct protocol_request request;
    const struct timespec pause_ns = {.tv_nsec = (long)HELD_NS};
    if (recv(fd, &request, sizeof(request), 0) != (ssize_t)sizeof(request) ||
        !usher_attach(&rig->usher, fd, reader, 0, &request)) {
        return error_set(err, -EPROTO, "the gating reader could not attach");
    }
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(HELD_PATIENCE * 1e9);
    const struct ring_gate_status *gate = &rig->writer.view.header->gate[0];
    while (__atomic_load_n(&gate->waits, __ATOMIC_ACQUIRE) == 0 ||
           __atomic_load_n(&rig->sent, __ATOMIC_ACQUIRE) < FRAMES_BEFORE + SLOTS) {
        if (clock_monotonic_ns() > end_ns) {
            return error_set(err, -ETIMEDOUT, "the gating reader never held the writer up");
        }
        nanosleep(&pause_ns, NULL);
    }
    nanosleep(&pause_ns, NULL);
    __atomic_store_n(&rig->killed, tsc_now(), __ATOMIC_RELEASE);
    kill(reader, SIGKILL);
    end_ns = clock_monotonic_ns() + (uint64_t)(cap_s * 1e9);
    while (__atomic_load_n(&rig->went_on, __ATOMIC_ACQUIRE) == 0 && clock_monotonic_ns() < end_ns) {
        nanosleep(&pause_ns, NULL);
    }
    *capped = rig->went_on == 0;
    return 0;
}

static int measure(struct rig *rig, pid_t reader, int fd, double cap_s, double *stall_us, bool *capped,
                   struct error *err)
{
    pthread_t thread;
    int code = build(rig, err);
    if (code != 0) {
        return code;
    }
    code = -pthread_create(&thread, NULL, write_all, rig);
    if (code != 0) {
        return error_set(err, code, "cannot start the writer's thread: %s", strerror(-code));
    }
    code = kill_it(rig, reader, fd, cap_s, capped, err);
    if (code == 0) {
        uint64_t until = *capped ? tsc_now() : rig->went_on;
        *stall_us = (double)(until - rig->killed) / tsc_per_ns() / 1e3;
    }
    __atomic_store_n(&rig->stop, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    return code;
}

int ours_gate_kill(double cap_s, double *stall_us, bool *capped, struct error *err)
{
    int pair[2];
    struct rig *rig = calloc(1, sizeof(*rig));
    if (rig == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        free(rig);
        return error_set(err, -ENOMEM, "no memory or socket for the rig");
    }
    rig->leases_fd = -1;
    rig->ring = rig->orders = (struct shared){.segment = {.fd = -1}, .read_only_fd = -1};
    pid_t reader = fork(); /* before there are threads */
    if (reader == 0) {
        close(pair[0]);
        be_reader(pair[1]);
    }
    close(pair[1]);
    int code = reader < 0 ? error_set(err, -errno, "fork: %s", strerror(errno))
                          : measure(rig, reader, pair[0], cap_s, stall_us, capped, err);
    if (reader > 0) {
        kill(reader, SIGKILL);
        waitpid(reader, NULL, 0);
    }
    usher_stop(&rig->usher);
    if (rig->leases_fd >= 0) {
        close(rig->leases_fd);
    }
    shared_destroy(&rig->ring);
    shared_destroy(&rig->orders);
    free(rig->board);
    free(rig);
    return code;
}
