#include <stddef.h>

#include "daq/recorder_plan.h"

const char *recorder_state_name(uint32_t state)
{
    static const char *const names[] = {"none", "idle", "ready", "recording", "post", "failed", "ended"};
    return state <= RECORDER_ENDED ? names[state] : "unknown";
}

const char *recorder_verb_name(uint32_t verb)
{
    static const char *const names[] = {NULL, "start", "stop", "next", "trigger", "note", "operator", "test-id"};
    static_assert(sizeof(names) / sizeof(names[0]) == RECORDER_VERBS, "a word for each");
    return verb < RECORDER_VERBS ? names[verb] : NULL;
}
