#include <criterion/criterion.h>

#include "ring/stall.h"

Test(stall, only_what_is_longer_than_the_limit)
{
    struct stall_record record = {0};
    stall_look(&record, 0, 5 * STALL_NS);
    cr_assert_eq(record.count, 0, "no round before it");
    stall_look(&record, 1000, 1000 + STALL_NS);
    stall_look(&record, 1000, 999);
    cr_assert_eq(record.count, 0);
    stall_look(&record, 1000, 1001 + STALL_NS);
    cr_assert_eq(record.count, 1);
    cr_assert_eq(record.total_ns, STALL_NS + 1);
    cr_assert_eq(record.longest_ns, STALL_NS + 1);
    cr_assert_eq(record.latest[0].from_ns, 1000);
    cr_assert_eq(record.latest[0].ns, STALL_NS + 1);
}

Test(stall, the_longest_since_a_copy)
{
    struct stall_record record = {0};
    stall_look(&record, 1, 1 + 9 * STALL_NS);
    struct stall_record before = record;
    cr_assert_eq(stall_longest_since(&record, &before), 0);
    stall_look(&record, 1, 1 + 2 * STALL_NS);
    stall_look(&record, 1, 1 + 3 * STALL_NS);
    cr_assert_eq(stall_longest_since(&record, &before), 3 * STALL_NS);
    cr_assert_eq(record.longest_ns, 9 * STALL_NS);
    const uint64_t many = UINT64_C(2) * STALLS_KEPT;
    for (uint64_t i = 0; i < many; i++) {
        stall_look(&record, 1, 1 + 4 * STALL_NS + i);
    }
    cr_assert_eq(record.count, 3 + many);
    cr_assert_eq(stall_longest_since(&record, &before), 4 * STALL_NS + many - 1);
    cr_assert_eq(record.total_ns, (9 + 2 + 3 + 4 * many) * STALL_NS + many * (many - 1) / 2);
}
