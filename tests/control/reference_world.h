/* Random tables, and a random plant with an operator for them: mostly healthy, so that every state is reached
 * often, with every fault now and then. */
#ifndef CONTROL_REFERENCE_WORLD_H
#define CONTROL_REFERENCE_WORLD_H

#include "control/engine.h"
#include "tests/support/random.h"

struct world {
    struct test_random random;
    struct control_table table;
    struct engine_inputs inputs;
    uint32_t normal[CONTROL_RULES_MAX];   /* truth of the rule on the healthy plant */
    uint32_t moving[CONTROL_OUTPUTS_MAX]; /* steps until the output is where it was told to be */
    uint32_t at[CONTROL_OUTPUTS_MAX];     /* 1: energised position */
    uint32_t welded[CONTROL_OUTPUTS_MAX]; /* steps for which it does not move */
    double analog[2];
    uint64_t count;   /* of the heartbeat channel */
    uint32_t storm;   /* faults per mille of steps and channel */
    uint32_t weather; /* steps until it changes */
    uint32_t frozen;  /* steps for which the channel `frozen_channel` says the same */
    uint32_t frozen_channel;
    uint32_t want; /* 1: the operator wants it armed */
};

/* Channels 0 and 1 are numbers, 2 bits, 3 a heartbeat, 4 the bits of the outputs' positions, 5 + output a position
 * as a number. */
void world_make(struct world *world, uint64_t seed);

/* The inputs of the next step; energised and code as of the one before. */
void world_step(struct world *world, uint32_t energised, uint32_t code);

/* As it was at the start, with the same table and the clock going on. */
void world_restart(struct world *world);

#endif
