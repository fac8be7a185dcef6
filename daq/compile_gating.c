#include <stdio.h>
#include <string.h>

#include "daq/board.h"
#include "daq/compile.h"
#include "ring/clock.h"

#define PATH_BYTES             96
#define READERS_MAX_DEFAULT    256u
#define DEADLINE_MS_DEFAULT    100u
#define DEADLINE_MS_MAX        60000u
#define EVICT_MS_DEFAULT       5000u
#define EVICT_MS_MAX           3600000u
#define OBSERVERS_ONLY_DEFAULT 0u

static uint32_t bounded(struct compile *c, uint32_t ring, const char *key, const uint32_t *given, uint32_t standard,
                        uint32_t min, uint32_t max, const char *unit)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "rings[%u].gating.%s", ring, key);
    return (uint32_t)compile_bounded(c, path, given, standard, min, max, unit);
}

/* The sources of this ring's worker must know. */
static void tell_source(struct compile *c, uint32_t i, const struct ring_plan *ring, uint32_t when_full)
{
    char path[PATH_BYTES];
    for (uint32_t w = 0; w < c->plan->workers; w++) {
        struct worker_plan *worker = &c->plan->worker[w];
        for (uint32_t s = 0; s < worker->sources; s++) {
            struct source_plan *source = &worker->source[s];
            if (strcmp(source->ring, ring->name) != 0) {
                continue;
            }
            source->gates = ring->gates;
            source->when_full = when_full;
            if (source->kind == SOURCE_RECORDING && source->recording.wait_readers > ring->gates) {
                snprintf(path, sizeof(path), "rings[%u].gating.readers_max", i);
                config_complain(c->file, c->errors, path,
                                "source '%s' waits for %u gating readers, which its ring must take; found %u",
                                source->name, source->recording.wait_readers, ring->gates);
            }
        }
    }
}

static void compile_ring(struct compile *c, uint32_t i)
{
    static const struct config_gating none = {.readers_max = NULL};
    const struct config_gating *from = c->config->rings[i].gating != NULL ? c->config->rings[i].gating : &none;
    struct ring_plan *ring = &c->plan->ring[i];
    char path[PATH_BYTES];
    uint32_t when_full = from->when_full != NULL ? (uint32_t)*from->when_full
                         : ring->watched_as != 0 ? (uint32_t)WHEN_FULL_DROP
                                                 : (uint32_t)WHEN_FULL_WAIT;
    ring->gates =
        bounded(c, i, "readers_max", from->readers_max, OBSERVERS_ONLY_DEFAULT, 0, RING_GATES_MAX, "readers");
    ring->gate_deadline_ns =
        bounded(c, i, "deadline_ms", from->deadline_ms, DEADLINE_MS_DEFAULT, 1, DEADLINE_MS_MAX, "ms") *
        CLOCK_NS_PER_MS;
    ring->gate_evict_ns =
        bounded(c, i, "evict_ms", from->evict_ms, EVICT_MS_DEFAULT, 1, EVICT_MS_MAX, "ms") * CLOCK_NS_PER_MS;
    if (ring->gates > 0 && ring->watched_as != 0 && when_full != WHEN_FULL_DROP) {
        snprintf(path, sizeof(path), "rings[%u].gating.when_full", i);
        config_complain(
            c->file, c->errors, path,
            "the interlock watches ring '%s': a reader must not hold its frames back; expected drop (new "
            "frames are dropped and recorded, which the interlock sees), or observers only",
            ring->name);
    }
    tell_source(c, i, ring, when_full);
}

void compile_gating(struct compile *c)
{
    c->plan->readers_max = (uint32_t)compile_bounded(c, "readers_max", c->config->readers_max, READERS_MAX_DEFAULT,
                                                     1, SUPERVISOR_READERS_MAX, "readers");
    for (uint32_t i = 0; i < c->plan->rings; i++) {
        compile_ring(c, i);
    }
}
