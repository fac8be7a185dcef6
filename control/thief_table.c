#include "control/thief_table.h"

#include <errno.h>

static void forget(struct thief_settings *settings, uint32_t index)
{
    for (uint32_t i = 0; i < THIEF_SLOTS; i++) {
        struct thief_slot *slot = &settings->slot[i];
        if (slot->tid != 0 && slot->thread == index) {
            __atomic_store_n(&slot->tid, 0, __ATOMIC_RELEASE);
        }
    }
}

int thief_table_set(struct thief_settings *settings, uint32_t index, uint32_t tid, uint64_t sleep_ns,
                    uint64_t limit_ns)
{
    struct thief_watched *watched = &settings->watched[index];
    forget(settings, index);
    watched->tid = tid;
    watched->sleep_ns = sleep_ns;
    watched->limit_ns = limit_ns;
    __atomic_store_n(&watched->epoch, watched->epoch + 1, __ATOMIC_RELEASE);
    for (uint32_t probe = 0; probe < THIEF_PROBES && tid != 0; probe++) {
        struct thief_slot *slot = &settings->slot[thief_place(tid, probe)];
        if (slot->tid == 0) {
            slot->thread = index;
            __atomic_store_n(&slot->tid, tid, __ATOMIC_RELEASE);
            return 0;
        }
    }
    return tid == 0 ? 0 : -ENOSPC;
}
