/* Sequence tracking against a slow, obvious bookkeeping of what was injected. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "net/sequence.h"
#include "tests/support/random.h"

#define FRAMES_MAX   60000u
#define ARRIVALS_MAX (3u * FRAMES_MAX)

/* What happened to a frame, or what arrives. */
enum fate { FATE_ARRIVES, FATE_LOST, FATE_KERNEL, FATE_REFUSED };

struct arrival {
    uint64_t index; /* of the frame in the order of sending */
    uint64_t when;  /* sort key */
    enum fate fate; /* FATE_ARRIVES, or what is told at this moment: FATE_KERNEL, FATE_REFUSED */
};

struct injected {
    uint64_t frames, delivered, duplicated, reordered;
    uint64_t lost[RING_LOSSES];
};

struct mixture {
    struct sequence_spec spec;
    uint64_t first_raw;
    unsigned lose, drop, refuse, repeat, delay; /* per mille */
    uint64_t burst_max;
};

static struct arrival arrivals[ARRIVALS_MAX];
static uint8_t seen[FRAMES_MAX];
static struct ring_ledger ledger;

static uint64_t mask_of(const struct sequence_spec *spec)
{
    return spec->width_bytes == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * spec->width_bytes)) - 1;
}

static int by_moment(const void *a, const void *b)
{
    const struct arrival *x = a;
    const struct arrival *y = b;
    return x->when != y->when ? (x->when < y->when ? -1 : 1) : x->index < y->index ? -1 : x->index > y->index;
}

static size_t send_frames(const struct mixture *mix, struct test_random *random, uint64_t frames)
{
    size_t n = 0;
    uint64_t burst = 0;
    enum fate fate = FATE_ARRIVES;
    for (uint64_t i = 0; i < frames; i++) {
        if (burst > 0) {
            burst--;
        } else {
            uint64_t dice = test_random_below(random, 1000);
            fate = dice < mix->lose                             ? FATE_LOST
                   : dice < mix->lose + mix->drop               ? FATE_KERNEL
                   : dice < mix->lose + mix->drop + mix->refuse ? FATE_REFUSED
                                                                : FATE_ARRIVES;
            burst = fate == FATE_ARRIVES ? 0 : test_random_below(random, mix->burst_max);
        }
        if (i == 0 || i + 40 > frames) {
            fate = FATE_ARRIVES; /* what is lost at the very end nobody can know */
            burst = 0;
        }
        bool late = i > 0 && fate == FATE_ARRIVES && test_random_chance(random, mix->delay);
        uint64_t when = 100 * i + (late ? 100 * (1 + test_random_below(random, 30)) + 50 : 0);
        if (fate != FATE_LOST) {
            arrivals[n++] = (struct arrival){i, when, fate};
        }
        if (fate == FATE_ARRIVES && test_random_chance(random, mix->repeat)) {
            arrivals[n++] = (struct arrival){i, when + 1 + 100 * test_random_below(random, 20), FATE_ARRIVES};
        }
        fate = burst > 0 ? fate : FATE_ARRIVES;
    }
    qsort(arrivals, n, sizeof(arrivals[0]), by_moment);
    return n;
}

/* The slow and obvious one: looks at every frame in turn. */
static struct injected count_injected(size_t n, uint64_t frames)
{
    struct injected told = {.frames = frames};
    uint64_t highest = 0;
    bool any = false;
    memset(seen, 0, sizeof(seen));
    for (size_t i = 0; i < n; i++) {
        const struct arrival *a = &arrivals[i];
        if (a->fate == FATE_KERNEL) {
            told.lost[RING_LOSS_KERNEL]++;
        } else if (a->fate == FATE_REFUSED) {
            told.lost[RING_LOSS_MALFORMED]++;
        } else if (seen[a->index] != 0) {
            told.duplicated++;
        } else {
            seen[a->index] = 1;
            told.delivered++;
            told.reordered += any && a->index < highest;
            highest = a->index > highest ? a->index : highest;
            any = true;
        }
    }
    told.lost[RING_LOSS_SENDER] =
        frames - told.delivered - told.lost[RING_LOSS_KERNEL] - told.lost[RING_LOSS_MALFORMED];
    return told;
}

static void track_all(const struct mixture *mix, size_t n)
{
    uint64_t first_number = 0;
    for (size_t i = 0; i < n; i++) {
        struct sequence_result result;
        const struct arrival *a = &arrivals[i];
        if (a->fate == FATE_KERNEL || a->fate == FATE_REFUSED) {
            net_sequence_explain(&mix->spec, &ledger,
                                 a->fate == FATE_KERNEL ? RING_LOSS_KERNEL : RING_LOSS_MALFORMED, 1);
            continue;
        }
        uint64_t raw = (mix->first_raw + a->index * mix->spec.step) & mask_of(&mix->spec);
        net_sequence_track(&mix->spec, &ledger, raw, &result);
        first_number = i == 0 ? result.number : first_number;
        cr_assert_eq(result.number - first_number, a->index, "unwrapped number of frame %lu", a->index);
        cr_assert_neq(result.verdict, SEQUENCE_LATE);
        cr_assert_eq(ring_ledger_residual(&ledger), 0);
    }
}

static void check_mixture(const struct mixture *mix, uint64_t seed, uint64_t frames, bool causes_exact)
{
    struct test_random random = {seed};
    memset(&ledger, 0, sizeof(ledger));
    size_t n = send_frames(mix, &random, frames);
    struct injected told = count_injected(n, frames);
    track_all(mix, n);
    cr_assert_eq(ledger.sent, told.frames, "width %u", mix->spec.width_bytes);
    cr_assert_eq(ledger.delivered, told.delivered);
    cr_assert_eq(ledger.duplicated, told.duplicated);
    cr_assert_eq(ledger.reordered, told.reordered);
    cr_assert_eq(ring_ledger_lost(&ledger), told.frames - told.delivered);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
    for (uint32_t cause = 0; causes_exact && cause < RING_LOSSES; cause++) {
        cr_assert_eq(ledger.lost[cause], told.lost[cause], "%s: %lu instead of %lu", ring_loss_name(cause),
                     ledger.lost[cause], told.lost[cause]);
    }
}

static const uint32_t widths[] = {1, 2, 4, 8};

/* Starts a little before the wrap of the width, so that every run crosses it. */
static struct mixture mixture_of(uint32_t width, uint32_t step)
{
    struct mixture mix = {.spec = {.width_bytes = width, .byte_order = RING_BIG_ENDIAN, .step = step},
                          .burst_max = width == 1 ? 30 / step + 1 : 40};
    mix.first_raw = (mask_of(&mix.spec) - 1000 * (uint64_t)step) & mask_of(&mix.spec);
    mix.first_raw -= mix.first_raw % step;
    return mix;
}

Test(sequence, losses_are_put_down_to_what_caused_them)
{
    for (size_t w = 0; w < 4; w++) {
        for (uint32_t step = 1; step <= 3; step++) {
            struct mixture mix = mixture_of(widths[w], step);
            mix.lose = 10, mix.drop = 10, mix.refuse = 10, mix.repeat = 20;
            check_mixture(&mix, 10 * w + step, FRAMES_MAX, true);
        }
    }
}

Test(sequence, reordered_frames_are_taken_off_the_losses_again)
{
    for (size_t w = 0; w < 4; w++) {
        struct mixture mix = mixture_of(widths[w], 1);
        mix.lose = 10, mix.repeat = 20, mix.delay = 50;
        check_mixture(&mix, 100 + w, FRAMES_MAX, true);
    }
}

Test(sequence, everything_at_once_still_balances)
{
    for (size_t w = 0; w < 4; w++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            struct mixture mix = mixture_of(widths[w], w == 0 ? 1 : 1 + (uint32_t)seed);
            mix.lose = 10, mix.drop = 10, mix.refuse = 10, mix.repeat = 20, mix.delay = 30;
            check_mixture(&mix, 1000 + 10 * w + seed, FRAMES_MAX, false);
        }
    }
}

/* A sender that counts bytes need not start at a multiple of its step. */
Test(sequence, a_start_off_the_step)
{
    struct mixture mix = {.spec = {.width_bytes = 4, .byte_order = RING_BIG_ENDIAN, .step = 1472}, .burst_max = 40};
    mix.first_raw = UINT32_MAX - 100 * 1472 - 5;
    mix.lose = 10, mix.repeat = 20, mix.delay = 50;
    check_mixture(&mix, 7, 20000, true);
}

/* Bits flipped in a number without a checksum: anything may come, nothing may be undefined. */
Test(sequence, random_numbers_never_break_the_balance)
{
    struct test_random random = {8};
    static const uint32_t steps[] = {1, 2, 3, 200, 1472, UINT32_MAX};
    for (size_t w = 0; w < 4; w++) {
        for (size_t s = 0; s < 6; s++) {
            struct sequence_spec spec = {.width_bytes = widths[w], .byte_order = 1, .step = steps[s]};
            memset(&ledger, 0, sizeof(ledger));
            for (int i = 0; i < 20000; i++) {
                struct sequence_result result;
                uint64_t raw =
                    test_random_chance(&random, 500) ? test_random_next(&random) : (uint64_t)i * spec.step;
                net_sequence_track(&spec, &ledger, raw & mask_of(&spec), &result);
                cr_assert_leq(result.verdict, SEQUENCE_LATE);
                cr_assert_eq(ring_ledger_residual(&ledger), 0);
            }
        }
    }
}

static const struct sequence_spec four = {.width_bytes = 4, .byte_order = RING_BIG_ENDIAN, .step = 1};

static struct sequence_result track(uint64_t raw)
{
    struct sequence_result result;
    net_sequence_track(&four, &ledger, raw, &result);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
    return result;
}

Test(sequence, lost_before_and_its_cause)
{
    (void)track(10);
    struct sequence_result r = track(14);
    cr_assert_eq(r.lost_before, 3);
    cr_assert_eq(r.cause, RING_LOSS_SENDER);
    net_sequence_explain(&four, &ledger, RING_LOSS_KERNEL, 5);
    net_sequence_explain(&four, &ledger, RING_LOSS_TRUNCATED, 1);
    r = track(21);
    cr_assert_eq(r.lost_before, 6);
    cr_assert_eq(r.cause, RING_LOSS_KERNEL, "most of them");
    cr_assert_eq(ledger.lost[RING_LOSS_KERNEL], 5);
    cr_assert_eq(ledger.lost[RING_LOSS_TRUNCATED], 1);
}

Test(sequence, a_drop_on_this_host_is_never_hidden_by_other_losses)
{
    (void)track(10);
    net_sequence_explain(&four, &ledger, RING_LOSS_KERNEL, 1);
    net_sequence_explain(&four, &ledger, RING_LOSS_MALFORMED, 20);
    struct sequence_result r = track(111);
    cr_assert_eq(r.lost_before, 100);
    cr_assert_eq(r.cause, RING_LOSS_KERNEL, "the interlock goes by it");
    cr_assert_eq(ledger.lost[RING_LOSS_MALFORMED], 20);
    cr_assert_eq(ledger.lost[RING_LOSS_SENDER], 79);
    net_sequence_explain(&four, &ledger, RING_LOSS_MALFORMED, 1);
    cr_assert_eq(track(121).cause, RING_LOSS_SENDER, "else most of them");
}

Test(sequence, what_nothing_was_missing_for_explains_no_later_gap)
{
    (void)track(1);
    net_sequence_explain(&four, &ledger, RING_LOSS_MALFORMED, 3);
    (void)track(2);
    cr_assert_eq(track(5).cause, RING_LOSS_SENDER);
    cr_assert_eq(ledger.lost[RING_LOSS_SENDER], 2);
    cr_assert_eq(ledger.lost[RING_LOSS_MALFORMED], 0);
}

Test(sequence, interrupted_explains_whatever_is_missing)
{
    net_sequence_interrupted(&four, &ledger);
    (void)track(100);
    net_sequence_interrupted(&four, &ledger);
    struct sequence_result r = track(100100);
    cr_assert_eq(r.lost_before, 99999);
    cr_assert_eq(r.cause, RING_LOSS_RESTART);
    cr_assert_eq(ledger.lost[RING_LOSS_RESTART], 99999);
    (void)track(100105);
    cr_assert_eq(ledger.lost[RING_LOSS_SENDER], 4, "the next gap is the sender's again");
}

Test(sequence, what_was_still_buffered_before_an_interruption_comes_first)
{
    (void)track(100);
    net_sequence_interrupted(&four, &ledger);
    for (uint64_t raw = 101; raw < 120; raw++) {
        cr_assert_eq(track(raw).lost_before, 0);
    }
    cr_assert_eq(track(500).cause, RING_LOSS_RESTART);
    cr_assert_eq(ledger.lost[RING_LOSS_RESTART], 380);
    cr_assert_eq(track(502).cause, RING_LOSS_SENDER);
}

Test(sequence, who_is_known_to_begin_anew_is_not_taken_for_repeats)
{
    for (uint64_t raw = 1; raw <= 50; raw++) { /* fewer than the window */
        (void)track(raw);
    }
    net_sequence_explain(&four, &ledger, RING_LOSS_RING_FULL, 2); /* which no gap will show any more */
    net_sequence_begin(&ledger, 1);
    cr_assert_eq(ledger.lost[RING_LOSS_RING_FULL], 2);
    struct sequence_result r = track(1);
    cr_assert_eq(r.verdict, SEQUENCE_NEXT);
    cr_assert_eq(r.number, 1);
    cr_assert_eq(ledger.duplicated, 0);
    net_sequence_begin(&ledger, 1);
    r = track(4); /* three are lost before it is read */
    cr_assert_eq(r.lost_before, 3);
    cr_assert_eq(ledger.sent, 50 + 2 + 1 + 4);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
}

Test(sequence, a_sender_that_starts_again_is_followed)
{
    for (uint64_t raw = 5000; raw < 6000; raw++) {
        (void)track(raw);
    }
    cr_assert_eq(track(0).verdict, SEQUENCE_LATE);
    cr_assert_eq(track(1).verdict, SEQUENCE_LATE);
    struct sequence_result r = track(2);
    cr_assert_eq(r.verdict, SEQUENCE_NEXT);
    cr_assert_eq(r.number, 2);
    cr_assert_eq(r.lost_before, 0);
    for (uint64_t raw = 3; raw < 100; raw++) {
        cr_assert_eq(track(raw).lost_before, 0);
    }
    cr_assert_eq(ledger.sent, 1000 + 98);
    cr_assert_eq(ledger.delivered, 1000 + 98);
}

/* No number will ever show them: the interlock would not hear of a peak in them. */
Test(sequence, what_was_dropped_here_before_a_sender_starts_again_is_told)
{
    for (uint64_t raw = 5000; raw < 5100; raw++) {
        (void)track(raw);
    }
    net_sequence_explain(&four, &ledger, RING_LOSS_KERNEL, 7);
    net_sequence_explain(&four, &ledger, RING_LOSS_MALFORMED, 9);
    (void)track(0);
    (void)track(1);
    struct sequence_result r = track(2);
    cr_assert_eq(r.lost_before, 7);
    cr_assert_eq(r.cause, RING_LOSS_KERNEL);
    cr_assert_eq(ledger.lost[RING_LOSS_KERNEL], 7);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
    cr_assert_eq(track(3).lost_before, 0);
}

/* The sender's 11 was counted as lost when 12 came; then it came, and found no place: nobody looked into it. */
Test(sequence, a_straggler_that_was_dropped_here_is_told)
{
    (void)track(10);
    cr_assert_eq(track(12).lost_before, 1);
    net_sequence_explain(&four, &ledger, RING_LOSS_KERNEL, 1);
    struct sequence_result r = track(13);
    cr_assert_eq(r.lost_before, 1);
    cr_assert_eq(r.cause, RING_LOSS_KERNEL);
    cr_assert_eq(ledger.lost[RING_LOSS_SENDER], 1, "counted once");
    cr_assert_eq(ledger.lost[RING_LOSS_KERNEL], 0);
    cr_assert_eq(track(14).lost_before, 0);
}

Test(sequence, one_straggler_is_not_a_restart)
{
    (void)track(1000);
    (void)track(1200); /* 199 lost */
    cr_assert_eq(track(1100).verdict, SEQUENCE_LATE);
    cr_assert_eq(ledger.lost[RING_LOSS_LATE], 1);
    cr_assert_eq(ledger.lost[RING_LOSS_SENDER], 198);
    cr_assert_eq(track(1201).verdict, SEQUENCE_NEXT);
    cr_assert_eq(track(1110).verdict, SEQUENCE_LATE);
    cr_assert_eq(track(1202).verdict, SEQUENCE_NEXT);
    cr_assert_eq(track(1203).lost_before, 0);
}

Test(sequence, the_edge_of_the_window)
{
    (void)track(0);
    (void)track(64);
    cr_assert_eq(track(1).verdict, SEQUENCE_REORDERED, "64 behind the next expected");
    cr_assert_eq(track(1).verdict, SEQUENCE_DUPLICATE);
    cr_assert_eq(track(0).verdict, SEQUENCE_LATE);
    cr_assert_eq(track(64).verdict, SEQUENCE_DUPLICATE);
    cr_assert_eq(ledger.reordered, 1);
    cr_assert_eq(ledger.duplicated, 2);
}

Test(sequence, without_numbers_a_refusal_is_the_loss)
{
    struct sequence_spec none = {.width_bytes = 0, .step = 1};
    struct sequence_result r;
    net_sequence_untracked(&ledger, 42, &r);
    cr_assert_eq(r.number, 42);
    cr_assert_eq(r.verdict, SEQUENCE_NEXT);
    net_sequence_explain(&none, &ledger, RING_LOSS_KERNEL, 7);
    net_sequence_interrupted(&none, &ledger);
    cr_assert_eq(ledger.sent, 8);
    cr_assert_eq(ledger.delivered, 1);
    cr_assert_eq(ledger.lost[RING_LOSS_KERNEL], 7);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
}

Test(sequence, without_numbers_the_next_frame_tells_what_was_dropped_here)
{
    struct sequence_spec none = {.width_bytes = 0, .step = 1};
    struct sequence_result r;
    net_sequence_explain(&none, &ledger, RING_LOSS_MALFORMED, 9); /* noise in a line is not told */
    net_sequence_explain(&none, &ledger, RING_LOSS_KERNEL, 2);
    net_sequence_explain(&none, &ledger, RING_LOSS_RING_FULL, 5);
    net_sequence_untracked(&ledger, 42, &r);
    cr_assert_eq(r.lost_before, 7);
    cr_assert_eq(r.cause, RING_LOSS_RING_FULL);
    cr_assert_eq(net_sequence_flags(&r), RING_FLAG_LOST_BEFORE | RING_LOSS_RING_FULL << RING_FLAG_CAUSE_SHIFT);
    net_sequence_untracked(&ledger, 43, &r);
    cr_assert_eq(r.lost_before, 0, "once");
    cr_assert_eq(net_sequence_flags(&r), 0);
    cr_assert_eq(ledger.sent, 18);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
}

static const struct sequence_spec narrow = {
    .width_bytes = 1, .byte_order = RING_BIG_ENDIAN, .step = 1, .width_bits = 4};

static struct sequence_result track_narrow(uint64_t number)
{
    struct sequence_result result;
    net_sequence_track(&narrow, &ledger, number & 15, &result);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
    return result;
}

Test(sequence, four_bits_every_distance)
{
    for (uint64_t start = 0; start < 16; start++) {
        for (uint64_t gap = 0; gap < 9; gap++) {
            memset(&ledger, 0, sizeof(ledger));
            (void)track_narrow(start);
            struct sequence_result r = track_narrow(start + 1 + gap);
            cr_assert_eq(r.verdict, SEQUENCE_NEXT);
            cr_assert_eq(r.lost_before, gap, "up to half of the numbers are seen at once");
            cr_assert_eq(r.number, start + 1 + gap);
            cr_assert_eq(ledger.lost[RING_LOSS_SENDER], gap);
        }
    }
}

Test(sequence, four_bits_the_window)
{
    for (uint64_t number = 20; number <= 30; number++) {
        (void)track_narrow(number);
    }
    for (uint64_t number = 24; number <= 30; number += 2) {
        cr_assert_eq(track_narrow(number).verdict, SEQUENCE_DUPLICATE);
    }
    cr_assert_eq(ledger.duplicated, 4);
    (void)track_narrow(36); /* 31 .. 35 */
    for (uint64_t number = 35; number >= 31; number--) {
        struct sequence_result r = track_narrow(number);
        cr_assert_eq(r.verdict, SEQUENCE_REORDERED);
        cr_assert_eq(r.number % 16, number % 16);
    }
    cr_assert_eq(ledger.reordered, 5);
    cr_assert_eq(ring_ledger_lost(&ledger), 0);
    cr_assert_eq(ledger.sent, 17);
}

/* More than half the numbers missing in a row look like repeats, until they go on. */
Test(sequence, four_bits_a_long_gap_is_seen_after_three_frames)
{
    for (uint64_t gap = 9; gap <= 13; gap++) {
        memset(&ledger, 0, sizeof(ledger));
        for (uint64_t number = 0; number < 40; number++) {
            (void)track_narrow(number);
        }
        cr_assert_eq(track_narrow(40 + gap).verdict, SEQUENCE_DUPLICATE);
        cr_assert_eq(track_narrow(41 + gap).verdict, SEQUENCE_DUPLICATE);
        struct sequence_result r = track_narrow(42 + gap);
        cr_assert_eq(r.verdict, SEQUENCE_NEXT);
        cr_assert_eq(r.lost_before, gap);
        cr_assert_eq(r.number, 42 + gap);
        cr_assert_eq(track_narrow(41 + gap).verdict, SEQUENCE_DUPLICATE, "it has come");
        cr_assert_eq(track_narrow(43 + gap).lost_before, 0);
        cr_assert_eq(ledger.sent, 44 + gap);
        cr_assert_eq(ledger.delivered, 44);
        cr_assert_eq(ledger.duplicated, 1);
        cr_assert_eq(ledger.lost[RING_LOSS_SENDER], gap);
    }
}

Test(sequence, four_bits_cannot_tell_sixteen_from_none)
{
    (void)track_narrow(0);
    cr_assert_eq(track_narrow(17).lost_before, 0);
    cr_assert_eq(track_narrow(35).lost_before, 1, "nor seventeen from one");
}

Test(sequence, four_bits_and_what_this_host_dropped)
{
    for (uint64_t dropped = 1; dropped < 100; dropped++) {
        memset(&ledger, 0, sizeof(ledger));
        (void)track_narrow(3);
        net_sequence_explain(&narrow, &ledger, RING_LOSS_RING_FULL, dropped);
        struct sequence_result r = track_narrow(4 + dropped);
        cr_assert_eq(r.lost_before, dropped);
        cr_assert_eq(r.cause, RING_LOSS_RING_FULL);
        net_sequence_explain(&narrow, &ledger, RING_LOSS_KERNEL, dropped);
        r = track_narrow(5 + 2 * dropped + 2);
        cr_assert_eq(r.lost_before, dropped + 2, "two more were lost elsewhere");
        cr_assert_eq(ledger.lost[RING_LOSS_KERNEL], dropped);
        cr_assert_eq(ledger.lost[RING_LOSS_SENDER], 2);
    }
}

Test(sequence, few_bits_of_any_width_keep_the_balance)
{
    struct test_random random = {9};
    for (uint32_t bits = 1; bits < 8; bits++) {
        struct sequence_spec spec = narrow;
        spec.width_bits = bits;
        memset(&ledger, 0, sizeof(ledger));
        for (int i = 0; i < 20000; i++) {
            struct sequence_result result;
            uint64_t raw = test_random_chance(&random, 300) ? test_random_next(&random) : (uint64_t)i;
            if (test_random_chance(&random, 50)) {
                net_sequence_explain(&spec, &ledger, RING_LOSS_KERNEL, test_random_below(&random, 50));
            }
            net_sequence_track(&spec, &ledger, raw & ((1u << bits) - 1), &result);
            cr_assert_neq(result.verdict, SEQUENCE_LATE, "nothing is ever far behind");
            cr_assert_eq(ring_ledger_residual(&ledger), 0);
            cr_assert_leq(ledger.duplicated, 20000);
        }
    }
}

static struct sequence_result heartbeat(uint64_t next)
{
    struct sequence_result result;
    net_sequence_heartbeat(&four, &ledger, next, &result);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
    return result;
}

Test(sequence, a_heartbeat_tells_a_lost_tail)
{
    (void)track(10);
    cr_assert_eq(heartbeat(11).lost_before, 0);
    struct sequence_result r = heartbeat(15);
    cr_assert_eq(r.lost_before, 4);
    cr_assert_eq(r.cause, RING_LOSS_SENDER);
    cr_assert_eq(ledger.sent, 5);
    cr_assert_eq(ledger.lost[RING_LOSS_SENDER], 4);
    cr_assert_eq(heartbeat(15).lost_before, 0, "once");
    cr_assert_eq(heartbeat(12).lost_before, 0, "one that is late says nothing");
    cr_assert_eq(track(12).verdict, SEQUENCE_REORDERED, "it was only slow");
    cr_assert_eq(track(10).verdict, SEQUENCE_DUPLICATE);
    cr_assert_eq(track(15).lost_before, 0);
    net_sequence_explain(&four, &ledger, RING_LOSS_RING_FULL, 2);
    r = heartbeat(19);
    cr_assert_eq(r.lost_before, 3);
    cr_assert_eq(r.cause, RING_LOSS_RING_FULL, "the interlock goes by it");
    cr_assert_eq(ledger.lost[RING_LOSS_RING_FULL], 2);
    cr_assert_eq(track(19).lost_before, 0);
}

Test(sequence, a_heartbeat_may_be_the_first_word)
{
    cr_assert_eq(heartbeat(1000).lost_before, 0);
    cr_assert_eq(ledger.sent, 0);
    struct sequence_result r = track(1003);
    cr_assert_eq(r.lost_before, 3);
    cr_assert_eq(r.number, 1003);
    cr_assert_eq(ledger.sent, 4);
}

Test(sequence, a_heartbeat_across_wrap_and_window)
{
    (void)track(UINT32_MAX - 1);
    cr_assert_eq(heartbeat(9).lost_before, 10);
    cr_assert_eq(track(9).lost_before, 0);
    cr_assert_eq(heartbeat(10 + 64).lost_before, 64);
    cr_assert_eq(track(9).verdict, SEQUENCE_LATE, "its place in the window is gone");
    cr_assert_eq(track(73).verdict, SEQUENCE_REORDERED, "nothing in the window has come");
    cr_assert_eq(track(10).verdict, SEQUENCE_REORDERED);
}

Test(sequence, a_heartbeat_of_a_stream_that_counts_by_more_than_one)
{
    struct sequence_spec spec = {.width_bytes = 4, .byte_order = RING_BIG_ENDIAN, .step = 100};
    struct sequence_result r;
    net_sequence_track(&spec, &ledger, 500, &r);
    net_sequence_heartbeat(&spec, &ledger, 900, &r);
    cr_assert_eq(r.lost_before, 3);
    spec.width_bytes = 0;
    net_sequence_heartbeat(&spec, &ledger, 2000, &r);
    cr_assert_eq(r.lost_before, 0, "without numbers there is nothing to tell");
}

Test(sequence, reading_the_number)
{
    static const uint8_t payload[] = {0xee, 1, 2, 3, 4, 5, 6, 7, 8};
    struct sequence_spec spec = {.at_byte = 1, .byte_order = RING_BIG_ENDIAN, .step = 1};
    static const uint64_t big[] = {1, 0x0102, 0x01020304, UINT64_C(0x0102030405060708)};
    static const uint64_t little[] = {1, 0x0201, 0x04030201, UINT64_C(0x0807060504030201)};
    for (size_t w = 0; w < 4; w++) {
        spec.width_bytes = widths[w];
        spec.byte_order = RING_BIG_ENDIAN;
        cr_assert_eq(net_sequence_read(&spec, payload), big[w]);
        spec.byte_order = RING_LITTLE_ENDIAN;
        cr_assert_eq(net_sequence_read(&spec, payload), little[w]);
    }
}

Test(sequence, the_checksum_is_the_catalogue_s)
{
    static const uint8_t check[] = "123456789";
    cr_assert_eq(net_crc16_ccitt(check, 9), 0x29b1);
    cr_assert_eq(net_crc16_ccitt(check, 0), 0xffff);
    uint8_t frame[] = {0xaa, '1', '2', '3', '4', '5', '6', '7', '8', '9', 0x29, 0xb1};
    struct checksum_spec spec = {.kind = CHECKSUM_CRC16_CCITT, .from = 1, .at_byte = 10};
    cr_assert(net_checksum_ok(&spec, frame));
    for (uint32_t bit = 8; bit < 8 * sizeof(frame); bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_not(net_checksum_ok(&spec, frame), "bit %u", bit);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    spec.kind = CHECKSUM_NONE;
    frame[3] ^= 1;
    cr_assert(net_checksum_ok(&spec, frame), "none is declared");
}

/* ---- What is missing, before it is tracked. */

Test(sequence, a_gap_is_told_before_it_is_tracked)
{
    struct sequence_result result;
    const struct sequence_spec spec = {.width_bytes = 2, .byte_order = RING_BIG_ENDIAN, .step = 4};
    cr_assert_eq(net_sequence_gap(&spec, &ledger, 1000), 0, "nothing is expected yet");
    net_sequence_track(&spec, &ledger, 65528, &result);
    cr_assert_eq(net_sequence_gap(&spec, &ledger, 65532), 0, "the next");
    cr_assert_eq(net_sequence_gap(&spec, &ledger, 0), 1, "over the end of the numbers");
    cr_assert_eq(net_sequence_gap(&spec, &ledger, 400), 101);
    cr_assert_eq(net_sequence_gap(&spec, &ledger, 65528), 0, "a repeat");
    cr_assert_eq(net_sequence_gap(&spec, &ledger, 60000), 0, "an older one");
    net_sequence_track(&spec, &ledger, 400, &result);
    cr_assert_eq(result.lost_before, 101);
}

Test(sequence, a_gap_of_narrow_numbers_is_not_told)
{
    struct sequence_result result;
    const struct sequence_spec spec = {.width_bytes = 1, .width_bits = 4, .byte_order = RING_BIG_ENDIAN, .step = 1};
    net_sequence_track(&spec, &ledger, 15, &result);
    cr_assert_eq(net_sequence_gap(&spec, &ledger, 0), 0, "the next");
    cr_assert_eq(net_sequence_gap(&spec, &ledger, 1), UINT64_MAX, "one is missing, or 17");
}
