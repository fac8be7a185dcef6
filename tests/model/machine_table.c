/* Prints the whole of machine_next(), a line per row: state, the ten inputs as bits in the order of struct
 * machine_inputs, next state. tests/model/run_interlock --table compares it with the model's.
 */
#include <stdio.h>

#include "control/machine.h"

#define ILLEGAL 7u
#define INPUTS  10u

static const uint32_t code_of[] = {ENGINE_INIT,  ENGINE_TRIPPED, ENGINE_READY, ENGINE_ARMING,
                                   ENGINE_ARMED, ENGINE_TEST,    ENGINE_FAULT, 0};

static uint32_t number_of(uint32_t code)
{
    uint32_t number = 0;
    while (number < ILLEGAL && code_of[number] != code) {
        number++;
    }
    return number;
}

int main(void)
{
    for (uint32_t from = 0; from <= ILLEGAL; from++) {
        for (uint32_t row = 0; row < 1u << INPUTS; row++) {
            const struct machine_inputs inputs = {.reset_edge = row & 1,
                                                  .arm_edge = row >> 1 & 1,
                                                  .test_edge = row >> 2 & 1,
                                                  .self_test_bad = row >> 3 & 1,
                                                  .blocked = row >> 4 & 1,
                                                  .demand = row >> 5 & 1,
                                                  .gate_passed = row >> 6 & 1,
                                                  .followed = row >> 7 & 1,
                                                  .feedback_late = row >> 8 & 1,
                                                  .test_done = row >> 9 & 1};
            printf("%u %u %u\n", from, row, number_of(machine_next(code_of[from], &inputs)));
        }
    }
    return 0;
}
