#include "daq/usher.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/log.h"
#include "ring/clock.h"
#include "ring/ring.h"

#define STACK_BYTES ((size_t)128 * 1024)

int shared_create(struct shared *shared, const char *name, size_t bytes, struct error *err)
{
    *shared = (struct shared){.segment = {.fd = -1}, .read_only_fd = -1};
    int code = segment_create(&shared->segment, name, bytes, SEGMENT_NORMAL, err);
    if (code == 0) {
        shared->read_only_fd = segment_reopen_read_only(shared->segment.fd, err);
        code = shared->read_only_fd < 0 ? shared->read_only_fd : 0;
    }
    if (code != 0) {
        shared_destroy(shared);
    }
    return code;
}

void shared_destroy(struct shared *shared)
{
    segment_destroy(&shared->segment);
    if (shared->read_only_fd >= 0) {
        close(shared->read_only_fd);
    }
    shared->read_only_fd = -1;
}

void usher_lock(struct usher *usher)
{
    pthread_mutex_lock(&usher->turn);
    pthread_mutex_lock(&usher->lock);
    pthread_mutex_unlock(&usher->turn);
}

void usher_unlock(struct usher *usher)
{
    pthread_mutex_unlock(&usher->lock);
}

int usher_init(struct usher *usher, uint32_t readers_max, struct supervisor_board *board,
               int64_t tai_minus_monotonic_ns, struct error *err)
{
    *usher = (struct usher){.turn = PTHREAD_MUTEX_INITIALIZER,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .readers_max = readers_max,
                            .reader = calloc(readers_max, sizeof(struct usher_reader)),
                            .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                            .bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                            .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                            .board = board,
                            .tai_minus_monotonic_ns = tai_minus_monotonic_ns};
    for (uint32_t i = 0; i < USHER_LINES_MAX; i++) {
        usher->line_fd[i] = -1;
    }
    for (uint32_t i = 0; usher->reader != NULL && i < readers_max; i++) {
        usher->reader[i].fd = -1;
    }
    if (usher->reader == NULL || usher->epoll_fd < 0 || usher->bell_fd < 0 || usher->stop_fd < 0) {
        return error_set(err, -errno, "cannot set up for %u readers: %s", readers_max, strerror(errno));
    }
    return 0;
}

void usher_add_ring(struct usher *usher, const struct ring_plan *plan, const struct shared *ring,
                    const struct shared *orders, uint32_t line, uint32_t source)
{
    struct error err;
    struct ring_view view;
    int code = ring_attach(&view, ring->segment.base, ring->segment.bytes, &err);
    assert(code == 0); /* we have just made it */
    (void)code;
    usher->ring[usher->rings++] = (struct usher_ring){.plan = plan,
                                                      .header = ring->segment.base,
                                                      .view = view,
                                                      .orders = orders->segment.base,
                                                      .ring_fd = ring->read_only_fd,
                                                      .line = line,
                                                      .source = source};
}

static int watch(struct usher *usher, int fd, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = index};
    return epoll_ctl(usher->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int usher_start(struct usher *usher, struct error *err)
{
    pthread_attr_t attributes;
    int code = watch(usher, usher->bell_fd, USHER_BELL);
    code = code == 0 ? watch(usher, usher->stop_fd, USHER_STOP) : code;
    if (code == 0) {
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        code = -pthread_create(&usher->thread, &attributes, usher_main, usher);
        pthread_attr_destroy(&attributes);
    }
    usher->running = code == 0;
    return code == 0 ? 0 : error_set(err, code, "cannot start the thread for readers: %s", strerror(-code));
}

static void close_if(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void usher_stop(struct usher *usher)
{
    if (usher->reader == NULL) {
        return;
    }
    if (usher->running) {
        uint64_t one = 1;
        (void)!write(usher->stop_fd, &one, sizeof(one));
        pthread_join(usher->thread, NULL);
        usher->running = false;
    }
    for (uint32_t i = 0; i < usher->readers_max; i++) {
        if (usher->reader[i].fd >= 0) {
            usher_drop(usher, &usher->reader[i]);
        }
    }
    for (uint32_t i = 0; i < USHER_LINES_MAX; i++) {
        close_if(usher->line_fd[i]);
    }
    close_if(usher->epoll_fd);
    close_if(usher->bell_fd);
    close_if(usher->stop_fd);
    free(usher->reader);
    usher->reader = NULL;
}

__attribute__((format(printf, 5, 6))) static int answer(int fd, struct protocol_reply *reply, const int *fds,
                                                        int code, const char *format, ...)
{
    unsigned count = code == 0 ? 2 : 0;
    va_list args;
    reply->magic = PROTOCOL_MAGIC;
    reply->version = PROTOCOL_VERSION;
    reply->fds = (uint16_t)count;
    reply->code = code;
    va_start(args, format);
    vsnprintf(reply->text, sizeof(reply->text), format, args);
    va_end(args);
    int sent = protocol_send(fd, reply, sizeof(*reply), fds, count);
    return code != 0 ? code : sent;
}

static int find_ring(const struct usher *usher, const char *name)
{
    for (uint32_t i = 0; i < usher->rings; i++) {
        if (strncmp(usher->ring[i].plan->name, name, RING_NAME_BYTES) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void list_rings(const struct usher *usher, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < usher->rings && n < bytes; i++) {
        n += (size_t)snprintf(text + n, bytes - n, "%s%s", i > 0 ? ", " : "", usher->ring[i].plan->name);
    }
}

static struct usher_reader *free_place(struct usher *usher)
{
    for (uint32_t i = 0; i < usher->readers_max; i++) {
        if (usher->reader[i].fd < 0) {
            return &usher->reader[i];
        }
    }
    return NULL;
}

/* A gate that no reader has, or -1. The writer may not have seen its last reader leave: it goes by the generation.
 */
static int free_gate(const struct usher_ring *ring)
{
    for (uint32_t i = 0; i < ring->plan->gates; i++) {
        if (ring->orders->gate[i].generation == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int send_lease(struct usher *usher, const struct usher_reader *reader)
{
    const struct usher_ring *ring = &usher->ring[reader->ring];
    struct protocol_lease lease = {
        .magic = PROTOCOL_MAGIC, .source = ring->source, .gate = reader->gate, .generation = reader->generation};
    int fd = usher->line_fd[ring->line];
    return fd < 0 ? -EPIPE : protocol_send(fd, &lease, sizeof(lease), &reader->lease.read_only_fd, 1);
}

/* First the lease, then the order: the writer obeys when it has both. */
static int open_gate(struct usher *usher, struct usher_reader *reader, const struct protocol_request *request,
                     struct protocol_reply *reply)
{
    struct usher_ring *ring = &usher->ring[reader->ring];
    int gate = free_gate(ring);
    if (ring->plan->gates == 0) {
        return answer(
            reader->fd, reply, NULL, -EPERM,
            "ring '%s' takes no gating readers; read it as an observer, or set gating: {readers_max: 1} for "
            "it in the configuration",
            ring->plan->name);
    }
    if (gate < 0) {
        return answer(reader->fd, reply, NULL, -EUSERS,
                      "all %u places for gating readers of ring '%s' are taken; end one, or raise its "
                      "gating.readers_max",
                      ring->plan->gates, ring->plan->name);
    }
    struct ring_lease *lease = reader->lease.segment.base;
    reader->gate = (uint32_t)gate;
    reader->generation = ++usher->generation;
    lease->generation = reader->generation;
    int code = send_lease(usher, reader);
    if (code != 0) {
        reader->generation = 0;
        return answer(reader->fd, reply, NULL, -EAGAIN, "the worker of ring '%s' %s; try again", ring->plan->name,
                      code == -EAGAIN ? "takes nothing: it has been stopped" : "is not running");
    }
    struct ring_order *order = &ring->orders->gate[gate];
    uint64_t deadline_ns = ring->plan->gate_deadline_ns;
    if (request->argument != 0 && request->argument < deadline_ns) {
        deadline_ns = request->argument;
    }
    /* The writer may be looking at this order still, as that of the reader before. */
    __atomic_store_n(&order->from, request->from, __ATOMIC_RELAXED);
    __atomic_store_n(&order->deadline_ns, deadline_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&order->generation, reader->generation, __ATOMIC_RELEASE);
    __atomic_store_n(&ring->orders->changes, ring->orders->changes + 1, __ATOMIC_RELEASE);
    reply->gate = reader->gate;
    reply->value = reader->generation;
    return 0;
}

/* The reader's place is filled in but for its gate; `code` 0: it stays. */
static int attach(struct usher *usher, struct usher_reader *reader, const struct protocol_request *request)
{
    struct error err = {{0}};
    struct protocol_reply reply = {.code = 0};
    uint64_t one = 1;
    int code = shared_create(&reader->lease, "sluice-lease", RING_LEASE_BYTES, &err);
    if (code != 0) {
        return answer(reader->fd, &reply, NULL, code, "no memory for a lease: %s", err.text);
    }
    struct ring_lease *lease = reader->lease.segment.base;
    if (request->op != PROTOCOL_GATE) { /* a gating reader releases nothing before it knows where it begins */
        lease->position = ring_published_now(usher->ring[reader->ring].header);
    }
    __atomic_store_n(&lease->magic, RING_LEASE_MAGIC, __ATOMIC_RELEASE);
    if (request->op == PROTOCOL_GATE) {
        code = open_gate(usher, reader, request, &reply);
    }
    if (code == 0) {
        code = watch(usher, reader->fd, (uint32_t)(reader - usher->reader));
    }
    if (code == 0) {
        int fds[2] = {usher->ring[reader->ring].ring_fd, reader->lease.segment.fd};
        code = answer(reader->fd, &reply, fds, 0, "attached");
        (void)!write(usher->bell_fd, &one, sizeof(one)); /* the thread may have a gate to look after now */
    }
    return code;
}

static void close_gate(struct usher *usher, struct usher_reader *reader)
{
    if (reader->generation != 0) {
        struct ring_orders *orders = usher->ring[reader->ring].orders;
        __atomic_store_n(&orders->gate[reader->gate].generation, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&orders->changes, orders->changes + 1, __ATOMIC_RELEASE);
        reader->generation = 0;
    }
}

/* Programs that look at the newest second again and again come and go as often: they must not push what matters out
 * of the log. Whether this one may be told; what was not is told as a number, by the next one or the next look. */
static bool may_tell(struct usher *usher)
{
    usher_tell_rest(usher, clock_monotonic_ns());
    if (usher->told >= USHER_TOLD_IN_S) {
        usher->untold++;
        return false;
    }
    usher->told++;
    return true;
}

void usher_tell_rest(struct usher *usher, uint64_t now_ns)
{
    if (now_ns - usher->told_since_ns < CLOCK_NS_PER_S) {
        return;
    }
    if (usher->untold > 0) {
        log_line("readers have come and gone %u times more within a second", usher->untold);
    }
    usher->told_since_ns = now_ns;
    usher->told = usher->untold = 0;
}

bool usher_attach(struct usher *usher, int fd, pid_t pid, uid_t uid, const struct protocol_request *request)
{
    struct protocol_reply reply = {.code = 0};
    char names[256];
    bool attached = false;
    usher_lock(usher);
    int ring = find_ring(usher, request->name);
    struct usher_reader *reader = free_place(usher);
    if (ring < 0) {
        list_rings(usher, names, sizeof(names));
        (void)answer(fd, &reply, NULL, -ENXIO, "there is no ring '%.31s'; there are: %s", request->name, names);
    } else if (reader == NULL) {
        (void)answer(fd, &reply, NULL, -EUSERS,
                     "all %u places for readers are taken; end one, or raise readers_max in the configuration",
                     usher->readers_max);
    } else {
        *reader = (struct usher_reader){.fd = fd, .pid = pid, .uid = uid, .ring = (uint32_t)ring};
        reader->lease = (struct shared){.segment = {.fd = -1}, .read_only_fd = -1};
        attached = attach(usher, reader, request) == 0;
        if (attached && (reader->generation != 0 || may_tell(usher))) {
            log_line("%s pid %d (uid %u) attached to ring %s", reader->generation != 0 ? "gating reader" : "reader",
                     pid, uid, usher->ring[ring].plan->name);
        }
        if (!attached) {
            close_gate(usher, reader);
            (void)epoll_ctl(usher->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
            shared_destroy(&reader->lease);
            reader->fd = -1;
        }
    }
    usher_unlock(usher);
    return attached;
}

/* Exactly what this reader did not get of what it came to: what it has counted itself, and what has been
 * overwritten beyond the place where it stands. Both are its own word; it is believed as far as it can be true. */
uint64_t usher_lost(const struct usher *usher, const struct usher_reader *reader)
{
    const struct usher_ring *ring = &usher->ring[reader->ring];
    const struct ring_lease *lease = reader->lease.segment.base;
    const struct ring_gate_status *gate = &ring->header->gate[reader->gate];
    uint64_t position = __atomic_load_n(&lease->position, __ATOMIC_ACQUIRE);
    uint64_t claimed = ring_claimed_now(ring->header);
    uint64_t oldest = claimed > ring->plan->slots ? claimed - ring->plan->slots : 0;
    if (reader->generation != 0) {
        if (__atomic_load_n(&gate->generation, __ATOMIC_ACQUIRE) != reader->generation) {
            return 0; /* the writer has not shown it a place yet */
        }
        position = position > gate->base ? position : gate->base;
    }
    uint64_t lost = __atomic_load_n(&lease->lost, __ATOMIC_RELAXED) + (oldest > position ? oldest - position : 0);
    uint64_t published = ring_published_now(ring->header);
    return lost < published ? lost : published;
}

void usher_drop(struct usher *usher, struct usher_reader *reader)
{
    struct supervisor_ring *shown = &usher->board->ring[reader->ring];
    bool is_gating = reader->generation != 0;
    shown->readers_lost += usher_lost(usher, reader);
    close_gate(usher, reader);
    if (is_gating || may_tell(usher)) {
        log_line("reader pid %d has left ring %s", reader->pid, usher->ring[reader->ring].plan->name);
    }
    close(reader->fd);
    reader->fd = -1;
    shared_destroy(&reader->lease);
}

void usher_note(struct usher *usher, const struct usher_reader *reader, uint32_t event, uint32_t reason)
{
    struct supervisor_board *board = usher->board;
    struct supervisor_ring *shown = &board->ring[reader->ring];
    uint64_t number = board->reader_events;
    board->reader_event[number % SUPERVISOR_EVENTS_MAX] =
        (struct supervisor_reader_event){.tai_ns = clock_tai_ns(usher->tai_minus_monotonic_ns),
                                         .pid = (uint64_t)reader->pid,
                                         .ring = reader->ring,
                                         .event = event,
                                         .reason = reason,
                                         .lost = usher_lost(usher, reader)};
    shown->demotions += event == SUPERVISOR_DEMOTED;
    shown->evictions += event == SUPERVISOR_EVICTED;
    __atomic_store_n(&board->reader_events, number + 1, __ATOMIC_RELEASE);
}

int usher_leases_for(struct usher *usher, uint32_t line, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return error_set(err, -errno, "no socket for the leases of gating readers: %s", strerror(errno));
    }
    usher_lock(usher);
    close_if(usher->line_fd[line]);
    usher->line_fd[line] = pair[0];
    for (uint32_t i = 0; i < usher->readers_max; i++) {
        struct usher_reader *reader = &usher->reader[i];
        if (reader->fd >= 0 && reader->generation != 0 && usher->ring[reader->ring].line == line) {
            if (send_lease(usher, reader) != 0) { /* the new writer would not wait for it, and it not know */
                log_line("gating reader pid %d could not be handed on to the new worker: shown out", reader->pid);
                usher_drop(usher, reader);
            }
        }
    }
    usher_unlock(usher);
    return pair[1];
}

void usher_fill(struct usher *usher)
{
    struct supervisor_board *board = usher->board;
    uint32_t n = 0;
    usher_lock(usher);
    for (uint32_t i = 0; i < usher->readers_max && n < SUPERVISOR_READERS_MAX; i++) {
        const struct usher_reader *reader = &usher->reader[i];
        if (reader->fd < 0) {
            continue;
        }
        const struct ring_lease *lease = reader->lease.segment.base;
        const struct ring_gate_status *gate = &usher->ring[reader->ring].header->gate[reader->gate];
        bool gating = reader->generation != 0;
        /* Until the writer has taken it up, what stands there is its predecessor's. */
        bool taken_up = gating && __atomic_load_n(&gate->generation, __ATOMIC_ACQUIRE) == reader->generation;
        board->reader[n++] = (struct supervisor_reader){
            .pid = (uint64_t)reader->pid,
            .uid = reader->uid,
            .ring = reader->ring,
            .gating = gating,
            .demoted = taken_up && gate->state == RING_GATE_DEMOTED,
            .reason = taken_up ? gate->reason : RING_GATE_NO_REASON,
            .waits = taken_up ? gate->waits : 0,
            .waited_ns = taken_up ? gate->waited_ns : 0,
            .waited_ns_max = taken_up ? gate->waited_ns_max : 0,
            .deadline_ns = gating ? usher->ring[reader->ring].orders->gate[reader->gate].deadline_ns : 0,
            .position = __atomic_load_n(&lease->position, __ATOMIC_RELAXED),
            .lost = usher_lost(usher, reader),
            .lag_frames = reader->lag.frames,
            .lag_frames_max = reader->lag.frames_max,
            .lag_ns = reader->lag.ns,
            .lag_ns_max = reader->lag.ns_max};
    }
    board->readers = n;
    usher_unlock(usher);
}

void usher_each(struct usher *usher,
                void (*visit)(void *argument, const char *ring, const struct usher_reader *reader), void *argument)
{
    usher_lock(usher);
    for (uint32_t i = 0; i < usher->readers_max; i++) {
        const struct usher_reader *reader = &usher->reader[i];
        if (reader->fd >= 0) {
            visit(argument, usher->ring[reader->ring].plan->name, reader);
        }
    }
    usher_unlock(usher);
}
