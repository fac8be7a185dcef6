/* One way of reading sensors under test: a sender on one core, a receiver in a process of its own on the other,
 * rings between them that are looked at when all is over.
 */
#ifndef BENCH_DAQ_RIG_H
#define BENCH_DAQ_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/spread.h"
#include "net/plan.h"
#include "ring/error.h"
#include "ring/ring.h"
#include "ring/segment.h"

#define DAQ_SOURCES_MAX PLAN_SOURCES_MAX
#define DAQ_PERIOD_NS   UINT64_C(1000000) /* of what is polled */

enum daq_wire {
    DAQ_FIFO = 1,
    DAQ_UDP = 2,  /* over the loopback */
    DAQ_FILES = 3 /* small files with a number each, which are read again and again */
};

enum daq_receiver {
    DAQ_OURS = 1,     /* sluice-worker, waiting */
    DAQ_BARE = 2,     /* a thread that waits in one call; frames go nowhere */
    DAQ_EPOLL = 3,    /* epoll_wait and read, into the same rings */
    DAQ_RECVMMSG = 4, /* straight into the same slots */
    DAQ_TIMER = 5,    /* files: a timer's loop that reads nothing */
    DAQ_LOOP = 6      /* files: a timer's loop that reads them all in turn */
};

struct daq_path {
    const char *variant;
    enum daq_wire wire;
    enum daq_receiver receiver;
    uint32_t sources;
    uint32_t rate_hz;     /* of each */
    uint32_t coalesce_us; /* ours: as the worker's key */
    bool is_floor;
    bool is_peer;
    const char *note; /* for who reads its figures; NULL */
};

const struct daq_path *daq_path_at(uint32_t index); /* NULL: there are no more */

/* values[] of measure_daq. A sample is late by the time from its write, or from when a poll was due, to its stamp.
 */
enum daq_value {
    DAQ_CPU_PERCENT = 0, /* of a core, all threads of the receiver's process */
    DAQ_CPU_NS = 1,      /* of it for each sample */
    DAQ_CALLS = 2,       /* system calls for each sample; NAN: they could not be counted */
    DAQ_LATE_P50 = 3,    /* ns */
    DAQ_LATE_P99 = 4,
    DAQ_LATE_MAX = 5,
    DAQ_LOST = 6, /* of a million */
    DAQ_VALUES = 7
};

struct daq_frame {
    uint8_t sync[2];
    uint16_t zero;
    uint32_t number;  /* little-endian, as everything here */
    uint64_t sent_ns; /* CLOCK_MONOTONIC */
};

/* In memory shared with a receiver that is none of ours. */
struct daq_tally {
    uint64_t ready;  /* it reads */
    uint64_t frames; /* taken by the bare one, which has no rings .. */
    uint64_t wrong;
    uint32_t counts; /* .. and enters them below only while this is set */
    struct spread late;
};

struct daq_rig {
    const struct daq_path *path;
    int receiver_core, sender_core;
    char folder[32]; /* of the FIFOs or files */
    uint16_t port;
    uint32_t rings; /* opened so far */
    struct segment ring[DAQ_SOURCES_MAX], orders[DAQ_SOURCES_MAX];
    int orders_fd[DAQ_SOURCES_MAX];
    struct ring_view view[DAQ_SOURCES_MAX];
    int64_t tai_offset_ns;
    struct segment plan, board;
    int plan_fd;
    pid_t receiver;
    struct segment tally;
    /* the sender */
    int fd[DAQ_SOURCES_MAX];
    uint64_t sent;       /* frames, of all sources, those that were refused too */
    uint64_t refused;    /* the wire was full */
    uint64_t longest_ns; /* between two looks at the clock, less what it slept on purpose */
};

/* Makes wires and rings, starts the receiver and waits until it reads. Zeroed but for path and cores. 0 or -errno,
 * -ENOTSUP with words; close it in either case. */
int daq_rig_open(struct daq_rig *rig, struct error *err);
void daq_rig_close(struct daq_rig *rig);

/* Frames that were taken by now. */
uint64_t daq_rig_taken(const struct daq_rig *rig);

/* Sends at the path's rate for so long; the wires of several sources one after the other. Files: only waits. */
void daq_send(struct daq_rig *rig, double seconds);
int daq_send_open(struct daq_rig *rig, struct error *err);
void daq_send_close(struct daq_rig *rig);

/* sluice-worker. daq_ours.c */
int daq_ours_start(struct daq_rig *rig, struct error *err);

/* The others, in this process, which they never leave. daq_others.c */
_Noreturn void daq_others_run(struct daq_rig *rig);

void daq_wire_name(const struct daq_rig *rig, uint32_t source, char *path, size_t bytes);

#endif
