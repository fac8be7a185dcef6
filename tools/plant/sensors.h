/* From the state of the plant to one sample, by way of the sensors' noise and the faults that a scenario asks for.
 * Pure: its only randomness is its own seeded generator. */
#ifndef SLUICE_PLANT_SENSORS_H
#define SLUICE_PLANT_SENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/plant/physics.h"
#include "tools/plant/wire.h"

/* 0 stays free: it is what libcyaml leaves where a scenario does not name one. */
enum plant_channel {
    PLANT_CHANNEL_NONE = 0,
    PLANT_CHANNEL_CHAMBER_PRESSURE = 1,    /* kPa, f32 */
    PLANT_CHANNEL_COOLANT_PRESSURE = 2,    /* kPa, i32 of Pa */
    PLANT_CHANNEL_SHROUD_TEMPERATURE = 3,  /* degC, i16 of 0.01 degC */
    PLANT_CHANNEL_ARTICLE_TEMPERATURE = 4, /* degC, i16 of 0.01 degC */
    PLANT_CHANNEL_COUNT = 5,
};

enum plant_stream_id {
    PLANT_STREAM_NONE = 0,
    PLANT_STREAM_SERIAL = 1,
    PLANT_STREAM_UDP = 2,
    PLANT_STREAM_COUNT = 3,
};

struct plant_channel_fault {
    double held;         /* what a stuck channel goes on showing */
    double last;         /* newest value shown */
    double sigma;        /* added noise, in the channel's unit */
    double spike_value;  /* in the channel's unit */
    double offset;       /* in the channel's unit */
    double drift;        /* in the channel's unit per second .. */
    uint64_t drift_from; /* .. since this step of the physics */
    uint32_t spike_samples_left[PLANT_STREAM_COUNT];
    bool stuck;
    bool nan;
    bool inf;
};

struct plant_sensors {
    struct plant_random random;
    struct plant_channel_fault faults[PLANT_CHANNEL_COUNT];
    bool status_wrong; /* the status word shows status_forced */
    uint16_t status_forced;
};

void plant_sensors_init(struct plant_sensors *sensors, uint64_t seed);
void plant_sensors_stick(struct plant_sensors *sensors, enum plant_channel channel);
void plant_sensors_spike(struct plant_sensors *sensors, enum plant_channel channel, double value, uint32_t samples);
/* Ends stuck, NaN, infinite, noise, offset, drift and spike on one channel; on all for PLANT_CHANNEL_NONE. */
void plant_sensors_heal(struct plant_sensors *sensors, enum plant_channel channel);
/* Fills everything but the sequence and the time. */
void plant_sensors_sample(struct plant_sensors *sensors, const struct plant_physics *physics,
                          enum plant_stream_id stream, struct plant_sample *sample);

#endif
