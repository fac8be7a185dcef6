/* The equations are in physics.h. */
#include "tools/plant/physics.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define STEP_S (PLANT_STEP_NS * 1e-9)

static const struct plant_parameter_info parameter_infos[] = {
#define X(name_, value_, unit_, lowest_, highest_, what_)                                                          \
    {.name = #name_,                                                                                               \
     .unit = (unit_),                                                                                              \
     .what = (what_),                                                                                              \
     .value = (value_),                                                                                            \
     .lowest = (lowest_),                                                                                          \
     .highest = (highest_)},
    PLANT_PARAMETERS(X)
#undef X
};

const struct plant_parameter_info *plant_parameter_info(unsigned index)
{
    return index < sizeof(parameter_infos) / sizeof(parameter_infos[0]) ? &parameter_infos[index] : NULL;
}

void plant_parameters_default(struct plant_parameters *parameters)
{
#define X(name, value, unit, lowest, highest, what) parameters->name = value;
    PLANT_PARAMETERS(X)
#undef X
}

void plant_physics_init(struct plant_physics *physics, const struct plant_parameters *parameters, uint64_t seed)
{
    const struct plant_parameters *p = parameters;
    double cooling_per_s = p->primary_cooling_per_s + p->secondary_cooling_per_s;

    memset(physics, 0, sizeof(*physics));
    physics->parameters = *p;
    plant_random_init(&physics->random, seed);
    for (unsigned i = 0; i < PLANT_LOOP_COUNT; i++) {
        physics->running[i] = true;
        physics->flow[i] = 1.0;
    }
    physics->relief_open = 1.0;
    physics->chamber_kpa = p->ambient_kpa;
    physics->coolant_kpa = p->coolant_static_kpa + PLANT_LOOP_COUNT * p->coolant_pump_kpa;
    /* A scenario may set both coolings to 0: then there is no balance to start from, and the onset will do. */
    physics->film_c =
        cooling_per_s > 0.0 ? p->coolant_supply_c + p->film_heat_k_per_s / cooling_per_s : p->boil_off_onset_c;
    physics->shroud_c = physics->film_c;
    physics->article_c = physics->shroud_c + p->article_rise_k;
    physics->peak_kpa = physics->chamber_kpa;
}

void plant_physics_init_running(struct plant_physics *physics, const struct plant_parameters *parameters,
                                uint64_t seed)
{
    plant_physics_init(physics, parameters, seed);
    physics->relief_energised = true;
    physics->supply_energised = true;
    physics->relief_open = 0.0;
    physics->supply_open = 1.0;
    physics->liquid = 1.0;
    physics->chamber_kpa = parameters->ambient_kpa + parameters->feed_kpa_per_s / parameters->vent_per_s;
    physics->peak_kpa = physics->chamber_kpa;
}

/* Linear travel; ends are met exactly, because the status bits say "fully". */
static double valve_travel(double open, bool opening, double stroke_ms)
{
    double change = STEP_S * 1e3 / stroke_ms;

    if (opening)
        return open + change > 1.0 - 1e-9 ? 1.0 : open + change;
    return open - change < 1e-9 ? 0.0 : open - change;
}

static double relief_flow_kpa_per_s(const struct plant_physics *physics)
{
    const struct plant_parameters *p = &physics->parameters;
    double ratio = p->ambient_kpa / physics->chamber_kpa;
    double subsonic;

    if (physics->relief_open <= 0.0 || ratio >= 1.0)
        return 0.0; /* a non-return flap: nothing flows in */
    if (ratio <= p->relief_critical_ratio)
        return p->relief_per_s * physics->relief_open * physics->chamber_kpa;
    subsonic = (ratio - p->relief_critical_ratio) / (1.0 - p->relief_critical_ratio);
    return p->relief_per_s * physics->relief_open * physics->chamber_kpa * sqrt(1.0 - subsonic * subsonic);
}

static double chamber_change_kpa_per_s(const struct plant_physics *physics)
{
    const struct plant_parameters *p = &physics->parameters;
    double above_ambient_kpa = physics->chamber_kpa - p->ambient_kpa;
    double superheat_k = physics->film_c - p->boil_off_onset_c;
    double feed, boil_off;

    if (physics->burst)
        return -above_ambient_kpa * 1e3 / p->burst_vent_ms;
    feed = p->feed_kpa_per_s * physics->supply_open * (1.0 + physics->feed_noise);
    boil_off = superheat_k > 0.0 ? p->boil_off_kpa_per_s_k * physics->liquid * superheat_k : 0.0;
    return feed + boil_off - p->vent_per_s * above_ambient_kpa - relief_flow_kpa_per_s(physics);
}

static void feed_noise_step(struct plant_physics *physics)
{
    const struct plant_parameters *p = &physics->parameters;
    double share = STEP_S * 1e3 / p->feed_noise_ms;

    physics->feed_noise += -share * physics->feed_noise +
                           p->feed_noise_fraction * sqrt(2.0 * share) * plant_random_normal(&physics->random);
}

static void valves_step(struct plant_physics *physics)
{
    const struct plant_parameters *p = &physics->parameters;
    bool relief_held = physics->relief_energised && !physics->fallen[PLANT_VALVE_RELIEF];
    bool supply_held = physics->supply_energised && !physics->fallen[PLANT_VALVE_SUPPLY];

    if (!physics->welded[PLANT_VALVE_RELIEF])
        physics->relief_open = valve_travel(physics->relief_open, !relief_held, p->relief_stroke_ms);
    if (!physics->welded[PLANT_VALVE_SUPPLY])
        physics->supply_open = valve_travel(physics->supply_open, supply_held, p->supply_stroke_ms);
}

void plant_physics_step(struct plant_physics *physics)
{
    const struct plant_parameters *p = &physics->parameters;
    double cooling_per_s = p->primary_cooling_per_s * physics->flow[PLANT_LOOP_PRIMARY] +
                           p->secondary_cooling_per_s * physics->flow[PLANT_LOOP_SECONDARY];
    double flow = physics->flow[PLANT_LOOP_PRIMARY] + physics->flow[PLANT_LOOP_SECONDARY];
    double coolant_goal_kpa = p->coolant_static_kpa + p->coolant_pump_kpa * flow;
    /* Every change is taken from the state before the step. */
    double chamber_kpa = physics->chamber_kpa + STEP_S * chamber_change_kpa_per_s(physics);
    double film_change_k_per_s = p->film_heat_k_per_s - cooling_per_s * (physics->film_c - p->coolant_supply_c);

    feed_noise_step(physics);
    physics->article_c += STEP_S / p->article_lag_s * (physics->shroud_c + p->article_rise_k - physics->article_c);
    physics->shroud_c += STEP_S / p->shroud_lag_s * (physics->film_c - physics->shroud_c);
    physics->film_c += STEP_S * film_change_k_per_s;
    physics->liquid += STEP_S * 1e3 / p->liquid_hold_up_ms * (physics->supply_open - physics->liquid);
    physics->coolant_kpa += STEP_S * 1e3 / p->coolant_lag_ms * (coolant_goal_kpa - physics->coolant_kpa);
    for (unsigned i = 0; i < PLANT_LOOP_COUNT; i++)
        physics->flow[i] +=
            STEP_S * 1e3 / p->pump_rundown_ms * ((physics->running[i] ? 1.0 : 0.0) - physics->flow[i]);
    valves_step(physics);
    physics->chamber_kpa = chamber_kpa;
    if (chamber_kpa > physics->peak_kpa)
        physics->peak_kpa = chamber_kpa;
    if (chamber_kpa > p->burst_kpa)
        physics->burst = true;
    physics->steps++;
}
