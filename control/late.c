#include "control/late.h"

#include <string.h>

#include "ring/clock.h"

static void append(struct late_watch *watch, const struct late_entry *entry)
{
    struct late_log *log = watch->log;
    log->entry[log->count % LATE_ENTRIES] = *entry;
    __atomic_store_n(&log->count, log->count + 1, __ATOMIC_RELEASE);
}

static void begin_second(struct late_watch *watch, uint64_t now_ns)
{
    watch->second_ends_ns = now_ns + CLOCK_NS_PER_S;
    for (uint32_t kind = 0; kind < LATE_KINDS; kind++) {
        watch->worst[kind] = (struct late_entry){.kind = (uint16_t)kind};
        watch->floor_ns[kind] = watch->log != NULL ? 0 : UINT64_MAX;
    }
}

void late_init(struct late_watch *watch, struct late_log *log, uint64_t decision_limit_ns, uint64_t loop_limit_ns)
{
    memset(watch, 0, sizeof(*watch));
    watch->log = log;
    watch->limit_ns[LATE_DECISION] = decision_limit_ns;
    watch->limit_ns[LATE_LOOP] = loop_limit_ns;
    begin_second(watch, 0);
}

void late_note(struct late_watch *watch, enum late_kind kind, struct late_entry entry)
{
    uint64_t ns = entry.to_ns - entry.from_ns;
    struct late_entry *worst = &watch->worst[kind];
    entry.limit_ns = watch->limit_ns[kind];
    entry.over = ns > watch->limit_ns[kind];
    if (entry.over != 0) {
        append(watch, &entry);
    }
    if (ns > worst->to_ns - worst->from_ns) {
        *worst = entry;
    }
    uint64_t worst_ns = worst->to_ns - worst->from_ns;
    watch->floor_ns[kind] = worst_ns < watch->limit_ns[kind] ? worst_ns : watch->limit_ns[kind];
}

void late_turn(struct late_watch *watch, uint64_t now_ns)
{
    if (__builtin_expect(now_ns < watch->second_ends_ns || watch->log == NULL, 1)) {
        return;
    }
    for (uint32_t kind = 0; kind < LATE_KINDS; kind++) {
        const struct late_entry *worst = &watch->worst[kind];
        if (worst->to_ns > worst->from_ns && worst->over == 0) {
            append(watch, worst);
        }
    }
    begin_second(watch, now_ns);
}
