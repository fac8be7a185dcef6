/* The replay: bit-identical where nothing is wrong, and it says what is where something is. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/support/recording.h"
#include "tools/replay.h"

static struct test_recording story;
static struct blackbox_recording recording;
static struct replay_result result;
static struct error err;

static void begin(void)
{
    recording_story(&story);
}

static void end(void)
{
    blackbox_close(&recording);
}

TestSuite(replay, .init = begin, .fini = end);

static void open_story(void)
{
    blackbox_close(&recording);
    cr_assert_eq(recording_open(&story, &recording, &err), 0, "%s", err.text);
    memset(&result, 0, sizeof(result));
}

static void replay_story(void)
{
    open_story();
    cr_assert_eq(replay_exact(&recording, &result, &err), 0, "%s", err.text);
}

static uint64_t alarms(uint32_t rule)
{
    return result.run.alarms[rule];
}

/* IL-073 */
Test(replay, the_same_decisions)
{
    replay_story();
    cr_assert(result.identical, "%s", result.different);
    cr_assert_eq(result.compared, story.entries);
    cr_assert_eq(result.not_compared, 0);
    cr_assert_eq(result.checkpoints, 1, "the second checkpoint is met");
    cr_assert_eq(result.run.trips, 2);
    cr_assert_eq(result.run.trip[0].cause[0].kind, CAUSE_HIGH);
    cr_assert_eq(result.run.trip[0].cause[0].value, 101.0);
    cr_assert_eq(result.run.trip[1].cause[0].kind, CAUSE_RATE);
    cr_assert_eq(alarms(0), 2, "the scare and the trip");
    cr_assert_eq(alarms(1), 0, "a protecting rule is no alarm");
}

Test(replay, margins)
{
    replay_story();
    cr_assert(result.run.margin[1].known);
    cr_assert_eq(result.run.margin[1].margin, -1.0);
    cr_assert_eq(result.run.margin[1].measure, 101.0);
    cr_assert_eq(result.run.margin[1].limit, 100.0);
}

Test(replay, another_decision_is_found)
{
    for (uint32_t i = 0; i < story.entries; i++) {
        uint32_t was = story.entry[i].energised;
        story.entry[i].energised ^= 1;
        replay_story();
        cr_assert_not(result.identical);
        cr_assert_eq(result.different_at, story.first_entry + i);
        story.entry[i].energised = was;
    }
}

Test(replay, another_state_or_count_is_found)
{
    story.entry[7].code = ENGINE_ARMED;
    replay_story();
    cr_assert_not(result.identical);
    cr_assert(strstr(result.different, "armed") != NULL, "%s", result.different);
    story.entry[7].code = ENGINE_TRIPPED;
    story.entry[9].trips++;
    replay_story();
    cr_assert_eq(result.different_at, story.first_entry + 9);
}

/* One bit of a sample, far below what any decision turns on: the next checkpoint tells. */
Test(replay, another_bit_in_a_checkpoint_is_found)
{
    story.checkpoint[1].state.rule[1].measure += 1e-12;
    replay_story();
    cr_assert_not(result.identical);
    cr_assert(strstr(result.different, "what a rule remembers") != NULL, "%s", result.different);
}

Test(replay, goes_on_behind_lost_entries)
{
    for (uint32_t i = 5; i < 9; i++) {
        story.entry[i] = (struct journal_entry){.now_ns = 0};
    }
    replay_story();
    cr_assert(result.identical, "%s", result.different);
    uint64_t until = story.checkpoint[1].journal - story.first_entry;
    cr_assert_eq(result.not_compared, until - 5);
    cr_assert_eq(result.compared, story.entries - (until - 5));
    cr_assert_eq(result.notes, 1);
}

Test(replay, a_missing_frame_is_no_difference)
{
    story.entry[5].position = 100000;
    replay_story();
    cr_assert(result.identical);
    cr_assert(result.not_compared > 0);
}

/* A control process that died: its successor's first checkpoint is where the replay goes on. */
Test(replay, a_new_control_process)
{
    recording_begin(&story);
    recording_checkpoint(&story);
    for (int i = 0; i < 10; i++) {
        recording_frame(&story, 50, 10);
    }
    uint64_t now_ns = story.inputs.now_ns;
    memset(&story.inputs, 0, sizeof(story.inputs));
    story.inputs.now_ns = now_ns;
    engine_init(&story.state);
    story.state.trips = 5;
    recording_checkpoint(&story);
    for (int i = 0; i < 10; i++) {
        recording_frame(&story, 50, 10);
    }
    recording_end(&story);
    replay_story();
    cr_assert(result.identical, "%s", result.different);
    cr_assert_eq(result.compared, 20);
    cr_assert_eq(result.checkpoints, 0);
}

Test(replay, nothing_to_begin_with)
{
    story.checkpoints = 0;
    open_story();
    cr_assert_eq(replay_exact(&recording, &result, &err), -EPROTO);
    cr_assert(strstr(err.text, "--rules") != NULL);
    story.checkpoints = 1;
    story.checkpoint[0].journal = UINT64_MAX - 3;
    open_story();
    cr_assert_eq(replay_exact(&recording, &result, &err), -EPROTO);
}

static struct control_table rules;

static void replay_with_rules(bool arms)
{
    open_story();
    result.run.arms = arms;
    cr_assert_eq(replay_rules(&recording, &rules, &result, &err), 0, "%s", err.text);
}

Test(replay, the_same_rules_would_have_tripped)
{
    recording_make_table(&rules);
    replay_with_rules(false);
    cr_assert_eq(result.run.trips, 2);
    cr_assert_eq(result.live_trips, 2);
    cr_assert_not(result.exact);
}

Test(replay, other_rules)
{
    recording_make_table(&rules);
    rules.rule[1].high = rules.rule[1].high_clear = 94;
    replay_with_rules(true);
    cr_assert_eq(result.run.trips, 3, "the scare is one now");
    rules.rule[1].high = rules.rule[1].high_clear = 200;
    rules.rule[2].high = 1e9;
    replay_with_rules(true);
    cr_assert_eq(result.run.trips, 0);
    cr_assert_eq(result.run.margin[1].margin, 99.0);
}

Test(replay, channels_are_found_by_name)
{
    struct control_channel pressure;
    recording_make_table(&rules);
    pressure = rules.channel[0];
    rules.channel[0] = rules.channel[1];
    rules.channel[1] = pressure;
    rules.rule[0].channel = rules.rule[1].channel = 1;
    rules.rule[2].channel = 0;
    replay_with_rules(false);
    cr_assert_eq(result.run.trips, 2);
    snprintf(rules.channel[0].decode.name, sizeof(rules.channel[0].decode.name), "vacuum");
    open_story();
    cr_assert_eq(replay_rules(&recording, &rules, &result, &err), -EINVAL);
    cr_assert(strstr(err.text, "vacuum") != NULL, "%s", err.text);
    rules.rules = 2; /* nobody looks at it any more */
    replay_with_rules(false);
    cr_assert_eq(result.run.trips, 1);
    snprintf(rules.channel[1].decode.unit, sizeof(rules.channel[1].decode.unit), "bar");
    open_story();
    cr_assert_eq(replay_rules(&recording, &rules, &result, &err), -EINVAL);
    cr_assert(strstr(err.text, "kPa") != NULL && strstr(err.text, "bar") != NULL, "%s", err.text);
}

/* Silence between two entries is seen by the clock, though the live interlock took no step there. */
Test(replay, a_shorter_stale_time_is_seen)
{
    recording_make_table(&rules);
    story.inputs.now_ns += 0;
    recording_begin(&story);
    recording_checkpoint(&story);
    recording_frame(&story, 50, 10);
    recording_command(&story, COMMAND_RESET);
    recording_command(&story, COMMAND_ARM);
    for (int i = 0; i < 5; i++) {
        recording_frame(&story, 50, 10);
    }
    story.inputs.now_ns += 50 * RECORDING_STEP_NS;
    recording_frame(&story, 50, 10);
    recording_end(&story);
    replay_with_rules(true);
    cr_assert_eq(result.run.trips, 0);
    rules.channel[0].stale_ns = 20 * RECORDING_STEP_NS;
    replay_with_rules(true);
    cr_assert_eq(result.run.trips, 1);
    cr_assert_eq(result.run.trip[0].cause[0].kind, CAUSE_STALE);
}

static struct replay_csv_options csv;

static int replay_text(const char *text)
{
    memset(&result, 0, sizeof(result));
    result.run.arms = true;
    return replay_csv(text, strlen(text), &csv, &rules, &result, &err);
}

static void csv_begin(void)
{
    recording_make_table(&rules);
    csv = (struct replay_csv_options){.delimiter = ',', .period_ns = RECORDING_STEP_NS};
}

TestSuite(csv, .init = csv_begin);

Test(csv, columns_by_name)
{
    rules.rules = 2; /* a rate wants to be seen for a while before anything is armed */
    cr_assert_eq(replay_text("pressure,other,flow\n50,x,1\n60,x,1\n150,x,1\n50,x,1\n150,x,1\n"), 0, "%s", err.text);
    cr_assert_eq(result.frames, 5);
    cr_assert_eq(result.run.trips, 2, "armed again in between");
    cr_assert_eq(result.run.trip[0].cause[0].value, 150.0);
    cr_assert_eq(result.run.trip[0].cause[0].source_sequence, 2);
    cr_assert_eq(result.bad_values, 0);
}

Test(csv, columns_by_mapping_and_a_time)
{
    csv.delimiter = ';';
    csv.period_ns = 0;
    csv.time = "datetime";
    csv.mappings = 2;
    csv.mapping[0].column = "P";
    csv.mapping[0].channel = "pressure";
    csv.mapping[1].column = "Volume Flow RateRMS";
    csv.mapping[1].channel = "flow";
    rules.rule[2].high = 50;
    rules.channel[0].stale_ns = rules.channel[1].stale_ns = UINT64_C(3000000000);
    cr_assert_eq(
        replay_text("datetime;P;Volume Flow RateRMS\r\n2020-03-09 10:14:33;1;10\r\n2020-03-09 10:14:34;1;10\r\n"
                    "2020-03-09 10:14:35.5;1;100\r\n\r\n"),
        0, "%s", err.text);
    cr_assert_eq(result.frames, 3);
    cr_assert_eq(result.run.trips, 1, "90 in 1.5 s are 60 in 1 s");
    cr_assert_float_eq(result.run.trip[0].cause[0].value, 60.0, 1e-9);
    cr_assert_eq(result.run.trip[0].tai_ns, UINT64_C(1583748875500000000));
}

Test(csv, what_is_no_number_is_bad)
{
    rules.rules = 2;
    cr_assert_eq(replay_text("pressure,flow\n50,1\n50,1\n,1\n50,1\n50\nabc,1\n"), 0, "%s", err.text);
    cr_assert_eq(result.bad_values, 3);
    cr_assert_eq(result.run.trips, 2, "nobody looks at the flow");
    cr_assert_eq(result.run.trip[0].cause[0].kind, CAUSE_NOT_FINITE);
}

Test(csv, a_row_from_the_past_makes_nothing_fresher)
{
    csv.time = "t";
    csv.period_ns = 0;
    cr_assert_eq(replay_text("t,pressure,flow\n100.0,50,1\n100.1,50,1\n99,150,1\n100.2,50,1\n"), 0, "%s", err.text);
    cr_assert_eq(result.run.trips, 1, "a peak in it counts all the same");
}

static void assert_refused(const char *text, const char *says)
{
    err.text[0] = 0;
    cr_assert_eq(replay_text(text), -EINVAL, "accepted: %s", text);
    cr_assert(strstr(err.text, says) != NULL, "expected '%s' in: %s", says, err.text);
}

Test(csv, refused_with_a_sentence)
{
    assert_refused("", "no column");
    assert_refused("pressure\n1\n", "flow");
    assert_refused("pressure,flow\n", "found none");
    assert_refused("pressure,flow,pressure\n1,2,3\n", "two columns");
    csv.time = "t";
    assert_refused("pressure,flow\n1,2\n", "'t'");
    assert_refused("t,pressure,flow\nyesterday,1,2\n", "line 2");
    assert_refused("t,pressure,flow\n1,1,2\n-5,1,2\n", "line 3");
    assert_refused("t,pressure,flow\n1e300,1,2\n", "line 2");
    csv.time = NULL;
    csv.mappings = 1;
    csv.mapping[0].column = "p";
    csv.mapping[0].channel = "pressur";
    assert_refused("p,flow\n1,2\n", "no channel");
    csv.mapping[0].channel = "pressure";
    assert_refused("q,flow\n1,2\n", "no such column");
}

TestSuite(damage, .init = begin, .fini = end);

Test(damage, a_ring_file_cut_short)
{
    size_t whole = story.ring_bytes;
    for (size_t bytes = 0; bytes < whole; bytes++) {
        story.ring_bytes = bytes;
        err.text[0] = 0;
        cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO, "%zu of %zu bytes", bytes, whole);
        cr_assert(err.text[0] != 0);
    }
    story.ring_bytes = whole;
    cr_assert_eq(recording_open(&story, &recording, &err), 0, "%s", err.text);
}

/* Every bit of it: padding behind a payload apart, there is none here, no flip passes. */
Test(damage, a_flipped_bit_in_a_ring_file)
{
    for (size_t bit = 0; bit < story.ring_bytes * 8; bit++) {
        story.ring[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO, "bit %zu", bit);
        story.ring[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

Test(damage, huge_counts_and_lengths)
{
    struct blackbox_ring_header *header = (struct blackbox_ring_header *)(void *)story.ring;
    header->channels = UINT32_MAX;
    cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO);
    header->channels = 2;
    header->streams = UINT32_MAX;
    cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO);
    header->streams = 1;
    header->payload_bytes = UINT32_MAX;
    cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO);
    header->payload_bytes = 96;
    cr_assert_eq(recording_open(&story, &recording, &err), 0, "%s", err.text);
}

Test(damage, a_table_with_indices_out_of_bounds)
{
    struct control_table good = story.table;
    story.table.rings = 17;
    story.table.hash = control_table_hash(&story.table);
    cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO);
    story.table = good;
    story.table.ring[0].first_channel = UINT32_MAX;
    story.table.hash = control_table_hash(&story.table);
    cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO);
    story.table = good;
    memset(story.table.rule[0].name, 'x', sizeof(story.table.rule[0].name));
    story.table.hash = control_table_hash(&story.table);
    cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO);
    story.table = good;
    story.table.rule[0].high = 91; /* and the hash as it was */
    cr_assert_eq(recording_open(&story, &recording, &err), -EPROTO);
    cr_assert(strstr(err.text, "hash") != NULL, "%s", err.text);
}
