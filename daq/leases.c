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

static void map(struct ring_gates *gates, const struct protocol_lease *lease, int fd)
{
    void *place = (uint8_t *)(uintptr_t)gates->leases + (size_t)lease->gate * RING_LEASE_BYTES;
    /* The old lease is replaced in one step: a reader that has left can move nothing any more. */
    if (mmap(place, RING_LEASE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == place) {
        ring_gates_mapped(gates, lease->gate, lease->generation);
    }
}

void leases_take(struct worker *worker)
{
    struct protocol_lease lease;
    unsigned count;
    int fd;
    if (worker->leases_fd < 0) {
        return;
    }
    while (protocol_receive(worker->leases_fd, &lease, sizeof(lease), &fd, 1, &count) == (int)sizeof(lease)) {
        if (count == 0) {
            continue;
        }
        if (lease.magic == PROTOCOL_MAGIC && lease.source < worker->plan->sources &&
            lease.gate < worker->source[lease.source].gates.count) {
            map(&worker->source[lease.source].gates, &lease, fd);
        }
        close(fd);
    }
}
