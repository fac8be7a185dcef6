#include "control/heartbeat.h"

uint32_t heartbeat_outputs(const struct control_table *table)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        mask |= table->output[i].heartbeat != 0 ? UINT32_C(1) << i : 0;
    }
    return mask;
}

static bool is_due(const struct control_table *table, const struct heartbeat *heartbeat, uint64_t now_ns)
{
    if (heartbeat->toggles == 0) {
        return true;
    }
    return now_ns > heartbeat->toggled_ns && now_ns - heartbeat->toggled_ns >= table->heartbeat_ns;
}

uint32_t heartbeat_step(const struct control_table *table, struct heartbeat *heartbeat, uint32_t permitted,
                        uint64_t now_ns, bool in_time)
{
    uint32_t mask = heartbeat_outputs(table);
    if ((permitted & mask) == 0) {
        heartbeat->high = 0;
    } else if (in_time && is_due(table, heartbeat, now_ns)) {
        heartbeat->high = heartbeat->high == 0;
        heartbeat->toggled_ns = now_ns;
        heartbeat->toggles++;
    }
    return heartbeat->high != 0 ? permitted : permitted & ~mask;
}
