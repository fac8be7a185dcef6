#include "tools/gen/plan.h"

#include <assert.h>
#include <string.h>

/* Drawn apart: the size of a number must not depend on its fate. */
#define SIZE_SALT UINT64_C(0x5157ab1e5157ab1e)

/* splitmix64's output function. */
uint64_t plan_random(uint64_t seed, uint64_t number)
{
    uint64_t z = seed + (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t end_of(const struct plan_spec *spec)
{
    if (spec->count == PLAN_ENDLESS || spec->count > PLAN_ENDLESS - 1 - spec->first) {
        return PLAN_ENDLESS;
    }
    return spec->first + spec->count;
}

void plan_init(struct plan *plan, const struct plan_spec *spec)
{
    memset(plan, 0, sizeof(*plan));
    plan->spec = *spec;
    plan->next = spec->first;
    uint64_t end = end_of(spec);
    plan->last = end == PLAN_ENDLESS ? PLAN_ENDLESS : end - spec->lose_tail - 1;
    double sum = 0;
    for (uint32_t fate = PLAN_LOST; fate < PLAN_FATES; fate++) {
        sum += spec->share[fate];
        plan->threshold[fate] = sum >= 1 ? UINT64_MAX : (uint64_t)(sum * 0x1p64);
    }
    plan->injects = sum > 0;
    for (uint32_t i = 0; i < spec->sizes; i++) {
        plan->weights += spec->size[i].weight;
    }
}

uint32_t plan_bytes(const struct plan *plan, uint64_t number)
{
    const struct plan_spec *spec = &plan->spec;
    if (spec->file_bytes != NULL) {
        return spec->file_bytes[number % spec->file_frames];
    }
    if (spec->sizes == 1) {
        return spec->size[0].bytes;
    }
    uint64_t drawn = (plan_random(spec->seed ^ SIZE_SALT, number) >> 32) * plan->weights >> 32;
    uint32_t i = 0;
    while (i + 1 < spec->sizes && drawn >= spec->size[i].weight) {
        drawn -= spec->size[i++].weight;
    }
    return spec->size[i].bytes;
}

static enum plan_fate draw(const struct plan *plan, uint64_t number)
{
    uint64_t drawn = plan_random(plan->spec.seed, number);
    for (uint32_t fate = PLAN_LOST; fate < PLAN_FATES; fate++) {
        if (drawn < plan->threshold[fate]) {
            return (enum plan_fate)fate;
        }
    }
    return PLAN_SENT;
}

/* The draw, where it can be told exactly afterwards. */
static enum plan_fate fate_of(const struct plan *plan, uint64_t number)
{
    if (number == plan->spec.first || number == plan->last || plan->held) {
        return PLAN_SENT;
    }
    enum plan_fate fate = draw(plan, number);
    bool too_late = plan->last != PLAN_ENDLESS && plan->last - number < plan->spec.late_by;
    bool in_a_row = plan->late_head > 0 && plan->held_late[(plan->late_head - 1) % PLAN_LATE_MAX] + 1 == number;
    return fate == PLAN_LATE && (too_late || in_a_row) ? PLAN_SENT : fate;
}

static uint32_t put(struct plan *plan, struct plan_item *item, uint64_t number, bool corrupt)
{
    *item = (struct plan_item){.number = number, .bytes = plan_bytes(plan, number), .corrupt = corrupt};
    plan->counts.frames++;
    plan->counts.bytes += item->bytes;
    return 1;
}

/* Late ones whose time has come; the rest waits for the next call where there is no room. */
static uint32_t take_late(struct plan *plan, struct plan_item *items, uint32_t room)
{
    uint32_t n = 0;
    while (n < room && plan->late_tail != plan->late_head &&
           plan->highest >= plan->held_late[plan->late_tail % PLAN_LATE_MAX] + plan->spec.late_by) {
        n += put(plan, items + n, plan->held_late[plan->late_tail++ % PLAN_LATE_MAX], false);
    }
    return n;
}

/* One number as its fate wants it: three items at most. */
static uint32_t take_one(struct plan *plan, struct plan_item *items)
{
    uint64_t number = plan->next++;
    enum plan_fate fate = fate_of(plan, number);
    bool behind = plan->held;
    uint32_t n = 0;
    plan->held = fate == PLAN_REORDERED;
    plan->counts.fate[fate]++;
    if (fate == PLAN_LATE) {
        assert(plan->late_head - plan->late_tail < PLAN_LATE_MAX);
        plan->held_late[plan->late_head++ % PLAN_LATE_MAX] = number;
    }
    if (fate == PLAN_SENT || fate == PLAN_DUPLICATED) {
        n += put(plan, items + n, number, false);
        plan->highest = number;
    }
    if (fate == PLAN_DUPLICATED) {
        n += put(plan, items + n, number, false);
    }
    if (fate == PLAN_CORRUPTED) {
        n += put(plan, items + n, number, true);
    }
    if (behind) {
        n += put(plan, items + n, number - 1, false);
    }
    return n;
}

/* What is asked for most, and fastest: all numbers as they are, of one size. */
static uint32_t take_plain(struct plan *plan, uint32_t numbers, struct plan_item *items)
{
    uint64_t left = plan->next <= plan->last ? plan->last - plan->next : 0;
    uint32_t bytes = plan->spec.size[0].bytes;
    uint32_t n = plan->next > plan->last ? 0 : left < numbers ? (uint32_t)left + 1 : numbers;
    for (uint32_t i = 0; i < n; i++) {
        items[i] = (struct plan_item){.number = plan->next + i, .bytes = bytes};
    }
    plan->next += n;
    plan->paced += (uint64_t)n * bytes;
    plan->counts.frames += n;
    plan->counts.bytes += (uint64_t)n * bytes;
    return n;
}

static void lose_tail(struct plan *plan)
{
    plan->next += plan->spec.lose_tail;
    plan->counts.fate[PLAN_LOST] += plan->spec.lose_tail;
    plan->spec.lose_tail = 0;
}

uint32_t plan_take(struct plan *plan, uint32_t numbers, struct plan_item items[PLAN_ITEMS_MAX])
{
    uint32_t n = 0;
    assert(numbers <= PLAN_BURST_MAX);
    if (!plan->injects && plan->spec.sizes == 1 && plan->spec.file_bytes == NULL) {
        n = take_plain(plan, numbers, items);
        numbers = 0;
    }
    for (uint32_t i = 0; i < numbers && plan->next <= plan->last && n + 4 <= PLAN_ITEMS_MAX; i++) {
        plan->paced += plan_bytes(plan, plan->next);
        if (plan->injects) {
            n += take_one(plan, items + n);
            n += take_late(plan, items + n, PLAN_ITEMS_MAX - n);
        } else {
            n += put(plan, items + n, plan->next++, false);
        }
    }
    if (plan->next > plan->last) {
        n += take_late(plan, items + n, PLAN_ITEMS_MAX - n);
        lose_tail(plan);
    }
    plan->counts.numbers = plan->next - plan->spec.first;
    return n;
}

bool plan_done(const struct plan *plan)
{
    return plan->next > plan->last && plan->late_head == plan->late_tail;
}

void plan_end(struct plan *plan)
{
    if (plan->next > plan->last) {
        return;
    }
    /* The last number is sent as it is: at least one more if anything was. */
    uint64_t last = plan->next;
    if (plan->late_head != plan->late_tail) {
        uint64_t wanted = plan->held_late[(plan->late_head - 1) % PLAN_LATE_MAX] + plan->spec.late_by;
        last = wanted > last ? wanted : last;
    }
    if (last < plan->last) {
        plan->last = last;
    }
}
