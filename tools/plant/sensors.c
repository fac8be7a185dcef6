#include "tools/plant/sensors.h"

#include <math.h>
#include <string.h>

void plant_sensors_init(struct plant_sensors *sensors, uint64_t seed)
{
    memset(sensors, 0, sizeof(*sensors));
    /* Another branch of the seed than the physics', so that more samples never change the plant itself. */
    plant_random_init(&sensors->random, seed ^ 0x73656E736F727321u);
}

void plant_sensors_stick(struct plant_sensors *sensors, enum plant_channel channel)
{
    sensors->faults[channel].stuck = true;
    sensors->faults[channel].held = sensors->faults[channel].last;
}

void plant_sensors_spike(struct plant_sensors *sensors, enum plant_channel channel, double value, uint32_t samples)
{
    sensors->faults[channel].spike_value = value;
    for (unsigned i = 0; i < PLANT_STREAM_COUNT; i++)
        sensors->faults[channel].spike_samples_left[i] = samples;
}

void plant_sensors_heal(struct plant_sensors *sensors, enum plant_channel channel)
{
    for (unsigned i = 0; i < PLANT_CHANNEL_COUNT; i++) {
        struct plant_channel_fault *fault = &sensors->faults[i];
        double last = fault->last;

        if (channel != PLANT_CHANNEL_NONE && i != (unsigned)channel)
            continue;
        memset(fault, 0, sizeof(*fault));
        fault->last = last;
    }
}

static double channel_value(struct plant_sensors *sensors, enum plant_channel channel, enum plant_stream_id stream,
                            double truth, double sigma, uint64_t step)
{
    struct plant_channel_fault *fault = &sensors->faults[channel];
    /* Drawn whatever the faults, so that a fault on one channel leaves the noise of the others as it was. */
    double noise = plant_random_normal(&sensors->random);
    double drifted_s = (double)(step - fault->drift_from) * PLANT_STEP_NS * 1e-9;
    double value = truth + noise * hypot(sigma, fault->sigma) + fault->offset + fault->drift * drifted_s;

    if (fault->stuck)
        value = fault->held;
    if (fault->spike_samples_left[stream] > 0) {
        fault->spike_samples_left[stream]--;
        return fault->spike_value; /* not remembered: a channel that sticks later sticks at a measured value */
    }
    fault->last = value;
    return fault->nan ? (double)NAN : fault->inf ? (double)INFINITY : value;
}

/* Saturates, as a converter does; a NaN cannot be said in an integer and becomes the lowest value. */
static int32_t to_integer(double value, double scale, int32_t lowest, int32_t highest)
{
    double scaled = nearbyint(value * scale);

    if (!(scaled > (double)lowest))
        return lowest;
    return scaled >= (double)highest ? highest : (int32_t)scaled;
}

static uint16_t status_bits(const struct plant_physics *physics)
{
    unsigned status = 0;

    status |= physics->relief_open >= 1.0 ? PLANT_STATUS_RELIEF_OPEN : 0u;
    status |= physics->relief_open <= 0.0 ? PLANT_STATUS_RELIEF_CLOSED : 0u;
    status |= physics->supply_open >= 1.0 ? PLANT_STATUS_SUPPLY_OPEN : 0u;
    status |= physics->supply_open <= 0.0 ? PLANT_STATUS_SUPPLY_CLOSED : 0u;
    status |= physics->burst ? PLANT_STATUS_BURST : 0u;
    status |= (unsigned)(physics->steps * PLANT_STEP_NS / PLANT_LIFE_NS) << PLANT_LIFE_SHIFT & PLANT_STATUS_LIFE;
    return (uint16_t)status;
}

void plant_sensors_sample(struct plant_sensors *sensors, const struct plant_physics *physics,
                          enum plant_stream_id stream, struct plant_sample *sample)
{
    const struct plant_parameters *p = &physics->parameters;
    double chamber_kpa = channel_value(sensors, PLANT_CHANNEL_CHAMBER_PRESSURE, stream, physics->chamber_kpa,
                                       p->chamber_noise_kpa, physics->steps);
    double coolant_kpa = channel_value(sensors, PLANT_CHANNEL_COOLANT_PRESSURE, stream, physics->coolant_kpa,
                                       p->coolant_noise_kpa, physics->steps);
    double shroud_c = channel_value(sensors, PLANT_CHANNEL_SHROUD_TEMPERATURE, stream, physics->shroud_c,
                                    p->temperature_noise_k, physics->steps);
    double article_c = channel_value(sensors, PLANT_CHANNEL_ARTICLE_TEMPERATURE, stream, physics->article_c,
                                     p->temperature_noise_k, physics->steps);

    sample->chamber_kpa = (float)chamber_kpa;
    sample->coolant_pa = to_integer(coolant_kpa, 1e3, INT32_MIN, INT32_MAX);
    sample->shroud_centi_c = (int16_t)to_integer(shroud_c, 1e2, INT16_MIN, INT16_MAX);
    sample->article_centi_c = (int16_t)to_integer(article_c, 1e2, INT16_MIN, INT16_MAX);
    sample->status = sensors->status_wrong ? sensors->status_forced : status_bits(physics);
}
