/* One measurement, in a process of its own: what is asked for, and what comes back. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/peer.h"
#include "ring/error.h"

#define MEASURE_VALUES_MAX 20u
#define MEASURE_CORES_MAX  3u

struct decisions_spec;
struct decisions_total;
struct engine_path;
struct daq_path;
struct disk_path;
struct net_path;
struct outcome;
struct readers_path;
struct question;
typedef void measure_body(const struct question *question, struct outcome *outcome);

/* What to measure. */
struct question {
    measure_body *body;
    const struct peer *peer; /* NULL: none is needed */
    struct link_spec spec;
    double seconds;
    double cap_s;           /* of a measurement that waits for something: the longest it waits */
    uint32_t readers_state; /* enum impact_reader, for measure_impact */
    bool warm;              /* what is found is thrown away */
    double pace_hz;         /* the writer's frames come at this rate, in batches; 0: as fast as it can */
    int cores[MEASURE_CORES_MAX];
    uint32_t core_count; /* at least 2 */
    /* sluice-bench control */
    const struct engine_path *path;         /* measure_engine */
    uint32_t rules;                         /* of the interlock */
    const struct decisions_spec *decisions; /* measure_decisions .. */
    struct decisions_total *total;          /* .. of all rounds, in memory shared with who asks */
    const struct net_path *net;             /* sluice-bench net */
    const struct daq_path *daq;             /* sluice-bench daq */
    const struct disk_path *disk;           /* sluice-bench record .. */
    const char *directory;                  /* .. and where it writes */
    const struct readers_path *readers;     /* sluice-bench readers */
};

/* What was found. In memory shared with the process that measures. */
struct outcome {
    double values[MEASURE_VALUES_MAX];
    double stall_us; /* the writer's longest gap; negative: not looked at */
    uint64_t frames; /* read and found right */
    uint64_t lost;   /* overwritten before they were read */
    uint64_t wrong;  /* read and found wrong */
    bool capped;     /* the value is the cap, the truth is higher */
    int code;        /* 0, or -errno with err; -ENOTSUP: there is no such thing */
    struct error err;
    char note[256]; /* what its values are to be read with; empty: nothing */
};

enum impact_reader { IMPACT_NONE = 0, IMPACT_LIVE = 1, IMPACT_STOPPED = 2, IMPACT_KILLED = 3, IMPACT_HOSTILE = 4 };

measure_body measure_throughput; /* values[0]: frames/s of the slowest reader */
measure_body measure_latency;    /* values[0], [1]: half a round trip, p50 and p99, in ns */
measure_body measure_copy;       /* values[0]: frames/s copied by one thread, without a ring */
measure_body measure_impact;     /* values[0]: frames/s of the writer, whatever the reader does */
measure_body measure_death;      /* values[0]: the writer's longest gap, in ms */
measure_body measure_decisions;  /* values[]: enum decisions_value, bench/decisions.h */
measure_body measure_engine;     /* values[0], [1]: one step, p50 and p99, in ns */
measure_body measure_cycle; /* values[0 .. 2]: one cycle of the loop, idle, with a frame, and with all it ever does;
                               [3], [4]: idle and with a frame, when it measures nothing; ns */
measure_body measure_instruments; /* values[0]: one record; [1 .. 4]: a plain packet, any packet, each unmeasured
                                     and not; ns */
measure_body measure_observer; /* values[0 .. 2]: a switch of threads, without the observer, with it, watched; ns */
measure_body measure_net;      /* values[]: enum net_value, bench/net_search.h */
measure_body measure_daq;      /* values[]: enum daq_value, bench/daq_rig.h */
measure_body measure_record;   /* values[]: enum disk_value, bench/disk_rig.h */
measure_body measure_readers;  /* values[]: as bench/readers_paths.c names them */
measure_body measure_attach; /* values[0]: attach to first frame, median in us; [1]: frames/s that came meanwhile */

/* Asks in a child process and waits for its end, at most limit_s; a child that takes longer is ended. */
void measure_in_child(const struct question *question, double limit_s, struct outcome *outcome);

/* Pins the calling thread. 0 or -errno. */
int pin_to(int core);

/* Frames handed to one call of send or receive: about 16 KiB of payload, whole batches. */
uint32_t frames_per_call(const struct link_spec *spec);

#endif
