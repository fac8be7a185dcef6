/* sluiced --replay: what is said of it on the command line. Cold. */
#ifndef DAQ_REPLAY_OPTIONS_H
#define DAQ_REPLAY_OPTIONS_H

#include "daq/compile_replay.h"

/* "2.5", "fastest" (0); false: neither, or out of bounds.
 * argv[1] is --replay. Fills in the options and the configuration's path. False: said why. */
bool replay_options_speed(const char *text, double *speed);
bool replay_options_parse(int argc, char **argv, struct replay_options *options, const char **path);

#endif
