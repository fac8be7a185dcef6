/* A trip directory's frames under rules that were not there at the time. Its channels are decoded as they were
 * recorded; valid ranges, limits and delays are those of the new file. Outputs have no feedback here: the recorded
 * valves followed other decisions. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/clock.h"
#include "tools/replay.h"

#define IDLE_NS   CLOCK_NS_PER_MS /* the clock is looked at so often between two entries .. */
#define IDLE_MAX  1000u           /* .. but not more often than this */
#define NOT_THERE UINT32_MAX

struct rules_replay {
    const struct blackbox_recording *recording;
    struct control_table table;          /* the new one, without feedback */
    uint32_t from[CONTROL_CHANNELS_MAX]; /* of each of its channels the recorded one, or NOT_THERE */
    struct replay_result *result;
    uint64_t missing;
};

static uint32_t find_channel(const struct control_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->channels; i++) {
        if (strcmp(table->channel[i].decode.name, name) == 0) {
            return i;
        }
    }
    return NOT_THERE;
}

static uint32_t find_rule(const struct control_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->rules; i++) {
        if (strcmp(table->rule[i].name, name) == 0) {
            return i;
        }
    }
    return NOT_THERE;
}

static int match_channels(struct rules_replay *r, struct error *err)
{
    const struct control_table *recorded = r->recording->table;
    for (uint32_t i = 0; i < r->table.channels; i++) {
        const struct ring_channel *wanted = &r->table.channel[i].decode;
        r->from[i] = find_channel(recorded, wanted->name);
        if (r->from[i] == NOT_THERE) {
            if (replay_rule_uses(&r->table, i)) {
                return error_set(
                    err, -EINVAL,
                    "a rule looks at channel %s, which this recording does not have; it has been made of "
                    "instance %s with %u channels, see its config.yaml",
                    wanted->name, recorded->instance, recorded->channels);
            }
            continue;
        }
        const struct ring_channel *found = &recorded->channel[r->from[i]].decode;
        if (strcmp(found->unit, wanted->unit) != 0) {
            return error_set(err, -EINVAL,
                             "channel %s: expected the unit '%s' of the rules, found '%s' in the recording",
                             wanted->name, wanted->unit, found->unit);
        }
    }
    return 0;
}

/* Of a frame what the new table wants of it. */
static void take_frame(struct rules_replay *r, uint32_t ring, const struct sluice_frame *frame, bool old)
{
    struct engine_inputs *inputs = &r->result->run.inputs;
    for (uint32_t i = 0; i < r->table.channels; i++) {
        struct engine_sample *sample = &inputs->channel[i];
        if (r->from[i] == NOT_THERE || r->recording->table->channel[r->from[i]].ring != ring) {
            continue;
        }
        uint64_t tai_ns = sample->tai_ns;
        *sample = (struct engine_sample){.tai_ns = old ? tai_ns : frame->tai_ns,
                                         .samples = sample->samples + 1,
                                         .source_sequence = frame->source_sequence,
                                         .position = frame->position,
                                         .old = old};
        if (!watch_value(r->recording->table, r->from[i], frame, &sample->value)) {
            sample->fault = CAUSE_FRAME;
        }
    }
}

static void spoil_ring(struct rules_replay *r, uint32_t ring, uint32_t cause)
{
    for (uint32_t i = 0; i < r->table.channels; i++) {
        if (r->from[i] != NOT_THERE && r->recording->table->channel[r->from[i]].ring == ring) {
            r->result->run.inputs.channel[i].fault = cause;
            r->result->run.inputs.channel[i].samples++;
        }
    }
}

/* A command names rules and outputs by the recorded table's indices; proof tests need the feedback. */
static void take_command(struct rules_replay *r, const struct journal_entry *entry)
{
    struct engine_inputs *inputs = &r->result->run.inputs;
    const struct control_table *recorded = r->recording->table;
    bool of_rule = (entry->command & (COMMAND_BYPASS | COMMAND_UNBYPASS | COMMAND_ACKNOWLEDGE | COMMAND_SHELVE |
                                      COMMAND_UNSHELVE)) != 0;
    inputs->command = entry->command & ~(uint32_t)COMMAND_TEST;
    inputs->command_index = entry->command_index;
    inputs->command_ns = entry->command_ns;
    if (of_rule && entry->command_index < recorded->rules) {
        inputs->command_index = find_rule(&r->table, recorded->rule[entry->command_index].name);
        inputs->command = inputs->command_index == NOT_THERE ? (uint32_t)COMMAND_NONE : inputs->command;
    }
}

static void take_entry(struct rules_replay *r, const struct journal_entry *entry)
{
    struct replay_run *run = &r->result->run;
    struct sluice_frame frame;
    uint64_t gap_ns = entry->now_ns > run->inputs.now_ns ? entry->now_ns - run->inputs.now_ns : 0;
    replay_run_idle(run, entry->now_ns, gap_ns / IDLE_MAX > IDLE_NS ? gap_ns / IDLE_MAX : IDLE_NS);
    if (entry->ring < r->recording->table->rings) {
        if (entry->kind == JOURNAL_FRAME) {
            if (blackbox_ring_find(&r->recording->ring[entry->ring], entry->position, &frame)) {
                take_frame(r, entry->ring, &frame, entry->old != 0);
                r->result->frames++;
            } else {
                r->missing++;
            }
        } else if ((entry->kind == JOURNAL_GAP || entry->kind == JOURNAL_OVERRUN) && entry->cause != 0) {
            spoil_ring(r, entry->ring, entry->cause);
        }
    }
    take_command(r, entry);
    run->inputs.self_test_bad = 0; /* of a machine that is not this one */
    run->inputs.deadline_missed = entry->conditions >> 1 & 1;
    run->inputs.supervisor_silent = entry->conditions >> 2 & 1;
    run->inputs.output_fault = 0;
    run->inputs.gate_passed = GATE_ALL;
    run->inputs.now_ns = entry->now_ns > run->inputs.now_ns ? entry->now_ns : run->inputs.now_ns;
    replay_run_step(run);
}

static uint64_t count_live_trips(const struct blackbox_recording *recording)
{
    uint64_t trips = 0;
    uint32_t before = 0;
    bool any = false;
    for (uint64_t i = 0; i < recording->entries; i++) {
        const struct journal_entry *entry = &recording->entry[i];
        if (entry->now_ns == 0) {
            continue;
        }
        trips += any && entry->trips - before < UINT32_MAX / 2 ? entry->trips - before : 0;
        before = entry->trips;
        any = true;
    }
    return trips;
}

static int run_all(struct rules_replay *r, struct error *err)
{
    const struct blackbox_recording *recording = r->recording;
    int code = match_channels(r, err);
    if (code != 0) {
        return code;
    }
    bool arms = r->result->run.arms;
    replay_run_start(&r->result->run, &r->table);
    r->result->run.arms = arms;
    /* It held the permit when the recording begins: so does the one that is tried. */
    r->result->run.arms_once = recording->checkpoints > 0 && machine_permits(recording->checkpoint[0].state.code);
    for (uint64_t i = 0; i < recording->entries; i++) {
        if (recording->entry[i].now_ns != 0) {
            take_entry(r, &recording->entry[i]);
        }
    }
    if (r->missing > 0) {
        replay_note(r->result, "%" PRIu64 " frames that the journal speaks of are not in the recording",
                    r->missing);
    }
    return 0;
}

int replay_rules(const struct blackbox_recording *recording, const struct control_table *rules,
                 struct replay_result *result, struct error *err)
{
    struct rules_replay *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return error_set(err, -ENOMEM, "no memory for another table");
    }
    r->recording = recording;
    r->result = result;
    r->table = *rules;
    for (uint32_t i = 0; i < r->table.outputs; i++) {
        r->table.output[i].feedback = (struct control_feedback){.form = FEEDBACK_NONE};
    }
    result->live_trips = count_live_trips(recording);
    int code = run_all(r, err);
    result->run.table = rules; /* the same but for the feedback */
    free(r);
    return code;
}
