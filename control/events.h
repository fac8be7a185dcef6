/* What an engine step has to tell. Part of the engine, hot. */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include "control/engine.h"

/* There may be as many of these in a step as there are channels and rules. */
/*@ assigns \nothing; */
static inline bool engine_is_many(uint32_t kind)
{
    return kind == EVENT_QUALITY || kind == EVENT_RULE_ON || kind == EVENT_RULE_OFF || kind == EVENT_ALARM;
}

/* Something changed, and this is it. What does not fit is counted; what became of the permit has room left. */
/*@ requires \valid(outputs);
    assigns outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
    ensures outputs->changed == 1; */
static inline void engine_emit(struct engine_outputs *outputs, uint64_t now_ns, uint32_t kind, uint32_t index,
                               double value)
{
    outputs->changed = 1;
    uint32_t room = engine_is_many(kind) ? ENGINE_EVENTS_MAX - ENGINE_EVENTS_OWN : ENGINE_EVENTS_MAX;
    if (outputs->events >= room) {
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
