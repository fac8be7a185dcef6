/* libsluice's view of a server as a whole: everything it shows, mapped once. Cold. */
#include "ring/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring/board.h"
#include "ring/handle.h"
#include "ring/histogram.h"
#include "ring/measures.h"
#include "ring/protocol.h"
#include "ring/segment.h"

static_assert(SLUICE_HISTOGRAM_BUCKETS == HISTOGRAM_BUCKETS, "what is installed is what is here");
static_assert((int)SLUICE_HISTOGRAM == MEASURES_HISTOGRAM && (int)SLUICE_COUNTER == MEASURES_COUNTER &&
                  (int)SLUICE_GAUGE == MEASURES_GAUGE && (int)SLUICE_STATE_WORD == MEASURES_STATE &&
                  MEASURES_NAME_BYTES == sizeof(((struct sluice_measure *)0)->name) &&
                  MEASURES_WORD_BYTES == sizeof(((struct sluice_measure *)0)->word),
              "what is installed is what is here");

struct server_ring {
    struct ring_view view;
    struct sluice_tables tables;
};

struct sluice_server {
    int socket_fd;
    char instance[RING_NAME_BYTES];
    struct measures *measures; /* ours; NULL: it shows none */
    struct {
        const struct measures_entry *entry;
        const void *place;
    } measure[MEASURES_MAX]; /* those that lead somewhere */
    uint32_t measure_count;
    struct server_ring *ring; /* rings of them */
    uint32_t rings;
    void *map[PROTOCOL_FDS_MAX];
    size_t map_bytes[PROTOCOL_FDS_MAX];
    uint32_t maps;
};

static bool is_board(const struct sluice_server *s, uint32_t map)
{
    const struct board *board = s->map[map];
    return s->map_bytes[map] >= sizeof(*board) && board->magic == BOARD_MAGIC;
}

static int take_ring(struct sluice_server *s, void *base, size_t bytes, struct error *err)
{
    struct server_ring *ring = &s->ring[s->rings];
    int code = ring_attach(&ring->view, base, bytes, err);
    if (code == 0) {
        code = sluice_tables_copy(&ring->tables, &ring->view, err);
    }
    s->rings += code == 0 ? 1 : 0;
    return code;
}

/* A segment says by its first word what it is; what we have no use for stays mapped. */
static int take(struct sluice_server *s, int fd, struct error *err)
{
    void *base = NULL;
    size_t bytes = 0;
    int code = segment_map(fd, false, sizeof(uint64_t), &base, &bytes, err);
    if (code != 0) {
        return code;
    }
    s->map[s->maps] = base;
    s->map_bytes[s->maps++] = bytes;
    uint64_t magic = *(const uint64_t *)base;
    if (magic == RING_MAGIC) {
        return take_ring(s, base, bytes, err);
    }
    if (magic == MEASURES_MAGIC) {
        free(s->measures); /* of a server that shows two */
        code = measures_copy(&s->measures, base, bytes, err);
    } else if (is_board(s, s->maps - 1) && ((const struct board *)base)->version != BOARD_LAYOUT_VERSION) {
        code =
            error_set(err, -EPROTO, "expected boards of version %u, found %u; use the same release on both sides",
                      BOARD_LAYOUT_VERSION, ((const struct board *)base)->version);
    }
    return code;
}

static int fetch(struct sluice_server *s, struct error *err)
{
    struct protocol_reply reply;
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 0;
    int code = protocol_call(s->socket_fd, PROTOCOL_BOARDS, NULL, &reply, fds, &count, err);
    s->ring = code == 0 ? calloc(count + 1, sizeof(s->ring[0])) : NULL;
    if (code == 0 && s->ring == NULL) {
        code = -ENOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        if (code == 0) {
            code = take(s, fds[i], err);
        }
        close(fds[i]);
    }
    return code;
}

/* What is listed, and is there. */
static void find_measures(struct sluice_server *s)
{
    for (uint32_t i = 0; s->measures != NULL && i < s->measures->count; i++) {
        const struct measures_entry *entry = &s->measures->entry[i];
        const void *place = measures_find(entry, s->map, s->map_bytes, s->maps);
        if (place != NULL) {
            s->measure[s->measure_count].entry = entry;
            s->measure[s->measure_count++].place = place;
        }
    }
}

int sluice_open(struct sluice_server **server, const char *instance, char *error, size_t error_bytes)
{
    struct error err = {{0}};
    struct sluice_server *s = calloc(1, sizeof(*s));
    int code = s != NULL ? protocol_choose(instance, s->instance, &err) : -ENOMEM;
    if (code == 0) {
        s->socket_fd = protocol_connect(s->instance, &err);
        code = s->socket_fd < 0 ? s->socket_fd : fetch(s, &err);
    } else if (s != NULL) {
        s->socket_fd = -1;
    }
    if (code != 0) {
        sluice_close(s);
        return sluice_say(code, &err, error, error_bytes);
    }
    find_measures(s);
    *server = s;
    return 0;
}

void sluice_close(struct sluice_server *server)
{
    if (server == NULL) {
        return;
    }
    for (uint32_t i = 0; i < server->maps; i++) {
        munmap(server->map[i], server->map_bytes[i]);
    }
    if (server->socket_fd >= 0) {
        close(server->socket_fd);
    }
    free(server->ring);
    free(server->measures);
    free(server);
}

uint32_t sluice_instances(char names[][32], uint32_t max)
{
    return protocol_instances(names, max);
}

const char *sluice_server_instance(const struct sluice_server *server)
{
    return server->instance;
}

int sluice_server_alive(const struct sluice_server *server)
{
    struct pollfd p = {.fd = server->socket_fd, .events = POLLRDHUP};
    int n;
    do {
        n = poll(&p, 1, 0);
    } while (n < 0 && errno == EINTR); /* a signal is no end, and interrupts a poll that does not wait, too */
    return n == 0 ? 1 : 0;
}

uint32_t sluice_server_rings(const struct sluice_server *server)
{
    return server->rings;
}

int sluice_server_ring(const struct sluice_server *server, uint32_t ring, struct sluice_ring *about)
{
    if (ring >= server->rings) {
        return -ERANGE;
    }
    sluice_tell_ring(&server->ring[ring].tables, &server->ring[ring].view, about);
    return 0;
}

int sluice_server_stream(const struct sluice_server *server, uint32_t ring, uint32_t index,
                         struct sluice_stream *stream)
{
    return ring < server->rings ? sluice_tell_stream(&server->ring[ring].tables, index, stream) : -ERANGE;
}

int sluice_server_channel(const struct sluice_server *server, uint32_t ring, uint32_t index,
                          struct sluice_channel *channel)
{
    return ring < server->rings ? sluice_tell_channel(&server->ring[ring].tables, index, channel) : -ERANGE;
}

int sluice_server_progress(const struct sluice_server *server, uint32_t ring, struct sluice_progress *progress)
{
    if (ring >= server->rings) {
        return -ERANGE;
    }
    sluice_tell_progress(&server->ring[ring].view, progress);
    return 0;
}

int sluice_server_ledger(const struct sluice_server *server, uint32_t ring, struct sluice_ledger *ledger)
{
    if (ring >= server->rings) {
        return -ERANGE;
    }
    sluice_tell_ledger(&server->ring[ring].view, ledger);
    return 0;
}

int sluice_server_rate(const struct sluice_server *server, uint32_t ring, struct sluice_rate *rate)
{
    if (ring >= server->rings) {
        return -ERANGE;
    }
    sluice_tell_rate(&server->ring[ring].tables, &server->ring[ring].view, rate);
    return 0;
}

int sluice_server_process(const struct sluice_server *server, uint32_t index, struct sluice_process *process)
{
    uint32_t map = 0;
    while (map < server->maps && !(is_board(server, map) && index-- == 0)) {
        map++;
    }
    if (map == server->maps) {
        return -ERANGE;
    }
    const struct board *b = server->map[map];
    *process = (struct sluice_process){.pid = ring_count_read(&b->pid),
                                       .started_tai_ns = ring_count_read(&b->started_tai_ns),
                                       .heartbeats = ring_count_read(&b->heartbeat),
                                       .heartbeat_ns = ring_count_read(&b->heartbeat_ns),
                                       .core = b->core,
                                       .policy = b->policy,
                                       .priority = b->priority,
                                       .is_locked = b->locked,
                                       .is_sealed = b->sealed,
                                       .refusals = b->refusals,
                                       .stalls = ring_count_read(&b->stalls.count),
                                       .stall_ns = ring_count_read(&b->stalls.total_ns),
                                       .stall_ns_max = ring_count_read(&b->stalls.longest_ns)};
    snprintf(process->name, sizeof(process->name), "%.*s", (int)sizeof(b->name) - 1, b->name);
    return 0;
}

int sluice_server_measure(const struct sluice_server *server, uint32_t index, struct sluice_measure *measure)
{
    if (index >= server->measure_count) {
        return -ERANGE;
    }
    const struct measures_entry *entry = server->measure[index].entry;
    const void *place = server->measure[index].place;
    *measure = (struct sluice_measure){
        .kind = entry->kind, .value = measures_value(entry, place), .period_ns = entry->period_ns};
    memcpy(measure->name, entry->name, sizeof(measure->name));
    if (entry->kind == MEASURES_STATE) {
        snprintf(measure->word, sizeof(measure->word), "%s",
                 measures_word_of(server->measures, entry, measure->value));
    }
    return 0;
}

int sluice_server_histogram(const struct sluice_server *server, uint32_t index, struct sluice_histogram *histogram)
{
    if (index >= server->measure_count) {
        return -ERANGE;
    }
    const struct measures_entry *entry = server->measure[index].entry;
    const void *place = server->measure[index].place;
    if (entry->kind != MEASURES_HISTOGRAM) {
        return -EINVAL;
    }
    struct histogram copy;
    hist_copy(place, &copy);
    *histogram = (struct sluice_histogram){.count = copy.count,
                                           .max_ns = copy.max_ns,
                                           .sum_ns = copy.sum_ns,
                                           .late = copy.late,
                                           .limit_ns = copy.limit_ns};
    memcpy(histogram->buckets, copy.buckets, sizeof(histogram->buckets));
    return 0;
}

uint64_t sluice_histogram_quantile_ns(const struct sluice_histogram *histogram, double q)
{
    struct histogram h = {.count = histogram->count, .max_ns = histogram->max_ns};
    memcpy(h.buckets, histogram->buckets, sizeof(h.buckets));
    return hist_quantile_ns(&h, q > 0 ? (q < 1 ? q : 1) : 0); /* NaN is 0 */
}

uint64_t sluice_histogram_high_ns(uint32_t bucket)
{
    return hist_bucket_high_ns(bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1);
}
