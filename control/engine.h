// clang-format off
/* The interlock engine: one pure function over (table, state, inputs, now). No clock, no I/O, no memory of its own;
 * the same calls give the same results bit for bit, in the loop, in replay, in the proof and under test. Hot
 * (HOT_SOURCES). control/rules.c says what a rule makes of its samples, control/machine.c what the states are (and
 * their table), control/causes.c which causes stand; control/engine.c does it in order. Requirements: REQUIREMENTS.md.
 *
 * De-energise to trip: an energised output is the permit.
 *
 * Truth has three values. A rule is UNKNOWN while what it looks at is not GOOD, or while it has not seen enough yet;
 * a vote counts an unknown member as a vote for the trip. An acting rule acts when it is not CLEAR. So a worse input
 * never turns a trip into a permit: replacing what is known by UNKNOWN never makes a rule CLEAR.
 *
 * Bypassing an acting rule takes its action away. Bypassing a condition makes it UNKNOWN to whoever builds on it:
 * 2oo3 becomes 1oo2, 1oo2 becomes a trip.
 */
// clang-format on
#ifndef CONTROL_ENGINE_H
#define CONTROL_ENGINE_H

#include <stdbool.h>

#include "control/machine.h"
#include "control/table.h"

enum engine_quality {
    ENGINE_STALE = 0, /* nothing, or nothing new for stale_ns: what a zeroed input is */
    ENGINE_BAD = 1,   /* not finite, out of range, too short, from the future, overrun */
    ENGINE_GOOD = 2
};

enum engine_truth { TRUTH_UNKNOWN = 0, TRUTH_DEMAND = 1, TRUTH_CLEAR = 2 };

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
    CAUSE_NOT_FINITE = 9,    /* NaN or infinite */
    CAUSE_RANGE = 10,        /* outside the channel's valid range; for BIT: no whole number */
    CAUSE_FRAME = 11,        /* the frame was too short for the channel, or its stamp lies in the future */
    CAUSE_OVERRUN = 12,      /* frames were overwritten before control saw them, or the ring's header is corrupt */
    CAUSE_CONTROL_DIED = 13, /* the control process ended while it held the permit */
    CAUSE_RATE = 14,
    CAUSE_DEVIATION = 15,
    CAUSE_BIT = 16,
    CAUSE_STUCK = 17,
    CAUSE_HEARTBEAT = 18,
    CAUSE_VOTE = 19, /* members say which of a vote's members demand */
    CAUSE_NOT = 20,
    CAUSE_HISTORY = 21,    /* a rate, a change or a heartbeat has not been seen for long enough to be judged */
    CAUSE_READBACK = 22,   /* an output did not follow, or left its position by itself */
    CAUSE_GATE = 23,       /* the arming gate does not pass any more */
    CAUSE_SUPERVISOR = 24, /* sluiced is silent: if control died now, nobody would make the outputs safe */
    CAUSES = 25
};

#define ENGINE_NONE       UINT32_MAX /* no such rule, channel or output */
#define ENGINE_CAUSES_MAX 16u
#define ENGINE_EVENTS_MAX 32u /* of one step .. */
#define ENGINE_EVENTS_OWN 8u  /* .. and so many of them not for channels, rules, alarms: all may change at once */

struct engine_cause {
    uint32_t kind;    /* enum engine_cause_kind */
    uint32_t rule;    /* index or ENGINE_NONE */
    uint32_t channel; /* index or ENGINE_NONE */
    uint32_t output;  /* READBACK: index; else ENGINE_NONE */
    double value; /* in the channel's unit; RATE per second; STUCK, HEARTBEAT: seconds; VOTE: votes; GATE: mask */
    double limit;
    uint64_t tai_ns;          /* the sample's stamp; now for causes without a sample */
    uint64_t source_sequence; /* of the sample */
    uint64_t position;        /* of the sample in its ring */
    uint32_t members;         /* VOTE, NOT: bit per member that demands .. */
    uint32_t unknown;         /* .. and that is unknown or bypassed */
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

/* Levels, in inputs.command; only a rising edge acts. Several at once: TRIP goes first, then the lowest bit. */
enum engine_command {
    COMMAND_NONE = 0,
    COMMAND_RESET = 1,
    COMMAND_ARM = 2,
    COMMAND_TRIP = 4,
    COMMAND_BYPASS = 8,       /* index: rule, command_ns: for how long */
    COMMAND_UNBYPASS = 16,    /* index: rule */
    COMMAND_TEST = 32,        /* index: output */
    COMMAND_ACKNOWLEDGE = 64, /* index: rule, or ENGINE_NONE for every alarm */
    COMMAND_SHELVE = 128,     /* index: rule, command_ns: for how long */
    COMMAND_UNSHELVE = 256    /* index: rule */
};

struct engine_inputs {
    struct engine_sample channel[CONTROL_CHANNELS_MAX];
    uint32_t command; /* levels of enum engine_command */
    uint32_t command_index;
    uint64_t command_ns;
    uint32_t self_test_bad;
    uint32_t deadline_missed;
    uint32_t output_fault; /* device index + 1, or 0 */
    uint32_t gate_passed;  /* mask of enum gate_check that are so now */
    uint32_t supervisor_silent;
    uint32_t reserved;
    uint64_t now_ns; /* TAI; must not go back */
};

/* ISA-18.2. */
enum alarm_state {
    ALARM_NORMAL = 0,
    ALARM_UNACKNOWLEDGED = 1, /* active, nobody has seen it */
    ALARM_ACKNOWLEDGED = 2,   /* active, somebody has */
    ALARM_RETURNED = 3        /* gone again before anybody saw it */
};

/* The first line is what most steps touch. */
struct engine_rule_state {
    uint64_t seen_samples;     /* of the channel, of both together for a deviation */
    uint64_t bypass_until_ns;  /* TAI; 0: not bypassed */
    uint64_t shelved_until_ns; /* TAI; 0: not shelved */
    uint32_t truth;            /* enum engine_truth */
    uint32_t why;              /* enum engine_cause_kind of a truth that is not CLEAR */
    uint32_t beyond;           /* 1: the delays are through and the hysteresis not left */
    uint32_t settled;          /* 1: it has seen enough: RATE a window, STUCK and HEARTBEAT a change */
    uint32_t has_anchor;
    uint32_t alarm;   /* enum alarm_state; ROLE_ALARM only */
    uint32_t members; /* VOTE, NOT: as in struct engine_cause */
    uint32_t unknown;
    uint64_t demands; /* times it began to act, or would have (shadow, bypassed) */
    uint64_t beyond_samples;
    uint64_t beyond_since_ns;
    uint64_t inside_samples;
    uint64_t inside_since_ns;
    uint64_t anchor_ns; /* RATE: reference sample; STUCK, HEARTBEAT: last change */
    double anchor;
    double measure;      /* what was compared last: value, rate, difference, seconds, votes */
    uint32_t bad_second; /* DEVIATION, unknown: 1: `other` was not good, 0: `channel` */
    uint32_t reserved;
};
static_assert(sizeof(struct engine_rule_state) == 128, "a rule's state is two lines");

enum output_position { POSITION_UNKNOWN = 0, POSITION_SAFE = 1, POSITION_ENERGISED = 2 };

struct engine_output_state {
    uint64_t changed_ns; /* TAI of the last change of the command */
    uint64_t left_ns;    /* since when the position is not what was commanded; 0: it is */
    uint32_t position;   /* enum output_position, as read back */
    uint32_t followed;   /* 1: it has been where it should be since the last change */
};

enum test_result { TEST_NONE = 0, TEST_RUNNING = 1, TEST_PASSED = 2, TEST_FAILED = 3, TEST_ABORTED = 4 };

/* The proof test under way, or the last one. */
struct engine_test {
    uint32_t output;
    uint32_t result; /* enum test_result */
    uint32_t phase;  /* 1: told to go safe; 2: told to come back; 0: no test runs */
    uint32_t reserved;
    uint64_t from_ns; /* TAI */
    uint64_t safe_ns; /* how long it took to be safe */
    uint64_t back_ns; /* how long it took to be back */
};

struct engine_state {
    uint32_t code; /* enum engine_state_code */
    uint32_t previous_command;
    uint64_t last_now_ns;
    uint64_t trips; /* times a permit was withdrawn, of all outputs or of some */
    uint64_t steps;
    uint32_t start_cause;    /* enum engine_cause_kind shown as first-out after the start */
    uint32_t first_out_open; /* 1: armed since the last first-out; the next one may be written */
    uint32_t first_out_count;
    uint32_t cause_count;  /* standing now; .. */
    uint32_t demand_count; /* .. of these, the first so many trip an armed interlock */
    uint32_t latched;      /* outputs tripped by rules that name only some; until armed again */
    uint32_t held;         /* outputs that a HOLD rule keeps safe now */
    uint32_t energised;    /* as of the last step */
    uint32_t bypasses;     /* standing now */
    uint32_t gate_missing; /* required checks that do not pass */
    struct engine_test test;
    struct engine_cause first_out[ENGINE_CAUSES_MAX]; /* of the first withdrawal since arming */
    struct engine_cause cause[ENGINE_CAUSES_MAX];
    struct engine_output_state output[CONTROL_OUTPUTS_MAX];
    uint32_t quality[CONTROL_CHANNELS_MAX]; /* enum engine_quality, as judged in the last step */
    uint32_t why[CONTROL_CHANNELS_MAX];     /* enum engine_cause_kind, CAUSE_NONE: good */
    struct engine_rule_state rule[CONTROL_RULES_MAX];
};

enum engine_event_kind {
    EVENT_STATE = 1,      /* index: the new enum engine_state_code */
    EVENT_TRIP = 2,       /* index: kind of the first cause; value: its value */
    EVENT_RULE_ON = 3,    /* index: a rule that is not a condition stops being clear; value: its measure */
    EVENT_RULE_OFF = 4,   /* .. is clear again */
    EVENT_BYPASS_ON = 5,  /* index: rule; value: seconds */
    EVENT_BYPASS_OFF = 6, /* index: rule; value: 0 by command, 1 expired, 2 by a trip */
    EVENT_ALARM = 7,      /* index: rule; value: enum alarm_state */
    EVENT_SHELVED = 8,    /* index: rule; value: seconds, 0: no longer */
    EVENT_LATCHED = 9,    /* index: mask of outputs tripped alone */
    EVENT_HELD = 10,      /* index: mask of outputs held safe now */
    EVENT_GATE = 11,      /* index: mask of missing checks */
    EVENT_TEST = 12,      /* index: output; value: enum test_result */
    EVENT_QUALITY = 13    /* index: channel; value: enum engine_quality */
};

struct engine_event {
    uint64_t tai_ns; /* now of the step */
    uint32_t kind;   /* enum engine_event_kind */
    uint32_t index;
    double value;
};

enum engine_answer {
    ANSWER_NONE = 0,
    ANSWER_DONE = 1,
    ANSWER_ALREADY = 2,      /* it was so before */
    ANSWER_CAUSE_STANDS = 3, /* reset or arm refused: see causes */
    ANSWER_RESET_FIRST = 4,  /* arm refused in TRIPPED */
    ANSWER_FAULT = 5,        /* nothing is accepted in FAULT */
    ANSWER_GATE = 6,         /* arm refused: see gate_missing */
    ANSWER_NO_SUCH = 7,      /* index names nothing that the command applies to */
    ANSWER_NOT_ALLOWED = 8,  /* the configuration allows no bypass of this rule */
    ANSWER_TOO_LONG = 9,     /* longer than allowed, or no time at all */
    ANSWER_TOO_MANY = 10,    /* as many bypasses stand as are allowed at once */
    ANSWER_NOT_NOW = 11      /* a proof test needs the state ARMED and an output that is energised */
};

struct engine_outputs {
    uint32_t energised;   /* bit per output index; heartbeat outputs included: energised = may toggle */
    uint32_t answer;      /* enum engine_answer to this step's command */
    uint32_t tripped;     /* 1: a permit was withdrawn in this step, of all outputs or of some */
    uint32_t changed;     /* 0: but for steps, last_now_ns and the causes, which are found anew in every step, the
                             state is as it was, so that a replay may leave this step out */
    uint32_t events;      /* entries of event[]; the others are not written */
    uint32_t events_lost; /* that did not fit */
    uint32_t trip_cause;  /* if tripped: index in state->cause of the first cause of this withdrawal */
    uint32_t reserved;
    struct engine_event event[ENGINE_EVENTS_MAX];
};

/* A zeroed state with code INIT and start_cause CAUSE_STARTUP. */
void engine_init(struct engine_state *state);

/* A rule that acts now. */
/*@ predicate acts(struct control_rule *rule, struct engine_rule_state *memory) = memory->truth != TRUTH_CLEAR
            && rule->role != ROLE_CONDITION && rule->role != ROLE_ALARM && rule->shadow == 0 &&
            memory->bypass_until_ns == 0; */

/* One step. Bounded: channels + rules x members. Any content of table, state and inputs is safe to hand in. */
/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs);
    requires \separated(table, state, inputs, outputs);
    assigns *state, *outputs;
    ensures energised_by_permit_only: outputs->energised != 0 ==> permits(state->code);
    ensures demand_is_safe: state->demand_count > 0 ==> outputs->energised == 0;
    ensures own_trouble_is_safe: inputs->self_test_bad != 0 || inputs->deadline_missed != 0 ||
            inputs->supervisor_silent != 0 || inputs->output_fault != 0 || inputs->now_ns <
            \old(state->last_now_ns) ==> outputs->energised == 0;
    ensures permit_by_arm_only: permits(state->code) ==> permits(\old(state->code)) || (\old(state->code) ==
            ENGINE_READY && (inputs->command & (uint32_t)(~\old(state->previous_command)) & COMMAND_ARM) != 0 &&
            (table->gate_required & (uint32_t)(~inputs->gate_passed)) == 0);
    ensures trip_stays: \old(state->code) == ENGINE_TRIPPED ==> state->code == ENGINE_TRIPPED || state->code ==
            ENGINE_FAULT || (state->code == ENGINE_READY && (inputs->command &
            (uint32_t)(~\old(state->previous_command)) & COMMAND_RESET) != 0);
    ensures fault_absorbs: \old(state->code) == ENGINE_FAULT ==> state->code == ENGINE_FAULT;
    ensures illegal_is_fault: !legal(\old(state->code)) ==> state->code == ENGINE_FAULT;
    ensures told_is_kept: state->energised == outputs->energised; */
void engine_step(const struct control_table *table, struct engine_state *state, const struct engine_inputs *inputs,
                 struct engine_outputs *outputs);

/* "high" ..; "good", "bad", "stale"; "unknown", "demand", "clear"; "normal" ..; "none", "running" ..; "pinned" ..
 * for one bit of enum gate_check. Any thread. */
const char *engine_cause_name(uint32_t kind);
const char *engine_quality_name(uint32_t quality);
const char *engine_truth_name(uint32_t truth);
const char *engine_alarm_name(uint32_t alarm);
const char *engine_test_name(uint32_t result);
const char *engine_gate_name(uint32_t check);
const char *engine_event_name(uint32_t kind);

#endif
