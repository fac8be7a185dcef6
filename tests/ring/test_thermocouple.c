/* The reference functions against NIST's tables, and back; ranges and where the pieces meet. */
#include <criterion/criterion.h>
#include <math.h>

#include "ring/channel.h"
#include "ring/thermocouple.h"

/* NIST prints mV with three digits: 0.5 uV is the last one's half. */
#define HALF_DIGIT_MV 0.0005000001

struct row {
    double degc;
    double mv;
};

/* NIST ITS-90 Thermocouple Database (SRD 60), files type_j.tab .. type_t.tab. */
static const struct row j_rows[] = {{-210, -8.095}, {-200, -7.890}, {-150, -6.500}, {-100, -4.633}, {-57, -2.755},
                                    {-1, -0.050},   {0, 0.000},     {25, 1.277},    {100, 5.269},   {200, 10.779},
                                    {333, 18.152},  {500, 27.393},  {600, 33.102},  {759, 42.855},  {760, 42.919},
                                    {761, 42.983},  {900, 51.877},  {1000, 57.953}, {1100, 63.792}, {1200, 69.553}};
static const struct row k_rows[] = {{-270, -6.458}, {-250, -6.404}, {-225, -6.213}, {-200, -5.891}, {-199, -5.876},
                                    {-150, -4.913}, {-100, -3.554}, {-50, -1.889},  {-1, -0.039},   {0, 0.000},
                                    {1, 0.039},     {25, 1.000},    {100, 4.096},   {127, 5.206},   {200, 8.138},
                                    {300, 12.209},  {499, 20.602},  {500, 20.644},  {501, 20.687},  {700, 29.129},
                                    {1000, 41.276}, {1200, 48.838}, {1372, 54.886}};
static const struct row n_rows[] = {{-270, -4.345}, {-240, -4.277}, {-200, -3.990}, {-199, -3.980}, {-150, -3.336},
                                    {-100, -2.407}, {-37, -0.948},  {-1, -0.026},   {0, 0.000},     {25, 0.659},
                                    {100, 2.774},   {300, 9.341},   {599, 20.574},  {600, 20.613},  {601, 20.652},
                                    {800, 28.455},  {1000, 36.256}, {1150, 41.976}, {1300, 47.513}};
static const struct row t_rows[] = {{-270, -6.258}, {-253, -6.198}, {-220, -5.888}, {-200, -5.603}, {-196, -5.539},
                                    {-150, -4.648}, {-100, -3.379}, {-50, -1.819},  {-1, -0.039},   {0, 0.000},
                                    {25, 0.992},    {100, 4.279},   {150, 6.704},   {200, 9.288},   {300, 14.862},
                                    {350, 17.819},  {400, 20.872}};

struct couple {
    uint32_t type;
    char letter;
    const struct row *row;
    size_t rows;
    double low;
    double high;
    double joints[4]; /* where two pieces of E(T) or T(E) meet; 0 is one of all */
};
#define ROWS(rows_) .row = (rows_), .rows = sizeof(rows_) / sizeof((rows_)[0])

static const struct couple couples[] = {
    {RING_THERMOCOUPLE_J, 'J', ROWS(j_rows), .low = -210, .high = 1200, .joints = {760}},
    {RING_THERMOCOUPLE_K, 'K', ROWS(k_rows), .low = -270, .high = 1372, .joints = {-200, 500}},
    {RING_THERMOCOUPLE_N, 'N', ROWS(n_rows), .low = -270, .high = 1300, .joints = {-200, 600}},
    {RING_THERMOCOUPLE_T, 'T', ROWS(t_rows), .low = -270, .high = 400, .joints = {-200}},
};
#define COUPLES (sizeof(couples) / sizeof(couples[0]))

Test(thermocouple, the_voltage_is_that_of_the_tables)
{
    for (size_t i = 0; i < COUPLES; i++) {
        const struct couple *c = &couples[i];
        cr_assert_geq(c->rows, 12);
        for (size_t k = 0; k < c->rows; k++) {
            double mv = thermocouple_mv(c->type, c->row[k].degc);
            cr_assert(fabs(mv - c->row[k].mv) <= HALF_DIGIT_MV, "type %c at %g degC: %.6f mV, NIST has %.3f",
                      c->letter, c->row[k].degc, mv, c->row[k].mv);
        }
    }
}

/* A table's value is rounded: what that is worth in degC is the slope's matter. */
Test(thermocouple, the_temperature_is_that_of_the_tables)
{
    for (size_t i = 0; i < COUPLES; i++) {
        const struct couple *c = &couples[i];
        for (size_t k = 0; k < c->rows; k++) {
            double from = fmax(c->row[k].degc - 0.5, c->low);
            double to = fmin(c->row[k].degc + 0.5, c->high);
            double slope = (thermocouple_mv(c->type, to) - thermocouple_mv(c->type, from)) / (to - from);
            double low;
            double high;
            cr_assert(thermocouple_reach(c->type, &low, &high));
            double degc = thermocouple_degc(c->type, fmin(c->row[k].mv, thermocouple_mv(c->type, high)));
            double allowed = 0.001 + HALF_DIGIT_MV / slope * 1.3;
            bool below_all = c->row[k].mv < thermocouple_mv(c->type, low); /* rounded past the end */
            cr_assert(below_all || fabs(degc - c->row[k].degc) <= allowed,
                      "type %c at %.3f mV: %.4f degC, NIST has %g", c->letter, c->row[k].mv, degc, c->row[k].degc);
        }
    }
}

Test(thermocouple, there_and_back_over_the_whole_range)
{
    for (size_t i = 0; i < COUPLES; i++) {
        const struct couple *c = &couples[i];
        double before = -1000;
        for (int64_t n = 0; n <= (int64_t)(c->high - c->low) * 64; n++) {
            double degc = c->low + (double)n / 64;
            double mv = thermocouple_mv(c->type, degc);
            double back = thermocouple_degc(c->type, mv);
            cr_assert(fabs(back - degc) < 0.0001, "type %c: %.6f degC gives %.9f mV and back %.6f", c->letter, degc,
                      mv, back);
            cr_assert(mv > before, "type %c at %g: the voltage rises everywhere", c->letter, degc);
            before = mv;
        }
    }
}

/* A limit at such a place must not see a step. */
Test(thermocouple, nothing_jumps_where_pieces_meet)
{
    for (size_t i = 0; i < COUPLES; i++) {
        for (size_t k = 0; k < 4; k++) {
            const struct couple *c = &couples[i];
            double at = c->joints[k];
            double mv = thermocouple_mv(c->type, at);
            double above = thermocouple_mv(c->type, nextafter(at, 1e9));
            cr_assert(fabs(above - mv) < 1e-6, "type %c at %g: E(T) jumps by %g mV", c->letter, at, above - mv);
            for (int step = -50; step < 50; step++) { /* of 0.1 uV */
                double a = thermocouple_degc(c->type, mv + step * 0.0001);
                double b = thermocouple_degc(c->type, mv + (step + 1) * 0.0001);
                cr_assert(b > a && b - a < 0.02, "type %c near %g: T(E) goes from %.6f to %.6f", c->letter, at, a,
                          b);
            }
        }
    }
}

Test(thermocouple, outside_is_not_a_number)
{
    for (size_t i = 0; i < COUPLES; i++) {
        const struct couple *c = &couples[i];
        double low;
        double high;
        cr_assert(thermocouple_reach(c->type, &low, &high));
        cr_assert(fabs(low - c->low) < 1e-9 && fabs(high - c->high) < 1e-9);
        const double degc[] = {low - 1e-6,       high + 1e-6,      -1e9, 1e9, (double)NAN,
                               (double)INFINITY, (double)-INFINITY};
        for (size_t k = 0; k < sizeof(degc) / sizeof(degc[0]); k++) {
            cr_assert(ring_is_not_finite(thermocouple_mv(c->type, degc[k])), "%g", degc[k]);
        }
        double least = thermocouple_mv(c->type, low);
        double most = thermocouple_mv(c->type, high);
        const double mv[] = {least - 2e-6,     most + 2e-6,      -1e9, 1e9, (double)NAN,
                             (double)INFINITY, (double)-INFINITY};
        for (size_t k = 0; k < sizeof(mv) / sizeof(mv[0]); k++) {
            cr_assert(ring_is_not_finite(thermocouple_degc(c->type, mv[k])), "type %c: %g mV", c->letter, mv[k]);
        }
    }
}

Test(thermocouple, no_such_type)
{
    const uint32_t types[] = {RING_THERMOCOUPLE_NONE, RING_THERMOCOUPLES, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        double low;
        double high;
        cr_assert(ring_is_not_finite(thermocouple_mv(types[i], 25)));
        cr_assert(ring_is_not_finite(thermocouple_degc(types[i], 1)));
        cr_assert_not(thermocouple_reach(types[i], &low, &high));
    }
}
