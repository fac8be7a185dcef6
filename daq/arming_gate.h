/* The supervisor's half of the arming gate: what it knows of the control process that this one cannot know of
 * itself. LATENCY is control's own to judge. Cold. */
#ifndef DAQ_ARMING_GATE_H
#define DAQ_ARMING_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "daq/certificate.h"

struct server;

/* Of the system; read from /proc and /sys now and then, never on the way to the outputs. */
struct gate_system {
    uint64_t read_ns;
    bool clock_ok;                      /* the clock source is the TSC, or a hypervisor's page over it */
    bool no_throttle;                   /* sched_rt_runtime_us is -1 */
    enum certificate_state certificate; /* what sluice doctor has left */
};

/* What a look has seen; pure data, so that the judgement can be tested. */
struct gate_seen {
    bool alive;
    int32_t core;
    int32_t core_planned;
    bool fifo;
    bool busy; /* its loop never sleeps */
    bool locked;
    bool pages;
    bool no_throttle;
    bool clock_ok;
    int64_t clock_step_ns;
    bool config_acknowledged;
    bool black_box;
    bool certified; /* by sluice doctor */
};

/* Mask of enum gate_check. Pure. */
uint32_t gate_judge(const struct gate_seen *seen);

/* Looks, and leaves the result in control's mailbox and on our board. Once a tick, behind everything urgent. */
void gate_look(struct server *server);

/* The clock sources whose readings need no system call and do not wander off: "tsc", "kvm-clock" .. Pure. */
bool gate_clock_source_ok(const char *name);

/* The content of sched_rt_runtime_us, without the line end: nothing is throttled. Pure. */
bool gate_unthrottled(const char *runtime_us);

#endif
