/* The plant's own generator: xoshiro256** (Blackman and Vigna, 2018, public domain), seeded through splitmix64.
 * Ours, not libc's, so that the same seed gives the same series on every machine. */
#ifndef SLUICE_PLANT_RANDOM_H
#define SLUICE_PLANT_RANDOM_H

#include <stdint.h>

struct plant_random {
    uint64_t word[4];
};

void plant_random_init(struct plant_random *random, uint64_t seed);
uint64_t plant_random_next(struct plant_random *random);
/* In [0, 1), 53 bits. */
double plant_random_uniform(struct plant_random *random);
/* Mean 0, sigma 1. */
double plant_random_normal(struct plant_random *random);

#endif
