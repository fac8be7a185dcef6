/* A configuration as a replay runs it: every recorded ring is played from the recording, nothing else is asked of
 * this machine, and no output is touched. Cold.
 *
 * What is different from the live server: the instance has another name; no core, no priority, ordinary memory; no
 * authority but the default one, no audit log, black box, observer, watchdog or recorder; the arming gate asks for
 * nothing; a late loop trips nothing. Each output is a shadow (control/table.h) and has no feedback: the recorded
 * valves followed other decisions. Rings that are not in the recording stay silent: their channels are STALE.
 */
#ifndef DAQ_COMPILE_REPLAY_H
#define DAQ_COMPILE_REPLAY_H

#include "daq/compile.h"

struct replay_options {
    const char *path[PLAN_RECORDINGS_MAX]; /* directories of one run, or files */
    uint32_t paths;
    const char *as; /* the instance's name; NULL: INSTANCE-replay */
    double speed;   /* times as fast; 0: as fast as can be */
    bool loop;
    bool original_stamps;
    uint64_t from_ns; /* since the recording's first frame */
    uint64_t to_ns;   /* 0: to its end */
    const char *ring[CONTROL_RINGS_MAX];
    uint32_t rings; /* to be played; 0: all of the configuration's */
    const char *wait[CONTROL_RINGS_MAX];
    uint32_t waits; /* rings that a gating reader must be at before it begins: they take one, whatever they did */
};

/* The configuration as it is, but for what is of the machine that it was written for. as: the instance's name;
 * NULL: its own. 0, or -EINVAL with every error found. */
int compile_elsewhere(const struct config_file *file, const char *as, struct server_plan *plan,
                      struct config_errors *errors);

/* Fills *plan. 0, or -EINVAL with every error found. */
int compile_replay(const struct config_file *file, const struct replay_options *options, struct server_plan *plan,
                   struct config_errors *errors);

/* That it can touch nothing outside: asked once more before anything is started. NULL, or what it could touch. */
const char *compile_replay_touches(const struct server_plan *plan);

#endif
