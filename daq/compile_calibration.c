/* What becomes of raw * scale + offset: the forms of a channel's calibration, and whether they can be right. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "ring/channel.h"
#include "ring/thermocouple.h"

#define LOG_10_MAX 300.0 /* of a logarithmic scale's result; ring/exponential.h */

/* Room in the pool, or NULL, complained. What is written there belongs to the ring that is compiled now. */
static double *take_numbers(struct compile *c, const char *where, const char *key, struct ring_plan *ring,
                            uint32_t count, struct ring_channel *to)
{
    struct control_table *table = &c->plan->table;
    if (count > CONTROL_NUMBERS_MAX - table->numbers) {
        compile_complain_key(
            c, where, key, "expected at most %u numbers in all calibrations together, found more; use fewer points",
            CONTROL_NUMBERS_MAX);
        return NULL;
    }
    to->first_number = ring->number_count;
    to->numbers = count;
    ring->number_count += count;
    double *numbers = &table->number[table->numbers];
    table->numbers += count;
    return numbers;
}

static bool all_finite(struct compile *c, const char *where, const char *key, const double *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ring_is_not_finite(numbers[i])) {
            compile_complain_key(c, where, key, "expected finite numbers, found %g as number %u", numbers[i],
                                 i + 1);
            return false;
        }
    }
    return true;
}

static bool compile_polynomial(struct compile *c, const char *where, const struct config_calibration *from,
                               struct ring_plan *ring, struct ring_channel *to)
{
    uint32_t count = from->polynomial_count;
    to->calibration = RING_CALIBRATION_POLYNOMIAL;
    if (!all_finite(c, where, "polynomial", from->polynomial, count)) {
        return false;
    }
    bool constant = true;
    for (uint32_t i = 1; i < count; i++) {
        constant = constant && from->polynomial[i] == 0;
    }
    if (constant) {
        compile_complain_key(c, where, "polynomial",
                             "a polynomial [c0, c1, ..] whose c1 and up are all 0 is the same for every raw value");
    }
    double *numbers = take_numbers(c, where, "polynomial", ring, count, to);
    if (numbers == NULL) {
        return false;
    }
    memcpy(numbers, from->polynomial, count * sizeof(*numbers));
    return true;
}

static bool compile_points(struct compile *c, const char *where, const struct config_calibration *from,
                           struct ring_plan *ring, struct ring_channel *to)
{
    char key[32];
    uint32_t count = from->points_count;
    to->calibration = RING_CALIBRATION_POINTS;
    if (!all_finite(c, where, "points", from->points[0], 2 * count)) {
        return false;
    }
    for (uint32_t i = 1; i < count; i++) {
        if (!(from->points[i][0] > from->points[i - 1][0])) {
            snprintf(key, sizeof(key), "points[%u]", i);
            compile_complain_key(
                c, where, key,
                "expected points [x, y] with rising x, found x %g behind %g; sort them, keep one of equals",
                from->points[i][0], from->points[i - 1][0]);
            return false;
        }
    }
    if (ring_is_not_finite(from->points[count - 1][0] - from->points[0][0])) {
        compile_complain_key(c, where, "points", "expected x less than 1.8e308 apart, found %g to %g",
                             from->points[0][0], from->points[count - 1][0]);
        return false;
    }
    double *numbers = take_numbers(c, where, "points", ring, 2 * count, to);
    if (numbers == NULL) {
        return false;
    }
    memcpy(numbers, from->points, count * sizeof(from->points[0]));
    return true;
}

static bool is_degc(const char *unit)
{
    return strcmp(unit, "degC") == 0 ||
           strcmp(unit, "\xc2\xb0"
                        "C") == 0 ||
           strcmp(unit, "C") == 0;
}

/* The cold junction's temperature, if it is given as a number. */
static bool compile_fixed_junction(struct compile *c, const char *where, double degc, struct ring_plan *ring,
                                   struct ring_channel *to)
{
    double low = 0;
    double high = 0;
    (void)thermocouple_reach(to->thermocouple, &low, &high);
    if (!(degc >= low && degc <= high)) {
        compile_complain_key(
            c, where, "reference_c",
            "expected a cold junction from %g to %g degC, within the thermocouple's range, found %g", low, high,
            degc);
        return false;
    }
    double *numbers = take_numbers(c, where, "reference_c", ring, 1, to);
    if (numbers == NULL) {
        return false;
    }
    numbers[0] = degc;
    return true;
}

static bool compile_thermocouple(struct compile *c, const char *where, const struct config_calibration *from,
                                 struct ring_plan *ring, struct ring_channel *to)
{
    to->calibration = RING_CALIBRATION_THERMOCOUPLE;
    to->thermocouple = (uint16_t)*from->thermocouple;
    if (!is_degc(to->unit)) {
        config_complain(c->file, c->errors, where,
                        "a thermocouple's value is in degC, the channel's unit is '%s': write unit: degC",
                        to->unit);
    }
    if ((from->reference_c != NULL) == (from->reference_channel != NULL)) {
        config_complain(
            c->file, c->errors, where,
            "a thermocouple needs its cold junction: either reference_c, a fixed temperature in degC, or "
            "reference_channel, a channel of the same source that measures it; found %s",
            from->reference_c != NULL ? "both" : "neither");
        return false;
    }
    if (from->reference_c != NULL) {
        return compile_fixed_junction(c, where, *from->reference_c, ring, to);
    }
    return true; /* a channel is looked up when all of the source are there: compile_junctions() */
}

static bool compile_logarithmic(struct compile *c, const char *where, const struct config_logarithmic *from,
                                struct ring_plan *ring, struct ring_channel *to)
{
    to->calibration = RING_CALIBRATION_LOGARITHMIC;
    bool numbers_ok = !ring_is_not_finite(from->slope) && !ring_is_not_finite(from->intercept) &&
                      from->slope != 0 && fabs(from->intercept) <= LOG_10_MAX;
    if (!numbers_ok) {
        config_complain(
            c->file, c->errors, where,
            "expected a slope other than 0 and an intercept from -%g to %g in 10^(slope * x + intercept), "
            "found %g and %g",
            LOG_10_MAX, LOG_10_MAX, from->slope, from->intercept);
        return false;
    }
    if (!(to->range_low > 0)) {
        config_complain(
            c->file, c->errors, where,
            "a logarithmic scale never comes to 0 or below: expected a range that begins above 0, found %g",
            to->range_low);
    }
    double *numbers = take_numbers(c, where, "logarithmic", ring, 2, to);
    if (numbers == NULL) {
        return false;
    }
    numbers[0] = from->slope;
    numbers[1] = from->intercept;
    return true;
}

static bool compile_form(struct compile *c, const char *where, const struct config_calibration *from,
                         struct ring_plan *ring, struct ring_channel *to)
{
    if (from->polynomial != NULL) {
        return compile_polynomial(c, where, from, ring, to);
    }
    if (from->points != NULL) {
        return compile_points(c, where, from, ring, to);
    }
    return from->thermocouple != NULL ? compile_thermocouple(c, where, from, ring, to)
                                      : compile_logarithmic(c, where, from->logarithmic, ring, to);
}

/* After an error that has been told: nothing looks for its numbers. */
static void give_up(struct ring_channel *to)
{
    to->calibration = RING_CALIBRATION_LINEAR;
    to->thermocouple = RING_THERMOCOUPLE_NONE;
}

void compile_calibration(struct compile *c, uint32_t i, uint32_t j, const struct config_calibration *from,
                         struct ring_plan *ring, struct ring_channel *to)
{
    char where[COMPILE_PATH_BYTES];
    int forms = (from->polynomial != NULL) + (from->points != NULL) + (from->thermocouple != NULL) +
                (from->logarithmic != NULL);
    compile_path(where, "sources[%u].channels[%u].calibration", i, j);
    if (forms != 1) {
        config_complain(
            c->file, c->errors, where,
            "expected exactly one of polynomial, points, thermocouple and logarithmic, found %d of them", forms);
        return;
    }
    if (from->thermocouple == NULL && (from->reference_c != NULL || from->reference_channel != NULL)) {
        config_complain(c->file, c->errors, where, "reference_c and reference_channel belong to a thermocouple");
    }
    if (!compile_form(c, where, from, ring, to)) {
        give_up(to);
    }
}

static uint32_t find_in_ring(const struct ring_plan *ring, uint32_t count, const char *name)
{
    for (uint32_t k = 0; k < count; k++) {
        if (strcmp(ring->channel[k].name, name) == 0) {
            return k;
        }
    }
    return count;
}

static void compile_junction(struct compile *c, const char *where, const char *name, struct ring_plan *ring,
                             uint32_t count, struct ring_channel *to)
{
    uint32_t k = find_in_ring(ring, count, name);
    if (k == count) {
        config_complain(
            c->file, c->errors, where,
            "expected the name of a channel of the same source, whose frames have both values, found '%s'", name);
        give_up(to);
        return;
    }
    const struct ring_channel *junction = &ring->channel[k];
    double low = 0;
    double high = 0;
    (void)thermocouple_reach(to->thermocouple, &low, &high);
    if (junction->calibration == RING_CALIBRATION_THERMOCOUPLE) {
        config_complain(c->file, c->errors, where,
                        "channel '%s' is %s: a cold junction is measured by something else, such as a Pt100", name,
                        junction == to ? "this one itself" : "a thermocouple, too");
        give_up(to);
        return;
    }
    if (!is_degc(junction->unit) || !(junction->range_low >= low && junction->range_high <= high)) {
        config_complain(
            c->file, c->errors, where,
            "expected a channel in degC with a range within %g to %g, the thermocouple's, found '%s' in "
            "'%s' with %g to %g",
            low, high, name, junction->unit, junction->range_low, junction->range_high);
    }
    to->reference = k + 1;
}

void compile_junctions(struct compile *c, uint32_t i, struct ring_plan *ring)
{
    const struct config_source *from = &c->config->sources[i];
    char where[COMPILE_PATH_BYTES];
    for (uint32_t j = 0; j < from->channels_count; j++) {
        const struct config_calibration *calibration = from->channels[j].calibration;
        struct ring_channel *to = &ring->channel[j];
        if (calibration == NULL || to->calibration != RING_CALIBRATION_THERMOCOUPLE || to->numbers != 0) {
            continue;
        }
        compile_path(where, "sources[%u].channels[%u].calibration.reference_channel", i, j);
        compile_junction(c, where, calibration->reference_channel, ring, from->channels_count, to);
    }
}
