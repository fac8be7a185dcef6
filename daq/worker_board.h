/* A worker's board: what every process's board has, and behind it a part for each of its polling threads, if it has
 * several. Each part has one writer, its thread.
 */
#ifndef DAQ_WORKER_BOARD_H
#define DAQ_WORKER_BOARD_H

#include "net/plan.h"
#include "ring/board.h"

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

struct worker_board {
    struct board common; /* the first thread writes it; its heartbeat is all threads': daq/poll_threads.h */
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    uint32_t threads; /* 0: there is one, and `common` tells of it */
    uint32_t reserved;
    uint8_t pad2[WORKER_THREAD_BYTES - 8];
    struct worker_thread thread[PLAN_THREADS_MAX];
};
static_assert(offsetof(struct worker_board, thread) % WORKER_THREAD_BYTES == 0, "no part shares a line");

#endif
