#include "daq/worker_ring.h"

#include <unistd.h>

#include "daq/leases.h"
#include "net/sequence.h"
#include "ring/clock.h"
#include "ring/segment.h"

int worker_ring_open(struct worker_ring *ring, const struct source_plan *plan, struct error *err)
{
    void *base;
    void *orders;
    size_t bytes;
    size_t orders_bytes;
    int code = segment_map((int)plan->orders_fd, false, RING_ORDERS_BYTES, &orders, &orders_bytes, err);
    if (code == 0) {
        code = ring_orders_check(orders, orders_bytes, err);
    }
    if (code == 0) {
        code = segment_map((int)plan->ring_fd, true, RING_HEADER_BYTES, &base, &bytes, err);
    }
    if (code == 0) {
        code = leases_open(&ring->gates, orders, plan->gates, err);
    }
    if (code == 0) {
        code = ring_writer_attach(&ring->writer, base, bytes, (uint64_t)getpid(), &ring->gates, err);
    }
    return code;
}

void worker_ring_begin(struct worker_ring *ring, const struct source_plan *plan, int64_t tai_minus_monotonic_ns)
{
    struct ring_writer *writer = &ring->writer;
    ring_writer_look(writer, clock_monotonic_ns());
    if (writer->epoch > 1) {
        net_sequence_interrupted(&plan->sequence, &writer->view.header->ledger);
        ring_writer_owe_gap(writer, RING_LOSS_RESTART, 0, 0);
        (void)ring_writer_pay_gap(writer, clock_tai_ns(tai_minus_monotonic_ns));
    }
    ring_count_set(&writer->view.header->ledger.is_open, 0);
}

void worker_rings_take_leases(struct worker_ring *const *rings, uint32_t count, int leases_fd)
{
    struct ring_gates *gates[PLAN_SOURCES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        gates[i] = &rings[i]->gates;
    }
    leases_take(leases_fd, gates, count);
}

void worker_rings_look(struct worker_ring *const *rings, uint32_t count, int leases_fd, uint64_t monotonic_ns)
{
    bool ordered = false;
    for (uint32_t i = 0; i < count; i++) {
        ordered = ordered || ring_gates_ordered(&rings[i]->gates);
    }
    if (ordered) {
        worker_rings_take_leases(rings, count, leases_fd);
    }
    for (uint32_t i = 0; i < count; i++) {
        ring_writer_look(&rings[i]->writer, monotonic_ns);
    }
}

void worker_rings_ring_bells(struct worker_ring *const *rings, uint32_t count, int bell_fd)
{
    const uint64_t one = 1;
    bool wake = false;
    for (uint32_t i = 0; i < count; i++) {
        struct worker_ring *ring = rings[i];
        uint64_t bell = __atomic_load_n(&ring->gates.orders->bell, __ATOMIC_ACQUIRE);
        if (bell != ring->rung && ring->writer.published != ring->seen_published) {
            ring->rung = bell;
            wake = true;
        }
        ring->seen_published = ring->writer.published;
    }
    if (wake && bell_fd >= 0) {
        (void)!write(bell_fd, &one, sizeof(one));
    }
}
