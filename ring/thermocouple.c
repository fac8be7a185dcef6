#include "ring/thermocouple.h"

#include <math.h>

#include "ring/exponential.h"

#define HALVINGS 32 /* of at most 71 degC: 2e-8 are left */

/* As printed by NIST, lowest power first: E in mV from T in degC, then T from E. */
static const double j_mv_0[] = {0.000000000000e+00,  0.503811878150e-01,  0.304758369300e-04,
                                -0.856810657200e-07, 0.132281952950e-09,  -0.170529583370e-12,
                                0.209480906970e-15,  -0.125383953360e-18, 0.156317256970e-22};
static const double j_mv_1[] = {0.296456256810e+03,  -0.149761277860e+01, 0.317871039240e-02,
                                -0.318476867010e-05, 0.157208190040e-08,  -0.306913690560e-12};
static const double j_degc_0[] = {0.0000000e+00,  1.9528268e+01,  -1.2286185e+00, -1.0752178e+00, -5.9086933e-01,
                                  -1.7256713e-01, -2.8131513e-02, -2.3963370e-03, -8.3823321e-05};
static const double j_degc_1[] = {0.000000e+00,  1.978425e+01, -2.001204e-01, 1.036969e-02,
                                  -2.549687e-04, 3.585153e-06, -5.344285e-08, 5.099890e-10};
static const double j_degc_2[] = {-3.11358187e+03, 3.00543684e+02,  -9.94773230e+00,
                                  1.70276630e-01,  -1.43033468e-03, 4.73886084e-06};
static const double k_mv_0[] = {0.000000000000e+00,  0.394501280250e-01,  0.236223735980e-04,  -0.328589067840e-06,
                                -0.499048287770e-08, -0.675090591730e-10, -0.574103274280e-12, -0.310888728940e-14,
                                -0.104516093650e-16, -0.198892668780e-19, -0.163226974860e-22};
static const double k_mv_1[] = {-0.176004136860e-01, 0.389212049750e-01,  0.185587700320e-04, -0.994575928740e-07,
                                0.318409457190e-09,  -0.560728448890e-12, 0.560750590590e-15, -0.320207200030e-18,
                                0.971511471520e-22,  -0.121047212750e-25};
static const double k_degc_0[] = {0.0000000e+00,  2.5173462e+01,  -1.1662878e+00, -1.0833638e+00, -8.9773540e-01,
                                  -3.7342377e-01, -8.6632643e-02, -1.0450598e-02, -5.1920577e-04};
static const double k_degc_1[] = {0.000000e+00,  2.508355e+01, 7.860106e-02,  -2.503131e-01, 8.315270e-02,
                                  -1.228034e-02, 9.804036e-04, -4.413030e-05, 1.057734e-06,  -1.052755e-08};
static const double k_degc_2[] = {-1.318058e+02, 4.830222e+01, -1.646031e+00, 5.464731e-02,
                                  -9.650715e-04, 8.802193e-06, -3.110810e-08};
static const double n_mv_0[] = {0.000000000000e+00,  0.261591059620e-01,  0.109574842280e-04,
                                -0.938411115540e-07, -0.464120397590e-10, -0.263033577160e-11,
                                -0.226534380030e-13, -0.760893007910e-16, -0.934196678350e-19};
static const double n_mv_1[] = {0.000000000000e+00,  0.259293946010e-01, 0.157101418800e-04,  0.438256272370e-07,
                                -0.252611697940e-09, 0.643118193390e-12, -0.100634715190e-14, 0.997453389920e-18,
                                -0.608632456070e-21, 0.208492293390e-24, -0.306821961510e-28};
static const double n_degc_0[] = {0.0000000e+00, 3.8436847e+01, 1.1010485e+00, 5.2229312e+00, 7.2060525e+00,
                                  5.8488586e+00, 2.7754916e+00, 7.7075166e-01, 1.1582665e-01, 7.3138868e-03};
static const double n_degc_1[] = {0.00000e+00,  3.86896e+01,  -1.08267e+00, 4.70205e-02,
                                  -2.12169e-06, -1.17272e-04, 5.39280e-06,  -7.98156e-08};
static const double n_degc_2[] = {1.972485e+01, 3.300943e+01,  -3.915159e-01,
                                  9.855391e-03, -1.274371e-04, 7.767022e-07};
static const double t_mv_0[] = {0.000000000000e+00, 0.387481063640e-01, 0.441944343470e-04, 0.118443231050e-06,
                                0.200329735540e-07, 0.901380195590e-09, 0.226511565930e-10, 0.360711542050e-12,
                                0.384939398830e-14, 0.282135219250e-16, 0.142515947790e-18, 0.487686622860e-21,
                                0.107955392700e-23, 0.139450270620e-26, 0.797951539270e-30};
static const double t_mv_1[] = {0.000000000000e+00,  0.387481063640e-01,  0.332922278800e-04,
                                0.206182434040e-06,  -0.218822568460e-08, 0.109968809280e-10,
                                -0.308157587720e-13, 0.454791352900e-16,  -0.275129016730e-19};
static const double t_degc_0[] = {0.0000000e+00, 2.5949192e+01, -2.1316967e-01, 7.9018692e-01,
                                  4.2527777e-01, 1.3304473e-01, 2.0241446e-02,  1.2668171e-03};
static const double t_degc_1[] = {0.000000e+00,  2.592800e+01, -7.602961e-01, 4.637791e-02,
                                  -2.165394e-03, 6.048144e-05, -7.293422e-07};

struct piece {
    double end; /* of what the piece is a function of: it holds up to there */
    uint32_t count;
    const double *c;
};
#define PIECE(end_, c_)                                                                                            \
    {                                                                                                              \
        .end = (end_), .count = sizeof(c_) / sizeof((c_)[0]), .c = (c_)                                            \
    }
#define PIECES_MAX 3

/* The voltages at the ends are E(T) there, rounded outwards by less than 1 nV. */
struct curve {
    double low_degc;
    double low_mv;
    double start_degc; /* NIST's T(E) begins here .. */
    double start_mv;   /* .. that is here */
    struct piece to_mv[2];
    struct piece to_degc[PIECES_MAX]; /* unused ones have count 0 */
};

static const struct curve curves[RING_THERMOCOUPLES] = {
    [RING_THERMOCOUPLE_J] = {.low_degc = -210,
                             .low_mv = -8.095380,
                             .start_degc = -210,
                             .start_mv = -8.095,
                             .to_mv = {PIECE(760, j_mv_0), PIECE(1200, j_mv_1)},
                             .to_degc = {PIECE(0.000, j_degc_0), PIECE(42.919, j_degc_1),
                                         PIECE(69.553180, j_degc_2)}},
    [RING_THERMOCOUPLE_K] = {.low_degc = -270,
                             .low_mv = -6.457738,
                             .start_degc = -200,
                             .start_mv = -5.891,
                             .to_mv = {PIECE(0, k_mv_0), PIECE(1372, k_mv_1)},
                             .to_degc = {PIECE(0.000, k_degc_0), PIECE(20.644, k_degc_1),
                                         PIECE(54.886365, k_degc_2)}},
    [RING_THERMOCOUPLE_N] = {.low_degc = -270,
                             .low_mv = -4.345136,
                             .start_degc = -200,
                             .start_mv = -3.990,
                             .to_mv = {PIECE(0, n_mv_0), PIECE(1300, n_mv_1)},
                             .to_degc = {PIECE(0.000, n_degc_0), PIECE(20.613, n_degc_1),
                                         PIECE(47.512773, n_degc_2)}},
    [RING_THERMOCOUPLE_T] = {.low_degc = -270,
                             .low_mv = -6.257506,
                             .start_degc = -200,
                             .start_mv = -5.603,
                             .to_mv = {PIECE(0, t_mv_0), PIECE(400, t_mv_1)},
                             .to_degc = {PIECE(0.000, t_degc_0), PIECE(20.871971, t_degc_1)}},
};

/* Type K above 0 degC has one more term: a0 exp(a1 (t - a2)^2), the magnetic ordering of its alloy. */
#define K_A0 0.118597600000e+00
#define K_A1 (-0.118343200000e-03)
#define K_A2 0.126968600000e+03

static const struct curve *curve_of(uint32_t type)
{
    return type > RING_THERMOCOUPLE_NONE && type < RING_THERMOCOUPLES ? &curves[type] : NULL;
}

static double high_degc(const struct curve *curve)
{
    return curve->to_mv[1].end;
}

/* Of a polynomial and of its slope, which may be NULL. */
static double evaluate(const struct piece *piece, double x, double *slope)
{
    double sum = 0;
    double derivative = 0;
    for (uint32_t i = piece->count; i > 0; i--) {
        derivative = derivative * x + sum;
        sum = sum * x + piece->c[i - 1];
    }
    if (slope != NULL) {
        *slope = derivative;
    }
    return sum;
}

/* E(T) and dE/dT; T may lie a little outside. */
static double reference(const struct curve *curve, double degc, double *slope)
{
    bool upper = degc > curve->to_mv[0].end;
    double mv = evaluate(&curve->to_mv[upper ? 1 : 0], degc, slope);
    if (upper && curve == &curves[RING_THERMOCOUPLE_K]) {
        double from_peak = degc - K_A2;
        double term = K_A0 * ring_exponential(K_A1 * from_peak * from_peak);
        mv += term;
        *slope += 2 * K_A1 * from_peak * term;
    }
    return mv;
}

double thermocouple_mv(uint32_t type, double degc)
{
    const struct curve *curve = curve_of(type);
    double slope;
    if (curve == NULL || !(degc >= curve->low_degc && degc <= high_degc(curve))) {
        return (double)NAN;
    }
    return reference(curve, degc, &slope);
}

/* Where NIST's T(E) does not reach: E(T) rises everywhere, so that halving finds it. */
static double below_start(const struct curve *curve, double mv)
{
    double low = curve->low_degc;
    double high = curve->start_degc + 1;
    double slope;
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (reference(curve, middle, &slope) < mv) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (low + high) / 2;
}

double thermocouple_degc(uint32_t type, double mv)
{
    const struct curve *curve = curve_of(type);
    if (curve == NULL || !(mv >= curve->low_mv)) {
        return (double)NAN;
    }
    if (mv < curve->start_mv) {
        return below_start(curve, mv);
    }
    for (uint32_t i = 0; i < PIECES_MAX && curve->to_degc[i].count > 0; i++) {
        if (mv <= curve->to_degc[i].end) {
            double degc = evaluate(&curve->to_degc[i], mv, NULL);
            double slope;
            double off_mv = reference(curve, degc, &slope) - mv;
            return degc - off_mv / slope; /* the slope is nowhere below 0.01 mV/degC here */
        }
    }
    return (double)NAN; /* above its range, or NaN */
}

bool thermocouple_reach(uint32_t type, double *low_degc, double *high)
{
    const struct curve *curve = curve_of(type);
    if (curve == NULL) {
        return false;
    }
    *low_degc = curve->low_degc;
    *high = high_degc(curve);
    return true;
}
