/* The relay box and the measurement of decisions: pure, with times handed in. */
#include <criterion/criterion.h>

#include "tools/plant/decisions.h"
#include "tools/plant/relay.h"

#define MS UINT64_C(1000000)

static uint32_t send(struct plant_relay *relay, uint32_t sequence, uint32_t lines, uint32_t energised,
                     uint64_t at_ns)
{
    struct plant_command command = {
        .sequence = sequence, .lines = lines, .energised = energised, .origin = PLANT_ORIGIN_CONTROL};

    return plant_relay_command(relay, &command, at_ns);
}

Test(plant_relay, a_mask_sets_its_lines_only)
{
    struct plant_relay relay;

    plant_relay_init(&relay, 0);
    cr_assert_eq(send(&relay, 0, PLANT_LINE_ALL, PLANT_LINE_ALL, MS), PLANT_LINE_ALL);
    cr_assert_eq(send(&relay, 1, PLANT_LINE_RELIEF, 0, MS), PLANT_LINE_RELIEF);
    cr_assert_eq(relay.energised, PLANT_LINE_SUPPLY);
    cr_assert_eq(send(&relay, 2, PLANT_LINE_RELIEF, 0, MS), 0);
}

Test(plant_relay, silence_drops_every_line)
{
    struct plant_relay relay;

    plant_relay_init(&relay, 100 * MS);
    send(&relay, 0, PLANT_LINE_ALL, PLANT_LINE_ALL, 1000u * MS);
    cr_assert_eq(plant_relay_watchdog(&relay, 1100u * MS), 0);
    cr_assert_eq(plant_relay_watchdog(&relay, 1100u * MS + 1), PLANT_LINE_ALL);
    cr_assert_eq(plant_relay_watchdog(&relay, 1200u * MS), 0, "dropped once");
    cr_assert_eq(relay.energised, 0);
}

Test(plant_relay, an_overtaken_command_may_drop_but_not_energise)
{
    struct plant_relay relay;

    plant_relay_init(&relay, 0);
    send(&relay, 10, PLANT_LINE_ALL, 0, MS);
    cr_assert_eq(send(&relay, 9, PLANT_LINE_ALL, PLANT_LINE_ALL, MS), 0);
    cr_assert_eq(relay.overtaken, 1);
    send(&relay, 11, PLANT_LINE_ALL, PLANT_LINE_ALL, MS);
    cr_assert_eq(send(&relay, 8, PLANT_LINE_ALL, 0, MS), PLANT_LINE_ALL);
}

Test(plant_relay, sequences_wrap_and_restart)
{
    struct plant_relay relay;

    plant_relay_init(&relay, 0);
    send(&relay, UINT32_MAX, PLANT_LINE_ALL, 0, MS);
    cr_assert_eq(send(&relay, 0, PLANT_LINE_ALL, PLANT_LINE_ALL, MS), PLANT_LINE_ALL, "the wrap");
    send(&relay, 5000, PLANT_LINE_ALL, 0, MS);
    cr_assert_eq(send(&relay, 0, PLANT_LINE_ALL, PLANT_LINE_ALL, MS), PLANT_LINE_ALL, "a restarted origin");
}

static void open_decisions(struct plant_decisions *decisions)
{
    char error[256];

    cr_assert_eq(plant_decisions_open(decisions, NULL, error, sizeof(error)), 0, "%s", error);
}

Test(plant_decisions, an_acknowledgement_covers_all_before_it)
{
    struct plant_decisions decisions;

    open_decisions(&decisions);
    for (uint32_t i = 0; i < 10; i++) /* across the wrap */
        plant_decisions_sent(&decisions, UINT32_MAX - 4 + i, 1000u * MS + i * MS, true);
    plant_decisions_acknowledged(&decisions, UINT32_MAX, 1004u * MS + 100000u);
    cr_assert_eq(decisions.decided, 5);
    cr_assert_eq(decisions.late, 4, "all but the newest waited longer than 500 us");
    plant_decisions_acknowledged(&decisions, 4, 1009u * MS + 1000u);
    cr_assert_eq(decisions.decided, 10);
    plant_decisions_acknowledged(&decisions, 5, 1010u * MS);
    cr_assert_eq(decisions.impossible, 1, "5 was never sent");
    plant_decisions_close(&decisions);
}

Test(plant_decisions, what_is_never_acknowledged_is_missing)
{
    struct plant_decisions decisions;

    open_decisions(&decisions);
    plant_decisions_sent(&decisions, 0, 1000u * MS, true);
    plant_decisions_sent(&decisions, 1, 1001u * MS, false);
    plant_decisions_sent(&decisions, 2, 1150u * MS, true);
    plant_decisions_settle(&decisions, 1200u * MS);
    cr_assert_eq(decisions.missing, 1);
    cr_assert_eq(decisions.open, 1, "too young to tell");
    cr_assert_float_eq(plant_decisions_percentile_us(&decisions, 0.5), -1.0, 1e-9);
    plant_decisions_close(&decisions);
}

Test(plant_decisions, percentiles_never_flatter)
{
    struct plant_decisions decisions;

    open_decisions(&decisions);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t sent_ns = 1000u * MS + (uint64_t)i * MS;

        plant_decisions_sent(&decisions, i, sent_ns, true);
        plant_decisions_acknowledged(&decisions, i, sent_ns + (i == 500 ? 300u * MS : 50000u + i));
    }
    cr_assert_float_eq(plant_decisions_percentile_us(&decisions, 0.5), 50.6, 0.2);
    cr_assert_float_eq(plant_decisions_percentile_us(&decisions, 0.999), 51.0, 0.2);
    cr_assert_float_eq(plant_decisions_percentile_us(&decisions, 1.0), 300000.0, 0.1);
    cr_assert_eq(decisions.late, 1);
    plant_decisions_close(&decisions);
}
