#include "tools/plant/random.h"

#include <math.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

void plant_random_init(struct plant_random *random, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        random->word[i] = splitmix64(&seed);
}

uint64_t plant_random_next(struct plant_random *random)
{
    uint64_t *s = random->word;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double plant_random_uniform(struct plant_random *random)
{
    return (double)(plant_random_next(random) >> 11) * 0x1p-53;
}

/* Box and Muller, one of the pair: two draws always, so that the n-th value never depends on who asked before. */
double plant_random_normal(struct plant_random *random)
{
    double u = 1.0 - plant_random_uniform(random); /* (0, 1]: log() must not see 0 */
    double v = plant_random_uniform(random);

    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
