/* The ring that is recorded, as a server has it: an usher that shows readers in, a socket that they ask at. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/disk_rig.h"
#include "daq/leases.h"

#define INSTANCE    "bench"
#define DEADLINE_NS (60 * CLOCK_NS_PER_S) /* nobody is demoted: what has no room is the writer's to tell */
#define ASK_S       5
#define READERS     4u

static uint64_t slots_of(uint32_t slot_bytes)
{
    uint64_t slots = RING_SLOTS_MIN;
    while (slots * 2 * slot_bytes <= DISK_RING_BYTES) {
        slots *= 2;
    }
    return slots;
}

/* A page that nobody has written to yet may cost its writer more than the frame: a hypervisor, too, gives it away
 * only then. That is no part of a server's day. */
static void touch(const struct segment *memory)
{
    volatile uint8_t *base = memory->base;
    for (size_t at = 0; at < memory->bytes; at += SEGMENT_PAGE_BYTES) {
        base[at] = 0;
    }
}

static int make_memory(struct disk_ring *ring, struct error *err)
{
    static const struct ring_stream stream = {.name = INSTANCE, .source = INSTANCE, .stamp = RING_STAMP_TAKEN};
    struct ring_spec spec = {.instance = INSTANCE,
                             .name = INSTANCE,
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = slots_of(ring->path->slot_bytes),
                             .slot_bytes = ring->path->slot_bytes,
                             .payload_offset = RING_DESCRIPTOR_BYTES,
                             .numa_node = -1,
                             .tai_minus_monotonic_ns = ring->tai_offset_ns};
    struct segment *memory = &ring->memory.segment;
    ring->plan = (struct ring_plan){.name = INSTANCE,
                                    .slots = spec.slots,
                                    .gates = 1,
                                    .gate_deadline_ns = DEADLINE_NS,
                                    .gate_evict_ns = DEADLINE_NS};
    /* Of this name, so that process_pss_kb knows it. */
    int code = segment_create(memory, "sluice-ring", ring_segment_bytes(&spec), SEGMENT_HUGE_OR_NORMAL, err);
    if (code == 0) {
        touch(memory);
        spec.page_bytes = memory->page_bytes;
        code = ring_create(memory->base, memory->bytes, &spec, err);
    }
    if (code == 0) {
        ring->memory.read_only_fd = segment_reopen_read_only(memory->fd, err);
        code = ring->memory.read_only_fd < 0 ? ring->memory.read_only_fd : 0;
    }
    return code;
}

static int make_writer(struct disk_ring *ring, struct error *err)
{
    int code = shared_create(&ring->orders, "sluice-bench-orders", RING_ORDERS_BYTES, err);
    if (code == 0) {
        ring_orders_create(ring->orders.segment.base, 1);
        code = leases_open(&ring->gates, ring->orders.segment.base, 1, err);
    }
    if (code == 0) {
        code = ring_writer_attach(&ring->writer, ring->memory.segment.base, ring->memory.segment.bytes,
                                  (uint64_t)getpid(), &ring->gates, err);
    }
    return code;
}

static int start_usher(struct disk_ring *ring, struct error *err)
{
    ring->board = calloc(1, sizeof(*ring->board));
    int code = ring->board != NULL ? 0 : error_set(err, -ENOMEM, "no memory for a board");
    if (code == 0) {
        code = usher_init(&ring->usher, READERS, ring->board, ring->tai_offset_ns, err);
    }
    if (code == 0) {
        usher_add_ring(&ring->usher, &ring->plan, &ring->memory, &ring->orders, 0, 0);
        ring->leases_fd = usher_leases_for(&ring->usher, 0, err);
        code = ring->leases_fd < 0 ? ring->leases_fd : usher_start(&ring->usher, err);
    }
    return code;
}

/* Whoever asks becomes the usher's, or is sent away. Until the socket is shut down. */
static void *serve(void *argument)
{
    struct disk_ring *ring = argument;
    for (;;) {
        struct protocol_request request;
        struct ucred who = {.pid = 0, .uid = (uid_t)-1};
        socklen_t bytes = sizeof(who);
        const struct timeval timeout = {.tv_sec = ASK_S};
        // cppcheck-suppress nullPointer ; accept(2) takes none
        int fd = accept4(ring->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && errno == EINTR) {
            continue;
        }
        if (fd < 0) {
            return NULL;
        }
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        if (recv(fd, &request, sizeof(request), 0) != (ssize_t)sizeof(request) ||
            !usher_attach(&ring->usher, fd, who.pid, who.uid, &request)) {
            close(fd);
        }
    }
}

static int listen_there(struct disk_ring *ring, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int code = disk_folder_make(&ring->folder, "/tmp", err);
    if (code != 0) {
        return code;
    }
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" INSTANCE, ring->folder.path);
    if (mkdir(address.sun_path, 0700) != 0) {
        return error_set(err, -errno, "cannot make %s: %s", address.sun_path, strerror(errno));
    }
    snprintf(address.sun_path + n, sizeof(address.sun_path) - (size_t)n, "/" PROTOCOL_SOCKET);
    ring->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (ring->listen_fd < 0 || bind(ring->listen_fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(ring->listen_fd, (int)READERS) != 0) {
        return error_set(err, -errno, "cannot listen on %s: %s", address.sun_path, strerror(errno));
    }
    setenv("SLUICE_RUN_DIR", ring->folder.path, 1);
    code = -pthread_create(&ring->server, NULL, serve, ring);
    ring->serves = code == 0;
    return code == 0 ? 0 : error_set(err, code, "cannot start a thread: %s", strerror(-code));
}

int disk_ring_open(struct disk_ring *ring, const struct disk_path *path, struct error *err)
{
    ring->path = path;
    ring->leases_fd = ring->listen_fd = -1;
    ring->memory = ring->orders = (struct shared){.segment = {.fd = -1}, .read_only_fd = -1};
    ring->tai_offset_ns = clock_measure_tai_offset_ns();
    int code = make_memory(ring, err);
    if (code == 0) {
        code = make_writer(ring, err);
    }
    if (code == 0) {
        code = start_usher(ring, err);
    }
    return code == 0 ? listen_there(ring, err) : code;
}

void disk_ring_close(struct disk_ring *ring)
{
    if (ring->serves) {
        shutdown(ring->listen_fd, SHUT_RDWR);
        pthread_join(ring->server, NULL);
    }
    usher_stop(&ring->usher);
    if (ring->listen_fd >= 0) {
        close(ring->listen_fd);
    }
    if (ring->leases_fd >= 0) {
        close(ring->leases_fd);
    }
    shared_destroy(&ring->memory);
    shared_destroy(&ring->orders);
    free(ring->board);
    disk_folder_remove(&ring->folder);
}
