/* Recordings through the engine: the same trip at the same frame as the live interlock's, whatever lies between. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/support/played.h"
#include "tests/support/recording.h"
#include "tools/replay.h"

static struct test_recording story;
static struct played played;
static struct replay_result result;
static struct record_set *set;
static struct error err;
static const struct ring_stream stream = {.name = "stream", .source = "test", .sequence_width_bytes = 8};

static void begin(void)
{
    recording_begin(&story);
    played_directory(&played);
}

static void end(void)
{
    record_close(set);
    played_remove(&played);
}

TestSuite(replay_record, .init = begin, .fini = end, .timeout = 60);

static void begin_ring(const char *name)
{
    const struct ring_channel channel[2] = {story.table.channel[0].decode, story.table.channel[1].decode};
    played_ring(&played, name, channel, 2, story.table.number, story.table.numbers, &stream);
}

/* Live, and beside it into the recording. */
static void frame(double pressure, double flow)
{
    double values[2] = {pressure, flow};
    recording_frame(&story, pressure, flow);
    played_frame(&played, story.inputs.now_ns - 1000, 500 + story.frames - 1, 0, 0, 0, values, sizeof(values));
}

static void frame_at(uint64_t tai_ns, uint64_t number, double pressure)
{
    double values[2] = {pressure, 0};
    played_frame(&played, tai_ns, number, 0, 0, 0, values, sizeof(values));
}

static int replay_under(const struct control_table *rules)
{
    const char *paths[] = {played.directory};
    played_close(&played);
    int code = record_open(&set, paths, 1, &err);
    cr_assert_eq(code, 0, "%s", err.text);
    memset(&result, 0, sizeof(result));
    result.run.arms = true;
    return replay_recording(set, rules, &result, &err);
}

/* IL-073: the trip of the live interlock, at the same frame, with the same value. */
Test(replay_record, the_live_trip_at_the_same_frame)
{
    begin_ring("sensors");
    for (int i = 0; i < 20; i++) {
        frame(50 + i, 10);
    }
    recording_command(&story, COMMAND_RESET);
    recording_command(&story, COMMAND_ARM);
    cr_assert_eq(story.state.code, ENGINE_ARMED);
    for (int i = 0; i < 40; i++) {
        frame(70 + i, 10);
    }
    cr_assert_eq(story.state.trips, 1);
    cr_assert_eq(replay_under(&story.table), 0, "%s", err.text);
    cr_assert_eq(result.frames, 60);
    cr_assert_eq(result.run.trips, 1);
    const struct engine_cause *live = &story.state.first_out[0];
    const struct engine_cause *again = &result.run.trip[0].cause[0];
    cr_assert_eq(again->source_sequence, live->source_sequence);
    cr_assert_eq(again->position, live->position);
    cr_assert_eq(again->rule, live->rule);
    cr_assert_eq(again->value, live->value);
    cr_assert_eq(result.run.margin[1].margin, 100.0 - 109.0);
    cr_assert_eq(result.notes, 0);
}

/* Two rings: taken by their stamps, and at the same stamp in the order of the rules' rings. */
Test(replay_record, rings_are_merged)
{
    static struct control_table two;
    two = story.table;
    two.rings = 2;
    two.ring[1] = two.ring[0];
    snprintf(two.ring[1].name, sizeof(two.ring[1].name), "others");
    two.ring[0].channels = 1;
    two.ring[1].first_channel = 1;
    two.ring[1].channels = 1;
    two.channel[1].ring = 1;
    snprintf(two.rule[2].name, sizeof(two.rule[2].name), "flow_high");
    two.rule[2].form = FORM_LIMIT;
    const struct ring_channel pressure = two.channel[0].decode;
    struct ring_channel flow = two.channel[1].decode;
    flow.at_byte = 0;
    /* The file of `others` comes first by its name; the rules' order of rings is what counts. */
    played_ring(&played, "others", &flow, 1, story.table.number, story.table.numbers, &stream);
    for (uint64_t i = 0; i < 100; i++) {
        double value = i < 50 ? 0 : 1000;
        played_frame(&played, RECORDING_FROM_NS + i * RECORDING_STEP_NS, i, 0, 0, 0, &value, sizeof(value));
    }
    played_close(&played);
    played_ring(&played, "sensors", &pressure, 1, story.table.number, story.table.numbers, &stream);
    for (uint64_t i = 0; i < 100; i++) {
        double value = i < 50 ? 0 : 200;
        played_frame(&played, RECORDING_FROM_NS + i * RECORDING_STEP_NS, i, 0, 0, 0, &value, sizeof(value));
    }
    cr_assert_eq(replay_under(&two), 0, "%s", err.text);
    cr_assert_eq(result.frames, 200);
    cr_assert_eq(result.run.trips, 1);
    cr_assert_eq(result.run.trip[0].cause[0].rule, 1, "at the same stamp the pressure's ring is the first");
    cr_assert_eq(result.run.trip[0].cause[0].source_sequence, 50);
}

static void steady(uint64_t *at_ns, uint64_t *number, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        frame_at(*at_ns += RECORDING_STEP_NS, (*number)++, 50);
    }
}

/* Nobody can tell what was in it: as an overrun. What was left out on purpose is none. */
Test(replay_record, positions_that_are_missing)
{
    static const struct {
        enum record_cause cause;
        uint64_t trips;
    } cases[] = {{RECORD_CAUSE_OVERWRITTEN, 1}, {RECORD_CAUSE_DISK_FULL, 1}, {RECORD_CAUSE_DECIMATED, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t at_ns = RECORDING_FROM_NS;
        uint64_t number = 0;
        begin_ring("sensors");
        steady(&at_ns, &number, 20);
        played_missing(&played, at_ns, 3, cases[i].cause);
        number += 3;
        steady(&at_ns, &number, 20);
        cr_assert_eq(replay_under(&story.table), 0, "%s", err.text);
        cr_assert_eq(result.run.trips, cases[i].trips, "cause %u", cases[i].cause);
        cr_assert_eq(result.notes, 1);
        if (cases[i].trips > 0) {
            cr_assert_eq(result.run.trip[0].cause[0].kind, CAUSE_OVERRUN);
        }
        record_close(set);
        set = NULL;
        played_remove(&played);
        played_directory(&played);
    }
}

/* As control takes them: drops of that host are bad, a restart is silence, repeats and a sender's losses are
 * nothing. */
Test(replay_record, gap_records_and_flags)
{
    static const struct {
        uint32_t flags;
        uint32_t cause;
        uint64_t trips;
    } cases[] = {{RING_FLAG_LOST_BEFORE, RING_LOSS_KERNEL, 1}, {RING_FLAG_LOST_BEFORE, RING_LOSS_SENDER, 0},
                 {RING_FLAG_GAP, RING_LOSS_RING_FULL, 1},      {RING_FLAG_GAP, RING_LOSS_MALFORMED, 0},
                 {RING_FLAG_GAP, RING_LOSS_RESTART, 1},        {RING_FLAG_DUPLICATE, 0, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t at_ns = RECORDING_FROM_NS;
        uint64_t number = 0;
        double beyond[2] = {cases[i].flags == RING_FLAG_DUPLICATE ? 500 : 50, 0};
        begin_ring("sensors");
        steady(&at_ns, &number, 20);
        if (cases[i].flags == RING_FLAG_GAP) {
            played_gap_record(&played, at_ns, cases[i].cause, 1);
        } else {
            played_frame(&played, at_ns, number++, cases[i].flags, cases[i].cause, 1, beyond, sizeof(beyond));
        }
        steady(&at_ns, &number, 20);
        cr_assert_eq(replay_under(&story.table), 0, "%s", err.text);
        cr_assert_eq(result.run.trips, cases[i].trips, "flags %u cause %u", cases[i].flags, cases[i].cause);
        record_close(set);
        set = NULL;
        played_remove(&played);
        played_directory(&played);
    }
}

/* The clock goes on between two frames: silence is a trip at its time, not at the next frame's. */
Test(replay_record, silence_goes_stale)
{
    uint64_t at_ns = RECORDING_FROM_NS;
    uint64_t number = 0;
    begin_ring("sensors");
    steady(&at_ns, &number, 20);
    uint64_t silent_ns = at_ns;
    at_ns += 300 * RECORDING_STEP_NS;
    steady(&at_ns, &number, 20);
    cr_assert_eq(replay_under(&story.table), 0, "%s", err.text);
    cr_assert_eq(result.run.trips, 1);
    cr_assert_eq(result.run.trip[0].cause[0].kind, CAUSE_STALE);
    cr_assert_lt(result.run.trip[0].tai_ns, silent_ns + 150 * RECORDING_STEP_NS);
}

Test(replay_record, what_does_not_match)
{
    static struct control_table other;
    other = story.table;
    snprintf(other.channel[0].decode.name, RING_NAME_BYTES, "level");
    begin_ring("sensors");
    frame_at(RECORDING_FROM_NS, 0, 50);
    cr_assert_eq(replay_under(&other), -EINVAL);
    cr_assert(strstr(err.text, "level of ring sensors") != NULL, "%s", err.text);
    other = story.table;
    snprintf(other.channel[1].decode.unit, RING_UNIT_BYTES, "bar");
    cr_assert_eq(replay_recording(set, &other, &result, &err), -EINVAL);
    cr_assert(strstr(err.text, "the unit 'bar'") != NULL, "%s", err.text);
    other.rules = 0;
    cr_assert_eq(replay_recording(set, &other, &result, &err), -EINVAL);
}
