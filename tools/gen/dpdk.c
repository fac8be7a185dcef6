/* A DPDK port: net/dpdk_send.h with the patience, or the lack of it, that is asked for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/dpdk_send.h"
#include "ring/clock.h"
#include "tools/gen/transport.h"

#define INSIST_NS CLOCK_NS_PER_S

struct dpdk {
    struct transport transport; /* first: the one is cast to the other */
    struct dpdk_send *port;
    bool drop_when_full;
    uint64_t full_since_ns; /* drop_when_full: the first frame that was not taken since one was; 0: none */
};

/* Counts one more vain try; -EIO when it has been too long. */
static int stuck(struct dpdk *d, uint64_t *since_ns, struct error *err)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (*since_ns == 0) {
        *since_ns = now_ns;
    }
    dpdk_send_revive(d->port, now_ns);
    if (clock_elapsed_ns(*since_ns, now_ns) > TRANSPORT_STUCK_S * CLOCK_NS_PER_S) {
        return error_set(
            err, -EIO,
            "the port has taken nothing for %u s: its other end reads no more, or is gone; --full drop goes "
            "on without it",
            TRANSPORT_STUCK_S);
    }
    return *d->transport.stop != 0 ? -EINTR : 0;
}

/* What the port does not take at once is dropped, unless it is insisted on for a while: also by one that is told to
 * stop, because without the frame that is the end nobody learns what was dropped before it. */
static bool give_up(struct dpdk *d, uint64_t *since_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (*since_ns == 0) {
        *since_ns = now_ns;
    }
    dpdk_send_revive(d->port, now_ns);
    return !d->transport.insists || clock_elapsed_ns(*since_ns, now_ns) > INSIST_NS;
}

/* How long the other end has had no room, as the frames see it. A clock is read only while it has none. */
static void look_at_room(struct dpdk *d, uint32_t taken, uint32_t dropped)
{
    if (taken > 0 && d->full_since_ns != 0) {
        uint64_t full_ns = clock_elapsed_ns(d->full_since_ns, clock_monotonic_ns());
        struct transport_counts *counts = &d->transport.counts;
        counts->longest_full_ns = full_ns > counts->longest_full_ns ? full_ns : counts->longest_full_ns;
        d->full_since_ns = 0;
    }
    if (dropped > 0 && d->full_since_ns == 0) {
        d->full_since_ns = clock_monotonic_ns();
    }
}

static int dpdk_reserve(struct transport *t, const uint32_t *bytes, uint8_t **room, uint32_t count,
                        struct error *err)
{
    struct dpdk *d = (struct dpdk *)(void *)t;
    uint64_t since_ns = 0;
    (void)bytes;
    while (!dpdk_send_reserve(d->port, room, count)) {
        int failed = stuck(d, &since_ns, err);
        if (failed == -EINTR) {
            error_set(err, failed, "stopped while the port held every buffer: its other end reads no more");
        }
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}

static int dpdk_send_all(struct transport *t, const uint32_t *bytes, uint32_t count, struct error *err)
{
    struct dpdk *d = (struct dpdk *)(void *)t;
    uint64_t since_ns = 0;
    uint32_t done = 0;
    int failed = 0;
    while (done < count && failed == 0) {
        uint32_t n = dpdk_send_burst(d->port, bytes, done, count);
        done += n;
        if (done == count) {
            break;
        }
        if (d->drop_when_full && give_up(d, &since_ns)) {
            break;
        }
        since_ns = n > 0 ? 0 : since_ns;
        failed = n > 0 || d->drop_when_full ? 0 : stuck(d, &since_ns, err);
    }
    dpdk_send_release(d->port, done, count);
    look_at_room(d, done, count - done);
    const struct dpdk_send_counts *counts = dpdk_send_counts(d->port);
    t->counts.sent = counts->sent;
    t->counts.full = counts->full;
    t->counts.reconnects = counts->reconnects;
    t->counts.dropped += count - done;
    return failed == -EINTR ? 0 : failed;
}

static void dpdk_rooms(struct transport *t, void (*visit)(void *context, uint8_t *room, uint32_t bytes),
                       void *context)
{
    dpdk_send_rooms(((struct dpdk *)(void *)t)->port, visit, context);
}

/* Nothing tells that the other end has fetched the last frame, and closing takes away what it has not. */
static void dpdk_drain(struct transport *t, uint32_t linger_ms)
{
    struct timespec left = {.tv_sec = linger_ms / 1000, .tv_nsec = (long)(linger_ms % 1000) * 1000000};
    (void)t;
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static void dpdk_close(struct transport *t)
{
    struct dpdk *d = (struct dpdk *)(void *)t;
    if (d->port != NULL) {
        dpdk_send_close(d->port);
    }
    free(d);
}

static const struct transport_ops dpdk_ops = {.name = "dpdk",
                                              .reserve = dpdk_reserve,
                                              .send = dpdk_send_all,
                                              .rooms = dpdk_rooms,
                                              .drain = dpdk_drain,
                                              .close = dpdk_close};

struct transport *gen_dpdk_open(const struct transport_spec *spec, struct error *err)
{
    struct dpdk *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        error_set(err, -ENOMEM, "expected memory for a port, got none; free some");
        return NULL;
    }
    struct dpdk_send_spec port = {.port = spec->target,
                                  .frame_bytes_max = spec->frame_bytes_max,
                                  .descriptors = spec->descriptors,
                                  .wait_s = spec->wait_s,
                                  .core = spec->core,
                                  .stop = spec->stop};
    d->transport.ops = &dpdk_ops;
    d->transport.stop = spec->stop;
    d->transport.keeps_content = true;
    d->drop_when_full = spec->drop_when_full;
    d->port = dpdk_send_open(&port, err);
    if (d->port == NULL) {
        dpdk_close(&d->transport);
        return NULL;
    }
    snprintf(d->transport.about, sizeof(d->transport.about), "%s", dpdk_send_about(d->port));
    return &d->transport;
}
