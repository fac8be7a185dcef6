/* What is to happen to the plant, and when: a YAML file, checked before anything starts.
 *
 *   name: accident
 *   description: the secondary cooling loop fails      (optional)
 *   duration_s: 8
 *   physics: {burst_kpa: 210}                          (optional: any name of PLANT_PARAMETERS)
 *   events:                                            (optional)
 *     - {at_s: 3.0, do: cooling_fails, loop: secondary}
 *
 *   do              needs                    what it does
 *   cooling_fails   loop                     that pump stops
 *   cooling_returns loop                     that pump starts
 *   sensor_stuck    channel                  it goes on showing its last value
 *   sensor_nan      channel                  it shows NaN (chamber_pressure: the only floating-point channel)
 *   sensor_gone     stream                   its frames are not sent; its sequence numbers go on
 *   sensor_returns  [channel or stream]      ends stuck, nan, noise, spike and gone there; without either,
 * everywhere noise           channel sigma            adds noise, in kPa or K; 0 ends it spike           channel
 * value samples    that many samples show this value, in kPa or degC tty_hangup      for_s                    the
 * terminal disappears, then a new one takes its place tty_noise       bytes                    random bytes between
 * two serial frames half_frame      bytes                    the next serial frame is cut after so many bytes gap
 * stream frames            skips sequence numbers duplicate       stream frames            sends each of the next
 * frames twice reorder         stream                   sends the next two frames in the wrong order */
#ifndef SLUICE_PLANT_SCENARIO_H
#define SLUICE_PLANT_SCENARIO_H

#include <stddef.h>
#include <stdint.h>

#include "tools/plant/physics.h"
#include "tools/plant/sensors.h"

#define PLANT_SCENARIO_EVENTS_MAX 256
#define PLANT_SCENARIO_NAME_BYTES 64

enum plant_action {
    PLANT_ACTION_COOLING_FAILS,
    PLANT_ACTION_COOLING_RETURNS,
    PLANT_ACTION_SENSOR_STUCK,
    PLANT_ACTION_SENSOR_NAN,
    PLANT_ACTION_SENSOR_GONE,
    PLANT_ACTION_SENSOR_RETURNS,
    PLANT_ACTION_NOISE,
    PLANT_ACTION_SPIKE,
    PLANT_ACTION_TTY_HANGUP,
    PLANT_ACTION_TTY_NOISE,
    PLANT_ACTION_HALF_FRAME,
    PLANT_ACTION_GAP,
    PLANT_ACTION_DUPLICATE,
    PLANT_ACTION_REORDER,
    PLANT_ACTION_COUNT,
};

struct plant_event {
    uint64_t at_ns; /* on the scenario clock */
    enum plant_action action;
    enum plant_loop loop;
    enum plant_channel channel;
    enum plant_stream_id stream;
    double sigma;
    double value;
    uint64_t for_ns;
    uint32_t samples;
    uint32_t frames;
    uint32_t bytes;
};

struct plant_scenario {
    char name[PLANT_SCENARIO_NAME_BYTES];
    uint64_t duration_ns; /* 0 = no scenario: until told to stop */
    struct plant_parameters parameters;
    struct plant_event events[PLANT_SCENARIO_EVENTS_MAX]; /* in order of time */
    unsigned event_count;
};

/* No events, default parameters. */
void plant_scenario_init(struct plant_scenario *scenario);
/* 0 or -EINVAL with a message; *scenario is untouched on failure. What libcyaml finds goes to standard error with
 * its line number. */
int plant_scenario_load(struct plant_scenario *scenario, const char *path, char *error, size_t error_bytes);
const char *plant_action_name(enum plant_action action);
const char *plant_channel_name(enum plant_channel channel);
const char *plant_stream_name(enum plant_stream_id stream);
const char *plant_loop_name(enum plant_loop loop);

#endif
