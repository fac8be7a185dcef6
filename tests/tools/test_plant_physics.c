/* The chamber on its own: calm when left alone, lost when nobody acts, saved by an action in time, and the same
 * again for the same seed. */
#include <criterion/criterion.h>
#include <math.h>

#include "tools/plant/physics.h"
#include "tools/plant/sensors.h"

#define STEPS_PER_MS 20u /* of PLANT_STEP_NS */
_Static_assert(STEPS_PER_MS *PLANT_STEP_NS == 1000000u, "steps in a millisecond");
#define LIMIT_KPA 150.0
#define NEVER_MS  (-1.0)

static void start(struct plant_physics *physics, uint64_t seed)
{
    struct plant_parameters parameters;

    plant_parameters_default(&parameters);
    plant_physics_init_running(physics, &parameters, seed);
}

static void run_ms(struct plant_physics *physics, unsigned duration_ms)
{
    for (unsigned i = 0; i < duration_ms * STEPS_PER_MS; i++)
        plant_physics_step(physics);
}

/* The accident with both lines dropped act_ms after the limit. Returns ms from limit to burst, or NEVER_MS. */
static double accident(struct plant_physics *physics, uint64_t seed, double act_ms)
{
    uint64_t limit_steps = 0;

    start(physics, seed);
    run_ms(physics, 1000);
    physics->running[PLANT_LOOP_SECONDARY] = false;
    for (unsigned i = 0; i < 5000 * STEPS_PER_MS && !physics->burst; i++) {
        plant_physics_step(physics);
        if (limit_steps == 0 && physics->chamber_kpa > LIMIT_KPA)
            limit_steps = physics->steps;
        if (act_ms >= 0.0 && limit_steps != 0 &&
            (double)(physics->steps - limit_steps) >= act_ms * (double)STEPS_PER_MS)
            physics->relief_energised = physics->supply_energised = false;
    }
    cr_assert(limit_steps != 0, "the pressure never passed the limit; peak %g kPa", physics->peak_kpa);
    return physics->burst ? (double)(physics->steps - limit_steps) / STEPS_PER_MS : NEVER_MS;
}

Test(plant_physics, left_alone_it_stays_in_balance)
{
    struct plant_physics physics;
    double chamber_kpa, shroud_c, article_c;

    start(&physics, 3);
    chamber_kpa = physics.chamber_kpa;
    shroud_c = physics.shroud_c;
    article_c = physics.article_c;
    for (unsigned second = 0; second < 60; second++) {
        run_ms(&physics, 1000);
        cr_assert_float_eq(physics.chamber_kpa, chamber_kpa, 1.0, "second %u: %g kPa", second, physics.chamber_kpa);
        cr_assert_float_eq(physics.shroud_c, shroud_c, 0.1);
        cr_assert_float_eq(physics.article_c, article_c, 0.1);
        cr_assert_float_eq(physics.coolant_kpa, 350.0, 0.1);
    }
    cr_assert(!physics.burst);
}

Test(plant_physics, without_current_it_vents_to_ambient_and_recovers)
{
    struct plant_physics physics;

    start(&physics, 3);
    physics.relief_energised = physics.supply_energised = false;
    run_ms(&physics, 3000);
    cr_assert_float_eq(physics.chamber_kpa, physics.parameters.ambient_kpa, 0.5);
    physics.relief_energised = physics.supply_energised = true;
    run_ms(&physics, 10000);
    cr_assert_float_eq(physics.chamber_kpa, physics.parameters.ambient_kpa + 2.0, 1.0);
}

Test(plant_physics, nobody_acts_and_it_bursts_within_half_a_second)
{
    struct plant_physics physics;

    for (uint64_t seed = 1; seed <= 5; seed++) {
        double window_ms = accident(&physics, seed, NEVER_MS);

        cr_assert(window_ms >= 350.0 && window_ms <= 500.0, "seed %llu: %g ms", (unsigned long long)seed,
                  window_ms);
        run_ms(&physics, 500);
        cr_assert(physics.burst, "a burst does not heal");
        cr_assert_float_eq(physics.chamber_kpa, physics.parameters.ambient_kpa, 0.5);
    }
}

Test(plant_physics, the_rise_accelerates)
{
    struct plant_physics physics;
    double before_kpa, middle_kpa;

    start(&physics, 1);
    physics.running[PLANT_LOOP_SECONDARY] = false;
    run_ms(&physics, 400);
    before_kpa = physics.chamber_kpa;
    run_ms(&physics, 300);
    middle_kpa = physics.chamber_kpa;
    run_ms(&physics, 300);
    cr_assert_gt(physics.chamber_kpa - middle_kpa, 1.3 * (middle_kpa - before_kpa));
}

Test(plant_physics, acting_within_100_ms_saves_it_with_margin)
{
    struct plant_physics physics;

    for (uint64_t seed = 1; seed <= 5; seed++) {
        cr_assert_float_eq(accident(&physics, seed, 0.5), NEVER_MS, 1e-9);
        cr_assert_lt(physics.peak_kpa, 155.0, "at once: peak %g kPa", physics.peak_kpa);
        cr_assert_float_eq(accident(&physics, seed, 100.0), NEVER_MS, 1e-9);
        cr_assert_lt(physics.peak_kpa, 170.0, "after 100 ms: peak %g kPa", physics.peak_kpa);
        cr_assert_lt(physics.chamber_kpa, 110.0, "and it comes down: %g kPa", physics.chamber_kpa);
    }
}

Test(plant_physics, acting_after_450_ms_is_too_late)
{
    struct plant_physics physics;

    cr_assert_gt(accident(&physics, 1, 450.0), 0.0);
}

Test(plant_physics, valves_take_their_stroke_time)
{
    struct plant_physics physics;
    unsigned relief_steps = 0, supply_steps = 0;

    start(&physics, 1);
    physics.relief_energised = physics.supply_energised = false;
    for (unsigned i = 0; i < 200 * STEPS_PER_MS; i++) {
        relief_steps += physics.relief_open < 1.0;
        supply_steps += physics.supply_open > 0.0;
        plant_physics_step(&physics);
    }
    cr_assert_eq(relief_steps, 40 * STEPS_PER_MS, "relief took %u steps", relief_steps);
    cr_assert_eq(supply_steps, 60 * STEPS_PER_MS, "supply took %u steps", supply_steps);
}

Test(plant_physics, a_stroke_can_turn_back)
{
    struct plant_physics physics;

    start(&physics, 1);
    physics.relief_energised = false;
    run_ms(&physics, 20);
    cr_assert_float_eq(physics.relief_open, 0.5, 0.01);
    physics.relief_energised = true;
    run_ms(&physics, 21);
    cr_assert_float_eq(physics.relief_open, 0.0, 1e-12);
}

Test(plant_physics, a_welded_valve_stays_and_a_fallen_one_goes)
{
    struct plant_physics physics;

    start(&physics, 1);
    physics.welded[PLANT_VALVE_RELIEF] = true;
    physics.fallen[PLANT_VALVE_SUPPLY] = true;
    run_ms(&physics, 100);
    cr_assert(physics.supply_open <= 0.0 && physics.supply_energised, "it shuts though its line has current");
    physics.relief_energised = false;
    run_ms(&physics, 100);
    cr_assert(physics.relief_open <= 0.0, "it is told to open and stays shut");
    physics.welded[PLANT_VALVE_RELIEF] = physics.fallen[PLANT_VALVE_SUPPLY] = false;
    run_ms(&physics, 100);
    cr_assert(physics.relief_open >= 1.0 && physics.supply_open >= 1.0, "healed, both obey");
}

Test(plant_physics, same_seed_same_series)
{
    struct plant_physics one, two, other;
    struct plant_sensors one_sensors, two_sensors;
    struct plant_sample a = {0}, b = {0};
    unsigned differ = 0;

    start(&one, 42);
    start(&two, 42);
    start(&other, 43);
    plant_sensors_init(&one_sensors, 42);
    plant_sensors_init(&two_sensors, 42);
    for (unsigned i = 0; i < 2000 * STEPS_PER_MS; i++) {
        if (i == 777 * STEPS_PER_MS)
            one.relief_energised = two.relief_energised = other.relief_energised = false;
        plant_physics_step(&one);
        plant_physics_step(&two);
        plant_physics_step(&other);
        cr_assert(one.chamber_kpa == two.chamber_kpa && one.film_c == two.film_c, "step %u", i);
        differ += one.chamber_kpa != other.chamber_kpa;
        if (i % STEPS_PER_MS != 0)
            continue;
        plant_sensors_sample(&one_sensors, &one, PLANT_STREAM_UDP, &a);
        plant_sensors_sample(&two_sensors, &two, PLANT_STREAM_UDP, &b);
        cr_assert(a.chamber_kpa == b.chamber_kpa && a.coolant_pa == b.coolant_pa, "sample %u", i);
    }
    cr_assert_gt(differ, 1000, "another seed is another series");
}

Test(plant_physics, every_parameter_lies_within_its_bounds)
{
    unsigned count = 0;

    for (const struct plant_parameter_info *info; (info = plant_parameter_info(count)) != NULL; count++)
        cr_assert(info->value >= info->lowest && info->value <= info->highest, "%s", info->name);
    cr_assert_eq(count, sizeof(struct plant_parameters) / sizeof(double));
}

Test(plant_sensors, faults_show_and_end)
{
    struct plant_physics physics;
    struct plant_sensors sensors;
    struct plant_sample sample = {0};
    int16_t held;

    start(&physics, 1);
    plant_sensors_init(&sensors, 1);
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    cr_assert_float_eq((double)sample.chamber_kpa, physics.chamber_kpa, 0.5);
    cr_assert_eq(sample.status, PLANT_STATUS_RELIEF_CLOSED | PLANT_STATUS_SUPPLY_OPEN);
    held = sample.shroud_centi_c;

    sensors.faults[PLANT_CHANNEL_CHAMBER_PRESSURE].nan = true;
    plant_sensors_stick(&sensors, PLANT_CHANNEL_SHROUD_TEMPERATURE);
    plant_sensors_spike(&sensors, PLANT_CHANNEL_COOLANT_PRESSURE, 999.0, 1);
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    cr_assert(isnan(sample.chamber_kpa));
    cr_assert_eq(sample.coolant_pa, 999000);
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    cr_assert_neq(sample.coolant_pa, 999000, "a spike of one sample");
    cr_assert_eq(sample.shroud_centi_c, held);

    plant_sensors_heal(&sensors, PLANT_CHANNEL_NONE);
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    cr_assert_float_eq((double)sample.chamber_kpa, physics.chamber_kpa, 0.5);
}

Test(plant_sensors, offset_drift_and_infinity)
{
    struct plant_physics physics;
    struct plant_sensors sensors;
    struct plant_sample sample = {0};
    struct plant_channel_fault *chamber = &sensors.faults[PLANT_CHANNEL_CHAMBER_PRESSURE];
    double coolant_pa;

    start(&physics, 1);
    run_ms(&physics, 500);
    plant_sensors_init(&sensors, 1);
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    coolant_pa = sample.coolant_pa;
    chamber->offset = 20.0;
    sensors.faults[PLANT_CHANNEL_COOLANT_PRESSURE].drift = 100.0;
    sensors.faults[PLANT_CHANNEL_COOLANT_PRESSURE].drift_from = physics.steps;
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    cr_assert_float_eq((double)sample.chamber_kpa, physics.chamber_kpa + 20.0, 0.5);
    cr_assert_float_eq(sample.coolant_pa, coolant_pa, 3000.0, "a drift begins at nothing");
    run_ms(&physics, 1000);
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    cr_assert_float_eq(sample.coolant_pa, coolant_pa + 100e3, 3000.0, "100 kPa in one second");
    chamber->inf = true;
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    cr_assert(isinf(sample.chamber_kpa));
    plant_sensors_heal(&sensors, PLANT_CHANNEL_NONE);
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &sample);
    cr_assert_float_eq((double)sample.chamber_kpa, physics.chamber_kpa, 0.5);
    cr_assert_float_eq(sample.coolant_pa, coolant_pa, 3000.0);
}

Test(plant_sensors, life_goes_on_and_the_bits_can_lie)
{
    struct plant_physics physics;
    struct plant_sensors sensors;
    struct plant_sample one = {0}, two = {0};

    start(&physics, 1);
    plant_sensors_init(&sensors, 1);
    for (unsigned i = 0; i < 300; i++) { /* across the wrap of 8 bits */
        plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &one);
        run_ms(&physics, PLANT_LIFE_NS / 1000000);
        plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &two);
        cr_assert_eq((uint8_t)((one.status >> PLANT_LIFE_SHIFT) + 1), two.status >> PLANT_LIFE_SHIFT);
        cr_assert_eq(two.status & 0xff, PLANT_STATUS_RELIEF_CLOSED | PLANT_STATUS_SUPPLY_OPEN);
    }
    sensors.status_wrong = true;
    sensors.status_forced = 0x1234;
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_UDP, &two);
    cr_assert_eq(two.status, 0x1234);
}

Test(plant_sensors, integers_saturate)
{
    struct plant_physics physics;
    struct plant_sensors sensors;
    struct plant_sample sample = {0};

    start(&physics, 1);
    plant_sensors_init(&sensors, 1);
    plant_sensors_spike(&sensors, PLANT_CHANNEL_SHROUD_TEMPERATURE, 1e6, 1);
    plant_sensors_spike(&sensors, PLANT_CHANNEL_ARTICLE_TEMPERATURE, -1e6, 1);
    plant_sensors_spike(&sensors, PLANT_CHANNEL_COOLANT_PRESSURE, 1e9, 1);
    plant_sensors_sample(&sensors, &physics, PLANT_STREAM_SERIAL, &sample);
    cr_assert_eq(sample.shroud_centi_c, INT16_MAX);
    cr_assert_eq(sample.article_centi_c, INT16_MIN);
    cr_assert_eq(sample.coolant_pa, INT32_MAX);
}
