#include "daq/leases.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring/protocol.h"

int leases_open(struct ring_gates *gates, const struct ring_orders *orders, uint32_t count, struct error *err)
{
    void *area = NULL;
    if (count > 0) {
        area = mmap(NULL, (size_t)count * RING_LEASE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED) {
            return error_set(err, -errno, "no address space for the leases of %u gating readers: %s", count,
                             strerror(errno));
        }
    }
    ring_gates_init(gates, orders, area, count);
    return 0;
}

/* The old lease is replaced in one step: a reader that has left can move nothing any more. */
static void map(struct ring_gates *gates, const struct protocol_lease *lease, int fd)
{
    void *place = gates->leases + (size_t)lease->gate * RING_LEASE_BYTES;
    const void *mapped = mmap(place, RING_LEASE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
    if (mapped == place) {
        ring_gates_mapped(gates, lease->gate, lease->generation);
    }
}

void leases_take(int socket_fd, struct ring_gates *const gates[], uint32_t sources)
{
    struct protocol_lease lease;
    unsigned count;
    int fd;
    if (socket_fd < 0) {
        return;
    }
    int bytes;
    while ((bytes = protocol_receive(socket_fd, &lease, sizeof(lease), &fd, 1, &count)) > 0) {
        if (count == 0) {
            continue;
        }
        if (bytes == (int)sizeof(lease) && lease.magic == PROTOCOL_MAGIC && lease.source < sources &&
            lease.gate < gates[lease.source]->count) {
            map(gates[lease.source], &lease, fd);
        }
        close(fd);
    }
}
