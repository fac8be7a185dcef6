/* kill -9 of a reader that the writer waits for: how long does the writer stand still? */
#include <errno.h>

#include "bench/measure.h"

void measure_death(const struct question *question, struct outcome *outcome)
{
    double stall_us = 0;
    outcome->code = question->peer->gate_kill(question->cap_s, &stall_us, &outcome->capped, &outcome->err);
    outcome->values[0] = stall_us / 1e3;
    outcome->stall_us = stall_us;
}
