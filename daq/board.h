/* The supervisor's board: what sluiced knows of its processes and readers. Written by sluiced only. */
#ifndef DAQ_BOARD_H
#define DAQ_BOARD_H

#include "control/table.h"
#include "daq/segment_table.h"
#include "ring/board.h"
#include "ring/histogram.h"
#include "ring/protocol.h"

#define SUPERVISOR_PROCESSES_MAX 24u
#define SUPERVISOR_RINGS_MAX     CONTROL_RINGS_MAX /* as many as a server may have */
#define SUPERVISOR_READERS_MAX   512u
#define SUPERVISOR_EVENTS_MAX    32u
#define SUPERVISOR_PATH_BYTES    256u
#define SUPERVISOR_LAG_NS        UINT64_C(10000000) /* between looks at how far behind the readers are */

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
    uint32_t ring;        /* index in the order of the server's rings */
    uint32_t gating;      /* 1: attached as a gating reader */
    uint32_t demoted;     /* 1: and is an observer now */
    uint32_t reason;      /* enum ring_gate_reason */
    uint64_t deadline_ns; /* for which it may hold the writer up */
    uint64_t waits;       /* times the writer found no room because of it */
    uint64_t waited_ns;
    uint64_t waited_ns_max;
    uint64_t position;
    uint64_t lost; /* frames overwritten before it read them */
    /* By the last look at it, and the most of all: frames that it has not released, and for how long the oldest of
     * them that is still there has lain there, by its stamp. */
    uint64_t lag_frames;
    uint64_t lag_frames_max;
    uint64_t lag_ns;
    uint64_t lag_ns_max;
};

/* Of a ring, over the server's life. */
struct supervisor_ring {
    uint64_t demotions;    /* gating readers that became observers */
    uint64_t evictions;    /* and were shown out */
    uint64_t readers_lost; /* frames lost by readers that have left */
};

enum supervisor_event { SUPERVISOR_DEMOTED = 1, SUPERVISOR_EVICTED = 2 };

struct supervisor_reader_event {
    uint64_t tai_ns;
    uint64_t pid;
    uint32_t ring;
    uint32_t event;  /* enum supervisor_event */
    uint32_t reason; /* enum ring_gate_reason */
    uint32_t reserved;
    uint64_t lost; /* frames the reader had lost by then */
};

/* Who bypassed a rule, and why; for how long is control's to say (its board). */
struct supervisor_bypass {
    uint64_t since_tai_ns; /* 0: not bypassed */
    uint64_t until_tai_ns;
    char person[PROTOCOL_PERSON_BYTES];
    char reason[PROTOCOL_REASON_BYTES];
};

struct supervisor_audit {
    char path[SUPERVISOR_PATH_BYTES]; /* empty: there is no audit log */
    uint64_t written;                 /* lines, and on disk; by the log's thread, as are the next two */
    uint64_t errors;                  /* attempts that failed */
    uint64_t last_errno;              /* 0: the last one did not */
    uint64_t pending;                 /* entries not on disk yet */
    uint64_t lost;                    /* that found no place in memory */
};

struct supervisor_board {
    struct board common;
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    int64_t clock_step_ns; /* how far the wall clock has moved against ours since the start */
    uint32_t processes;
    uint32_t readers;
    uint32_t gate_seen;                  /* mask of enum gate_check that pass, LATENCY apart: control's to judge */
    uint32_t config_acknowledged;        /* 1: an operator has sent this configuration's checksum */
    uint64_t config_acknowledged_tai_ns; /* .. then */
    char config_acknowledged_by[PROTOCOL_PERSON_BYTES];
    struct supervisor_audit audit;
    double ring_rate_hz[SUPERVISOR_RINGS_MAX]; /* published per second over the last half second */
    struct supervisor_process process[SUPERVISOR_PROCESSES_MAX];
    struct supervisor_reader reader[SUPERVISOR_READERS_MAX];
    struct supervisor_ring ring[SUPERVISOR_RINGS_MAX];
    uint64_t reader_events; /* ever; event n stands in reader_event[n % SUPERVISOR_EVENTS_MAX] */
    struct supervisor_reader_event reader_event[SUPERVISOR_EVENTS_MAX];
    struct histogram reader_lag[SUPERVISOR_RINGS_MAX];  /* lag_ns of each reader at each look; by the usher */
    struct supervisor_bypass bypass[CONTROL_RULES_MAX]; /* by rule */
    struct segment_table segments;
};

#endif
