/* What is to happen to the plant, and when: a YAML file, checked before anything starts.
 *
 *   name: accident
 *   description: the secondary cooling loop fails      (optional)
 *   duration_s: 8
 *   physics: {burst_kpa: 210}                          (optional: any name of PLANT_PARAMETERS)
 *   events:                                            (optional)
 *     - {at_s: 3.0, do: cooling_fails, loop: secondary}
 *
 * The actions, what each needs and what it does: sluice-plant(1). */
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
    PLANT_ACTION_SENSOR_INF,
    PLANT_ACTION_OFFSET,
    PLANT_ACTION_DRIFT,
    PLANT_ACTION_FROZEN,
    PLANT_ACTION_SENSOR_CLOCK,
    PLANT_ACTION_FLOOD,
    PLANT_ACTION_CORRUPT,
    PLANT_ACTION_CUT,
    PLANT_ACTION_VALVE_WELDED,
    PLANT_ACTION_VALVE_FALLS,
    PLANT_ACTION_VALVE_RETURNS,
    PLANT_ACTION_READBACK_WRONG,
    PLANT_ACTION_READBACK_RETURNS,
    PLANT_ACTION_REPEATS,
    PLANT_ACTION_RELAY_GONE,
    PLANT_ACTION_RELAY_RETURNS,
    PLANT_ACTION_COUNT,
};

struct plant_event {
    uint64_t at_ns; /* on the scenario clock */
    enum plant_action action;
    enum plant_loop loop;
    enum plant_channel channel;
    enum plant_stream_id stream;
    enum plant_valve valve; /* PLANT_VALVE_COUNT: none, or both */
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
/* One event as YAML, e.g. "{do: sensor_nan, channel: chamber_pressure}", without at_s: at_ns is 0. 0 or -EINVAL
 * with a message; *event is untouched on failure. */
int plant_event_parse(struct plant_event *event, const char *text, size_t length_bytes, char *error,
                      size_t error_bytes);
const char *plant_action_name(enum plant_action action);
const char *plant_channel_name(enum plant_channel channel);
const char *plant_stream_name(enum plant_stream_id stream);
const char *plant_loop_name(enum plant_loop loop);
const char *plant_valve_name(enum plant_valve valve);

#endif
