/* The engine alone: what can be asked of one step, each kind of rule in each of its states. Used by the bench and
 * by engine-steps, which valgrind counts the instructions of. */
#ifndef BENCH_ENGINE_PATHS_H
#define BENCH_ENGINE_PATHS_H

#include "control/engine.h"

enum path_state {
    PATH_CLEAR = 1,    /* every channel has a new sample, every rule is clear */
    PATH_IDLE = 2,     /* nothing new but the time */
    PATH_DELAY = 3,    /* beyond the limit, the on-delay runs */
    PATH_DEMAND = 4,   /* beyond the limit for long */
    PATH_RETURN = 5,   /* inside again, the off-delay runs */
    PATH_UNKNOWN = 6,  /* every channel is bad, in every step with another sample */
    PATH_FLAP = 7,     /* every rule begins or ends to demand in every step: as an alarm, and as a hold */
    PATH_TRIP = 8,     /* armed, and in this step every rule demands */
    PATH_BLIND = 9,    /* armed, and in this step every channel is bad */
    PATH_BYPASS = 10,  /* every rule is bypassed; in this step all bypasses end */
    PATH_READBACK = 11 /* armed; 32 outputs are read back, and in this step none is where it should be */
};

struct engine_path {
    const char *name;
    uint32_t form; /* enum rule_form; 0: mixed_table.h */
    uint32_t role; /* enum rule_role */
    enum path_state state;
    uint32_t outputs; /* that its rules name; 0: all */
};

/* All memory of one engine. */
struct engine_bed {
    struct control_table table;
    struct engine_state state;
    struct engine_inputs inputs;
    struct engine_outputs outputs;
    struct engine_state fresh;         /* armed: what a step that trips begins with .. */
    struct engine_inputs fresh_inputs; /* .. and had as inputs before */
    const struct engine_path *path;
    uint64_t number; /* of the step */
    bool armed;      /* the warm-up got that far */
};

/* How many there are; the first two are the mixed table with a frame and idle. */
uint32_t engine_path_count(void);
const struct engine_path *engine_path_at(uint32_t index);

/* Builds the path for so many rules, and takes the steps that lead to its state. */
void engine_bed_make(struct engine_bed *bed, const struct engine_path *path, uint32_t rules);

/* Prepares the next step. */
void engine_bed_next(struct engine_bed *bed);

static inline void engine_bed_step(struct engine_bed *bed)
{
    engine_step(&bed->table, &bed->state, &bed->inputs, &bed->outputs);
}

#endif
