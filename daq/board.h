/* The supervisor's board: what sluiced knows of its processes and readers. Written by sluiced only. */
#ifndef DAQ_BOARD_H
#define DAQ_BOARD_H

#include "ring/board.h"

#define SUPERVISOR_PROCESSES_MAX 10u
#define SUPERVISOR_RINGS_MAX     16u
#define SUPERVISOR_READERS_MAX   64u

struct supervisor_process {
    char name[RING_NAME_BYTES];
    uint64_t pid; /* 0: not running */
    uint64_t restarts;
    uint64_t pss_kb; /* proportional resident memory, rings apart, at the last status request */
    uint32_t alive;
    int32_t core;
    int32_t policy;
    int32_t priority;
};

struct supervisor_reader {
    uint64_t pid;
    uint64_t uid;
    uint32_t ring; /* index in the order of the server's rings */
    uint32_t gating;
    uint64_t position;
    uint64_t lost;
};

struct supervisor_board {
    struct board common;
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    int64_t clock_step_ns; /* how far the wall clock has moved against ours since the start */
    uint32_t processes;
    uint32_t readers;
    double ring_rate_hz[SUPERVISOR_RINGS_MAX]; /* published per second over the last half second */
    struct supervisor_process process[SUPERVISOR_PROCESSES_MAX];
    struct supervisor_reader reader[SUPERVISOR_READERS_MAX];
};

#endif
