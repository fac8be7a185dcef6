/* A worker's board: what every process's board has, and behind it a part for each of its polling threads, if it has
 * several. Each part has one writer, its thread. Behind the struct follow, in the same segment, what it measures of
 * its threads and of its sources (daq/worker_hops.h).
 */
#ifndef DAQ_WORKER_BOARD_H
#define DAQ_WORKER_BOARD_H

#include "net/plan.h"
#include "ring/board.h"
#include "ring/hops.h"

#define WORKER_THREAD_NAME_BYTES 16u /* as the kernel has it */
#define WORKER_THREAD_BYTES      256u

struct worker_thread {
    uint64_t heartbeat;    /* +1 per completed round */
    uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last completed round */
    uint64_t tid;
    int32_t core; /* as in struct board, from here on */
    int32_t policy;
    int32_t priority;
    uint32_t sealed;
    struct stall_record stalls;
    char name[WORKER_THREAD_NAME_BYTES];
    uint8_t reserved[48];
};
static_assert(sizeof(struct worker_thread) == WORKER_THREAD_BYTES, "whole pairs of cache lines each");

/* How a thread spends its time. Its duty cycle is busy.sum_ns of the time that has passed. */
struct worker_thread_hops {
    struct histogram round; /* from one round to the next, with what it waited */
    struct histogram busy;  /* of a round that found something to do: from there until it looks again, or waits */
};

/* Where a source's struct ring_hops lies. By sluiced, before the worker starts. */
struct worker_source_place {
    char ring[RING_NAME_BYTES];
    uint32_t hops_at;   /* bytes from the board's start */
    uint32_t is_dated;  /* 1: with sent_to_arrival */
    uint64_t period_ns; /* at which it is polled; 0: it comes by itself */
};

struct worker_board {
    struct board common; /* the first thread writes it; its heartbeat is all threads': daq/poll_threads.h */
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    uint32_t threads; /* 0: there is one, and `common` tells of it */
    uint32_t reserved;
    uint8_t pad2[WORKER_THREAD_BYTES - 8];
    struct worker_thread thread[PLAN_THREADS_MAX];
    uint32_t sources; /* sluiced, from here on; 0: nothing is measured */
    uint32_t hops_threads;
    uint32_t hops_at; /* struct worker_thread_hops [hops_threads] */
    uint32_t reserved2;
    struct worker_source_place source[PLAN_SOURCES_MAX];
    uint8_t pad3[WORKER_THREAD_BYTES - 16];
};
static_assert(offsetof(struct worker_board, thread) % WORKER_THREAD_BYTES == 0, "no part shares a line");
static_assert(sizeof(struct worker_board) % WORKER_THREAD_BYTES == 0, "nor does what follows");

/* Where they lie in a segment of so many bytes; 0: nowhere, or not in it. Any process. */
static inline size_t worker_thread_hops_at(const struct worker_board *board, size_t bytes, uint32_t thread)
{
    size_t at =
        __atomic_load_n(&board->hops_at, __ATOMIC_RELAXED) + (size_t)thread * sizeof(struct worker_thread_hops);
    uint32_t threads = __atomic_load_n(&board->hops_threads, __ATOMIC_RELAXED);
    return thread < threads && thread < PLAN_THREADS_MAX && at >= sizeof(*board) && at % 64 == 0 &&
                   at + sizeof(struct worker_thread_hops) <= bytes
               ? at
               : 0;
}

/* is_dated becomes what the board said of it: it is read once, since another process writes it. */
static inline size_t worker_source_hops_at(const struct worker_board *board, size_t bytes, uint32_t source,
                                           bool *is_dated)
{
    *is_dated = false;
    if (source >= __atomic_load_n(&board->sources, __ATOMIC_RELAXED) || source >= PLAN_SOURCES_MAX) {
        return 0;
    }
    size_t at = __atomic_load_n(&board->source[source].hops_at, __ATOMIC_RELAXED);
    *is_dated = __atomic_load_n(&board->source[source].is_dated, __ATOMIC_RELAXED) != 0;
    return at >= sizeof(*board) && at % 64 == 0 && at + ring_hops_bytes(*is_dated) <= bytes ? at : 0;
}

/* A thread's round begins at now_ns, the one before began at from_ns (0: there was none) and was busy until
 * busy_until_ns (0: it found nothing to do). NULL: nothing is measured. */
static inline void worker_thread_round(struct worker_thread_hops *hops, uint64_t from_ns, uint64_t busy_until_ns,
                                       uint64_t now_ns)
{
    if (hops == NULL || from_ns == 0) {
        return;
    }
    hist_record(&hops->round, clock_elapsed_ns(from_ns, now_ns));
    if (busy_until_ns != 0) {
        hist_record(&hops->busy, clock_elapsed_ns(from_ns, busy_until_ns));
    }
}

#endif
