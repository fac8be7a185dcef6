/* Sample published -> output written, through the real control loop; and through a bare loop, which is the floor.
 */
#ifndef BENCH_DECISIONS_H
#define BENCH_DECISIONS_H

#include "bench/measure.h"
#include "bench/spread.h"
#include "ring/thread.h"

#define DECISION_LATE_US 500.0 /* what a valve's decision may take */

enum decisions_port {
    PORT_STORE = 1, /* bits of a register in mapped memory: the cheapest output there is */
    PORT_UDP = 2    /* a datagram over loopback */
};

struct decisions_spec {
    char variant[48];
    bool floor; /* a bare loop: polls a word, and writes to the output */
    uint32_t rules;
    enum idle_mode idle;
    enum decisions_port port;
    bool loaded;   /* other processes copy memory and fault pages on the writer's core, or on a third one */
    uint64_t most; /* decisions of one round; 0: as many as fit the time */
};

/* Of one round, in this order. */
enum decisions_value {
    DECISION_P50 = 0, /* ns */
    DECISION_P99 = 1,
    DECISION_P999 = 2,
    DECISION_P9999 = 3,
    DECISION_P99999 = 4,
    DECISION_MAX = 5,
    DECISION_LATE = 6,        /* later than 500 us, less what the writer's own core was stalled, per million */
    DECISION_UNEXPLAINED = 7, /* of those: that the stall record of the control core does not explain */
    STALL_5US = 8,            /* stalls of the control core longer than 5 us, per second */
    STALL_50US = 9,
    STALL_500US = 10,
    STALL_SHARE = 11,     /* all of them, us per second */
    STALL_MAX = 12,       /* us */
    WAKE_MAX = 13,        /* the longest oversleeping, us */
    PREEMPTED = 14,       /* times that the kernel gave the core to something else, per second */
    FLOOR_VALUES = 15,    /* from here on of the real loop only */
    LOOP_UNDETECTED = 15, /* late ones that the loop itself did not count as late or missed */
    LOOP_MISSES = 16,     /* that the loop counted: cycles over its budget */
    LOOP_UNACTED = 17,    /* misses after which it still held the permit */
    LOOP_TRIPS = 18,      /* by a miss; the bench arms it again */
    DECISION_VALUES = 19
};
static_assert(DECISION_VALUES <= MEASURE_VALUES_MAX, "they fit an outcome");

/* Of all rounds together: what a median of rounds cannot say of rare things. Counts, not rates, but for the times.
 */
struct decisions_total {
    struct spread spread;
    double seconds;
    double values[DECISION_VALUES]; /* from DECISION_LATE on: sums; of the longest: the longest */
    uint64_t self_late; /* frames that the loop counted as decided later than 500 us after their stamp */
    int policy;         /* of the control thread, as obtained */
    bool locked;
};

#endif
