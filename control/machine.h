// clang-format off
/* The interlock's states: one pure function. Small, so that it can be proved and modelled whole.
 *
 *   state     outputs             leaves to (checked in this order)
 *   INIT      safe                self-test bad -> FAULT; else TRIPPED (first-out: startup, or control_died)
 *   TRIPPED   safe                self-test bad -> FAULT; reset edge and nothing blocks -> READY
 *   READY     safe                self-test bad -> FAULT; something blocks -> TRIPPED (no permit was held: no trip is
 *                                 counted, the first-out stays); arm edge and the gate passes -> ARMING
 *   ARMING    permit, heartbeat   self-test bad -> FAULT; something blocks -> TRIPPED; an output has not followed in
 *                                 its time -> FAULT; all have followed -> ARMED
 *   ARMED     permit, heartbeat   self-test bad -> FAULT; demand -> TRIPPED in the same step, with first-out; test
 *                                 edge -> TEST
 *   TEST      as ARMED, the       self-test bad -> FAULT; demand -> TRIPPED (an output that does not follow is one);
 *             tested output safe  the output has been safe and is back -> ARMED
 *   FAULT     safe                absorbing: restart the control process
 *   any other value               FAULT
 *
 * What blocks: every cause that stands, also those that an armed interlock would only hold an output for, or would
 * not look at any more (permits); an output that is not read back as safe.
 */
// clang-format on
#ifndef CONTROL_MACHINE_H
#define CONTROL_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* Spread bit patterns (at least 8 bits apart): a flipped bit makes no other state. */
enum engine_state_code {
    ENGINE_INIT = 0x0f3c5a69,
    ENGINE_TRIPPED = 0x33cc9965,
    ENGINE_READY = 0x55aa3c96,
    ENGINE_ARMING = 0x66993ca5,
    ENGINE_ARMED = 0x195ac33c,
    ENGINE_TEST = 0x2ca5f05a,
    ENGINE_FAULT = 0x70f0a55a
};

/* 0 or 1 each; edges as in enum engine_command. */
struct machine_inputs {
    uint32_t reset_edge;
    uint32_t arm_edge;
    uint32_t test_edge; /* with an output that can be tested now */
    uint32_t self_test_bad;
    uint32_t blocked;       /* a cause stands */
    uint32_t demand;        /* a cause stands that trips an armed interlock; implies blocked */
    uint32_t gate_passed;   /* every required check of the arming gate */
    uint32_t followed;      /* every output with a feedback is where it was told to be */
    uint32_t feedback_late; /* one is not, and its time is over */
    uint32_t test_done;     /* the tested output has been safe and is back */
};

/*@ predicate permits(integer code) = code == ENGINE_ARMING || code == ENGINE_ARMED || code == ENGINE_TEST;
    predicate legal(integer code) = permits(code) || code == ENGINE_INIT || code == ENGINE_TRIPPED || code ==
            ENGINE_READY || code == ENGINE_FAULT; */

/* The next state. Pure. */
/*@ requires \valid_read(inputs);
    assigns \nothing;
    ensures legal: legal(\result);
    ensures fault_absorbs: code == ENGINE_FAULT ==> \result == ENGINE_FAULT;
    ensures illegal_is_fault: !legal(code) ==> \result == ENGINE_FAULT;
    ensures self_test: inputs->self_test_bad != 0 ==> \result == ENGINE_FAULT;
    ensures demand_is_safe: inputs->demand != 0 ==> !permits(\result);
    ensures permit_by_arm_only: permits(\result) ==> permits(code) || (code == ENGINE_READY && inputs->arm_edge !=
            0 && inputs->gate_passed != 0 && inputs->blocked == 0 && inputs->demand == 0);
    ensures trip_stays: code == ENGINE_TRIPPED ==> \result == ENGINE_TRIPPED || \result == ENGINE_FAULT || (\result
            == ENGINE_READY && inputs->reset_edge != 0 && inputs->blocked == 0 && inputs->demand == 0);
    ensures ready_by_reset_only: \result == ENGINE_READY ==> code == ENGINE_READY || code == ENGINE_TRIPPED;
    ensures armed_has_followed: \result == ENGINE_ARMED && code == ENGINE_ARMING ==> inputs->followed != 0; */
uint32_t machine_next(uint32_t code, const struct machine_inputs *inputs);

/* True in ARMING, ARMED and TEST only: the one question whose answer energises an output. Pure. */
/*@ assigns \nothing;
    ensures \result != 0 <==> permits(code); */
bool machine_permits(uint32_t code);

/* "init" .. "fault", "illegal". Any thread. */
const char *engine_state_name(uint32_t code);

#endif
