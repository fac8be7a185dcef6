/* One gating reader from the writer's side: joining, holding up, releasing, demotion. The clock is ours. */
#include "tests/ring/gate_rig.h"
#include "tests/support/random.h"

TestSuite(gate, .init = open_ring, .fini = close_ring);

Test(gate, nobody_gates_nobody_waits)
{
    cr_assert_eq(fill(10 * SLOTS), 10 * SLOTS);
    cr_assert_eq(t.writer.limit, UINT64_MAX);
    cr_assert_not(ring_gates_ordered(&gates));
}

Test(gate, a_reader_joins_where_it_asked_within_what_is_there)
{
    fill(3 * SLOTS);
    uint64_t oldest = claimed() - SLOTS;
    uint64_t published = t.writer.published;
    static const int64_t beyond[] = {-1, 0, 1, 5};
    cr_assert_eq(join(0, 0, DEADLINE), oldest);
    cr_assert_eq(join(0, UINT64_MAX, DEADLINE), published);
    for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        uint64_t low = oldest + (uint64_t)beyond[i];
        uint64_t high = published + (uint64_t)beyond[i];
        cr_assert_eq(join(0, low, DEADLINE), beyond[i] < 0 ? oldest : low);
        cr_assert_eq(join(0, high, DEADLINE), beyond[i] > 0 ? published : high);
    }
    cr_assert_eq(claimed(), oldest + SLOTS, "a join claims nothing");
}

Test(gate, in_an_empty_ring_everybody_begins_at_nought)
{
    cr_assert_eq(join(0, 0, DEADLINE), 0);
    cr_assert_eq(join(1, UINT64_MAX, DEADLINE), 0);
    cr_assert_eq(join(2, 17, DEADLINE), 0);
}

Test(gate, nothing_is_overwritten_before_it_is_released)
{
    struct ring_reader reader;
    struct error err;
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err), 0);
    fill(10);
    uint64_t base = join(0, 0, FAR);
    cr_assert_eq(base, 0);
    cr_assert_eq(fill(10 * SLOTS), SLOTS - 10, "exactly to the last free slot");
    cr_assert_null(ring_writer_reserve(&t.writer));
    cr_assert_eq(claimed(), SLOTS);
    for (uint64_t p = 0; p < SLOTS; p++) {
        struct sluice_frame frame;
        cr_assert_eq(ring_reader_next(&reader, &frame), 1);
        cr_assert_eq(frame.position, p);
        cr_assert(pattern_matches(frame.payload, SEED, p, WORDS));
    }
    cr_assert_eq(reader.lost, 0);
}

Test(gate, each_release_opens_just_that_much)
{
    struct test_random random = {3};
    uint64_t position = join(0, 0, FAR);
    fill_up();
    for (int i = 0; i < 500; i++) {
        uint64_t n = test_random_below(&random, SLOTS + 1);
        position += n;
        test_gates_release(&server, 0, position);
        cr_assert_eq(fill(10 * SLOTS), n);
        cr_assert_leq(claimed(), position + SLOTS);
    }
    cr_assert_eq(status(0)->state, RING_GATE_GATING);
}

Test(gate, a_release_cannot_be_taken_back)
{
    (void)join(0, 0, FAR);
    fill_up();
    test_gates_release(&server, 0, 20);
    cr_assert_eq(fill(10), 10);
    test_gates_release(&server, 0, 3);
    cr_assert_eq(fill(SLOTS), 10, "20 were released, whatever it says now");
    cr_assert_eq(gates.gate[0].position, 20);
    cr_assert_eq(status(0)->state, RING_GATE_GATING, "to go back is no nonsense, it is ignored");
}

Test(gate, what_holds_up_longer_than_its_deadline_is_demoted)
{
    (void)join(0, 0, DEADLINE);
    fill_up();
    look(DEADLINE);
    cr_assert_null(ring_writer_reserve(&t.writer));
    cr_assert_eq(status(0)->state, RING_GATE_GATING, "the deadline itself is still granted");
    look(1);
    cr_assert_eq(status(0)->state, RING_GATE_DEMOTED);
    cr_assert_eq(status(0)->reason, RING_GATE_DEADLINE);
    cr_assert_eq(status(0)->demoted_position, SLOTS, "the first that was not waited for");
    cr_assert_eq(status(0)->demoted_tai_ns, now_ns + (uint64_t)t.writer.view.tai_minus_monotonic_ns);
    cr_assert_eq(claimed(), SLOTS, "said before it is done");
    cr_assert_eq(fill(5 * SLOTS), 5 * SLOTS);
    cr_assert_eq(t.writer.limit, UINT64_MAX);
}

Test(gate, a_demoted_one_is_not_believed_again)
{
    (void)join(0, 0, DEADLINE);
    fill_up();
    look(DEADLINE + 1);
    test_gates_release(&server, 0, SLOTS);
    look(1);
    cr_assert_eq(status(0)->state, RING_GATE_DEMOTED);
    cr_assert_eq(fill(5 * SLOTS), 5 * SLOTS);
}

Test(gate, a_pause_of_the_writer_is_not_the_reader_s_fault)
{
    (void)join(0, 0, DEADLINE);
    cr_assert_eq(fill(SLOTS - 1), SLOTS - 1);
    look(100 * DEADLINE);
    cr_assert_eq(status(0)->state, RING_GATE_GATING, "there was room all the time");
    fill(1);
    cr_assert_null(ring_writer_reserve(&t.writer));
    look(DEADLINE);
    cr_assert_eq(status(0)->state, RING_GATE_GATING);
    test_gates_release(&server, 0, 1);
    look(100 * DEADLINE);
    cr_assert_eq(status(0)->state, RING_GATE_GATING, "released, if late: looked at before it is judged");
    cr_assert_eq(fill(SLOTS), 1);
    look(DEADLINE);
    cr_assert_eq(status(0)->state, RING_GATE_GATING, "each wait is timed for itself");
}

Test(gate, waits_are_counted_and_timed)
{
    (void)join(0, 0, FAR);
    uint64_t total = 0;
    uint64_t longest = 0;
    fill_up();
    for (uint64_t i = 0; i < 20; i++) {
        cr_assert_eq(status(0)->waits, i + 1);
        uint64_t wait_ns = 1 + (i * 7919) % 1000;
        look(wait_ns / 2);
        look(wait_ns - wait_ns / 2);
        cr_assert_eq(status(0)->waits, i + 1, "one wait, however often it is looked at");
        test_gates_release(&server, 0, i + 1);
        cr_assert_eq(fill(5), 1);
        total += wait_ns;
        longest = wait_ns > longest ? wait_ns : longest;
        cr_assert_eq(status(0)->waited_ns, total);
        cr_assert_eq(status(0)->waited_ns_max, longest);
    }
}

Test(gate, the_wait_that_ended_in_a_demotion_counts)
{
    (void)join(0, 0, DEADLINE);
    fill_up();
    look(DEADLINE + 11);
    cr_assert_eq(status(0)->waits, 1);
    cr_assert_eq(status(0)->waited_ns, DEADLINE + 11);
    cr_assert_eq(status(0)->waited_ns_max, DEADLINE + 11);
}

Test(gate, nonsense_is_demoted_at_once_and_does_no_harm)
{
    static const uint64_t lies[] = {SLOTS + 1, 2 * SLOTS, FAR, UINT64_C(1) << 63, UINT64_MAX - SLOTS, UINT64_MAX};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        close_ring();
        open_ring();
        uint64_t honest = join(1, 0, FAR);
        (void)join(0, 0, FAR);
        fill_up();
        test_gates_release(&server, 0, lies[i]);
        cr_assert_null(ring_writer_reserve(&t.writer), "the other one holds");
        cr_assert_eq(status(0)->state, RING_GATE_DEMOTED, "%#lx", lies[i]);
        cr_assert_eq(status(0)->reason, RING_GATE_NONSENSE);
        cr_assert_eq(status(1)->state, RING_GATE_GATING);
        cr_assert_leq(claimed(), honest + SLOTS);
    }
}

Test(gate, to_have_released_all_that_is_published_is_no_nonsense)
{
    (void)join(0, 0, FAR);
    fill_up();
    test_gates_release(&server, 0, SLOTS);
    cr_assert_eq(fill(3 * SLOTS), SLOTS);
    cr_assert_eq(status(0)->state, RING_GATE_GATING);
}

Test(gate, what_was_posted_can_be_released_before_it_is_published)
{
    (void)join(0, 0, FAR);
    cr_assert_eq(fill(SLOTS - 8), SLOTS - 8);
    while (t.writer.next < SLOTS) {
        cr_assert_not_null(ring_writer_reserve(&t.writer));
        ring_writer_post(&t.writer, 8, now_ns, t.writer.next, 0, 0);
    }
    test_gates_release(&server, 0, SLOTS); /* a reader at the ring's end has seen them all */
    cr_assert_not_null(ring_writer_reserve(&t.writer));
    cr_assert_eq(status(0)->state, RING_GATE_GATING);
}

Test(gate, a_reader_that_has_left_holds_nobody_up)
{
    (void)join(0, 0, FAR);
    fill_up();
    cr_assert_null(ring_writer_reserve(&t.writer));
    test_gates_close(&server, 0);
    cr_assert_not_null(ring_writer_reserve(&t.writer), "no look is needed for it");
    cr_assert_eq(status(0)->state, RING_GATE_FREE);
    cr_assert_eq(fill(5 * SLOTS), 5 * SLOTS);
}

Test(gate, the_next_reader_of_a_gate_is_another_one)
{
    uint64_t first = server.generation + 1;
    (void)join(0, 0, DEADLINE);
    fill_up();
    look(DEADLINE + 1);
    cr_assert_eq(status(0)->state, RING_GATE_DEMOTED);
    fill(SLOTS);
    /* At once, without a look in between: the writer sees only the new one. */
    test_gates_close(&server, 0);
    uint64_t base = join(0, UINT64_MAX, DEADLINE);
    cr_assert_eq(base, 2 * SLOTS);
    cr_assert_eq(status(0)->generation, first + 1);
    cr_assert_eq(status(0)->waits + status(0)->waited_ns + status(0)->waited_ns_max, 0, "its own account");
    cr_assert_eq(status(0)->demoted_position + status(0)->demoted_tai_ns, 0);
    cr_assert_eq(fill(5 * SLOTS), SLOTS);
    look(DEADLINE);
    cr_assert_eq(status(0)->state, RING_GATE_GATING, "the predecessor's wait is not held against it");
}

Test(gate, what_a_reader_is_told_of_its_gate)
{
    struct ring_reader reader;
    struct error err;
    cr_assert_eq(ring_reader_attach(&reader, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err), 0);
    cr_assert_eq(ring_reader_gate(&reader), RING_GATE_FREE, "an observer has none");
    (void)join(0, 0, DEADLINE);
    test_gates_join(&server, &reader, 0, server.generation);
    cr_assert_eq(ring_reader_gate(&reader), RING_GATE_GATING);
    fill_up();
    look(DEADLINE + 1);
    cr_assert_eq(ring_reader_gate(&reader), RING_GATE_DEMOTED);
    test_gates_close(&server, 0);
    look(1);
    cr_assert_eq(ring_reader_gate(&reader), RING_GATE_FREE);
    (void)join(0, 0, DEADLINE);
    cr_assert_eq(ring_reader_gate(&reader), RING_GATE_FREE, "that gate is another reader's now");
}

Test(gate, an_order_waits_for_its_lease)
{
    fill(10);
    uint64_t generation = test_gates_order(&server, 2, 0, FAR);
    look(1);
    cr_assert_neq(status(2)->generation, generation, "its lease is not here");
    cr_assert_eq(fill(SLOTS), SLOTS, "and until then it holds nobody up");
    cr_assert(ring_gates_ordered(&gates), "whoever maps leases must be told that one is missing");
    ring_gates_mapped(&gates, 2, generation);
    look(1);
    cr_assert_eq(status(2)->generation, generation);
    cr_assert_eq(status(2)->base, claimed() - SLOTS, "its base is what is there now");
    cr_assert_not(ring_gates_ordered(&gates));
}

/* The lease of the next reader replaces that of the last one before its order is seen: it must move nothing. */
Test(gate, a_lease_of_another_generation_moves_nothing)
{
    (void)join(0, 0, FAR);
    fill_up();
    uint64_t next = server.generation + 1;
    ring_gates_mapped(&gates, 0, next);
    test_gates_release(&server, 0, 0);
    cr_assert_null(ring_writer_reserve(&t.writer), "the old gate stands until the server says otherwise");
    cr_assert_eq(status(0)->generation, next - 1);
    cr_assert_eq(status(0)->state, RING_GATE_GATING);
    (void)test_gates_order(&server, 0, UINT64_MAX, FAR);
    look(1);
    cr_assert_eq(status(0)->generation, next);
    cr_assert_eq(fill(5 * SLOTS), SLOTS);
}
