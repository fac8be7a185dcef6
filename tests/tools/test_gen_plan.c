/* The plan against the tracker that a receiver uses: what was injected is what its ledger shows, to the frame. */
#include <criterion/criterion.h>
#include <string.h>

#include "net/sequence.h"
#include "tools/gen/plan.h"

static const struct sequence_spec numbers = {.width_bytes = 8, .byte_order = RING_BIG_ENDIAN, .step = 1};

static struct plan_spec spec_of(uint64_t seed, uint64_t count)
{
    return (struct plan_spec){
        .seed = seed, .first = 5, .count = count, .late_by = 100, .sizes = 1, .size = {{.bytes = 64, .weight = 1}}};
}

static void receive(struct ring_ledger *ledger, const struct plan_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct sequence_result result;
        if (items[i].corrupt) {
            net_sequence_explain(&numbers, ledger, RING_LOSS_MALFORMED, 1);
        } else {
            net_sequence_track(&numbers, ledger, items[i].number, &result);
        }
    }
}

/* All of it, in bursts of changing size; what a receiver makes of it. */
static struct plan_counts send_all(struct plan *plan, struct ring_ledger *ledger, uint64_t stop_at)
{
    static struct plan_item items[PLAN_ITEMS_MAX];
    uint32_t burst = 1;
    uint64_t frames = 0;
    while (!plan_done(plan)) {
        uint32_t n = plan_take(plan, burst, items);
        cr_assert_leq(n, PLAN_ITEMS_MAX);
        receive(ledger, items, n);
        frames += n;
        burst = burst % PLAN_BURST_MAX + 1;
        if (plan->next >= stop_at) {
            plan_end(plan);
        }
    }
    cr_assert_eq(plan->counts.frames, frames);
    cr_assert_eq(plan_take(plan, 10, items), 0, "nothing follows");
    return plan->counts;
}

static void assert_as_told(const struct plan_counts *told, const struct ring_ledger *seen, uint64_t tail)
{
    cr_assert_eq(seen->sent, told->numbers - tail);
    cr_assert_eq(seen->duplicated, told->fate[PLAN_DUPLICATED]);
    cr_assert_eq(seen->reordered, told->fate[PLAN_REORDERED]);
    cr_assert_eq(seen->lost[RING_LOSS_LATE], told->fate[PLAN_LATE]);
    cr_assert_eq(ring_ledger_lost(seen),
                 told->fate[PLAN_LOST] - tail + told->fate[PLAN_LATE] + told->fate[PLAN_CORRUPTED]);
    cr_assert_eq(ring_ledger_residual(seen), 0);
}

Test(gen_plan, without_injections_all_numbers_once_and_in_order)
{
    static struct plan plan;
    static struct plan_item items[PLAN_ITEMS_MAX];
    struct plan_spec spec = spec_of(1, 1000);
    uint64_t next = spec.first;
    plan_init(&plan, &spec);
    while (!plan_done(&plan)) {
        uint32_t n = plan_take(&plan, 7, items);
        for (uint32_t i = 0; i < n; i++) {
            cr_assert_eq(items[i].number, next++);
            cr_assert_eq(items[i].bytes, 64);
        }
    }
    cr_assert_eq(next, 1005);
    cr_assert_eq(plan.counts.numbers, 1000);
    cr_assert_eq(plan.counts.bytes, 64000);
    cr_assert_eq(plan.paced, 64000);
}

Test(gen_plan, a_receivers_ledger_shows_exactly_what_was_injected)
{
    static struct plan plan;
    const double shares[][PLAN_FATES] = {
        {[PLAN_LOST] = 0.01},         {[PLAN_DUPLICATED] = 0.01},       {[PLAN_REORDERED] = 0.01},
        {[PLAN_LATE] = 0.01},         {[PLAN_CORRUPTED] = 0.01},        {0, 0.02, 0.02, 0.02, 0.02, 0.02},
        {0, 0.2, 0.2, 0.2, 0.2, 0.2}, {0, 0.9, 0.02, 0.02, 0.02, 0.02}, {[PLAN_REORDERED] = 1},
        {[PLAN_DUPLICATED] = 1},
    };
    for (size_t s = 0; s < sizeof(shares) / sizeof(shares[0]); s++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct ring_ledger ledger = {0};
            struct plan_spec spec = spec_of(seed, 20000);
            memcpy(spec.share, shares[s], sizeof(spec.share));
            plan_init(&plan, &spec);
            struct plan_counts told = send_all(&plan, &ledger, UINT64_MAX);
            cr_assert_eq(told.numbers, 20000);
            assert_as_told(&told, &ledger, 0);
            for (uint32_t fate = PLAN_LOST; fate < PLAN_FATES; fate++) {
                double wanted = shares[s][fate] * 20000;
                cr_assert(shares[s][fate] == 0 ? told.fate[fate] == 0 : (double)told.fate[fate] > wanted * 0.3,
                          "case %zu, fate %u: %lu", s, fate, told.fate[fate]);
            }
        }
    }
}

Test(gen_plan, the_same_seed_gives_the_same_frames)
{
    static struct plan one, other;
    static struct plan_item a[PLAN_ITEMS_MAX], b[PLAN_ITEMS_MAX];
    struct plan_spec spec = spec_of(9, 5000);
    memcpy(spec.share, (const double[PLAN_FATES]){0, 0.1, 0.1, 0.1, 0.1, 0.1}, sizeof(spec.share));
    plan_init(&one, &spec);
    plan_init(&other, &spec);
    while (!plan_done(&one)) {
        uint32_t n = plan_take(&one, 32, a);
        cr_assert_eq(plan_take(&other, 32, b), n);
        cr_assert_eq(memcmp(a, b, n * sizeof(a[0])), 0);
    }
    spec.seed++;
    plan_init(&other, &spec);
    struct ring_ledger ledger = {0};
    send_all(&other, &ledger, UINT64_MAX);
    cr_assert_neq(memcmp(&one.counts, &other.counts, sizeof(one.counts)), 0);
}

/* Ended at any moment: what is held back is sent, and the counts are exact all the same. */
Test(gen_plan, an_endless_one_ends_exactly)
{
    static struct plan plan;
    for (uint64_t stop_at = 6; stop_at < 500; stop_at += 3) {
        struct ring_ledger ledger = {0};
        struct plan_spec spec = spec_of(stop_at, PLAN_ENDLESS);
        memcpy(spec.share, (const double[PLAN_FATES]){0, 0.1, 0.1, 0.2, 0.2, 0.1}, sizeof(spec.share));
        plan_init(&plan, &spec);
        struct plan_counts told = send_all(&plan, &ledger, stop_at);
        cr_assert_leq(plan.next, stop_at + PLAN_BURST_MAX + spec.late_by + 2);
        assert_as_told(&told, &ledger, 0);
    }
}

Test(gen_plan, short_ones)
{
    static struct plan plan;
    for (uint64_t count = 1; count < 6; count++) {
        struct ring_ledger ledger = {0};
        struct plan_spec spec = spec_of(3, count);
        memcpy(spec.share, (const double[PLAN_FATES]){0, 0.2, 0.2, 0.2, 0.2, 0.2}, sizeof(spec.share));
        plan_init(&plan, &spec);
        struct plan_counts told = send_all(&plan, &ledger, UINT64_MAX);
        assert_as_told(&told, &ledger, 0);
        cr_assert_eq(told.numbers, count);
    }
}

Test(gen_plan, a_lost_tail_is_counted_and_not_sent)
{
    static struct plan plan;
    struct ring_ledger ledger = {0};
    struct plan_spec spec = spec_of(4, 1000);
    spec.lose_tail = 17;
    plan_init(&plan, &spec);
    struct plan_counts told = send_all(&plan, &ledger, UINT64_MAX);
    cr_assert_eq(told.numbers, 1000);
    cr_assert_eq(told.frames, 983);
    cr_assert_eq(told.fate[PLAN_LOST], 17);
    cr_assert_eq(plan.next, 1005, "what a heartbeat says comes next");
    assert_as_told(&told, &ledger, 17);
    struct sequence_result result;
    net_sequence_heartbeat(&numbers, &ledger, plan.next, &result);
    cr_assert_eq(result.lost_before, 17);
    assert_as_told(&told, &ledger, 0);
}

Test(gen_plan, sizes_come_as_often_as_their_weights_say)
{
    static struct plan plan;
    struct plan_spec spec = spec_of(6, PLAN_ENDLESS);
    uint32_t seen[3] = {0};
    spec.sizes = 3;
    memcpy(spec.size, (const struct plan_size[]){{64, 7}, {570, 4}, {1500, 1}}, 3 * sizeof(spec.size[0]));
    plan_init(&plan, &spec);
    for (uint64_t number = 0; number < 120000; number++) {
        uint32_t bytes = plan_bytes(&plan, number);
        cr_assert_eq(bytes, plan_bytes(&plan, number));
        seen[bytes == 64 ? 0 : bytes == 570 ? 1 : 2]++;
        cr_assert(bytes == 64 || bytes == 570 || bytes == 1500);
    }
    cr_assert(seen[0] > 69000 && seen[0] < 71000, "%u", seen[0]);
    cr_assert(seen[1] > 39000 && seen[1] < 41000, "%u", seen[1]);
    cr_assert(seen[2] > 9500 && seen[2] < 10500, "%u", seen[2]);
}

Test(gen_plan, a_recordings_frames_come_round_again)
{
    static struct plan plan;
    static struct plan_item items[PLAN_ITEMS_MAX];
    const uint32_t bytes[] = {100, 0, 300};
    struct plan_spec spec = spec_of(6, 7);
    spec.first = 0;
    spec.file_bytes = bytes;
    spec.file_frames = 3;
    plan_init(&plan, &spec);
    cr_assert_eq(plan_take(&plan, 100, items), 7);
    for (uint32_t i = 0; i < 7; i++) {
        cr_assert_eq(items[i].bytes, bytes[i % 3]);
    }
}
