/* The installed face of ring/: a reader's descriptor, map and lease in one handle. */
#include "ring/sluice.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring/channel.h"
#include "ring/clock.h"
#include "ring/protocol.h"
#include "ring/reader.h"
#include "ring/segment.h"

#define POLL_PERIOD_NS 500000

struct sluice_reader {
    struct ring_reader ring;
    struct ring_channel channel[RING_CHANNELS_MAX]; /* copied and checked once: the server could change its own */
    uint32_t channels;
    int socket_fd;
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

static int map_ring_and_lease(struct sluice_reader *r, const int *fds, int start, struct error *err)
{
    int code = segment_map(fds[0], false, RING_HEADER_BYTES, &r->ring_base, &r->ring_bytes, err);
    if (code == 0) {
        code = segment_map(fds[1], true, RING_LEASE_BYTES, &r->lease_base, &r->lease_bytes, err);
    }
    if (code == 0) {
        code = ring_reader_attach(&r->ring, r->ring_base, r->ring_bytes, start, err);
    }
    if (code == 0) {
        r->channels = r->ring.view.channel_count;
        memcpy(r->channel, ring_channels(&r->ring.view), r->channels * sizeof(r->channel[0]));
        for (uint32_t i = 0; i < r->channels; i++) {
            r->channel[i].name[RING_NAME_BYTES - 1] = 0;
            r->channel[i].unit[RING_UNIT_BYTES - 1] = 0;
        }
        r->ring.lease = r->lease_base;
        ring_reader_report(&r->ring);
    }
    return code;
}

int sluice_attach(struct sluice_reader **reader, const char *instance, const char *ring, int start, char *error,
                  size_t error_bytes)
{
    struct error err = {{0}};
    struct protocol_reply reply;
    int fds[PROTOCOL_FDS_MAX];
    unsigned fd_count = 0;
    int code = -ENOMEM;
    struct sluice_reader *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        goto out;
    }
    r->socket_fd = protocol_connect(instance, &err);
    code = r->socket_fd < 0 ? r->socket_fd : 0;
    if (code == 0) {
        code = protocol_call(r->socket_fd, PROTOCOL_ATTACH, ring, &reply, fds, &fd_count, &err);
    }
    if (code == 0 && fd_count != 2) {
        code = error_set(&err, -EPROTO, "expected 2 descriptors from the server, found %u", fd_count);
    }
    if (code == 0) {
        code = map_ring_and_lease(r, fds, start, &err);
    }
out:
    for (unsigned i = 0; i < fd_count; i++) {
        close(fds[i]);
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

int sluice_reader_next(struct sluice_reader *reader, struct sluice_frame *frame)
{
    int n = ring_reader_next(&reader->ring, frame);
    if (n == 0 || (reader->ring.position & 63) == 0) {
        ring_reader_report(&reader->ring);
    }
    return n;
}

int sluice_reader_valid(const struct sluice_reader *reader, const struct sluice_frame *frame)
{
    return ring_reader_valid(&reader->ring, frame->position);
}

static int has_new(const struct ring_reader *r)
{
    return __atomic_load_n(&r->view.header->progress.published, __ATOMIC_ACQUIRE) > r->position;
}

int sluice_reader_wait(struct sluice_reader *reader, int timeout_ms)
{
    uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * CLOCK_NS_PER_MS;
    while (!has_new(&reader->ring)) {
        if (clock_monotonic_ns() >= deadline_ns) {
            return 0;
        }
        /* The sleep is a poll on the server's socket, so that the server's end is seen at once. */
        struct pollfd p = {.fd = reader->socket_fd, .events = POLLIN | POLLRDHUP};
        struct timespec period = {.tv_nsec = POLL_PERIOD_NS};
        if (ppoll(&p, 1, &period, NULL) > 0 && !has_new(&reader->ring)) {
            return -EPIPE;
        }
    }
    return 1;
}

uint64_t sluice_reader_lost(const struct sluice_reader *reader)
{
    return reader->ring.lost;
}

uint64_t sluice_reader_epoch(const struct sluice_reader *reader)
{
    return __atomic_load_n(&reader->ring.view.header->progress.epoch, __ATOMIC_ACQUIRE);
}

uint32_t sluice_channels(const struct sluice_reader *reader)
{
    return reader->channels;
}

int sluice_channel(const struct sluice_reader *reader, uint32_t index, struct sluice_channel *channel)
{
    if (index >= reader->channels) {
        return -ERANGE;
    }
    const struct ring_channel *c = &reader->channel[index];
    *channel = (struct sluice_channel){.at_byte = c->at_byte,
                                       .type = c->type,
                                       .big_endian = c->byte_order == RING_BIG_ENDIAN,
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
    if (index < reader->channels && (frame->flags & SLUICE_FRAME_GAP) == 0) {
        (void)ring_channel_decode(&reader->channel[index], frame->payload, frame->length_bytes, &value);
    }
    return value;
}

const char *sluice_loss_name(uint32_t cause)
{
    return ring_loss_name(cause);
}
