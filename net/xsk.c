#include "net/xsk.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMPLETIONS 64u /* of what we never send; the kernel wants the ring */

uint32_t xsk_chunk_bytes(uint32_t slot_bytes)
{
    if (slot_bytes < XSK_CHUNK_BYTES_MIN) {
        return 0;
    }
    return slot_bytes < XSK_CHUNK_BYTES_MAX ? slot_bytes : XSK_CHUNK_BYTES_MAX;
}

uint32_t xsk_frame_bytes_max(uint32_t slot_bytes, uint32_t headroom_bytes)
{
    uint32_t used = XSK_HEADROOM_BYTES + headroom_bytes;
    return xsk_chunk_bytes(slot_bytes) > used ? xsk_chunk_bytes(slot_bytes) - used : 0;
}

static int set(int fd, int option, const void *value, socklen_t bytes)
{
    return setsockopt(fd, SOL_XDP, option, value, bytes) == 0 ? 0 : -errno;
}

static int register_memory(struct xsk *xsk, const struct ring_memory *memory, const struct xsk_spec *spec)
{
    uint32_t chunk = xsk_chunk_bytes(memory->slot_bytes);
    struct xdp_umem_reg reg = {.addr = (uint64_t)(uintptr_t)memory->first_slot,
                               .len = memory->slots * memory->slot_bytes,
                               .chunk_size = chunk,
                               .headroom = spec->headroom_bytes};
    if (chunk == 0) {
        return -EINVAL;
    }
    xsk->chunk_bytes = chunk;
    xsk->unaligned = memory->slot_bytes != XSK_CHUNK_BYTES_MIN && memory->slot_bytes != XSK_CHUNK_BYTES_MAX;
    reg.flags = xsk->unaligned ? XDP_UMEM_UNALIGNED_CHUNK_FLAG : 0;
    return set(xsk->fd, XDP_UMEM_REG, &reg, sizeof(reg));
}

static int set_sizes(int fd, uint32_t descriptors)
{
    const uint32_t completions = COMPLETIONS;
    int code = set(fd, XDP_UMEM_FILL_RING, &descriptors, sizeof(descriptors));
    if (code == 0) {
        code = set(fd, XDP_UMEM_COMPLETION_RING, &completions, sizeof(completions));
    }
    if (code == 0) {
        code = set(fd, XDP_RX_RING, &descriptors, sizeof(descriptors));
    }
    return code;
}

static int map_ring(int fd, struct xsk_ring *ring, const struct xdp_ring_offset *at, uint64_t page_offset,
                    uint32_t places, size_t place_bytes)
{
    size_t bytes = at->desc + places * place_bytes;
    uint8_t *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)page_offset);
    if (map == MAP_FAILED) {
        return -errno;
    }
    *ring = (struct xsk_ring){.map = map,
                              .bytes = bytes,
                              .producer = (uint32_t *)(void *)(map + at->producer),
                              .consumer = (uint32_t *)(void *)(map + at->consumer),
                              .flags = (uint32_t *)(void *)(map + at->flags),
                              .places = map + at->desc,
                              .mask = places - 1};
    return 0;
}

static int map_rings(struct xsk *xsk, uint32_t descriptors)
{
    struct xdp_mmap_offsets at;
    socklen_t bytes = sizeof(at);
    if (getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &bytes) != 0) {
        return -errno;
    }
    int code = map_ring(xsk->fd, &xsk->fill, &at.fr, XDP_UMEM_PGOFF_FILL_RING, descriptors, sizeof(uint64_t));
    if (code == 0) {
        code = map_ring(xsk->fd, &xsk->receive, &at.rx, XDP_PGOFF_RX_RING, descriptors, sizeof(struct xdp_desc));
    }
    return code;
}

/* Zero-copy where the driver has it, unless chunks may cross from one page to another that is not its neighbour for
 * the device. */
static int bind_to(struct xsk *xsk, const struct xsk_spec *spec)
{
    struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
                                   .sxdp_flags = XDP_USE_NEED_WAKEUP,
                                   .sxdp_ifindex = spec->ifindex,
                                   .sxdp_queue_id = spec->queue};
    struct xdp_options options = {.flags = 0};
    socklen_t bytes = sizeof(options);
    address.sxdp_flags |= spec->pieces ? XDP_USE_SG : 0;
    if (spec->copy || spec->pieces || xsk->unaligned) {
        address.sxdp_flags |= XDP_COPY;
    }
    if (bind(xsk->fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        return -errno;
    }
    xsk->zero_copy = getsockopt(xsk->fd, SOL_XDP, XDP_OPTIONS, &options, &bytes) == 0 &&
                     (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
    return 0;
}

int xsk_open(struct xsk *xsk, const struct ring_memory *memory, const struct xsk_spec *spec)
{
    *xsk = (struct xsk){.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)};
    if (xsk->fd < 0) {
        return -errno;
    }
    int code = register_memory(xsk, memory, spec);
    if (code == 0) {
        code = set_sizes(xsk->fd, spec->descriptors);
    }
    if (code == 0) {
        code = map_rings(xsk, spec->descriptors);
    }
    if (code == 0) {
        code = bind_to(xsk, spec);
    }
    if (code != 0) {
        xsk_close(xsk);
    }
    return code;
}

static void unmap(struct xsk_ring *ring)
{
    if (ring->map != NULL) {
        munmap(ring->map, ring->bytes);
    }
    *ring = (struct xsk_ring){.map = NULL};
}

void xsk_close(struct xsk *xsk)
{
    /* The maps first: each holds the socket, and with it the queue. */
    unmap(&xsk->fill);
    unmap(&xsk->receive);
    if (xsk->fd >= 0) {
        close(xsk->fd);
    }
    xsk->fd = -1;
}

uint64_t xsk_dropped(const struct xsk *xsk)
{
    struct xdp_statistics statistics = {0};
    socklen_t bytes = sizeof(statistics);
    if (xsk->fd < 0 || getsockopt(xsk->fd, SOL_XDP, XDP_STATISTICS, &statistics, &bytes) != 0) {
        return 0;
    }
    /* A frame that found the fill ring empty is among the dropped ones; rx_fill_ring_empty_descs counts attempts.
     */
    return statistics.rx_dropped + statistics.rx_ring_full;
}

void xsk_wake(const struct xsk *xsk)
{
    (void)recvfrom(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

bool xsk_is_bound(const struct xsk *xsk)
{
    return recvfrom(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) >= 0 || errno != ENXIO;
}
