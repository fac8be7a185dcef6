/* The writer's side of gating readers: up to where it may write without taking from one of them what it has not
 * released, for how long it waits, and whom it gives up. Hot (HOT_SOURCES). One thread, the writer's.
 *
 * A gate is opened by the server (struct ring_orders) and obeyed once its reader's lease is mapped here. A reader
 * that dies is taken off by the server at once; one that holds the writer up for longer than its deadline, or whose
 * lease says what cannot be, is demoted here and then ignored. The status is stored before the writer claims what
 * the reader had not released, and a reader looks at `claimed` after it has read: no demotion delivers a torn
 * frame.
 */
#ifndef RING_GATE_H
#define RING_GATE_H

#include <stdbool.h>

#include "ring/ring.h"

struct ring_gate {
    uint64_t generation;    /* 0: free */
    uint64_t mapped;        /* generation of the lease that lies in our map */
    uint64_t position;      /* released below, as last believed */
    uint64_t deadline_ns;   /* monotonic */
    uint64_t held_since_ns; /* 0: it does not hold us up */
    uint32_t state;         /* enum ring_gate_state */
};

struct ring_gates {
    const struct ring_orders *orders; /* NULL: this ring takes no orders */
    uint8_t *leases;                  /* page i: the lease of gate i, while gate[i].mapped stands */
    uint64_t changes;                 /* of the orders, as last obeyed */
    uint32_t count;
    uint32_t gating; /* gates that are obeyed now */
    struct ring_gate gate[RING_GATES_MAX];
};

/* `leases`: count pages of address space that stay mapped; before ring_gates_mapped page i may hold anything. */
void ring_gates_init(struct ring_gates *gates, const struct ring_orders *orders, uint8_t *leases, uint32_t count);

/* Page i is now the lease that the server made for this generation. */
void ring_gates_mapped(struct ring_gates *gates, uint32_t index, uint64_t generation);

/* True if orders came since the last ring_gates_obey, or one could not be obeyed for want of its lease. One load.
 */
static inline bool ring_gates_ordered(const struct ring_gates *gates)
{
    return gates->orders != NULL && __atomic_load_n(&gates->orders->changes, __ATOMIC_ACQUIRE) != gates->changes;
}

/* Takes up new orders. A new reader gets published positions only, none of them claimed anew. Gates that stood when
 * an earlier writer died are taken up as they stood. */
void ring_gates_obey(struct ring_gates *gates, const struct ring_view *view, uint64_t published, uint64_t claimed);

/* Positions below the result may be claimed. UINT64_MAX: nobody gates. `visible`: no reader can have read more.
 * `next`: the position that is wanted; a reader without which it could be had holds the writer up, and is demoted
 * after its deadline. */
uint64_t ring_gates_limit(struct ring_gates *gates, const struct ring_view *view, uint64_t visible, uint64_t next,
                          uint64_t monotonic_ns);

#endif
