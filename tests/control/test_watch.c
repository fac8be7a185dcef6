/* The control core's eyes on a real ring: what it decodes, and that whatever it missed trips. */
#include <criterion/criterion.h>

#include "control/watch.h"
#include "ring/channel.h"
#include "tests/support/table.h"
#include "tests/support/temporary_ring.h"

#define SLOTS UINT64_C(32)

static struct temporary_ring ring;
static struct control_table table;
static struct watch watch;
static struct engine_inputs inputs;

static void open_watch(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 128, 32);
    struct error err = {{0}};
    temporary_ring_create(&ring, &spec);
    table_make(&table);
    watch = (struct watch){.table = &table};
    inputs = (struct engine_inputs){.now_ns = TEST_NOW_NS};
    cr_assert_eq(watch_attach(&watch, 0, ring.segment.base, ring.segment.bytes, &err), 0, "%s", err.text);
}

static void close_watch(void)
{
    temporary_ring_destroy(&ring);
}

TestSuite(watch, .init = open_watch, .fini = close_watch);

static void publish(double a, double b, uint32_t bytes, uint64_t source_sequence)
{
    double values[2] = {a, b};
    memcpy(ring_writer_reserve(&ring.writer), values, sizeof(values));
    ring_writer_commit(&ring.writer, bytes, TEST_NOW_NS + source_sequence, source_sequence, 0, 0);
    ring_writer_publish(&ring.writer);
}

static bool same(double a, double b)
{
    return a >= b && a <= b;
}

/* What the engine makes of the inputs as they are: tripped from ARMED? */
static bool trips(uint32_t *first_kind)
{
    static struct engine_state state;
    struct engine_outputs outputs;
    engine_init(&state);
    state.code = ENGINE_ARMED;
    engine_step(&table, &state, &inputs, &outputs);
    *first_kind = state.cause[0].kind;
    return outputs.energised == 0;
}

Test(watch, decodes_what_is_published_after_it_attached)
{
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_NOTHING);
    publish(12.5, -3, 16, 700);
    publish(13.5, -4, 16, 701);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    cr_assert(same(inputs.channel[0].value, 12.5));
    cr_assert(same(inputs.channel[1].value, -3));
    cr_assert_eq(inputs.channel[0].tai_ns, TEST_NOW_NS + 700);
    cr_assert_eq(inputs.channel[0].source_sequence, 700);
    cr_assert_eq(inputs.channel[0].position, 0);
    cr_assert_eq(inputs.channel[0].samples, 1);
    cr_assert_eq(inputs.channel[0].fault, CAUSE_NONE);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    cr_assert(same(inputs.channel[1].value, -4));
    cr_assert_eq(inputs.channel[1].samples, 2);
    cr_assert_eq(watch.ring[0].evaluated, 2);
    cr_assert_eq(watch.ring[0].source_sequence, 701);
    cr_assert_eq(watch.ring[0].arrival_tai_ns, TEST_NOW_NS + 701);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_NOTHING);
}

/* A thermocouple whose cold junction is the other channel; what is no number is bad, and bad trips. IL-001 */
Test(watch, decodes_through_calibrations)
{
    uint32_t kind;
    table.numbers = 6; /* those of another ring first */
    table.ring[0].first_number = 2;
    table.ring[0].numbers = 4;
    const double points[] = {0, 0, 1, 50};
    memcpy(&table.number[2], points, sizeof(points));
    table.channel[0].decode.calibration = RING_CALIBRATION_THERMOCOUPLE;
    table.channel[0].decode.thermocouple = RING_THERMOCOUPLE_K;
    table.channel[0].decode.reference = 2;
    table.channel[1].decode.calibration = RING_CALIBRATION_POINTS;
    table.channel[1].decode.numbers = 4;
    publish(1.0, 0.5, 16,
            700); /* 1.000 mV at a junction of 25 degC, itself 1.000 mV: NIST has 2.023 mV for 50 degC */
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    cr_assert(inputs.channel[0].value > 49.3 && inputs.channel[0].value < 49.6, "%g", inputs.channel[0].value);
    cr_assert(same(inputs.channel[1].value, 25));
    cr_assert_not(trips(&kind));
    publish(1.0, 1.001, 16, 701); /* beyond the points: neither is known */
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    cr_assert(ring_is_not_finite(inputs.channel[0].value));
    cr_assert(ring_is_not_finite(inputs.channel[1].value));
    cr_assert_eq(inputs.channel[0].fault, CAUSE_NONE);
    cr_assert(trips(&kind));
    cr_assert_eq(kind, CAUSE_NOT_FINITE);
}

Test(watch, a_frame_too_short_for_a_channel_is_bad_for_it)
{
    uint32_t kind = CAUSE_NONE;
    publish(1, 2, 15, 0);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    cr_assert_eq(inputs.channel[0].fault, CAUSE_NONE);
    cr_assert_eq(inputs.channel[1].fault, CAUSE_FRAME);
    cr_assert(trips(&kind));
    cr_assert_eq(kind, CAUSE_FRAME);
    publish(1, 2, 16, 1);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    cr_assert_eq(inputs.channel[1].fault, CAUSE_NONE);
    cr_assert_not(trips(&kind));
}

Test(watch, a_gap_record_is_no_sample)
{
    publish(1, 2, 16, 0);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    ring_writer_commit_gap(&ring.writer, RING_LOSS_MALFORMED, 1, 0, TEST_NOW_NS);
    ring_writer_publish(&ring.writer);
    struct engine_sample before = inputs.channel[0];
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_GAP);
    cr_assert_eq(inputs.channel[0].samples, before.samples);
    cr_assert_eq(inputs.channel[0].tai_ns, before.tai_ns);
    cr_assert_eq(inputs.channel[0].fault, before.fault);
    cr_assert_eq(watch.ring[0].evaluated, 2);
}

Test(watch, a_restart_however_short_is_silence)
{
    uint32_t kind = CAUSE_NONE;
    publish(1, 2, 16, 0);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    ring_writer_commit_gap(&ring.writer, RING_LOSS_RESTART, 0, 0, TEST_NOW_NS);
    ring_writer_publish(&ring.writer);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_GAP);
    cr_assert(trips(&kind));
    cr_assert_eq(kind, CAUSE_STALE);
}

static void publish_flagged(uint32_t flags, uint64_t lost_before)
{
    double values[2] = {1, 2};
    memcpy(ring_writer_reserve(&ring.writer), values, sizeof(values));
    ring_writer_commit(&ring.writer, sizeof(values), TEST_NOW_NS, 1, flags, lost_before);
    ring_writer_publish(&ring.writer);
}

/* What this host dropped may hold a peak that nobody else will tell of; what the sender lost turns stale if it
 * lasts. */
Test(watch, frames_dropped_on_this_host_are_an_overrun)
{
    static const uint32_t here[] = {RING_LOSS_KERNEL, RING_LOSS_NIC, RING_LOSS_RING_FULL};
    uint32_t kind = CAUSE_NONE;
    for (size_t i = 0; i < 3; i++) {
        publish_flagged(RING_FLAG_LOST_BEFORE | here[i] << RING_FLAG_CAUSE_SHIFT, 3);
        cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_OVERRUN);
        cr_assert(trips(&kind));
        cr_assert_eq(kind, CAUSE_OVERRUN);
        cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME, "told once, then the frame itself");
        cr_assert_not(trips(&kind));
        cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_NOTHING);
    }
    publish_flagged(RING_FLAG_LOST_BEFORE | RING_LOSS_SENDER << RING_FLAG_CAUSE_SHIFT, 3);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
}

/* At the record itself, not only at the frame after it, which may never come. */
Test(watch, a_record_of_frames_dropped_here_is_an_overrun)
{
    uint32_t kind = CAUSE_NONE;
    publish(1, 2, 16, 0);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    ring_writer_commit_gap(&ring.writer, RING_LOSS_RING_FULL, 5, 0, TEST_NOW_NS);
    ring_writer_publish(&ring.writer);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_OVERRUN);
    cr_assert(trips(&kind));
    cr_assert_eq(kind, CAUSE_OVERRUN);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_GAP);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_NOTHING);
}

Test(watch, a_duplicate_is_no_new_sample)
{
    publish(1, 2, 16, 0);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    publish_flagged(RING_FLAG_DUPLICATE, 0);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_GAP);
    cr_assert_eq(inputs.channel[0].samples, 1);
}

/* A frame that comes after a newer one may hold the peak, but it makes nothing fresher and clears no count. */
Test(watch, a_reordered_frame_counts_but_refreshes_nothing)
{
    publish(1, 2, 16, 5);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    publish_flagged(RING_FLAG_REORDERED, 0);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    cr_assert_eq(inputs.channel[0].samples, 2);
    cr_assert_eq(inputs.channel[0].tai_ns, TEST_NOW_NS + 5, "the newer frame's stamp stays");
    cr_assert_eq(inputs.channel[0].old, 1);
    publish(1, 2, 16, 6);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    cr_assert_eq(inputs.channel[0].old, 0);
}

/* A peak in what was skipped must trip: the channels are BAD for at least one look. */
Test(watch, an_overrun_is_bad_and_then_goes_on)
{
    uint32_t kind = CAUSE_NONE;
    publish(1, 2, 16, 0);
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    for (uint64_t i = 1; i < 3 * SLOTS; i++) {
        publish(1, 2, 16, i);
    }
    cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_OVERRUN);
    cr_assert_eq(inputs.channel[0].fault, CAUSE_OVERRUN);
    cr_assert_eq(inputs.channel[1].fault, CAUSE_OVERRUN);
    cr_assert(trips(&kind));
    cr_assert_eq(kind, CAUSE_OVERRUN);
    cr_assert_eq(watch.overruns, 1);
    uint64_t lost = watch.ring[0].reader.lost;
    uint64_t seen = watch.ring[0].evaluated;
    uint64_t expected = lost + seen;
    while (watch_next(&watch, 0, &inputs) == WATCH_FRAME) {
        cr_assert_eq(inputs.channel[0].source_sequence, expected,
                     "the frame found with the overrun is not skipped");
        expected++;
    }
    cr_assert_eq(expected, 3 * SLOTS);
    cr_assert_eq(watch.ring[0].reader.lost, lost);
    cr_assert_not(trips(&kind));
}

Test(watch, a_corrupt_header_is_bad_for_as_long_as_it_lasts)
{
    uint32_t kind = CAUSE_NONE;
    for (uint64_t i = 0; i < SLOTS; i++) {
        publish(1, 2, 16, i);
        cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_FRAME);
    }
    static const uint64_t lies[] = {0, 5, UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        __atomic_store_n(&temporary_header(&ring)->progress.claimed, lies[i], __ATOMIC_RELEASE);
        for (int look = 0; look < 3; look++) {
            cr_assert_eq(watch_next(&watch, 0, &inputs), WATCH_OVERRUN, "claimed %#lx", lies[i]);
            cr_assert(trips(&kind));
            cr_assert_eq(kind, CAUSE_OVERRUN);
        }
    }
}

Test(watch, attach_refuses_what_is_no_ring)
{
    static uint8_t memory[8192];
    struct error err = {{0}};
    cr_assert_lt(watch_attach(&watch, 1, memory, sizeof(memory), &err), 0);
    cr_assert_neq(err.text[0], 0);
}
