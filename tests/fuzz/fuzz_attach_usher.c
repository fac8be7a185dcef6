/* The server's side of attaching: clients that attach, send packets of any kind, scribble in their leases, stall
 * and leave, a worker that takes their leases, writes and restarts. One thread: the usher's loop runs round by
 * round. No crash, no descriptor left, every answer well formed.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/leases.h"
#include "daq/log.h"
#include "daq/usher.h"
#include "tests/fuzz/must.h"
#include "tests/support/temporary_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

#define CLIENTS 6u
#define READERS 4u /* one client or two find no place */
#define GATES   2u
#define SLOTS   UINT64_C(16)

struct client {
    int fd; /* -1: none */
    struct ring_lease *lease;
};

static struct usher usher;
/* As much of a worker as the usher sees. */
static struct {
    struct ring_writer writer;
    struct ring_gates gates;
    int leases_fd;
} worker;
static struct ring_gates *const worker_gates[1] = {&worker.gates};
static struct supervisor_board board;
static struct ring_plan plan;
static struct shared ring;
static struct shared orders;
static struct client client[CLIENTS];
static uint64_t now_ns;

/* In place of daq/log.c: the words are made, so that what goes into them is looked at, and thrown away. */
void log_line(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
}

static void create_shared(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    struct error err;
    must(shared_create(&ring, "ring", ring_segment_bytes(&spec), &err) == 0);
    must(ring_create(ring.segment.base, ring.segment.bytes, &spec, &err) == 0);
    must(shared_create(&orders, "orders", RING_ORDERS_BYTES, &err) == 0);
    ring_orders_create(orders.segment.base, GATES);
    plan = (struct ring_plan){.name = "ring",
                              .slots = SLOTS,
                              .slot_bytes = 64,
                              .gates = GATES,
                              .gate_deadline_ns = 1000,
                              .gate_evict_ns = 1};
}

static void watch(int fd, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    must(epoll_ctl(usher.epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void stop_worker(void)
{
    if (worker.leases_fd >= 0) {
        close(worker.leases_fd);
        munmap(worker.gates.leases, (size_t)GATES * RING_LEASE_BYTES);
    }
    worker.leases_fd = -1;
}

/* As sluiced starts one, after a death or for the first time. */
static void start_worker(void)
{
    struct error err;
    stop_worker();
    worker.leases_fd = usher_leases_for(&usher, 0, &err);
    must(worker.leases_fd >= 0);
    must(leases_open(&worker.gates, orders.segment.base, GATES, &err) == 0);
    must(ring_writer_attach(&worker.writer, ring.segment.base, ring.segment.bytes, 1, &worker.gates, &err) == 0);
    leases_take(worker.leases_fd, worker_gates, 1);
    ring_writer_look(&worker.writer, now_ns);
}

static void begin(void)
{
    struct error err;
    now_ns = 1;
    memset(&board, 0, sizeof(board));
    create_shared();
    must(usher_init(&usher, READERS, &board, 0, &err) == 0);
    usher_add_ring(&usher, &plan, &ring, &orders, 0, 0);
    watch(usher.bell_fd, USHER_BELL);
    watch(usher.stop_fd, USHER_STOP);
    worker.leases_fd = -1;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        client[i] = (struct client){.fd = -1};
    }
}

/* One round of the usher's thread: the order to end comes last of what has happened. epoll keeps what it has told
 * in its list until it has looked once more. */
static void usher_round(void)
{
    struct epoll_event events[CLIENTS + 2];
    uint64_t count = 1;
    must(write(usher.stop_fd, &count, sizeof(count)) == sizeof(count));
    (void)usher_main(&usher);
    must(read(usher.stop_fd, &count, sizeof(count)) == sizeof(count));
    (void)epoll_wait(usher.epoll_fd, events, CLIENTS + 2, 0);
}

static void leave(struct client *c)
{
    if (c->lease != NULL) {
        munmap(c->lease, RING_LEASE_BYTES);
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    *c = (struct client){.fd = -1};
}

/* The answer to an attach: two descriptors, or a reason. */
static void take_answer(struct client *c, bool attached)
{
    struct protocol_reply reply;
    int fds[PROTOCOL_FDS_MAX];
    unsigned count;
    must(protocol_receive(c->fd, &reply, sizeof(reply), fds, PROTOCOL_FDS_MAX, &count) == (int)sizeof(reply));
    must(reply.magic == PROTOCOL_MAGIC && reply.fds == count && memchr(reply.text, 0, sizeof(reply.text)) != NULL);
    must(attached ? reply.code == 0 && count == 2 : reply.code < 0 && count == 0 && reply.text[0] != 0);
    if (attached) {
        void *map = mmap(NULL, RING_LEASE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
        must(map != MAP_FAILED);
        const void *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
        must(writable == MAP_FAILED);
        c->lease = map;
    }
    for (unsigned i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static void attach(struct client *c, const uint8_t *bytes, size_t n)
{
    struct protocol_request request = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .op = PROTOCOL_GATE};
    int pair[2];
    leave(c);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    memcpy(&request.argument, bytes, n < 16 ? n : 16);
    strcpy(request.name, "ring");
    if (n > 17) {
        memcpy(request.name, bytes + 17, n - 17 < sizeof(request.name) ? n - 17 : sizeof(request.name));
    }
    request.op = n > 16 && (bytes[16] & 1) != 0 ? PROTOCOL_ATTACH : PROTOCOL_GATE;
    c->fd = pair[0];
    bool attached = usher_attach(&usher, pair[1], 1, 0, &request);
    take_answer(c, attached);
    if (!attached) {
        close(pair[1]);
        leave(c);
    }
}

/* Wakes and refusals, nothing else. */
static void drain(const struct client *c)
{
    struct protocol_reply packet;
    for (;;) {
        ssize_t n = recv(c->fd, &packet, sizeof(packet), MSG_DONTWAIT);
        if (n <= 0) {
            return;
        }
        must(packet.magic == PROTOCOL_MAGIC);
        must(n == sizeof(struct protocol_wake) || (n == sizeof(packet) && packet.code == -EBUSY));
    }
}

static void wait_for(const struct client *c, uint64_t position)
{
    struct protocol_request request = {
        .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .op = PROTOCOL_WAIT, .argument = position};
    (void)send(c->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void write_frames(uint64_t count)
{
    struct ring_writer *writer = &worker.writer;
    if (worker.leases_fd < 0) {
        return;
    }
    if (ring_gates_ordered(&worker.gates)) {
        leases_take(worker.leases_fd, worker_gates, 1);
    }
    ring_writer_look(writer, now_ns);
    for (uint64_t i = 0; i < count && ring_writer_reserve(writer) != NULL; i++) {
        temporary_commit(writer, 1, 2);
        ring_writer_publish(writer);
    }
}

static void scribble(const struct client *c, const uint8_t *bytes, size_t n)
{
    if (c->lease != NULL) {
        memcpy((uint8_t *)c->lease + (n > 0 && bytes[0] > 128 ? 128 : 0), bytes, n);
    }
}

/* The first byte says what and who, the second how many bytes belong to it. */
static void step(uint8_t what, const uint8_t *bytes, size_t n)
{
    struct client *c = &client[(what >> 4) % CLIENTS];
    uint64_t number = 0;
    memcpy(&number, bytes, n < 8 ? n : 8);
    switch (what & 15) {
    case 0:
    case 1:
        attach(c, bytes, n);
        break;
    case 2:
        (void)send(c->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case 3:
        wait_for(c, number);
        break;
    case 4:
        leave(c);
        break;
    case 5:
        drain(c);
        break;
    case 6:
        scribble(c, bytes, n);
        break;
    case 7:
        start_worker();
        break;
    case 8:
        stop_worker();
        break;
    case 9:
        usher_fill(&usher);
        must(board.readers <= READERS);
        break;
    case 10:
        now_ns += number % 2000;
        break;
    case 11:
    case 12:
        write_frames(number % 64);
        break;
    default:
        usher_round();
        break;
    }
}

static void end(void)
{
    for (uint32_t i = 0; i < CLIENTS; i++) {
        leave(&client[i]);
    }
    for (uint32_t i = 0; i < 2 * READERS; i++) {
        usher_round(); /* those that have gone are shown out */
    }
    for (uint32_t i = 0; i < READERS; i++) {
        must(usher.reader[i].fd < 0);
    }
    const struct ring_orders *asked = orders.segment.base;
    for (uint32_t i = 0; i < GATES; i++) {
        must(asked->gate[i].generation == 0);
    }
    usher_stop(&usher);
    stop_worker();
    shared_destroy(&orders);
    shared_destroy(&ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int before = dup(STDERR_FILENO);
    close(before);
    begin();
    start_worker();
    for (size_t at = 0; at + 2 <= size;) {
        size_t n = data[at + 1] % 64;
        n = n < size - at - 2 ? n : size - at - 2;
        step(data[at], data + at + 2, n);
        at += 2 + n;
    }
    end();
    int after = dup(STDERR_FILENO);
    close(after);
    must(before == after); /* no descriptor is left */
    return 0;
}
