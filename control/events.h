/* What an engine step has to tell. Part of the engine, hot. */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include "control/engine.h"

/* Something changed, and this is it. What does not fit is counted. */
/*@ requires \valid(outputs);
    assigns outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
    ensures outputs->changed == 1; */
static inline void engine_emit(struct engine_outputs *outputs, uint64_t now_ns, uint32_t kind, uint32_t index,
                               double value)
{
    outputs->changed = 1;
    if (outputs->events >= ENGINE_EVENTS_MAX) {
        outputs->events_lost++;
        return;
    }
    struct engine_event *event = &outputs->event[outputs->events];
    event->tai_ns = now_ns;
    event->kind = kind;
    event->index = index;
    event->value = value;
    outputs->events++;
}

#endif
