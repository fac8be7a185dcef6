#include "bench/stand.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ring/clock.h"
#include "ring/protocol.h"

#define TICK_MS 1 /* while somebody sleeps */

struct client {
    int fd; /* -1: nobody */
    bool attached;
    bool waits;
    uint32_t ring;
    uint64_t wait_for;
    struct segment lease;
};

struct stand_ring_place {
    struct segment segment;
    int read_only_fd;
    struct ring_writer writer;
};

struct stand {
    char instance[RING_NAME_BYTES];
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char directory[256];
    bool made_directory;
    int listen_fd;
    int stop_fd;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* over what follows */
    uint32_t manner;
    uint32_t rings;
    struct stand_ring_place ring[STAND_RINGS_MAX];
    struct client client[STAND_CLIENTS_MAX];
};

static void drop(struct client *client)
{
    close(client->fd);
    segment_destroy(&client->lease);
    *client = (struct client){.fd = -1, .lease = {.fd = -1}};
}

__attribute__((format(printf, 6, 7))) static void answer(const struct stand *stand, int fd, const int *fds,
                                                         unsigned count, int code, const char *format, ...)
{
    struct protocol_reply reply = {.magic = PROTOCOL_MAGIC,
                                   .version = PROTOCOL_VERSION,
                                   .fds = (uint16_t)(code == 0 ? count : 0),
                                   .code = code};
    va_list args;
    va_start(args, format);
    vsnprintf(reply.text, sizeof(reply.text), format, args);
    va_end(args);
    if (stand->manner == STAND_OTHER_VERSION) {
        reply.version = PROTOCOL_VERSION + 1;
    }
    (void)protocol_send(fd, &reply, sizeof(reply), fds, reply.fds);
}

static int find_ring(const struct stand *stand, const char *name)
{
    for (uint32_t i = 0; i < stand->rings; i++) {
        const struct ring_header *header = stand->ring[i].segment.base;
        if (strncmp(header->identity.name, name, RING_NAME_BYTES) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void attach(struct stand *stand, struct client *client, const struct protocol_request *request)
{
    struct error err = {{0}};
    int ring = find_ring(stand, request->name);
    if (ring < 0) {
        answer(stand, client->fd, NULL, 0, -ENXIO, "there is no ring '%.31s'", request->name);
        return;
    }
    if (stand->manner == STAND_FULL) {
        answer(stand, client->fd, NULL, 0, -EUSERS, "all 0 places for readers are taken");
        return;
    }
    segment_destroy(&client->lease); /* of an earlier attach */
    int code = segment_create(&client->lease, "sluice-lease", RING_LEASE_BYTES, SEGMENT_NORMAL, &err);
    if (code != 0) {
        answer(stand, client->fd, NULL, 0, code, "no memory for a lease: %s", err.text);
        return;
    }
    struct ring_lease *lease = client->lease.base;
    lease->position = ring_published_now(stand->ring[ring].segment.base);
    __atomic_store_n(&lease->magic, RING_LEASE_MAGIC, __ATOMIC_RELEASE);
    client->attached = true;
    client->ring = (uint32_t)ring;
    int fds[2] = {stand->ring[ring].read_only_fd, client->lease.fd};
    answer(stand, client->fd, fds, 2, 0, "attached");
}

static void show_rings(struct stand *stand, const struct client *client)
{
    int fds[STAND_RINGS_MAX];
    for (uint32_t i = 0; i < stand->rings; i++) {
        fds[i] = stand->ring[i].read_only_fd;
    }
    answer(stand, client->fd, fds, stand->rings, 0, "boards");
}

static void obey(struct stand *stand, struct client *client, const struct protocol_request *request)
{
    switch (request->op) {
    case PROTOCOL_ATTACH:
        attach(stand, client, request);
        break;
    case PROTOCOL_BOARDS:
        show_rings(stand, client);
        break;
    case PROTOCOL_WAIT:
        client->waits = client->attached;
        client->wait_for = request->argument;
        break;
    case PROTOCOL_GATE:
        answer(stand, client->fd, NULL, 0, -EPERM, "ring '%.31s' takes no gating readers", request->name);
        break;
    default:
        answer(stand, client->fd, NULL, 0, -EPERM, "a stand takes no commands");
        break;
    }
}

static void serve(struct stand *stand, struct client *client)
{
    struct protocol_request request;
    int fds[1];
    unsigned fd_count = 0;
    int n = protocol_receive(client->fd, &request, sizeof(request), fds, 0, &fd_count);
    if (n == -EAGAIN) {
        return;
    }
    bool whole = n == (int)sizeof(request) && request.magic == PROTOCOL_MAGIC;
    if (!whole || stand->manner == STAND_RUDE) {
        drop(client);
    } else if (request.version != PROTOCOL_VERSION) {
        answer(stand, client->fd, NULL, 0, -EPROTO, "expected a request of protocol version %u, found %u",
               PROTOCOL_VERSION, request.version);
    } else if (stand->manner != STAND_SILENT) {
        request.name[RING_NAME_BYTES - 1] = 0;
        obey(stand, client, &request);
    }
}

static void welcome(struct stand *stand)
{
    // cppcheck-suppress nullPointer ; accept(2) takes none
    int fd = accept4(stand->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (uint32_t i = 0; fd >= 0 && i < STAND_CLIENTS_MAX; i++) {
        if (stand->client[i].fd < 0) {
            stand->client[i].fd = fd;
            return;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* True if somebody still sleeps. */
static bool wake(struct stand *stand)
{
    bool asleep = false;
    for (uint32_t i = 0; i < STAND_CLIENTS_MAX; i++) {
        struct client *client = &stand->client[i];
        if (client->fd < 0 || !client->waits) {
            continue;
        }
        uint64_t published = ring_published_now(stand->ring[client->ring].segment.base);
        struct protocol_wake packet = {.magic = PROTOCOL_MAGIC, .published = published};
        client->waits =
            published <= client->wait_for || protocol_send(client->fd, &packet, sizeof(packet), NULL, 0) != 0;
        asleep = asleep || client->waits;
    }
    return asleep;
}

static void *stand_main(void *argument)
{
    struct stand *stand = argument;
    struct pollfd p[STAND_CLIENTS_MAX + 2];
    for (bool asleep = false;;) {
        pthread_mutex_lock(&stand->lock);
        p[0] = (struct pollfd){.fd = stand->stop_fd, .events = POLLIN};
        p[1] = (struct pollfd){.fd = stand->listen_fd, .events = POLLIN};
        for (uint32_t i = 0; i < STAND_CLIENTS_MAX; i++) {
            p[i + 2] = (struct pollfd){.fd = stand->client[i].fd, .events = POLLIN};
        }
        pthread_mutex_unlock(&stand->lock);
        int n = poll(p, STAND_CLIENTS_MAX + 2, asleep ? TICK_MS : -1);
        if (p[0].revents != 0) {
            return NULL;
        }
        pthread_mutex_lock(&stand->lock);
        for (uint32_t i = 0; n > 0 && i < STAND_CLIENTS_MAX; i++) {
            if (p[i + 2].revents != 0 && stand->client[i].fd == p[i + 2].fd) {
                serve(stand, &stand->client[i]);
            }
        }
        if (n > 0 && p[1].revents != 0) {
            welcome(stand);
        }
        asleep = wake(stand);
        pthread_mutex_unlock(&stand->lock);
    }
}

/* A socket that nobody listens on any more may be replaced. */
static int listen_at(struct stand *stand, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, stand->path, sizeof(address.sun_path));
    struct error ignored = {{0}};
    int other = protocol_connect(stand->instance, &ignored);
    if (other >= 0) {
        close(other);
        stand->path[0] = 0; /* not ours to remove */
        return error_set(err, -EADDRINUSE, "a server of instance '%s' runs already", stand->instance);
    }
    unlink(stand->path);
    stand->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (stand->listen_fd < 0 || bind(stand->listen_fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(stand->path, 0660) != 0 || listen(stand->listen_fd, 64) != 0) {
        return error_set(err, -errno, "cannot listen on %s: %s", stand->path, strerror(errno));
    }
    return 0;
}

static int make_place(struct stand *stand, struct error *err)
{
    char parent[256];
    int code = protocol_run_dir(stand->directory, sizeof(stand->directory), stand->instance, err);
    if (code == 0) {
        code = protocol_run_dir(parent, sizeof(parent), "", err);
    }
    if (code != 0) {
        return code;
    }
    int n = snprintf(stand->path, sizeof(stand->path), "%s/%s", stand->directory, PROTOCOL_SOCKET);
    if (n < 0 || (size_t)n >= sizeof(stand->path)) {
        stand->path[0] = 0;
        return error_set(err, -ENAMETOOLONG, "%s is too long for a socket's path", stand->directory);
    }
    (void)mkdir(parent, 0755);
    stand->made_directory = mkdir(stand->directory, 0755) == 0;
    return stand->made_directory || errno == EEXIST
               ? listen_at(stand, err)
               : error_set(err, -errno, "cannot make %s: %s", stand->directory, strerror(errno));
}

int stand_open(struct stand **stand, const char *instance, struct error *err)
{
    *stand = NULL;
    struct stand *s = calloc(1, sizeof(*s));
    if (s == NULL || strlen(instance) >= sizeof(s->instance)) {
        free(s);
        return error_set(err, s == NULL ? -ENOMEM : -EINVAL, "expected an instance's name of 1 to %u characters",
                         RING_NAME_BYTES - 1);
    }
    snprintf(s->instance, sizeof(s->instance), "%s", instance);
    s->listen_fd = -1;
    s->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    for (uint32_t i = 0; i < STAND_CLIENTS_MAX; i++) {
        s->client[i] = (struct client){.fd = -1, .lease = {.fd = -1}};
    }
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    int code = s->stop_fd >= 0 ? make_place(s, err) : -errno;
    if (code == 0) {
        code = -pthread_create(&s->thread, NULL, stand_main, s);
        s->running = code == 0;
    }
    if (code != 0) {
        stand_close(s);
        return code;
    }
    *stand = s;
    return 0;
}

void stand_close(struct stand *stand)
{
    if (stand == NULL) {
        return;
    }
    if (stand->running) {
        uint64_t one = 1;
        (void)!write(stand->stop_fd, &one, sizeof(one));
        pthread_join(stand->thread, NULL);
    }
    for (uint32_t i = 0; i < STAND_CLIENTS_MAX; i++) {
        if (stand->client[i].fd >= 0) {
            drop(&stand->client[i]);
        }
    }
    for (uint32_t i = 0; i < stand->rings; i++) {
        close(stand->ring[i].read_only_fd);
        segment_destroy(&stand->ring[i].segment);
    }
    if (stand->listen_fd >= 0) {
        close(stand->listen_fd);
    }
    if (stand->path[0] != 0) {
        unlink(stand->path);
    }
    if (stand->made_directory) {
        rmdir(stand->directory);
    }
    if (stand->stop_fd >= 0) {
        close(stand->stop_fd);
    }
    free(stand);
}

static int lay_out(struct stand_ring_place *place, const struct ring_spec *spec, enum segment_pages pages,
                   struct error *err)
{
    struct ring_spec its = *spec;
    int code = segment_create(&place->segment, "sluice-ring", ring_segment_bytes(spec), pages, err);
    if (code != 0) {
        return code;
    }
    its.page_bytes = place->segment.page_bytes;
    code = ring_create(place->segment.base, place->segment.bytes, &its, err);
    if (code == 0) {
        struct ring_identity *id = &((struct ring_header *)place->segment.base)->identity;
        id->created_tai_ns = clock_tai_ns(spec->tai_minus_monotonic_ns);
        id->utc_offset_s = clock_utc_offset_s();
        code = ring_writer_attach(&place->writer, place->segment.base, place->segment.bytes, (uint64_t)getpid(),
                                  NULL, err);
    }
    if (code == 0) {
        place->read_only_fd = segment_reopen_read_only(place->segment.fd, err);
        code = place->read_only_fd < 0 ? place->read_only_fd : 0;
    }
    if (code != 0) {
        segment_destroy(&place->segment);
    }
    return code;
}

int stand_ring(struct stand *stand, const struct ring_spec *spec, enum segment_pages pages,
               struct ring_writer **writer, struct error *err)
{
    if (stand->rings >= STAND_RINGS_MAX || ring_segment_bytes(spec) == 0) {
        return error_set(err, -EINVAL, "expected a possible ring, and at most %u of them", STAND_RINGS_MAX);
    }
    struct stand_ring_place *place = &stand->ring[stand->rings];
    struct ring_spec its = *spec;
    its.instance = stand->instance;
    int code = lay_out(place, &its, pages, err);
    if (code == 0) {
        *writer = &place->writer;
        pthread_mutex_lock(&stand->lock);
        stand->rings++;
        pthread_mutex_unlock(&stand->lock);
    }
    return code;
}

int stand_restart(struct stand *stand, uint32_t ring, struct error *err)
{
    struct stand_ring_place *place = &stand->ring[ring];
    return ring_writer_attach(&place->writer, place->segment.base, place->segment.bytes, (uint64_t)getpid(), NULL,
                              err);
}

void stand_behave(struct stand *stand, enum stand_manner manner)
{
    pthread_mutex_lock(&stand->lock);
    stand->manner = manner;
    pthread_mutex_unlock(&stand->lock);
}

uint32_t stand_readers(struct stand *stand, struct stand_reader reader[], uint32_t max)
{
    uint32_t count = 0;
    pthread_mutex_lock(&stand->lock);
    for (uint32_t i = 0; i < STAND_CLIENTS_MAX; i++) {
        const struct client *client = &stand->client[i];
        if (client->fd < 0 || !client->attached) {
            continue;
        }
        if (count < max) {
            const struct ring_lease *lease = client->lease.base;
            reader[count] = (struct stand_reader){.ring = client->ring,
                                                  .position = __atomic_load_n(&lease->position, __ATOMIC_ACQUIRE),
                                                  .lost = __atomic_load_n(&lease->lost, __ATOMIC_RELAXED)};
        }
        count++;
    }
    pthread_mutex_unlock(&stand->lock);
    return count;
}
