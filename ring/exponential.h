/* e^x without libm, whose result may differ in the last bit from one processor to the next (it chooses by what the
 * processor can do): a replay must come to the same number everywhere. Hot (HOT_SOURCES).
 */
#ifndef RING_EXPONENTIAL_H
#define RING_EXPONENTIAL_H

#define RING_EXPONENTIAL_MAX 700.0 /* of x either way: about 1e304 */

/* e^x within 1e-14 of itself for |x| up to 20, 1e-13 up to RING_EXPONENTIAL_MAX; NaN beyond, and for NaN. Always
 * the same number of steps. Pure; any thread. */
double ring_exponential(double x);

#endif
