/* The engine alone: what one step takes, of one path. Each step is timed by itself, so that a stall of the machine
 * is one bad step and not a bad mean; what the timing takes is taken off. */
#include <errno.h>
#include <stdlib.h>

#include "bench/engine_paths.h"
#include "bench/measure.h"
#include "bench/spread.h"
#include "bench/tsc.h"

#define STEPS_MIN 64u
#define BATCH     64u /* steps between two looks at the time left */

/* Two looks at the clock with nothing between them. */
static uint64_t empty_ticks(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t from = tsc_ordered();
        uint64_t ticks = tsc_ordered() - from;
        least = ticks < least ? ticks : least;
    }
    return least;
}

static void run(struct engine_bed *bed, struct spread *spread, double seconds)
{
    uint64_t empty = empty_ticks();
    uint64_t end = tsc_now() + (uint64_t)(seconds * 1e9 * tsc_per_ns());
    double ns_per_tick = 1 / tsc_per_ns();
    do {
        for (uint32_t i = 0; i < BATCH; i++) {
            engine_bed_next(bed);
            uint64_t from = tsc_ordered();
            engine_bed_step(bed);
            uint64_t ticks = tsc_ordered() - from;
            spread_add(spread, (uint64_t)(ns_per_tick * (double)(ticks > empty ? ticks - empty : 0) + 0.5));
        }
    } while (tsc_now() < end || spread->count < STEPS_MIN);
}

void measure_engine(const struct question *question, struct outcome *outcome)
{
    struct engine_bed *bed = aligned_alloc(64, (sizeof(*bed) + 63) / 64 * 64);
    struct spread *spread = calloc(1, sizeof(*spread));
    if (bed == NULL || spread == NULL) {
        outcome->code = error_set(&outcome->err, -ENOMEM, "no memory for an engine");
        goto done;
    }
    pin_to(question->cores[1]);
    engine_bed_make(bed, question->path, question->rules);
    if (!bed->armed) {
        outcome->code = error_set(&outcome->err, -EINVAL, "path %s with %u rules: the engine cannot be armed",
                                  question->path->name, question->rules);
        goto done;
    }
    run(bed, spread, question->seconds);
    outcome->values[0] = (double)spread_quantile_ns(spread, 0.5);
    outcome->values[1] = (double)spread_quantile_ns(spread, 0.99);
    outcome->stall_us = (double)spread->max_ns / 1e3;
    outcome->frames = spread->count;
    outcome->code = 0;
done:
    free(spread);
    free(bed);
}
