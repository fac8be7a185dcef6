#include <criterion/criterion.h>
#include <math.h>

#include "bench/rows.h"

#define ROUNDS 3

static struct row make(const char *variant, enum peer_kind kind, uint32_t batch, double a, double b, double c)
{
    struct row row = {.name = "throughput",
                      .unit = "GB/s",
                      .size_bytes = 64,
                      .batch = batch,
                      .kind = kind,
                      .high = true,
                      .rounds = ROUNDS,
                      .samples = {a, b, c}};
    snprintf(row.variant, sizeof(row.variant), "%s", variant);
    return row;
}

Test(rows, median_and_extremes)
{
    struct row rows[] = {make("x", PEER_OURS, 1, 3, 1, 2), make("y", PEER_OURS, 1, 4, NAN, 2)};
    rows_finish(rows, 2);
    cr_assert_eq(rows[0].median, 2);
    cr_assert_eq(rows[0].min, 1);
    cr_assert_eq(rows[0].max, 3);
    cr_assert_eq(rows[0].runs, 3);
    cr_assert_eq(rows[1].runs, 2);
    cr_assert_eq(rows[1].median, 3);
}

/* The machine is twice as fast in one round: ratios within the rounds do not show it. */
Test(rows, ratios_are_taken_within_a_round)
{
    struct row rows[] = {make("ours", PEER_OURS, 1, 10, 40, 10), make("floor", PEER_FLOOR, 1, 5, 20, 5),
                         make("peer", PEER_OTHER, 1, 2.5, 10, 2.5)};
    rows[1].is_floor = true;
    rows_finish(rows, 3);
    cr_assert_eq(rows[0].floor_ratio, 2);
    cr_assert_eq(rows[0].peer_ratio, 4);
    cr_assert_eq(rows[1].floor_ratio, 1);
}

Test(rows, the_best_peer_has_no_larger_batch_and_the_same_size)
{
    struct row rows[] = {make("ours", PEER_OURS, 1, 10, 10, 10),      make("ours-b32", PEER_OURS, 32, 20, 20, 20),
                         make("slow", PEER_OTHER, 1, 1, 1, 1),        make("fast", PEER_OTHER, 1, 5, 5, 5),
                         make("b32", PEER_OTHER, 32, 40, 40, 40),     make("larger", PEER_OTHER, 1, 80, 80, 80),
                         make("absent", PEER_OTHER, 1, NAN, NAN, NAN)};
    rows[5].size_bytes = 1500;
    rows_finish(rows, 7);
    cr_assert_str_eq(rows[0].best_peer->variant, "fast");
    cr_assert_str_eq(rows[1].best_peer->variant, "b32");
    cr_assert_eq(rows[1].peer_ratio, 0.5);
    cr_assert_str_eq(rows[3].best_peer->variant, "slow", "a peer is compared with the others");
    cr_assert(isnan(rows[5].peer_ratio));
    cr_assert_eq(rows[6].runs, 0);
}

Test(rows, where_less_is_better_the_best_peer_has_the_least)
{
    struct row rows[] = {make("ours", PEER_OURS, 1, 10, 10, 10), make("slow", PEER_OTHER, 1, 50, 50, 50),
                         make("fast", PEER_OTHER, 1, 20, 20, 20)};
    for (int i = 0; i < 3; i++) {
        rows[i].high = false;
    }
    rows_finish(rows, 3);
    cr_assert_str_eq(rows[0].best_peer->variant, "fast");
    cr_assert_eq(rows[0].peer_ratio, 0.5);
}

Test(rows, two_readers_are_compared_with_one)
{
    struct row rows[] = {make("x-b32", PEER_OURS, 32, 10, 20, 10), make("x-b32-r2", PEER_OURS, 32, 6, 12, 6),
                         make("x", PEER_OURS, 1, 5, 5, 5)};
    rows_finish(rows, 3);
    cr_assert_float_eq(rows[1].single_ratio, 0.6, 1e-12);
    cr_assert(isnan(rows[0].single_ratio));
    cr_assert(isnan(rows[2].single_ratio));
}
