#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daq/log.h"
#include "daq/usher.h"
#include "ring/clock.h"
#include "ring/ring.h"

#define EVENTS_PER_ROUND   64
#define REQUESTS_PER_ROUND 4
#define READERS_TICK_MS    10 /* how often demotions and lags are looked for, while anybody reads */
#define WAITING_TICK_MS    5  /* a writer and a sleeper may miss each other within nanoseconds: then this helps */
#define WAKE_PAUSE_NS      50000 /* so that a bell at each frame costs a writer little */

static const char *reason_name(uint32_t reason)
{
    return reason == RING_GATE_DEADLINE   ? "it held the writer up for longer than its deadline"
           : reason == RING_GATE_NONSENSE ? "it released frames that were not published yet"
                                          : "no reason given";
}

/* A reader's socket: what it asks for, or its end. */
static void serve(struct usher *usher, struct usher_reader *reader)
{
    struct protocol_request request;
    for (int i = 0; i < REQUESTS_PER_ROUND && reader->fd >= 0; i++) {
        ssize_t n = recv(reader->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n == (ssize_t)sizeof(request) && request.magic == PROTOCOL_MAGIC &&
            request.version == PROTOCOL_VERSION && request.op == PROTOCOL_WAIT) {
            reader->waiting = true;
            reader->wanted = request.argument;
            continue;
        }
        if (n == (ssize_t)sizeof(request) && request.magic == PROTOCOL_MAGIC) {
            struct protocol_reply reply = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .code = -EBUSY};
            snprintf(reply.text, sizeof(reply.text),
                     "this connection is a reader's; open another one for request %u", request.op);
            (void)protocol_send(reader->fd, &reply, sizeof(reply), NULL, 0);
            continue;
        }
        if (n > 0) {
            log_line("reader pid %d sent %zd bytes that are no request: shown out", reader->pid, n);
        }
        usher_drop(usher, reader);
    }
}

static uint64_t published(const struct usher_ring *ring)
{
    return ring_published_now(ring->header);
}

/* Wakes whoever has something to read. The rings that somebody still waits for. */
static uint32_t wake(struct usher *usher, bool *woke, bool waited_for[CONTROL_RINGS_MAX])
{
    uint32_t waiting = 0;
    memset(waited_for, 0, CONTROL_RINGS_MAX * sizeof(waited_for[0]));
    for (uint32_t i = 0; i < usher->readers_max; i++) {
        struct usher_reader *reader = &usher->reader[i];
        if (reader->fd < 0 || !reader->waiting) {
            continue;
        }
        struct protocol_wake packet = {.magic = PROTOCOL_MAGIC, .published = published(&usher->ring[reader->ring])};
        if (packet.published > reader->wanted) {
            reader->waiting = false;
            *woke = true;
            (void)protocol_send(reader->fd, &packet, sizeof(packet), NULL, 0);
        } else {
            waited_for[reader->ring] = true;
            waiting++;
        }
    }
    return waiting;
}

/* Asks the writers of these rings to ring the bell. True if any had not been asked before: look once more then. */
static bool ask_for_bells(struct usher *usher, const bool *waited_for)
{
    bool asked = false;
    for (uint32_t i = 0; i < usher->rings; i++) {
        struct usher_ring *ring = &usher->ring[i];
        if (waited_for[i] && !ring->armed) {
            __atomic_store_n(&ring->orders->bell, ring->orders->bell + 1, __ATOMIC_SEQ_CST);
            ring->armed = true;
            asked = true;
        }
    }
    return asked;
}

/* A demoted reader that stands still while the writer laps it is of no use to anybody. */
static void look_at_gate(struct usher *usher, struct usher_reader *reader, uint64_t now_ns)
{
    const struct usher_ring *ring = &usher->ring[reader->ring];
    const struct ring_gate_status *gate = &ring->header->gate[reader->gate];
    const struct ring_lease *lease = reader->lease.segment.base;
    if (__atomic_load_n(&gate->generation, __ATOMIC_ACQUIRE) != reader->generation ||
        __atomic_load_n(&gate->state, __ATOMIC_ACQUIRE) != RING_GATE_DEMOTED) {
        return;
    }
    uint64_t position = __atomic_load_n(&lease->position, __ATOMIC_ACQUIRE);
    if (!reader->demoted || position != reader->stuck_position) {
        reader->stuck_position = position;
        reader->stuck_since_ns = now_ns;
    }
    if (!reader->demoted) {
        reader->demoted = true;
        usher_note(usher, reader, SUPERVISOR_DEMOTED, gate->reason);
        log_line("gating reader pid %d of ring %s demoted to an observer: %s (%" PRIu64 " ms)", reader->pid,
                 ring->plan->name, reason_name(gate->reason),
                 ring->orders->gate[reader->gate].deadline_ns / CLOCK_NS_PER_MS);
    } else if (now_ns - reader->stuck_since_ns > ring->plan->gate_evict_ns &&
               published(ring) - position > ring->plan->slots) {
        usher_note(usher, reader, SUPERVISOR_EVICTED, gate->reason);
        log_line("reader pid %d of ring %s evicted: it has not moved for %" PRIu64 " ms, %" PRIu64 " frames lost",
                 reader->pid, ring->plan->name, (now_ns - reader->stuck_since_ns) / CLOCK_NS_PER_MS,
                 usher_lost(usher, reader));
        usher_drop(usher, reader);
    }
}

static uint32_t look_at_gates(struct usher *usher)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint32_t gating = 0;
    for (uint32_t i = 0; i < usher->readers_max; i++) {
        struct usher_reader *reader = &usher->reader[i];
        if (reader->fd >= 0 && reader->generation != 0) {
            gating++;
            look_at_gate(usher, reader, now_ns);
        }
    }
    return gating;
}

static void take_bell(struct usher *usher)
{
    uint64_t count;
    (void)!read(usher->bell_fd, &count, sizeof(count));
    for (uint32_t i = 0; i < usher->rings; i++) {
        usher->ring[i].armed = false;
    }
}

/* False: to end. *rang: a writer has rung the bell. */
static bool take_events(struct usher *usher, const struct epoll_event *events, int count, bool *rang)
{
    for (int i = 0; i < count; i++) {
        uint32_t index = events[i].data.u32;
        if (index == USHER_STOP) {
            return false;
        }
        if (index == USHER_BELL) {
            *rang = true;
            take_bell(usher);
        } else if (index < usher->readers_max && usher->reader[index].fd >= 0) {
            serve(usher, &usher->reader[index]);
        }
    }
    return true;
}

void *usher_main(void *argument)
{
    struct usher *usher = argument;
    struct epoll_event events[EVENTS_PER_ROUND];
    bool waited_for[CONTROL_RINGS_MAX];
    int timeout_ms = -1;
    for (;;) {
        bool woke = false;
        bool rang = false;
        int count = epoll_wait(usher->epoll_fd, events, EVENTS_PER_ROUND, timeout_ms);
        usher_lock(usher);
        bool go_on = take_events(usher, events, count, &rang);
        uint32_t waiting = wake(usher, &woke, waited_for);
        if (ask_for_bells(usher, waited_for)) {
            waiting = wake(usher, &woke, waited_for);
        }
        uint32_t gating = look_at_gates(usher);
        uint32_t readers = usher_look_at_lags(usher, clock_monotonic_ns());
        usher_unlock(usher);
        if (!go_on) {
            return NULL;
        }
        timeout_ms = waiting > 0 ? WAITING_TICK_MS : gating > 0 || readers > 0 ? READERS_TICK_MS : -1;
        if (woke || rang) { /* also if nobody woke: one may wait for a frame that is far off */
            nanosleep(&(struct timespec){.tv_nsec = WAKE_PAUSE_NS}, NULL);
        }
    }
}
