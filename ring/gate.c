#include "ring/gate.h"

void ring_gates_init(struct ring_gates *gates, const struct ring_orders *orders, uint8_t *leases, uint32_t count)
{
    *gates = (struct ring_gates){.orders = orders,
                                 .leases = leases,
                                 .changes = UINT64_MAX, /* obey once in any case */
                                 .count = count < RING_GATES_MAX ? count : RING_GATES_MAX};
}

void ring_gates_mapped(struct ring_gates *gates, uint32_t index, uint64_t generation)
{
    if (index < gates->count) {
        gates->gate[index].mapped = generation;
        gates->changes = UINT64_MAX;
    }
}

static uint64_t released(const struct ring_gates *gates, uint32_t index)
{
    const struct ring_lease *lease =
        (const struct ring_lease *)(const void *)(gates->leases + (size_t)index * RING_LEASE_BYTES);
    return __atomic_load_n(&lease->position, __ATOMIC_ACQUIRE);
}

static void say(struct ring_gate_status *status, uint32_t state, uint32_t reason)
{
    __atomic_store_n(&status->reason, reason, __ATOMIC_RELAXED);
    __atomic_store_n(&status->state, state, __ATOMIC_RELEASE);
}

static void demote(struct ring_gate *gate, struct ring_gate_status *status, uint32_t reason, uint64_t next,
                   uint64_t tai_ns)
{
    gate->state = RING_GATE_DEMOTED;
    __atomic_store_n(&status->demoted_position, next, __ATOMIC_RELAXED);
    __atomic_store_n(&status->demoted_tai_ns, tai_ns, __ATOMIC_RELAXED);
    say(status, RING_GATE_DEMOTED, reason);
}

/* An earlier writer has obeyed this gate already, and its word stands: base, or that it was demoted. */
static void take_over(struct ring_gate *gate, const struct ring_gate_status *status)
{
    gate->state = status->state;
    gate->position = status->base;
}

static void join(struct ring_gate *gate, struct ring_gate_status *status, uint64_t base)
{
    gate->state = RING_GATE_GATING;
    gate->position = base;
    __atomic_store_n(&status->generation, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&status->base, base, __ATOMIC_RELEASE);
    ring_count_set(&status->waits, 0);
    ring_count_set(&status->waited_ns, 0);
    ring_count_set(&status->waited_ns_max, 0);
    ring_count_set(&status->demoted_position, 0);
    ring_count_set(&status->demoted_tai_ns, 0);
    say(status, RING_GATE_GATING, RING_GATE_NO_REASON);
    __atomic_store_n(&status->generation, gate->generation, __ATOMIC_RELEASE);
}

static uint64_t clamp(uint64_t position, uint64_t low, uint64_t high)
{
    return position < low ? low : position > high ? high : position;
}

void ring_gates_obey(struct ring_gates *gates, const struct ring_view *view, uint64_t published, uint64_t claimed)
{
    uint64_t changes = __atomic_load_n(&gates->orders->changes, __ATOMIC_ACQUIRE);
    uint64_t oldest = ring_oldest(claimed, view->slot_count);
    bool all = true;
    gates->gating = 0;
    for (uint32_t i = 0; i < gates->count; i++) {
        const struct ring_order *order = &gates->orders->gate[i];
        struct ring_gate_status *status = &view->header->gate[i];
        struct ring_gate *gate = &gates->gate[i];
        uint64_t generation = __atomic_load_n(&order->generation, __ATOMIC_ACQUIRE);
        if (generation != gate->generation && (generation == 0 || generation == gate->mapped)) {
            *gate = (struct ring_gate){.generation = generation,
                                       .mapped = gate->mapped,
                                       .deadline_ns = __atomic_load_n(&order->deadline_ns, __ATOMIC_RELAXED)};
            if (generation == 0) {
                say(status, RING_GATE_FREE, RING_GATE_NO_REASON);
            } else if (status->generation == generation && status->state != RING_GATE_FREE) {
                take_over(gate, status);
            } else {
                uint64_t from = __atomic_load_n(&order->from, __ATOMIC_RELAXED);
                join(gate, status, clamp(from, oldest < published ? oldest : published, published));
            }
        }
        all = all && generation == gate->generation;
        gates->gating += gate->state == RING_GATE_GATING;
    }
    /* An order whose lease is not mapped yet stays to be obeyed: whoever maps leases goes by ring_gates_ordered. */
    gates->changes = all ? changes : UINT64_MAX;
}

static void release_hold(struct ring_gate *gate, struct ring_gate_status *status, uint64_t monotonic_ns)
{
    if (gate->held_since_ns != 0) {
        uint64_t waited_ns = monotonic_ns - gate->held_since_ns;
        ring_count_add(&status->waited_ns, waited_ns);
        if (waited_ns > status->waited_ns_max) {
            ring_count_set(&status->waited_ns_max, waited_ns);
        }
        gate->held_since_ns = 0;
    }
}

/* Believes the lease if it can be true; a release cannot be taken back. */
static bool look_at(struct ring_gates *gates, uint32_t index, uint64_t visible)
{
    struct ring_gate *gate = &gates->gate[index];
    uint64_t position = released(gates, index);
    if (position > visible) {
        return false;
    }
    if (position > gate->position) {
        gate->position = position;
    }
    return true;
}

uint64_t ring_gates_limit(struct ring_gates *gates, const struct ring_view *view, uint64_t visible, uint64_t next,
                          uint64_t monotonic_ns)
{
    uint64_t limit = UINT64_MAX;
    uint64_t tai_ns = monotonic_ns + (uint64_t)view->tai_minus_monotonic_ns;
    for (uint32_t i = 0; i < gates->count; i++) {
        struct ring_gate *gate = &gates->gate[i];
        struct ring_gate_status *status = &view->header->gate[i];
        if (gate->state != RING_GATE_GATING) {
            continue;
        }
        uint32_t reason = look_at(gates, i, visible) ? RING_GATE_NO_REASON : RING_GATE_NONSENSE;
        bool holds = gate->position + view->slot_count <= next;
        if (!holds) {
            release_hold(gate, status, monotonic_ns);
        } else if (gate->held_since_ns == 0) {
            gate->held_since_ns = monotonic_ns;
            ring_count_add(&status->waits, 1);
        } else if (monotonic_ns - gate->held_since_ns > gate->deadline_ns) {
            reason = RING_GATE_DEADLINE;
        }
        if (reason != RING_GATE_NO_REASON) {
            release_hold(gate, status, monotonic_ns);
            demote(gate, status, reason, next, tai_ns);
            gates->gating--;
        } else if (gate->position + view->slot_count < limit) {
            limit = gate->position + view->slot_count;
        }
    }
    return limit;
}
