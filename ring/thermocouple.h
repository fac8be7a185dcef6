/* Thermocouples of types J, K, N and T: the reference functions on the ITS-90. Hot (HOT_SOURCES).
 *
 * Source: NIST Monograph 175 (Burns, Scroger, Strouse, Croarkin, Guthrie, 1993), as in the NIST ITS-90 Thermocouple
 * Database, Standard Reference Database 60 (srdata.nist.gov/its90, files type_j.tab .. type_t.tab). Public domain.
 *
 * NIST gives E(T), which is the definition, and polynomials that approximate T(E) piece by piece. Their stated
 * errors, in degC, and what we make of them: one step of Newton's method back to E(T) follows, after which what is
 * left is below 0.0001 degC and no longer jumps where two pieces meet. Below NIST's pieces, down to the end of
 * E(T), T(E) is found by halving.
 *
 *   J  -210 .. 0  -0.05 0.03    0 .. 760   -0.04 0.04    760 .. 1200  -0.04 0.03
 *   K  -200 .. 0  -0.02 0.04    0 .. 500   -0.05 0.04    500 .. 1372  -0.05 0.06
 *   N  -200 .. 0  -0.02 0.03    0 .. 600   -0.02 0.03    600 .. 1300  -0.04 0.02
 *   T  -200 .. 0  -0.02 0.04    0 .. 400   -0.03 0.03
 *
 * That is the error of the arithmetic. A thermocouple of class 1 is wrong by 1.5 degC and more (IEC 60584-1).
 */
#ifndef RING_THERMOCOUPLE_H
#define RING_THERMOCOUPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/layout.h"

/* Voltage in mV against a junction at 0 degC; NaN outside the type's range and for no type. Pure; any thread. */
double thermocouple_mv(uint32_t type, double degc);

/* Temperature in degC; NaN outside the type's range and for no type. Pure, bounded; any thread. */
double thermocouple_degc(uint32_t type, double mv);

/* The type's range in degC; false: no such type. */
bool thermocouple_reach(uint32_t type, double *low_degc, double *high_degc);

#endif
