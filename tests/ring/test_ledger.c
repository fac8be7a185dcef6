/* The ledger's sum and its names. */
#include <criterion/criterion.h>

#include "ring/ledger.h"

Test(ledger, residual_is_what_does_not_add_up)
{
    struct ring_ledger ledger = {0};
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
    ring_count_add(&ledger.sent, 100);
    ring_count_add(&ledger.delivered, 60);
    cr_assert_eq(ring_ledger_residual(&ledger), 40);
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        ring_count_add(&ledger.lost[cause], 5);
    }
    cr_assert_eq(ring_ledger_lost(&ledger), 40);
    cr_assert_eq(ring_ledger_residual(&ledger), 0);
    ring_count_add(&ledger.lost[RING_LOSS_KERNEL], 3);
    cr_assert_eq(ring_ledger_residual(&ledger), -3, "more accounted for than sent");
}

Test(ledger, every_cause_and_reason_has_a_name_of_its_own)
{
    for (uint32_t a = 0; a < RING_LOSSES; a++) {
        cr_assert_str_neq(ring_loss_name(a), "unknown");
        for (uint32_t b = 0; b < a; b++) {
            cr_assert_str_neq(ring_loss_name(a), ring_loss_name(b));
        }
    }
    for (uint32_t a = RING_REFUSED_SHORT; a <= RING_REFUSED_FRAGMENT; a++) {
        cr_assert_str_neq(ring_refusal_name(a), "unknown");
    }
    cr_assert_str_eq(ring_loss_name(RING_LOSSES), "unknown");
    cr_assert_str_eq(ring_loss_name(UINT32_MAX), "unknown");
    cr_assert_str_eq(ring_refusal_name(RING_REFUSALS), "unknown");
    cr_assert_str_eq(ring_refusal_name(UINT32_MAX), "unknown");
}
