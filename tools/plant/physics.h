/* A thermal-vacuum chamber, vented for a hot soak, in eight ordinary differential equations.
 *
 *            heat
 *              |                         vent (always a little open)
 *              v                           ^
 *   supply -> film -> boil-off vapour -> chamber -> relief (spring opens it, current holds it shut)
 *   valve      |  \
 *   (current   |   shroud -> article         seal: bursts above burst_kpa, for good
 *   holds it   |
 *   open)    primary + secondary cooling loop
 *
 * All flows of gas are written as the pressure they make per second in this chamber (kPa/s), that is
 * R*T*mdot/V for an ideal gas at constant temperature, so that volume and molar mass do not appear.
 *
 *   pump flow      f' = (running - f) / pump_rundown              per loop, 0..1
 *   film           T_f' = heat - (g1*f1 + g2*f2) * (T_f - T_c)    Newton cooling, K/s
 *   liquid         l' = (supply - l) / liquid_hold_up             what there is to boil, 0..1
 *   boil-off       B = k * l * max(0, T_f - T_onset)              kPa/s
 *   relief         R = c * relief * P * psi(P_ambient / P)        kPa/s, orifice; psi is 1 when choked (ratio below
 *                                                                 b), else sqrt(1 - ((ratio-b)/(1-b))^2):
 *                                                                 the ellipse of ISO 6358-1
 *   chamber        P' = feed*supply*(1+n) + B - vent*(P - P_ambient) - R
 *   coolant        P_c' = (static + pump*(f1+f2) - P_c) / coolant_lag
 *   shroud         T_s' = (T_f - T_s) / shroud_lag
 *   article        T_a' = (T_s + rise - T_a) / article_lag
 *   unsteady feed  n: first-order noise of feed_noise_fraction, feed_noise_ms
 *   after a burst  P' = (P_ambient - P) / burst_vent
 *
 * With one loop gone the film warms almost linearly, so the boil-off grows linearly and the pressure with the
 * square of time: the accelerating rise that leaves about 0.4 s between 150 kPa and the burst at 200 kPa.
 *
 * Pure: no clock, no input or output. Explicit Euler; the fastest time constant is 30 ms against a step of 50 us.
 */
#ifndef SLUICE_PLANT_PHYSICS_H
#define SLUICE_PLANT_PHYSICS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/plant/random.h"

#define PLANT_STEP_NS 50000u

/* X(name, default, unit, lowest, highest, what it is). A scenario may set any of them by name under "physics:". */
#define PLANT_PARAMETERS(X)                                                                                        \
    X(ambient_kpa, 101.325, "kPa", 50.0, 110.0, "pressure outside the chamber")                                    \
    X(burst_kpa, 200.0, "kPa", 120.0, 1000.0, "the seal gives way above this")                                     \
    X(burst_vent_ms, 30.0, "ms", 5.0, 1000.0, "time constant of the pressure falling after a burst")               \
    X(feed_kpa_per_s, 2.0, "kPa/s", 0.0, 100.0, "purge gas through the open supply valve")                         \
    X(vent_per_s, 1.0, "1/s", 0.01, 10.0, "the vent that is always a little open")                                 \
    X(relief_per_s, 6.0, "1/s", 0.1, 100.0, "relief flow at full opening, choked, per kPa in the chamber")         \
    X(relief_critical_ratio, 0.528, "1", 0.1, 0.9, "pressure ratio below which the relief is choked")              \
    X(relief_stroke_ms, 40.0, "ms", 1.0, 5000.0, "relief valve, end to end")                                       \
    X(supply_stroke_ms, 60.0, "ms", 1.0, 5000.0, "supply valve, end to end")                                       \
    X(boil_off_kpa_per_s_k, 8.0, "kPa/s/K", 0.0, 100.0, "boil-off per kelvin of film above the onset")             \
    X(boil_off_onset_c, 24.0, "degC", -100.0, 200.0, "film temperature at which boil-off starts")                  \
    X(liquid_hold_up_ms, 150.0, "ms", 5.0, 60000.0, "time constant of the liquid left after the supply closes")    \
    X(film_heat_k_per_s, 48.0, "K/s", 0.0, 1000.0, "heating of the film by lamps and article")                     \
    X(coolant_supply_c, -40.0, "degC", -200.0, 50.0, "coolant entering both loops")                                \
    X(primary_cooling_per_s, 0.3, "1/s", 0.0, 100.0, "cooling of the film by the primary loop")                    \
    X(secondary_cooling_per_s, 0.5, "1/s", 0.0, 100.0, "cooling of the film by the secondary loop")                \
    X(pump_rundown_ms, 50.0, "ms", 5.0, 60000.0, "time constant of a pump starting or stopping")                   \
    X(coolant_static_kpa, 200.0, "kPa", 0.0, 2000.0, "coolant pressure with both pumps standing")                  \
    X(coolant_pump_kpa, 75.0, "kPa", 0.0, 2000.0, "coolant pressure added by each running pump")                   \
    X(coolant_lag_ms, 80.0, "ms", 5.0, 60000.0, "time constant of the coolant pressure")                           \
    X(shroud_lag_s, 20.0, "s", 0.05, 10000.0, "time constant of the shroud behind the film")                       \
    X(article_rise_k, 25.0, "K", -200.0, 200.0, "article above shroud in the steady state")                        \
    X(article_lag_s, 120.0, "s", 0.05, 10000.0, "time constant of the article behind the shroud")                  \
    X(feed_noise_fraction, 0.1, "1", 0.0, 1.0, "sigma of the unsteady feed")                                       \
    X(feed_noise_ms, 100.0, "ms", 5.0, 60000.0, "correlation time of the unsteady feed")                           \
    X(chamber_noise_kpa, 0.05, "kPa", 0.0, 50.0, "sigma of the chamber pressure sensor")                           \
    X(coolant_noise_kpa, 0.2, "kPa", 0.0, 50.0, "sigma of the coolant pressure sensor")                            \
    X(temperature_noise_k, 0.05, "K", 0.0, 50.0, "sigma of both temperature sensors")

struct plant_parameters {
#define X(name, value, unit, lowest, highest, what) double name;
    PLANT_PARAMETERS(X)
#undef X
};

enum plant_loop {
    PLANT_LOOP_PRIMARY = 0,
    PLANT_LOOP_SECONDARY = 1,
    PLANT_LOOP_COUNT = 2,
};

enum plant_valve {
    PLANT_VALVE_RELIEF = 0,
    PLANT_VALVE_SUPPLY = 1,
    PLANT_VALVE_COUNT = 2,
};

struct plant_physics {
    struct plant_parameters parameters;
    struct plant_random random;
    uint64_t steps;
    double chamber_kpa;
    double coolant_kpa;
    double film_c;
    double shroud_c;
    double article_c;
    double liquid;      /* 0..1 */
    double feed_noise;  /* fraction of the feed */
    double relief_open; /* 0 shut .. 1 open */
    double supply_open; /* 0 shut .. 1 open */
    double flow[PLANT_LOOP_COUNT];
    double peak_kpa;
    bool running[PLANT_LOOP_COUNT];
    bool welded[PLANT_VALVE_COUNT]; /* stays where it is, whatever its line says */
    bool fallen[PLANT_VALVE_COUNT]; /* moves to where it is without current, whatever its line says */
    bool relief_energised;          /* true holds the relief shut */
    bool supply_energised;          /* true holds the supply open */
    bool burst;                     /* latched */
};

struct plant_parameter_info {
    const char *name, *unit, *what;
    double value, lowest, highest;
};

void plant_parameters_default(struct plant_parameters *parameters);
/* The index-th parameter with its default, unit and bounds; NULL behind the last. */
const struct plant_parameter_info *plant_parameter_info(unsigned index);

/* Both loops running, lines without current: relief open, supply shut, chamber at ambient. */
void plant_physics_init(struct plant_physics *physics, const struct plant_parameters *parameters, uint64_t seed);
/* As init, but lines energised and everything at the balance it reaches minutes later. */
void plant_physics_init_running(struct plant_physics *physics, const struct plant_parameters *parameters,
                                uint64_t seed);
/* Advances PLANT_STEP_NS. */
void plant_physics_step(struct plant_physics *physics);

#endif
