/* Several gating readers, writers that follow one another, claims of many slots, and seeded lives of all of them.
 */
#include "tests/ring/gate_rig.h"
#include "tests/support/random.h"

TestSuite(gate_life, .init = open_ring, .fini = close_ring);

Test(gate_life, the_slowest_of_several_counts)
{
    for (uint32_t i = 0; i < GATES; i++) {
        (void)join(i, 0, FAR);
    }
    fill_up();
    for (uint32_t i = 0; i < GATES; i++) {
        cr_assert_null(ring_writer_reserve(&t.writer));
        test_gates_release(&server, i, 10 + i);
    }
    cr_assert_eq(fill(5 * SLOTS), 10);
    for (uint32_t i = 0; i < GATES; i++) {
        cr_assert_eq(status(i)->waits, i == 0 ? 2 : 1, "the first one holds now, and has held before");
    }
    test_gates_close(&server, 0);
    cr_assert_eq(fill(5 * SLOTS), 1);
}

Test(gate_life, one_of_several_is_demoted_the_others_stay)
{
    (void)join(0, 0, DEADLINE);
    (void)join(1, 0, FAR);
    (void)join(2, 0, 2 * DEADLINE);
    fill_up();
    look(DEADLINE + 1);
    cr_assert_eq(status(0)->state, RING_GATE_DEMOTED);
    look(DEADLINE);
    cr_assert_eq(status(2)->state, RING_GATE_DEMOTED);
    cr_assert_eq(status(1)->state, RING_GATE_GATING);
    cr_assert_null(ring_writer_reserve(&t.writer));
    test_gates_release(&server, 1, 7);
    cr_assert_eq(fill(5 * SLOTS), 7);
}

Test(gate_life, the_next_writer_keeps_the_gates_as_they_stood)
{
    uint64_t base = join(0, 0, FAR);
    (void)join(1, 0, DEADLINE);
    (void)join(2, 0, FAR);
    fill_up();
    test_gates_release(&server, 0, 5);
    test_gates_release(&server, 2, 5);
    look(DEADLINE + 1);
    cr_assert_eq(status(1)->state, RING_GATE_DEMOTED);
    test_gates_close(&server, 2); /* the old writer does not see it */
    uint64_t waits = status(0)->waits;
    attach_writer();
    cr_assert_eq(status(0)->state, RING_GATE_GATING);
    cr_assert_eq(status(0)->base, base);
    cr_assert_eq(status(0)->waits, waits, "the account goes on");
    cr_assert_eq(status(1)->state, RING_GATE_DEMOTED, "no second chance");
    cr_assert_eq(status(1)->reason, RING_GATE_DEADLINE);
    cr_assert_eq(fill(5 * SLOTS), 5);
    cr_assert_eq(gates.gating, 1);
}

Test(gate_life, the_next_writer_takes_up_what_the_last_one_did_not_see)
{
    fill(SLOTS / 2);
    uint64_t generation = test_gates_order(&server, 0, 3, FAR);
    attach_writer();
    cr_assert_eq(status(0)->generation, generation);
    cr_assert_eq(status(0)->base, 3);
    test_gates_release(&server, 0, 3);
    cr_assert_eq(fill(5 * SLOTS), 3 + SLOTS / 2);
}

/* It died while it took the gate up: the generation is stored last, so that the next one begins anew. */
Test(gate_life, a_join_that_was_cut_short_is_done_again)
{
    fill(SLOTS / 2);
    temporary_header(&t)->gate[0] = (struct ring_gate_status){.state = RING_GATE_GATING, .base = 1};
    (void)test_gates_order(&server, 0, UINT64_MAX, FAR);
    attach_writer();
    cr_assert_eq(status(0)->base, SLOTS / 2);
}

Test(gate_life, a_new_writer_claims_nothing_before_it_has_looked)
{
    struct error err;
    (void)join(0, 0, FAR);
    fill_up();
    test_gates_attach(&server, &gates);
    cr_assert_eq(ring_writer_attach(&t.writer, t.segment.base, t.segment.bytes, 7, &gates, &err), 0);
    test_gates_map_all(&server, &gates);
    cr_assert_null(ring_writer_reserve(&t.writer), "without a ring_writer_look before");
    cr_assert_eq(claimed(), SLOTS);
}

Test(gate_life, a_claim_is_clipped_to_the_limit)
{
    (void)join(0, 0, FAR);
    cr_assert_eq(ring_writer_claim(&t.writer, 10), 10);
    cr_assert_eq(ring_writer_claim(&t.writer, 10 * SLOTS), SLOTS);
    cr_assert_eq(ring_writer_claim(&t.writer, 3), SLOTS, "what is claimed stays");
    cr_assert_eq(claimed(), SLOTS);
}

/* A reader that joins gets nothing that is claimed already, and what is claimed already stays the writer's. */
Test(gate_life, claimed_slots_outlive_a_join)
{
    fill(SLOTS);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, SLOTS / 2), SLOTS / 2);
    uint64_t base = join(0, 0, FAR);
    cr_assert_eq(base, SLOTS / 2);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, SLOTS / 2), SLOTS / 2);
    cr_assert_eq(fill(5 * SLOTS), SLOTS / 2);
    cr_assert_eq(claimed(), base + SLOTS);
}

Test(gate_life, reserve_many_gives_what_there_is)
{
    (void)join(0, 0, FAR);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, 20), 20);
    fill(SLOTS - 5);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, 20), 5);
    fill(5);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, 20), 0);
    test_gates_release(&server, 0, 7);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, 20), 7);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, 3), 3);
    cr_assert_eq(ring_writer_reserve_many(&t.writer, 0), 0);
}

Test(gate_life, hand_out_stops_at_the_limit_and_goes_on_in_order)
{
    uint64_t first;
    (void)join(0, 0, FAR);
    cr_assert_eq(ring_writer_hand_out(&t.writer, 32, &first), 32);
    cr_assert_eq(first, 0);
    fill(SLOTS / 2);
    cr_assert_eq(ring_writer_hand_out(&t.writer, 32, &first), 32);
    cr_assert_eq(first, 32);
    fill(16);
    cr_assert_eq(ring_writer_hand_out(&t.writer, 32, &first), 0, "16 are out, and no more are free");
    test_gates_release(&server, 0, 9);
    cr_assert_eq(ring_writer_hand_out(&t.writer, 32, &first), 9);
    cr_assert_eq(first, SLOTS);
    ring_writer_take_back(&t.writer);
    cr_assert_eq(ring_writer_hand_out(&t.writer, 4, &first), 4);
    cr_assert_eq(first, 48, "what was out and came back is handed out again");
}

Test(gate_life, an_owed_gap_is_paid_when_there_is_room)
{
    struct ring_reader reader;
    struct sluice_frame frame;
    struct ring_gap gap;
    struct error err;
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err), 0);
    (void)join(0, 0, FAR);
    fill_up();
    cr_assert_not(ring_writer_commit_gap(&t.writer, RING_LOSS_RING_FULL, 1, 0, 1), "no room, nothing done");
    cr_assert_eq(temporary_header(&t)->ledger.gap_records, 0);
    cr_assert(ring_writer_pay_gap(&t.writer, 1), "nothing is owed");
    ring_writer_owe_gap(&t.writer, RING_LOSS_RING_FULL, 3, 77);
    ring_writer_owe_gap(&t.writer, RING_LOSS_RING_FULL, 4, 78);
    cr_assert_not(ring_writer_pay_gap(&t.writer, 1));
    while (ring_reader_next(&reader, &frame) == 1) {
    }
    test_gates_release(&server, 0, 1);
    cr_assert(ring_writer_pay_gap(&t.writer, 99));
    ring_writer_publish(&t.writer);
    cr_assert_eq(ring_reader_next(&reader, &frame), 1);
    memcpy(&gap, frame.payload, sizeof(gap));
    cr_assert_eq(frame.flags, SLUICE_FRAME_GAP);
    cr_assert_eq(gap.cause, RING_LOSS_RING_FULL);
    cr_assert_eq(gap.count, 7);
    cr_assert_eq(gap.from_tai_ns, 77, "the first one's");
    cr_assert_eq(frame.tai_ns, 99);
    cr_assert(ring_writer_pay_gap(&t.writer, 100), "once");
    cr_assert_eq(temporary_header(&t)->ledger.gap_records, 1);
}

/* A seeded life of three readers that join, release, stall, leave, and a writer that restarts: whatever happens,
 * what a gating reader has not released lies there unharmed, and the writer goes on once the deadline is over. */
Test(gate_life, any_life_keeps_what_was_not_released)
{
    struct test_random random = {8};
    uint64_t position[3] = {0};
    bool in[3] = {false};
    uint64_t filled = 0;
    for (int step = 0; step < 20000; step++) {
        uint32_t i = (uint32_t)test_random_below(&random, 3);
        switch (test_random_below(&random, 8)) {
        case 0:
            if (!in[i]) {
                position[i] = join(i, test_random_chance(&random, 500) ? 0 : UINT64_MAX, DEADLINE);
                in[i] = true;
            }
            break;
        case 1:
            if (in[i] && test_random_chance(&random, 200)) {
                test_gates_close(&server, i);
                in[i] = false;
            }
            break;
        case 2:
        case 3:
            if (in[i] && status(i)->state == RING_GATE_GATING) {
                position[i] += test_random_below(&random, t.writer.published - position[i] + 1);
                test_gates_release(&server, i, position[i]);
            }
            break;
        case 4:
            look(test_random_below(&random, DEADLINE));
            break;
        case 5:
            if (test_random_chance(&random, 50)) {
                attach_writer();
            }
            break;
        default:
            filled += fill(test_random_below(&random, SLOTS));
            break;
        }
        for (uint32_t k = 0; k < 3; k++) {
            if (in[k] && status(k)->generation == server.orders.gate[k].generation &&
                status(k)->state == RING_GATE_GATING) {
                cr_assert_leq(claimed(), position[k] + SLOTS, "step %d: gate %u was overrun", step, k);
            }
        }
    }
    look(DEADLINE);
    look(DEADLINE + 1);
    look(DEADLINE + 1);
    cr_assert_gt(filled, 20 * SLOTS);
    (void)fill(SLOTS);
    look(DEADLINE + 1);
    look(DEADLINE + 1);
    cr_assert_eq(fill(2 * SLOTS), 2 * SLOTS, "after the deadline nobody holds it up");
}
