#include "control/culprits.h"

#include <string.h>

#define CANDIDATES_MAX 64u /* different ones in one stretch; more are counted as others */

struct sum {
    struct culprit culprit[CANDIDATES_MAX];
    uint32_t count;
    uint32_t others;
};

bool culprits_same(const struct culprit *culprit, const struct thief_event *event)
{
    return culprit->kind == event->kind && culprit->pid == event->pid && culprit->what == event->what &&
           strncmp(culprit->name, event->name, sizeof(culprit->name)) == 0;
}

static void add(struct sum *sum, const struct thief_event *event, uint64_t ns)
{
    uint32_t i = 0;
    while (i < sum->count && !culprits_same(&sum->culprit[i], event)) {
        i++;
    }
    if (i == CANDIDATES_MAX) {
        sum->others++;
        return;
    }
    struct culprit *at = &sum->culprit[i];
    if (i == sum->count) {
        *at = (struct culprit){.kind = event->kind, .pid = event->pid, .what = event->what};
        memcpy(at->name, event->name, sizeof(at->name));
        at->name[sizeof(at->name) - 1] = 0;
        sum->count++;
    }
    at->ns += ns;
    at->times++;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* An interrupt is the cause of what it delays: a task that it keeps from ending, a sleep that it keeps from ending.
 */
static bool is_interrupt(const struct thief_event *event)
{
    return event->kind >= THIEF_IRQ && event->kind <= THIEF_NMI;
}

/* How much of from .. to the events cover, where they overlap once; interrupts alone, or all. */
static uint64_t covered(const struct thief_event *const *events, uint32_t count, bool interrupts_only,
                        uint64_t from_ns, uint64_t to_ns)
{
    uint64_t sum_ns = 0;
    uint64_t at_ns = from_ns;
    for (uint32_t i = 0; i < count && events[i]->from_ns < to_ns; i++) {
        uint64_t begins_ns = later(events[i]->from_ns, at_ns);
        uint64_t ends_ns = earlier(events[i]->from_ns + events[i]->ns, to_ns);
        if (ends_ns > begins_ns && (!interrupts_only || is_interrupt(events[i]))) {
            sum_ns += ends_ns - begins_ns;
            at_ns = ends_ns;
        }
    }
    return sum_ns;
}

/* Interrupts first, then of the others what no interrupt has had; of two alike that overlap, the first. */
static void add_all(struct sum *sum, const struct thief_event *const *events, uint32_t count, bool interrupts,
                    uint64_t from_ns, uint64_t to_ns)
{
    uint64_t at_ns = from_ns;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t begins_ns = later(events[i]->from_ns, at_ns);
        uint64_t ends_ns = earlier(events[i]->from_ns + events[i]->ns, to_ns);
        if (ends_ns <= begins_ns || is_interrupt(events[i]) != interrupts) {
            continue;
        }
        uint64_t had_ns = interrupts ? 0 : covered(events, count, true, begins_ns, ends_ns);
        if (ends_ns - begins_ns > had_ns) {
            add(sum, events[i], ends_ns - begins_ns - had_ns);
        }
        at_ns = ends_ns;
    }
}

static uint64_t host_of(const struct thief_event *const *events, uint32_t count, const struct stall_span *spans,
                        uint32_t span_count, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t host_ns = 0;
    for (uint32_t i = 0; i < span_count; i++) {
        uint64_t begins_ns = later(spans[i].from_ns, from_ns);
        uint64_t ends_ns = earlier(spans[i].to_ns, to_ns);
        if (ends_ns <= begins_ns) {
            continue;
        }
        uint64_t told_ns = covered(events, count, false, begins_ns, ends_ns) + spans[i].excused_ns;
        host_ns += ends_ns - begins_ns > told_ns ? ends_ns - begins_ns - told_ns : 0;
    }
    return host_ns;
}

/* The longest of what is left, moved to the verdict. */
static void move_longest(struct sum *sum, struct verdict *verdict)
{
    uint32_t longest = 0;
    for (uint32_t i = 1; i < sum->count; i++) {
        longest = sum->culprit[i].ns > sum->culprit[longest].ns ? i : longest;
    }
    verdict->culprit[verdict->culprits++] = sum->culprit[longest];
    sum->culprit[longest] = sum->culprit[--sum->count];
}

void culprits_find(const struct thief_event *const *events, uint32_t count, const struct stall_span *spans,
                   uint32_t span_count, uint64_t from_ns, uint64_t to_ns, struct verdict *verdict)
{
    struct sum sum = {.count = 0};
    *verdict = (struct verdict){.named_ns = covered(events, count, false, from_ns, to_ns)};
    add_all(&sum, events, count, true, from_ns, to_ns);
    add_all(&sum, events, count, false, from_ns, to_ns);
    verdict->host_ns = host_of(events, count, spans, span_count, from_ns, to_ns);
    uint64_t told_ns = verdict->named_ns + verdict->host_ns;
    verdict->own_ns = to_ns - from_ns > told_ns ? to_ns - from_ns - told_ns : 0;
    if (verdict->host_ns > 0) {
        struct thief_event host = {.kind = THIEF_HOST};
        add(&sum, &host, verdict->host_ns);
    }
    verdict->others = sum.others;
    while (sum.count > 0 && verdict->culprits < CULPRITS_MAX) {
        move_longest(&sum, verdict);
    }
    verdict->others += sum.count;
}
