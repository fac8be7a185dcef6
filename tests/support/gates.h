/* The server's and the readers' part of a ring's gates in plain memory: orders and leases, without processes. It
 * may be placed in shared memory, then writers in several processes obey it. */
#ifndef SUPPORT_GATES_H
#define SUPPORT_GATES_H

#include <stdalign.h>
#include <string.h>

#include "ring/gate.h"
#include "ring/reader.h"
#include "ring/writer.h"

struct test_gates {
    alignas(4096) struct ring_orders orders;
    alignas(4096) uint8_t lease[RING_GATES_MAX][RING_LEASE_BYTES];
    uint64_t generation; /* last one given */
};

static inline void test_gates_create(struct test_gates *g, uint32_t gates)
{
    memset(g, 0, sizeof(*g));
    ring_orders_create(&g->orders, gates);
}

static inline struct ring_lease *test_gates_lease(struct test_gates *g, uint32_t index)
{
    return (struct ring_lease *)(void *)g->lease[index];
}

/* What a writer makes of them; leases are not mapped yet. */
static inline void test_gates_attach(struct test_gates *g, struct ring_gates *gates)
{
    ring_gates_init(gates, &g->orders, &g->lease[0][0], g->orders.gates);
}

/* Takes up every lease that stands: what a writer does that follows one that died. */
static inline void test_gates_map_all(struct test_gates *g, struct ring_gates *gates)
{
    for (uint32_t i = 0; i < g->orders.gates; i++) {
        if (test_gates_lease(g, i)->generation != 0) {
            ring_gates_mapped(gates, i, test_gates_lease(g, i)->generation);
        }
    }
}

/* A new lease and the order that belongs to it; the lease is not mapped by this. Returns the generation. */
static inline uint64_t test_gates_order(struct test_gates *g, uint32_t index, uint64_t from, uint64_t deadline_ns)
{
    struct ring_lease *lease = test_gates_lease(g, index);
    struct ring_order *order = &g->orders.gate[index];
    uint64_t generation = ++g->generation;
    __atomic_store_n(&lease->position, 0, __ATOMIC_RELAXED);
    lease->magic = RING_LEASE_MAGIC;
    lease->generation = generation;
    __atomic_store_n(&order->from, from, __ATOMIC_RELAXED);
    __atomic_store_n(&order->deadline_ns, deadline_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&order->generation, generation, __ATOMIC_RELEASE);
    __atomic_store_n(&g->orders.changes, g->orders.changes + 1, __ATOMIC_RELEASE);
    return generation;
}

/* The same, and mapped: the usual case. */
static inline uint64_t test_gates_open(struct test_gates *g, struct ring_gates *gates, uint32_t index,
                                       uint64_t from, uint64_t deadline_ns)
{
    uint64_t generation = test_gates_order(g, index, from, deadline_ns);
    ring_gates_mapped(gates, index, generation);
    return generation;
}

static inline void test_gates_close(struct test_gates *g, uint32_t index)
{
    __atomic_store_n(&g->orders.gate[index].generation, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&g->orders.changes, g->orders.changes + 1, __ATOMIC_RELEASE);
}

static inline void test_gates_release(struct test_gates *g, uint32_t index, uint64_t position)
{
    __atomic_store_n(&test_gates_lease(g, index)->position, position, __ATOMIC_RELEASE);
}

/* A reader that has got its gate begins where the writer says; its lease is ours. */
static inline void test_gates_join(struct test_gates *g, struct ring_reader *reader, uint32_t index,
                                   uint64_t generation)
{
    reader->gate = index;
    reader->generation = generation;
    reader->lease = test_gates_lease(g, index);
    reader->position = __atomic_load_n(&reader->view.header->gate[index].base, __ATOMIC_ACQUIRE);
    ring_reader_release(reader);
}

/* A writer as it is set up for a ring that takes one gating reader .. */
static inline void test_gates_set_up(struct test_gates *g, struct ring_gates *gates, struct ring_writer *writer)
{
    test_gates_create(g, 1);
    test_gates_attach(g, gates);
    writer->gates = gates;
    writer->limit = 0;
}

/* .. and this reader comes and gates, without a deadline. */
static inline void test_gates_let_in(struct test_gates *g, struct ring_gates *gates, struct ring_writer *writer,
                                     struct ring_reader *reader)
{
    uint64_t generation = test_gates_open(g, gates, 0, 0, UINT64_MAX);
    ring_writer_look(writer, 1);
    test_gates_join(g, reader, 0, generation);
}

#endif
