#include "ring/ledger.h"

const char *ring_loss_name(uint32_t cause)
{
    static const char *const names[RING_LOSSES] = {"sender", "kernel",    "nic",       "ring_full",
                                                   "late",   "malformed", "truncated", "restart"};
    return cause < RING_LOSSES ? names[cause] : "unknown";
}

const char *ring_refusal_name(uint32_t reason)
{
    static const char *const names[] = {"short", "long", "stranger", "checksum", "syntax", "fragment"};
    return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "unknown";
}

uint64_t ring_ledger_lost(const struct ring_ledger *ledger)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        sum += ring_count_read(&ledger->lost[i]);
    }
    return sum;
}

int64_t ring_ledger_residual(const struct ring_ledger *ledger)
{
    uint64_t accounted = ring_count_read(&ledger->delivered) + ring_ledger_lost(ledger);
    return (int64_t)(ring_count_read(&ledger->sent) - accounted);
}
