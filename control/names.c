#include "control/engine.h"

const char *engine_cause_name(uint32_t kind)
{
    static const char *const names[CAUSES] = {
        "none",       "startup", "self_test", "deadline", "manual",       "output", "high",      "low", "stale",
        "not_finite", "range",   "frame",     "overrun",  "control_died", "rate",   "deviation", "bit", "stuck",
        "heartbeat",  "vote",    "not",       "history",  "readback",     "gate",   "supervisor"};
    return kind < CAUSES ? names[kind] : "unknown";
}

const char *engine_quality_name(uint32_t quality)
{
    return quality == ENGINE_GOOD ? "good" : quality == ENGINE_BAD ? "bad" : "stale";
}

const char *engine_truth_name(uint32_t truth)
{
    return truth == TRUTH_CLEAR ? "clear" : truth == TRUTH_DEMAND ? "demand" : "unknown";
}

const char *engine_alarm_name(uint32_t alarm)
{
    static const char *const names[] = {"normal", "unacknowledged", "acknowledged", "returned"};
    return alarm <= ALARM_RETURNED ? names[alarm] : "unknown";
}

const char *engine_test_name(uint32_t result)
{
    static const char *const names[] = {"none", "running", "passed", "failed", "aborted"};
    return result <= TEST_ABORTED ? names[result] : "unknown";
}

const char *engine_gate_name(uint32_t check)
{
    static const char *const names[] = {"pinned", "locked", "pages",     "unthrottled", "latency",
                                        "clock",  "config", "black_box", "doctor"};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (check == UINT32_C(1) << i) {
            return names[i];
        }
    }
    return "unknown";
}

const char *engine_event_name(uint32_t kind)
{
    static const char *const names[] = {"none",      "state",      "trip",  "rule_on", "rule_off",
                                        "bypass_on", "bypass_off", "alarm", "shelved", "latched",
                                        "held",      "gate",       "test",  "quality"};
    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}
