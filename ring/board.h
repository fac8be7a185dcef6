/* A process's board: who it is, how it runs, whether it lives; mapped read-only by everyone else. Its own process
 * is the only writer of everything below `pid`. The roles' own boards begin with it.
 */
#ifndef RING_BOARD_H
#define RING_BOARD_H

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "ring/layout.h"
#include "ring/stall.h"

#define BOARD_MAGIC          UINT64_C(0x314452414f424c53) /* "SLBOARD1" */
#define BOARD_BYTES          2048u
#define BOARD_REFUSALS_MAX   6u
#define BOARD_REFUSAL_BYTES  256u
#define BOARD_LAYOUT_VERSION 7u

enum board_role {
    BOARD_SUPERVISOR = 1,
    BOARD_CONTROL = 2,
    BOARD_WORKER = 3,
    BOARD_ACTUATOR = 4,
    BOARD_BLACK_BOX = 5,
    BOARD_OBSERVER = 6,
    BOARD_RECORDER = 7
};

struct board {
    uint64_t magic; /* creator */
    uint32_t version;
    uint32_t role; /* enum board_role */
    char instance[RING_NAME_BYTES];
    char name[RING_NAME_BYTES];
    uint64_t pid; /* the process, from here on; 0: not started */
    uint64_t started_tai_ns;
    uint64_t heartbeat;    /* +1 per completed loop */
    uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last completed loop */
    int32_t core;          /* pinned to; -1: not pinned */
    int32_t policy;        /* SCHED_OTHER 0, SCHED_FIFO 1 as obtained */
    int32_t priority;
    uint32_t locked; /* 1: memory locked */
    uint32_t sealed; /* 1: only listed system calls from here on */
    uint32_t refusals;
    struct stall_record stalls; /* of a thread that does not wait for long; of others empty */
    char refusal[BOARD_REFUSALS_MAX][BOARD_REFUSAL_BYTES]; /* what the system refused, and what that means */
};
static_assert(sizeof(struct board) <= BOARD_BYTES, "boards have a page in front of the roles' own");

/* Creator: names the board; magic last. */
static inline void board_init(struct board *board, uint32_t role, const char *instance, const char *name)
{
    board->version = BOARD_LAYOUT_VERSION;
    board->role = role;
    board->core = -1;
    snprintf(board->instance, sizeof(board->instance), "%s", instance);
    snprintf(board->name, sizeof(board->name), "%s", name);
    __atomic_store_n(&board->magic, BOARD_MAGIC, __ATOMIC_RELEASE);
}

/* A refusal of the system, said loudly once and kept for `sluice status`. Never for real-time threads after the
 * seal. */
__attribute__((format(printf, 2, 3))) static inline void board_refuse(struct board *board, const char *format, ...)
{
    char text[BOARD_REFUSAL_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "%s: %s\n", board->name, text);
    if (board->refusals < BOARD_REFUSALS_MAX) {
        snprintf(board->refusal[board->refusals], BOARD_REFUSAL_BYTES, "%s", text);
        __atomic_store_n(&board->refusals, board->refusals + 1, __ATOMIC_RELEASE);
    }
}

static inline void board_beat(struct board *board, uint64_t monotonic_ns)
{
    __atomic_store_n(&board->heartbeat_ns, monotonic_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&board->heartbeat, board->heartbeat + 1, __ATOMIC_RELEASE);
}

/* The same, of a loop that never waits for long: that it took long to come round is put down. */
static inline void board_beat_busy(struct board *board, uint64_t monotonic_ns)
{
    stall_look(&board->stalls, board->heartbeat_ns, monotonic_ns);
    board_beat(board, monotonic_ns);
}

#endif
