/* The installed face of ring/: a reader's connection, maps and lease in one handle. */
#include "ring/sluice.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ring/clock.h"
#include "ring/handle.h"
#include "ring/inside.h"
#include "ring/protocol.h"
#include "ring/reader.h"
#include "ring/segment.h"

#define JOIN_PATIENCE_NS CLOCK_NS_PER_S /* for the writer to take a gate up */
#define JOIN_LOOK_NS     20000
#define SLEEP_MS_MAX     1000 /* then look again, whatever the server says or does not say */
#define SPIN_US_MAX      1000000u

static_assert((int)SLUICE_FRAME_GAP == RING_FLAG_GAP && (int)SLUICE_FRAME_LOST_BEFORE == RING_FLAG_LOST_BEFORE &&
                  (int)SLUICE_FRAME_DUPLICATE == RING_FLAG_DUPLICATE &&
                  (int)SLUICE_FRAME_REORDERED == RING_FLAG_REORDERED,
              "what is installed is what is here");

void ring_disconnect(struct sluice_reader *reader)
{
    if (reader->lease_base != NULL) {
        munmap(reader->lease_base, reader->lease_bytes);
        reader->lease_base = NULL;
        reader->ring.lease = NULL;
    }
    if (reader->socket_fd >= 0) {
        close(reader->socket_fd);
        reader->socket_fd = -1;
    }
}

void sluice_detach(struct sluice_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    ring_disconnect(reader);
    sluice_memory_drop(reader->memory);
    free(reader);
}

static int map_ring_and_lease(struct sluice_reader *r, const int *fds, int start, struct error *err)
{
    int code = sluice_memory_map(&r->memory, fds[0], err);
    if (code == 0) {
        code = segment_map(fds[1], true, RING_LEASE_BYTES, &r->lease_base, &r->lease_bytes, err);
    }
    if (code == 0) {
        code = ring_lease_check(r->lease_base, r->lease_bytes, err);
    }
    if (code == 0) {
        code = ring_reader_attach(&r->ring, r->memory->base, r->memory->bytes, start, err);
    }
    if (code == 0) {
        code = sluice_tables_copy(&r->tables, &r->ring.view, err);
    }
    if (code == 0) {
        r->ring.lease = r->lease_base;
    }
    return code;
}

/* The writer takes a gate up in its next round; where we begin is its word. */
static int join(struct sluice_reader *r, const struct protocol_reply *reply, struct error *err)
{
    uint64_t deadline_ns = clock_monotonic_ns() + JOIN_PATIENCE_NS;
    if (reply->gate >= RING_GATES_MAX || reply->value == 0) {
        return error_set(err, -EPROTO, "expected a gate below %u from the server, found %u", RING_GATES_MAX,
                         reply->gate);
    }
    r->ring.gate = reply->gate;
    r->ring.generation = reply->value;
    while (ring_reader_gate(&r->ring) == RING_GATE_FREE) {
        if (clock_monotonic_ns() > deadline_ns) {
            return error_set(err, -EAGAIN, "the ring's worker has not taken the reader up within %u ms; try again",
                             (unsigned)(JOIN_PATIENCE_NS / CLOCK_NS_PER_MS));
        }
        nanosleep(&(struct timespec){.tv_nsec = JOIN_LOOK_NS}, NULL);
    }
    r->ring.position = r->ring.view.header->gate[reply->gate].base;
    ring_reader_release(&r->ring);
    return 0;
}

static uint64_t first_position(const struct sluice_options *options)
{
    return options->start == SLUICE_NEWEST ? UINT64_MAX : options->start == SLUICE_AT_POSITION ? options->at : 0;
}

static int attach(struct sluice_reader *r, const char *instance, const char *ring,
                  const struct sluice_options *options, struct error *err)
{
    struct protocol_reply reply;
    int fds[PROTOCOL_FDS_MAX];
    unsigned fd_count = 0;
    bool gating = options->mode == SLUICE_GATING;
    struct protocol_request request = {.op = gating ? PROTOCOL_GATE : PROTOCOL_ATTACH,
                                       .argument = (uint64_t)options->deadline_ms * CLOCK_NS_PER_MS,
                                       .from = first_position(options)};
    snprintf(request.name, sizeof(request.name), "%s", ring);
    r->socket_fd = protocol_connect(instance, err);
    if (r->socket_fd < 0) {
        return r->socket_fd;
    }
    int code = protocol_ask(r->socket_fd, &request, &reply, fds, &fd_count, err);
    if (code == 0 && fd_count != 2) {
        code = error_set(err, -EPROTO, "expected 2 descriptors from the server, found %u", fd_count);
    }
    if (code == 0) {
        int start = options->start == SLUICE_OLDEST ? SLUICE_OLDEST : SLUICE_NEWEST;
        code = map_ring_and_lease(r, fds, start, err);
    }
    for (unsigned i = 0; i < fd_count; i++) {
        close(fds[i]);
    }
    if (code == 0 && gating) {
        code = join(r, &reply, err);
    }
    if (code == 0 && options->start >= SLUICE_AT_TIME) {
        code = sluice_reader_seek(r, (int)options->start, options->at);
    }
    ring_reader_release(&r->ring);
    return code;
}

static int check_options(const char *instance, const char *ring, const struct sluice_options *options,
                         struct error *err)
{
    if (options->bytes < sizeof(*options) || options->mode < SLUICE_OBSERVER || options->mode > SLUICE_GATING ||
        options->start < SLUICE_OLDEST || options->start > SLUICE_AT_POSITION) {
        return error_set(
            err, -EINVAL,
            "expected options of %zu bytes, mode 1 or 2 and start 1 to 5, found %u bytes, mode %u, start "
            "%u",
            sizeof(*options), options->bytes, options->mode, options->start);
    }
    if (instance == NULL || instance[0] == 0) {
        return error_set(err, -EINVAL, "expected the name of an instance, found none; sluice_instances() has them");
    }
    if (ring == NULL || strlen(ring) >= RING_NAME_BYTES) {
        return error_set(err, -ENXIO, "expected a ring's name of 1 to %u characters", RING_NAME_BYTES - 1);
    }
    return 0;
}

int sluice_attach_with(struct sluice_reader **reader, const char *instance, const char *ring,
                       const struct sluice_options *options, char *error, size_t error_bytes)
{
    struct error err = {{0}};
    struct sluice_options chosen = {.bytes = sizeof(chosen)};
    if (options != NULL) {
        chosen = *options;
    }
    chosen.mode = chosen.mode != 0 ? chosen.mode : SLUICE_OBSERVER;
    chosen.start = chosen.start != 0 ? chosen.start : SLUICE_NEWEST;
    int code = check_options(instance, ring, &chosen, &err);
    struct sluice_reader *r = code == 0 ? calloc(1, sizeof(*r)) : NULL;
    if (r != NULL) {
        r->socket_fd = -1;
        code = attach(r, instance, ring, &chosen, &err);
    } else if (code == 0) {
        code = -ENOMEM;
    }
    if (code == 0) {
        *reader = r;
        return 0;
    }
    sluice_detach(r);
    return sluice_say(code, &err, error, error_bytes);
}

int sluice_attach(struct sluice_reader **reader, const char *instance, const char *ring, int start, char *error,
                  size_t error_bytes)
{
    struct sluice_options options = {.bytes = sizeof(options), .start = (uint32_t)start};
    if (start != SLUICE_OLDEST && start != SLUICE_NEWEST) {
        options.mode = UINT32_MAX; /* refused with the words that belong to it */
    }
    return sluice_attach_with(reader, instance, ring, &options, error, error_bytes);
}

int sluice_reader_next(struct sluice_reader *reader, struct sluice_frame *frame)
{
    sluice_give_back(reader);
    int n = ring_reader_next(&reader->ring, frame);
    if (n == 0) {
        ring_reader_release(&reader->ring);
    }
    return n;
}

int sluice_reader_valid(const struct sluice_reader *reader, const struct sluice_frame *frame)
{
    return ring_reader_valid(&reader->ring, frame->position);
}

uint32_t sluice_reader_batch(struct sluice_reader *reader, uint32_t max, struct sluice_batch *batch)
{
    ring_reader_release(&reader->ring);
    uint32_t count = ring_reader_batch(&reader->ring, max, batch);
    if (count == 0) {
        batch->count = 0;
    }
    return count;
}

uint32_t sluice_reader_overwritten(struct sluice_reader *reader, const struct sluice_batch *batch)
{
    uint32_t gone = ring_reader_overwritten(&reader->ring, batch);
    uint64_t end = batch->position + gone;
    if (gone > 0 && end > reader->counted) { /* each frame once, however often this is asked */
        reader->ring.lost += end - (batch->position > reader->counted ? batch->position : reader->counted);
        reader->counted = end;
    }
    return gone;
}

void sluice_reader_release(struct sluice_reader *reader)
{
    ring_reader_release(&reader->ring);
}

int sluice_reader_seek(struct sluice_reader *reader, int start, uint64_t at)
{
    struct ring_reader *ring = &reader->ring;
    switch (start) {
    case SLUICE_OLDEST:
        (void)ring_reader_seek_position(ring, 0);
        return 0;
    case SLUICE_NEWEST:
        (void)ring_reader_seek_position(ring, UINT64_MAX);
        return 0;
    case SLUICE_AT_TIME:
        (void)ring_reader_seek_time(ring, at);
        return 0;
    case SLUICE_AT_SEQUENCE:
        (void)ring_reader_seek_sequence(ring, at);
        return 0;
    case SLUICE_AT_POSITION:
        (void)ring_reader_seek_position(ring, at);
        return 0;
    default:
        return -EINVAL;
    }
}

uint64_t sluice_reader_position(const struct sluice_reader *reader)
{
    return reader->ring.position;
}

int sluice_reader_state(const struct sluice_reader *reader)
{
    if (reader->ring.generation == 0) {
        return SLUICE_STATE_OBSERVER;
    }
    switch (ring_reader_gate(&reader->ring)) {
    case RING_GATE_GATING:
        return SLUICE_STATE_GATING;
    case RING_GATE_DEMOTED:
        return SLUICE_STATE_DEMOTED;
    default:
        return SLUICE_STATE_EVICTED;
    }
}

void sluice_reader_spin(struct sluice_reader *reader, uint32_t spin_us)
{
    reader->spin_us = spin_us < SPIN_US_MAX ? spin_us : SPIN_US_MAX;
}

int sluice_reader_fd(const struct sluice_reader *reader)
{
    return reader->socket_fd;
}

/* Takes the wakes that have come. -EPIPE at the connection's end. */
static int drain(struct sluice_reader *reader)
{
    struct protocol_wake wake;
    for (;;) {
        ssize_t n = recv(reader->socket_fd, &wake, sizeof(wake), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            return -EPIPE;
        }
        if (n < 0) {
            return 0;
        }
        reader->waiting = false;
    }
}

int sluice_reader_arm(struct sluice_reader *reader)
{
    struct protocol_request request = {.magic = PROTOCOL_MAGIC,
                                       .version = PROTOCOL_VERSION,
                                       .op = PROTOCOL_WAIT,
                                       .argument = reader->ring.position};
    if (reader->ring.corrupt != 0) {
        return -EPROTO;
    }
    ring_reader_release(&reader->ring);
    int code = drain(reader);
    if (ring_reader_has_new(&reader->ring)) {
        return 1;
    }
    if (code != 0 || reader->waiting) {
        return code;
    }
    ssize_t n = send(reader->socket_fd, &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) {
        return -EPIPE;
    }
    reader->waiting = n > 0;
    return ring_reader_has_new(&reader->ring) ? 1 : 0;
}

static bool spin(struct sluice_reader *reader)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)reader->spin_us * CLOCK_NS_PER_US;
    do {
        for (int i = 0; i < 64; i++) {
            if (ring_reader_has_new(&reader->ring)) {
                return true;
            }
            __builtin_ia32_pause();
        }
    } while (clock_monotonic_ns() < end_ns);
    return false;
}

int sluice_reader_wait(struct sluice_reader *reader, int timeout_ms)
{
    if (reader->ring.corrupt != 0) {
        return -EPROTO; /* the slot that cannot be true would look like something new for ever */
    }
    if (ring_reader_has_new(&reader->ring)) {
        return 1;
    }
    uint64_t start_ns = clock_monotonic_ns();
    if (reader->spin_us > 0 && timeout_ms != 0 && spin(reader)) {
        return 1;
    }
    for (;;) {
        uint64_t waited_ms = (clock_monotonic_ns() - start_ns) / CLOCK_NS_PER_MS;
        if (timeout_ms >= 0 && waited_ms >= (uint64_t)timeout_ms) {
            return ring_reader_has_new(&reader->ring);
        }
        int code = sluice_reader_arm(reader);
        if (code != 0) {
            return code;
        }
        int left_ms = timeout_ms < 0 ? SLEEP_MS_MAX : timeout_ms - (int)waited_ms;
        struct pollfd p = {.fd = reader->socket_fd, .events = POLLIN | POLLRDHUP};
        (void)poll(&p, 1, left_ms < SLEEP_MS_MAX ? left_ms : SLEEP_MS_MAX);
    }
}

uint64_t sluice_reader_lost(const struct sluice_reader *reader)
{
    return reader->ring.lost;
}

uint64_t sluice_reader_epoch(const struct sluice_reader *reader)
{
    return __atomic_load_n(&reader->ring.view.header->progress.epoch, __ATOMIC_ACQUIRE);
}

struct sluice_reader *ring_description(const struct sluice_reader *reader)
{
    struct sluice_reader *described = calloc(1, sizeof(*described));
    if (described != NULL) {
        described->socket_fd = -1;
        described->tables = reader->tables;
    }
    return described;
}

struct sluice_inside ring_inside(struct sluice_reader *reader)
{
    return (struct sluice_inside){.reader = &reader->ring,
                                  .identity = &reader->tables.identity,
                                  .channel = reader->tables.channel,
                                  .number = reader->tables.number,
                                  .stream = reader->tables.stream,
                                  .ledger = &reader->ring.view.header->ledger};
}
