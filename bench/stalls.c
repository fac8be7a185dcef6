#include "bench/stalls.h"

static double stolen_s(const struct stall_evidence *e)
{
    return e->tick_hz > 0 ? (double)e->steal_ticks / e->tick_hz : 0;
}

static bool is_stolen(const struct stall_evidence *e)
{
    return e->steal_ticks >= STALLS_STEAL_TICKS && stolen_s(e) > STALLS_STEAL_SHARE * e->seconds;
}

bool stalls_fell_in(const struct stall_evidence *e)
{
    return e->own_us > STALLS_LIMIT_US || is_stolen(e);
}

void stalls_add(struct row_stalls *stalls, const struct stall_evidence *e)
{
    if (!stalls_fell_in(e)) {
        return;
    }
    stalls->rounds++;
    stalls->longest_us = e->own_us > stalls->longest_us ? e->own_us : stalls->longest_us;
    stalls->stolen_s += is_stolen(e) ? stolen_s(e) : 0;
}

bool stalls_decide(const struct row_stalls *stalls, uint32_t rounds)
{
    return stalls->rounds > 0 && !stalls->excused && 2 * stalls->rounds >= rounds;
}
