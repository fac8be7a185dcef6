#include "control/outbox.h"

#include <errno.h>

void outbox_put(struct outbox *outbox, uint32_t number, uint32_t lines, uint64_t decided_tai_ns)
{
    __atomic_store_n(&outbox->command.decided_tai_ns, decided_tai_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&outbox->command.word, (uint64_t)number << 32 | lines, __ATOMIC_RELEASE);
}

struct outbox_order outbox_take(const struct outbox *outbox)
{
    struct outbox_order order;
    order.word = __atomic_load_n(&outbox->command.word, __ATOMIC_ACQUIRE);
    order.decided_tai_ns = __atomic_load_n(&outbox->command.decided_tai_ns, __ATOMIC_RELAXED);
    order.lines = (uint32_t)order.word;
    return order;
}

void outbox_confirm(struct outbox *outbox, const struct outbox_order *order)
{
    struct outbox_answer *answer = &outbox->answer;
    __atomic_store_n(&answer->writes, answer->writes + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&answer->decided_tai_ns, order->decided_tai_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&answer->word, order->word, __ATOMIC_RELAXED);
    __atomic_store_n(&answer->error, 0, __ATOMIC_RELEASE);
}

void outbox_fail(struct outbox *outbox, int code)
{
    struct outbox_answer *answer = &outbox->answer;
    __atomic_store_n(&answer->errors, answer->errors + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&answer->error, (int64_t)code, __ATOMIC_RELEASE);
}

int outbox_verdict(const struct outbox *outbox, uint64_t decided_tai_ns, uint64_t fault_ns)
{
    const struct outbox_answer *answer = &outbox->answer;
    int64_t error = __atomic_load_n(&answer->error, __ATOMIC_ACQUIRE);
    uint64_t confirmed_ns = __atomic_load_n(&answer->decided_tai_ns, __ATOMIC_RELAXED);
    if (error != 0) {
        return error < 0 && error > -4096 ? (int)error : -EPROTO; /* another process's number is data */
    }
    return decided_tai_ns > confirmed_ns && decided_tai_ns - confirmed_ns > fault_ns / 2 ? -ETIMEDOUT : 0;
}
