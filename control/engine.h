// clang-format off
/* The interlock engine: one pure function over (table, state, inputs, now). No clock, no I/O, no memory of its own;
 * the same calls give the same results bit for bit, in the loop, in replay and under test. Hot (HOT_SOURCES).
 *
 *   state     outputs   leaves to (checked in this order)
 *   INIT      safe      self-test bad -> FAULT; else TRIPPED (first-out: startup, or control_died)
 *   TRIPPED   safe      self-test bad -> FAULT; reset edge and no cause stands -> READY
 *   READY     safe      self-test bad -> FAULT; any cause -> TRIPPED (no permit was held: no trip is counted, the
 *                       first-out stays); arm edge -> ARMING
 *   ARMING    permit    self-test bad -> FAULT; any cause -> TRIPPED; else ARMED
 *   ARMED     permit    self-test bad -> FAULT; any cause -> TRIPPED in the same step
 *   FAULT     safe      absorbing: restart the control process
 *   any other value     FAULT
 *
 * "Permit" energises every output, "safe" none: de-energise to trip. A cause is a rule whose limit is exceeded for
 * its delay, or a guarded channel that is not GOOD, or the loop's own trouble.
 */
// clang-format on
#ifndef CONTROL_ENGINE_H
#define CONTROL_ENGINE_H

#include <stdbool.h>

#include "control/table.h"

/* Spread bit patterns (at least 8 bits apart): a flipped bit makes no other state. */
enum engine_state_code {
    ENGINE_INIT = 0x0f3c5a69,
    ENGINE_TRIPPED = 0x33cc9965,
    ENGINE_READY = 0x55aa3c96,
    ENGINE_ARMING = 0x66993ca5,
    ENGINE_ARMED = 0x195ac33c,
    ENGINE_FAULT = 0x70f0a55a
};

enum engine_quality {
    ENGINE_STALE = 0, /* nothing, or nothing new for stale_ns: what a zeroed input is */
    ENGINE_BAD = 1,   /* not finite, out of range, too short, from the future, overrun */
    ENGINE_GOOD = 2
};

enum engine_cause_kind {
    CAUSE_NONE = 0,
    CAUSE_STARTUP = 1,
    CAUSE_SELF_TEST = 2,
    CAUSE_DEADLINE = 3, /* the loop missed its own budget */
    CAUSE_MANUAL = 4,   /* sluice trip */
    CAUSE_OUTPUT = 5,   /* an output device does not take commands */
    CAUSE_HIGH = 6,
    CAUSE_LOW = 7,
    CAUSE_STALE = 8,
    CAUSE_NOT_FINITE = 9, /* NaN or infinite */
    CAUSE_RANGE = 10,     /* outside the channel's valid range */
    CAUSE_FRAME = 11,     /* the frame was too short for the channel, or its stamp lies in the future */
    CAUSE_OVERRUN = 12,
    /* frames were overwritten before control saw them, or the ring's header is corrupt */ CAUSE_CONTROL_DIED =
        13, /* the control process ended while it held the permit */
    CAUSES = 14
};

#define ENGINE_NO_RULE    UINT32_MAX
#define ENGINE_CAUSES_MAX 16u

struct engine_cause {
    uint32_t kind;    /* enum engine_cause_kind */
    uint32_t rule;    /* index or ENGINE_NO_RULE */
    uint32_t channel; /* index or ENGINE_NO_RULE */
    uint32_t reserved;
    double value; /* in the channel's unit */
    double limit;
    uint64_t tai_ns;          /* the sample's stamp; now for causes without a sample */
    uint64_t source_sequence; /* of the sample */
    uint64_t position;        /* of the sample in its ring */
};

/* What the loop hands in for one channel. */
struct engine_sample {
    double value;
    uint64_t tai_ns;          /* stamp of the newest sample */
    uint64_t samples;         /* how many so far; 0: none ever */
    uint64_t source_sequence; /* of the newest */
    uint64_t position;
    uint32_t fault; /* 0, or the enum engine_cause_kind that makes the sample BAD (CAUSE_FRAME, CAUSE_OVERRUN) */
    uint32_t old;   /* 1: it came after a newer one; a limit it exceeds counts, but it clears nothing */
};

enum engine_command { COMMAND_NONE = 0, COMMAND_RESET = 1, COMMAND_ARM = 2, COMMAND_TRIP = 4 };

struct engine_inputs {
    struct engine_sample channel[CONTROL_CHANNELS_MAX];
    uint32_t command; /* levels of enum engine_command; only a rising edge acts */
    uint32_t self_test_bad;
    uint32_t deadline_missed;
    uint32_t output_fault; /* device index + 1, or 0 */
    uint64_t now_ns;       /* TAI; must not go back */
};

enum engine_answer {
    ANSWER_NONE = 0,
    ANSWER_DONE = 1,
    ANSWER_ALREADY = 2,      /* it was so before */
    ANSWER_CAUSE_STANDS = 3, /* reset or arm refused: see causes */
    ANSWER_RESET_FIRST = 4,  /* arm refused in TRIPPED */
    ANSWER_FAULT = 5         /* nothing is accepted in FAULT */
};

struct engine_rule_state {
    uint64_t seen_samples;
    uint64_t beyond_samples; /* in a row */
    uint64_t beyond_since_ns;
    uint32_t demand; /* 1: the limit is exceeded for its delay */
    uint32_t reserved;
};

struct engine_state {
    uint32_t code; /* enum engine_state_code */
    uint32_t previous_command;
    uint64_t last_now_ns;
    uint64_t trips; /* times a permit was withdrawn */
    uint64_t steps;
    uint32_t start_cause; /* enum engine_cause_kind shown as first-out after the start */
    uint32_t reserved;
    uint32_t first_out_count;
    uint32_t cause_count;                             /* standing now */
    struct engine_cause first_out[ENGINE_CAUSES_MAX]; /* of the last trip, until armed again */
    struct engine_cause cause[ENGINE_CAUSES_MAX];
    struct engine_rule_state rule[CONTROL_RULES_MAX];
    uint32_t quality[CONTROL_CHANNELS_MAX]; /* enum engine_quality, as judged in the last step */
};

struct engine_outputs {
    uint32_t energised; /* bit per output index; all or none */
    uint32_t answer;    /* enum engine_answer to this step's command */
    uint32_t tripped;   /* 1: the permit was withdrawn in this step */
};

/* A zeroed state with code INIT and start_cause CAUSE_STARTUP. */
void engine_init(struct engine_state *state);

/* One step. Bounded: rules + channels. */
void engine_step(const struct control_table *table, struct engine_state *state, const struct engine_inputs *inputs,
                 struct engine_outputs *outputs);

/* "init" .. "fault", "illegal"; "startup", "high" ..; "good", "bad", "stale". Any thread. */
const char *engine_state_name(uint32_t code);
const char *engine_cause_name(uint32_t kind);
const char *engine_quality_name(uint32_t quality);

#endif
