#include "control/machine.h"

bool machine_permits(uint32_t code)
{
    return code == ENGINE_ARMING || code == ENGINE_ARMED || code == ENGINE_TEST;
}

/*@ requires \valid_read(inputs);
    assigns \nothing;
    ensures \result == ENGINE_TRIPPED || \result == ENGINE_FAULT || \result == ENGINE_ARMED || \result ==
            ENGINE_ARMING;
    ensures inputs->demand != 0 ==> \result == ENGINE_TRIPPED;
    ensures \result == ENGINE_ARMED ==> inputs->followed != 0; */
static uint32_t next_from_arming(const struct machine_inputs *inputs)
{
    if (inputs->blocked != 0 || inputs->demand != 0) {
        return ENGINE_TRIPPED;
    }
    if (inputs->feedback_late != 0) {
        return ENGINE_FAULT;
    }
    return inputs->followed != 0 ? ENGINE_ARMED : ENGINE_ARMING;
}

/*@ requires \valid_read(inputs);
    assigns \nothing;
    ensures \result == ENGINE_TRIPPED || \result == ENGINE_READY || (\result == ENGINE_ARMING && inputs->arm_edge
            != 0 && inputs->gate_passed != 0 && inputs->blocked == 0 && inputs->demand == 0);
    ensures inputs->demand != 0 ==> \result == ENGINE_TRIPPED; */
static uint32_t next_from_ready(const struct machine_inputs *inputs)
{
    if (inputs->blocked != 0 || inputs->demand != 0) {
        return ENGINE_TRIPPED;
    }
    return inputs->arm_edge != 0 && inputs->gate_passed != 0 ? ENGINE_ARMING : ENGINE_READY;
}

uint32_t machine_next(uint32_t code, const struct machine_inputs *inputs)
{
    if (inputs->self_test_bad != 0) {
        return ENGINE_FAULT;
    }
    switch (code) {
    case ENGINE_INIT:
        return ENGINE_TRIPPED;
    case ENGINE_TRIPPED:
        return inputs->reset_edge != 0 && inputs->blocked == 0 && inputs->demand == 0 ? ENGINE_READY
                                                                                      : ENGINE_TRIPPED;
    case ENGINE_READY:
        return next_from_ready(inputs);
    case ENGINE_ARMING:
        return next_from_arming(inputs);
    case ENGINE_ARMED:
        return inputs->demand != 0 ? ENGINE_TRIPPED : inputs->test_edge != 0 ? ENGINE_TEST : ENGINE_ARMED;
    case ENGINE_TEST:
        return inputs->demand != 0 ? ENGINE_TRIPPED : inputs->test_done != 0 ? ENGINE_ARMED : ENGINE_TEST;
    default:
        return ENGINE_FAULT;
    }
}

const char *engine_state_name(uint32_t code)
{
    switch (code) {
    case ENGINE_INIT:
        return "init";
    case ENGINE_TRIPPED:
        return "tripped";
    case ENGINE_READY:
        return "ready";
    case ENGINE_ARMING:
        return "arming";
    case ENGINE_ARMED:
        return "armed";
    case ENGINE_TEST:
        return "test";
    case ENGINE_FAULT:
        return "fault";
    default:
        return "illegal";
    }
}
