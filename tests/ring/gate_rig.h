/* A ring with a writer that obeys gates, the server's part of them, and a clock of our own: for test_gate*.c. */
#ifndef RING_GATE_RIG_H
#define RING_GATE_RIG_H

#include <criterion/criterion.h>

#include "ring/reader.h"
#include "tests/support/gates.h"
#include "tests/support/temporary_ring.h"

#define SLOTS    UINT64_C(64)
#define WORDS    4u
#define SEED     21u
#define GATES    4u
#define DEADLINE UINT64_C(1000)
#define FAR      (UINT64_C(1) << 40)

static struct temporary_ring t;
static struct test_gates server;
static struct ring_gates gates;
static uint64_t now_ns = 5000;

static inline void attach_writer(void)
{
    struct error err = {{0}};
    test_gates_attach(&server, &gates);
    cr_assert_eq(ring_writer_attach(&t.writer, t.segment.base, t.segment.bytes, 7, &gates, &err), 0, "%s",
                 err.text);
    test_gates_map_all(&server, &gates);
    ring_writer_look(&t.writer, now_ns);
}

static inline void open_ring(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    temporary_ring_create(&t, &spec);
    test_gates_create(&server, GATES);
    attach_writer();
}

static inline void close_ring(void)
{
    temporary_ring_destroy(&t);
}

static inline const struct ring_gate_status *status(uint32_t index)
{
    return &temporary_header(&t)->gate[index];
}

static inline void look(uint64_t later_ns)
{
    now_ns += later_ns;
    ring_writer_look(&t.writer, now_ns);
}

/* Opens a gate and lets the writer take it up. Returns its base. */
static inline uint64_t join(uint32_t index, uint64_t from, uint64_t deadline_ns)
{
    uint64_t generation = test_gates_open(&server, &gates, index, from, deadline_ns);
    look(1);
    cr_assert_eq(status(index)->generation, generation);
    cr_assert_eq(status(index)->state, RING_GATE_GATING);
    cr_assert_eq(status(index)->reason, RING_GATE_NO_REASON);
    test_gates_release(&server, index, status(index)->base);
    return status(index)->base;
}

/* Publishes until there is no room, at most `most`. Returns how many. */
static inline uint64_t fill(uint64_t most)
{
    uint64_t n = 0;
    while (n < most && ring_writer_reserve(&t.writer) != NULL) {
        temporary_commit(&t.writer, SEED, WORDS);
        ring_writer_publish(&t.writer);
        n++;
    }
    return n;
}

/* To the last slot, and finds no more: from here on somebody holds the writer up. */
static inline void fill_up(void)
{
    (void)fill(10 * SLOTS);
    cr_assert_null(ring_writer_reserve(&t.writer));
}

static inline uint64_t claimed(void)
{
    return temporary_header(&t)->progress.claimed;
}

#endif
