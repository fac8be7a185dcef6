/* The installed face of ring/: a reader's connection, maps and lease in one handle. */
#include "ring/sluice.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ring/channel.h"
#include "ring/channel_check.h"
#include "ring/clock.h"
#include "ring/inside.h"
#include "ring/protocol.h"
#include "ring/reader.h"
#include "ring/segment.h"

#define JOIN_PATIENCE_NS CLOCK_NS_PER_S /* for the writer to take a gate up */
#define JOIN_LOOK_NS     20000
#define SLEEP_MS_MAX     1000 /* then look again, whatever the server says or does not say */
#define SPIN_US_MAX      1000000u
#define REPORT_FRAMES    64u /* an observer's lease is for show */

static_assert((int)SLUICE_FRAME_GAP == RING_FLAG_GAP && (int)SLUICE_FRAME_LOST_BEFORE == RING_FLAG_LOST_BEFORE &&
                  (int)SLUICE_FRAME_DUPLICATE == RING_FLAG_DUPLICATE &&
                  (int)SLUICE_FRAME_REORDERED == RING_FLAG_REORDERED,
              "what is installed is what is here");

struct sluice_reader {
    struct ring_reader ring;
    struct ring_identity identity; /* copied and checked once: the server could change its own */
    struct ring_channel channel[RING_CHANNELS_MAX];
    double number[RING_NUMBERS_MAX];
    struct ring_stream stream[RING_STREAMS_MAX];
    int socket_fd;
    bool waiting; /* the server has been asked to wake us, and has not yet */
    uint32_t spin_us;
    void *ring_base;
    size_t ring_bytes;
    void *lease_base;
    size_t lease_bytes;
};

void sluice_detach(struct sluice_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    if (reader->lease_base != NULL) {
        munmap(reader->lease_base, reader->lease_bytes);
    }
    if (reader->ring_base != NULL) {
        munmap(reader->ring_base, reader->ring_bytes);
    }
    if (reader->socket_fd >= 0) {
        close(reader->socket_fd);
    }
    free(reader);
}

/* What is decoded with is what has been checked. */
static int copy_channels(struct sluice_reader *r, struct error *err)
{
    const struct ring_view *view = &r->ring.view;
    int code = 0;
    memcpy(r->channel, ring_channels(view), view->channel_count * sizeof(r->channel[0]));
    memcpy(r->number, ring_numbers(view), view->number_count * sizeof(r->number[0]));
    for (uint32_t i = 0; code == 0 && i < view->channel_count; i++) {
        code = ring_channel_check(r->channel, view->channel_count, sizeof(r->channel[0]), i, r->number,
                                  view->number_count, err);
    }
    return code;
}

static void copy_tables(struct sluice_reader *r)
{
    const struct ring_view *view = &r->ring.view;
    r->identity = view->header->identity;
    r->identity.channels = view->channel_count;
    r->identity.instance[RING_NAME_BYTES - 1] = 0;
    r->identity.name[RING_NAME_BYTES - 1] = 0;
    if (r->identity.streams > RING_STREAMS_MAX) {
        r->identity.streams = RING_STREAMS_MAX;
    }
    memcpy(r->stream, view->header->stream, sizeof(r->stream));
    for (uint32_t i = 0; i < RING_STREAMS_MAX; i++) {
        r->stream[i].name[RING_NAME_BYTES - 1] = 0;
        r->stream[i].source[sizeof(r->stream[i].source) - 1] = 0;
    }
}

static int map_ring_and_lease(struct sluice_reader *r, const int *fds, int start, struct error *err)
{
    int code = segment_map(fds[0], false, RING_HEADER_BYTES, &r->ring_base, &r->ring_bytes, err);
    if (code == 0) {
        code = segment_map(fds[1], true, RING_LEASE_BYTES, &r->lease_base, &r->lease_bytes, err);
    }
    if (code == 0) {
        code = ring_lease_check(r->lease_base, r->lease_bytes, err);
    }
    if (code == 0) {
        code = ring_reader_attach(&r->ring, r->ring_base, r->ring_bytes, start, err);
    }
    if (code == 0) {
        code = copy_channels(r, err);
    }
    if (code == 0) {
        copy_tables(r);
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

static int check_options(const char *ring, const struct sluice_options *options, struct error *err)
{
    if (options->bytes < sizeof(*options) || options->mode < SLUICE_OBSERVER || options->mode > SLUICE_GATING ||
        options->start < SLUICE_OLDEST || options->start > SLUICE_AT_POSITION) {
        return error_set(
            err, -EINVAL,
            "expected options of %zu bytes, mode 1 or 2 and start 1 to 5, found %u bytes, mode %u, start "
            "%u",
            sizeof(*options), options->bytes, options->mode, options->start);
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
    int code = check_options(ring, &chosen, &err);
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
    if (error != NULL && error_bytes > 0) {
        snprintf(error, error_bytes, "%s", err.text[0] != 0 ? err.text : strerror(-code));
    }
    return code;
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

/* What was handed out before is given back: at once by a gating reader, now and then by an observer. */
static inline void give_back(struct sluice_reader *reader)
{
    struct ring_reader *ring = &reader->ring;
    uint64_t behind = ring->position - ring->lease->position;
    if (behind >= (ring->generation != 0 ? 1 : REPORT_FRAMES)) {
        ring_reader_release(ring);
    }
}

int sluice_reader_next(struct sluice_reader *reader, struct sluice_frame *frame)
{
    give_back(reader);
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
    reader->ring.lost += gone;
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

void sluice_ring(const struct sluice_reader *reader, struct sluice_ring *ring)
{
    const struct ring_identity *id = &reader->identity;
    const struct ring_view *view = &reader->ring.view;
    *ring = (struct sluice_ring){.slots = view->slot_count,
                                 .slot_bytes = view->slot_bytes,
                                 .payload_offset = view->payload_offset,
                                 .payload_bytes = view->payload_bytes,
                                 .channels = view->channel_count,
                                 .streams = id->streams,
                                 .stamp = id->stamp,
                                 .page_bytes = id->page_bytes,
                                 .created_tai_ns = id->created_tai_ns,
                                 .tai_minus_monotonic_ns = id->tai_minus_monotonic_ns,
                                 .utc_offset_s = id->utc_offset_s,
                                 .numa_node = id->numa_node};
    memcpy(ring->instance, id->instance, sizeof(ring->instance));
    memcpy(ring->name, id->name, sizeof(ring->name));
}

int sluice_stream(const struct sluice_reader *reader, uint32_t index, struct sluice_stream *stream)
{
    if (index >= reader->identity.streams) {
        return -ERANGE;
    }
    const struct ring_stream *s = &reader->stream[index];
    *stream = (struct sluice_stream){.frame_bytes = s->frame_bytes,
                                     .sequence_width_bytes = s->sequence_width_bytes,
                                     .sequence_step = s->sequence_step};
    memcpy(stream->name, s->name, sizeof(stream->name));
    memcpy(stream->source, s->source, sizeof(stream->source));
    return 0;
}

uint32_t sluice_channels(const struct sluice_reader *reader)
{
    return reader->identity.channels;
}

int sluice_channel(const struct sluice_reader *reader, uint32_t index, struct sluice_channel *channel)
{
    if (index >= reader->identity.channels) {
        return -ERANGE;
    }
    const struct ring_channel *c = &reader->channel[index];
    *channel = (struct sluice_channel){.at_byte = c->at_byte,
                                       .type = c->type,
                                       .big_endian = c->byte_order == RING_BIG_ENDIAN,
                                       .calibration = (uint8_t)c->calibration,
                                       .bits = c->bits,
                                       .shift = c->shift,
                                       .scale = c->scale,
                                       .offset = c->offset,
                                       .range_low = c->range_low,
                                       .range_high = c->range_high};
    memcpy(channel->name, c->name, sizeof(channel->name));
    memcpy(channel->unit, c->unit, sizeof(channel->unit));
    return 0;
}

double sluice_value(const struct sluice_reader *reader, uint32_t index, const struct sluice_frame *frame)
{
    double value = (double)NAN;
    if (index < reader->identity.channels && (frame->flags & SLUICE_FRAME_GAP) == 0) {
        (void)ring_channels_decode(reader->channel, index, reader->number, frame->payload, frame->length_bytes,
                                   &value);
    }
    return value;
}

struct sluice_inside ring_inside(struct sluice_reader *reader)
{
    return (struct sluice_inside){.reader = &reader->ring,
                                  .identity = &reader->identity,
                                  .channel = reader->channel,
                                  .number = reader->number,
                                  .stream = reader->stream,
                                  .ledger = &reader->ring.view.header->ledger};
}

const char *sluice_loss_name(uint32_t cause)
{
    return ring_loss_name(cause);
}
