#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/replay.h"

void replay_note(struct replay_result *result, const char *format, ...)
{
    va_list args;
    if (result->notes == REPLAY_NOTES_MAX) {
        return;
    }
    va_start(args, format);
    vsnprintf(result->note[result->notes++], REPLAY_TEXT_BYTES, format, args);
    va_end(args);
}

static void load(struct replay_run *run, const struct control_checkpoint *checkpoint)
{
    run->inputs = checkpoint->inputs;
    run->state = checkpoint->state;
}

/* What the step was taken for, made of the recorded frame as control made it of the live one. False: it is not
 * there. */
static bool set_inputs(const struct blackbox_recording *recording, const struct journal_entry *entry,
                       struct engine_inputs *inputs)
{
    const struct control_table *table = recording->table;
    struct engine_sample decoded[CONTROL_CHANNELS_MAX];
    struct sluice_frame frame;
    bool of_ring = entry->kind == JOURNAL_FRAME || entry->kind == JOURNAL_GAP || entry->kind == JOURNAL_OVERRUN;
    if (of_ring && entry->ring >= table->rings) {
        return false;
    }
    if (entry->kind == JOURNAL_FRAME) {
        if (!blackbox_ring_find(&recording->ring[entry->ring], entry->position, &frame)) {
            return false;
        }
        watch_decode(table, entry->ring, &frame, entry->old != 0, inputs, decoded);
        watch_take(&table->ring[entry->ring], inputs, decoded);
    } else if (of_ring && entry->cause != 0) {
        watch_spoil(&table->ring[entry->ring], inputs, entry->cause);
    }
    inputs->command = entry->command;
    inputs->command_index = entry->command_index;
    inputs->command_ns = entry->command_ns;
    inputs->self_test_bad = entry->conditions & 1;
    inputs->deadline_missed = entry->conditions >> 1 & 1;
    inputs->supervisor_silent = entry->conditions >> 2 & 1;
    inputs->output_fault = entry->output_fault;
    inputs->gate_passed = entry->gate_passed;
    inputs->now_ns = entry->now_ns;
    return true;
}

static void differ(struct replay_result *result, uint64_t number, const char *what, const char *live,
                   const char *replayed)
{
    if (result->identical) {
        result->identical = false;
        result->different_at = number;
        snprintf(result->different, sizeof(result->different), "%s: live %s, replayed %s", what, live, replayed);
    }
}

static void differ_number(struct replay_result *result, uint64_t number, const char *what, uint32_t live,
                          uint32_t replayed)
{
    char a[16];
    char b[16];
    snprintf(a, sizeof(a), "0x%x", live);
    snprintf(b, sizeof(b), "0x%x", replayed);
    differ(result, number, what, a, b);
}

static void compare(struct replay_result *result, uint64_t number, const struct journal_entry *entry)
{
    const struct replay_run *run = &result->run;
    result->compared++;
    if (run->outputs.energised != entry->energised) {
        differ_number(result, number, "energised outputs", entry->energised, run->outputs.energised);
    }
    if (run->state.code != entry->code) {
        differ(result, number, "state", engine_state_name(entry->code), engine_state_name(run->state.code));
    }
    if ((uint32_t)run->state.trips != entry->trips) {
        differ_number(result, number, "trips", entry->trips, (uint32_t)run->state.trips);
    }
}

/* What is worked out anew in each step, also in those that changed nothing and are not in the journal, is no memory
 * of the engine's: its causes, and the count of its steps. Behind the first-out's end stands what an earlier one
 * left. */
static void keep_memory(struct engine_state *to, const struct engine_state *from)
{
    uint32_t n = from->first_out_count < ENGINE_CAUSES_MAX ? from->first_out_count : ENGINE_CAUSES_MAX;
    memcpy(to, from, sizeof(*to));
    to->steps = 0;
    to->last_now_ns = 0;
    to->cause_count = 0;
    to->demand_count = 0;
    memset(to->cause, 0, sizeof(to->cause));
    memset(to->first_out + n, 0, (ENGINE_CAUSES_MAX - n) * sizeof(to->first_out[0]));
}

/* Byte identity is meant, of doubles too. */
static bool same_bytes(const void *a, const void *b, size_t bytes)
{
    return memcmp(a, b, bytes) == 0;
}

static bool same_state(const struct engine_state *live, const struct engine_state *replayed, const char **where)
{
    static struct engine_state a;
    static struct engine_state b;
    keep_memory(&a, live);
    keep_memory(&b, replayed);
    *where = !same_bytes(a.rule, b.rule, sizeof(a.rule)) ? "what a rule remembers" : "the engine's state";
    return same_bytes(&a, &b, sizeof(a));
}

static void meet_checkpoint(struct replay_result *result, const struct control_checkpoint *checkpoint, bool known)
{
    struct replay_run *run = &result->run;
    const char *where = "the channels' samples";
    if (!known) {
        load(run, checkpoint); /* what came between was lost: on from here */
        return;
    }
    result->checkpoints++;
    bool same = same_bytes(checkpoint->inputs.channel, run->inputs.channel, sizeof(run->inputs.channel));
    if (!same || !same_state(&checkpoint->state, &run->state, &where)) {
        differ(result, checkpoint->journal, "checkpoint", where, "something else");
        load(run, checkpoint);
    }
}

/* A control process that has started anew begins with one of these. */
static bool begins_anew(const struct blackbox_recording *recording, uint64_t k)
{
    return k > 0 && recording->checkpoint[k].state.steps <= recording->checkpoint[k - 1].state.steps;
}

static void run_entry(const struct blackbox_recording *recording, uint64_t number, struct replay_result *result,
                      bool *known)
{
    const struct journal_entry *entry = &recording->entry[number - recording->first_entry];
    struct replay_run *run = &result->run;
    bool first_out_open = run->state.first_out_open != 0;
    *known = *known && entry->now_ns != 0 && set_inputs(recording, entry, &run->inputs);
    if (!*known) {
        result->not_compared++;
        return;
    }
    engine_step(run->table, &run->state, &run->inputs, &run->outputs);
    replay_run_note(run, first_out_open);
    result->frames += entry->kind == JOURNAL_FRAME;
    compare(result, number, entry);
}

int replay_exact(const struct blackbox_recording *recording, struct replay_result *result, struct error *err)
{
    uint64_t end = recording->first_entry + recording->entries;
    uint64_t next = 0;
    bool known = false;
    if (recording->checkpoints == 0 || recording->checkpoint[0].journal < recording->first_entry ||
        recording->checkpoint[0].journal > end) {
        return error_set(err, -EPROTO,
                         "expected a checkpoint of the engine to begin with, found none that the journal's entries "
                         "%" PRIu64 " to %" PRIu64 " go on from; with --rules its frames can still be replayed",
                         recording->first_entry, end);
    }
    result->exact = true;
    result->identical = true;
    result->run.table = recording->table;
    for (uint64_t n = recording->checkpoint[0].journal; n < end; n++) {
        while (next < recording->checkpoints && recording->checkpoint[next].journal <= n) {
            meet_checkpoint(result, &recording->checkpoint[next], known && !begins_anew(recording, next));
            known = recording->checkpoint[next].journal == n || known;
            next++;
        }
        run_entry(recording, n, result, &known);
        if (!result->identical) {
            break;
        }
    }
    if (result->not_compared > 0) {
        replay_note(result,
                    "%" PRIu64
                    " steps could not be compared: entries of the journal, or frames, were overwritten before "
                    "the black box came to them",
                    result->not_compared);
    }
    return 0;
}
