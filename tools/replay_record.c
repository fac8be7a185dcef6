/* A recording (daq/record_format.h) under a table of rules. The frames of the rings that the rules watch are taken
 * in order of their stamps, and at the same stamp in the rules' order of rings, each as control takes it
 * (control/watch.c). Memory: one block of each ring.
 *
 * Channels are decoded as they were recorded; valid ranges, limits and delays are the rules'. Outputs have no
 * feedback here: the recorded valves followed other decisions. Positions that are not in the recording are what an
 * overrun is to control: nobody can tell what was in them. What was left out on purpose (decimated) is not. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/clock.h"
#include "tools/replay.h"

#define IDLE_NS   CLOCK_NS_PER_MS /* the clock is looked at so often between two frames .. */
#define IDLE_MAX  1000u           /* .. but not more often than this */
#define NOT_THERE UINT32_MAX

/* A ring that the rules watch. */
struct watched {
    const struct record_ring *ring;
    struct record_cursor *cursor;
    struct record_item item; /* the next one */
    bool has_item;
    uint64_t at_ns; /* when it is its turn: stamps that go back do not turn the order of positions round */
};

struct record_replay {
    struct control_table table;               /* without feedback */
    uint32_t from_ring[CONTROL_CHANNELS_MAX]; /* of each of its channels the index in watched[], or NOT_THERE */
    uint32_t from_channel[CONTROL_CHANNELS_MAX];
    struct watched watched[CONTROL_RINGS_MAX];
    uint32_t rings;
    struct replay_result *result;
    uint64_t missing[RECORD_CAUSES];
};

bool replay_rule_uses(const struct control_table *table, uint32_t channel)
{
    for (uint32_t i = 0; i < table->rules; i++) {
        const struct control_rule *rule = &table->rule[i];
        bool leaf = rule->form != FORM_VOTE && rule->form != FORM_NOT;
        if (leaf && (rule->channel == channel || (rule->form == FORM_DEVIATION && rule->other == channel))) {
            return true;
        }
    }
    return false;
}

/* The ring of the recording that has this channel. The rules' own ring first: there may be others of that name. */
static bool find_channel(struct record_set *set, const char *own_ring, const char *name, uint32_t *ring,
                         uint32_t *channel)
{
    unsigned rings = record_rings(set);
    int own = record_find_ring(set, own_ring);
    for (unsigned k = 0; k <= rings; k++) {
        unsigned r = k == 0 ? (unsigned)own : k - 1;
        if (k == 0 && own < 0) {
            continue;
        }
        const struct record_ring *found = record_ring(set, r);
        for (uint32_t c = 0; c < found->header.channels; c++) {
            if (strcmp(found->channel[c].name, name) == 0) {
                *ring = r;
                *channel = c;
                return true;
            }
        }
    }
    return false;
}

/* Its place in watched[], where it gets one if it is not there yet. */
static uint32_t watch_ring(struct record_replay *r, const struct record_ring *ring)
{
    for (uint32_t i = 0; i < r->rings; i++) {
        if (r->watched[i].ring == ring) {
            return i;
        }
    }
    r->watched[r->rings].ring = ring;
    return r->rings++;
}

static int match_channel(struct record_replay *r, struct record_set *set, uint32_t i, struct error *err)
{
    const struct control_channel *wanted = &r->table.channel[i];
    uint32_t ring;
    uint32_t channel;
    r->from_ring[i] = NOT_THERE;
    if (!replay_rule_uses(&r->table, i)) {
        return 0;
    }
    if (!find_channel(set, r->table.ring[wanted->ring].name, wanted->decode.name, &ring, &channel)) {
        return error_set(err, -EINVAL,
                         "a rule looks at channel %s of ring %s, which this recording does not have; sluice info "
                         "lists what it has",
                         wanted->decode.name, r->table.ring[wanted->ring].name);
    }
    const struct record_ring *found = record_ring(set, ring);
    if (strcmp(found->channel[channel].unit, wanted->decode.unit) != 0) {
        return error_set(err, -EINVAL,
                         "channel %s: expected the unit '%s' of the rules, found '%s' in the recording",
                         wanted->decode.name, wanted->decode.unit, found->channel[channel].unit);
    }
    r->from_ring[i] = watch_ring(r, found);
    r->from_channel[i] = channel;
    return 0;
}

/* In the order of the table's channels, which is that of its rings. */
static int match_channels(struct record_replay *r, struct record_set *set, struct error *err)
{
    for (uint32_t i = 0; i < r->table.channels; i++) {
        int code = match_channel(r, set, i, err);
        if (code != 0) {
            return code;
        }
    }
    return r->rings > 0 ? 0 : error_set(err, -EINVAL, "the rules look at no channel");
}

static int advance(struct watched *w, struct error *err)
{
    int got = record_next(w->cursor, &w->item, err);
    w->has_item = got == 1;
    if (got == 1 && w->item.kind == RECORD_ITEM_FRAME && w->item.frame.tai_ns > w->at_ns) {
        w->at_ns = w->item.frame.tai_ns;
    }
    return got < 0 ? got : 0;
}

static int open_cursors(struct record_replay *r, struct record_set *set, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < r->rings; i++) {
        struct watched *w = &r->watched[i];
        int ring = record_find_ring(set, w->ring->header.ring);
        code = record_cursor_open(&w->cursor, set, (unsigned)ring, err);
        if (code == 0) {
            code = advance(w, err);
        }
    }
    return code;
}

/* The ring whose turn it is; NULL: all are at their ends. */
static struct watched *next_ring(struct record_replay *r)
{
    struct watched *next = NULL;
    for (uint32_t i = 0; i < r->rings; i++) {
        struct watched *w = &r->watched[i];
        if (w->has_item && (next == NULL || w->at_ns < next->at_ns)) {
            next = w;
        }
    }
    return next;
}

static void spoil(struct record_replay *r, uint32_t ring, uint32_t cause)
{
    struct engine_inputs *inputs = &r->result->run.inputs;
    for (uint32_t i = 0; i < r->table.channels; i++) {
        if (r->from_ring[i] == ring) {
            inputs->channel[i].fault = cause;
            inputs->channel[i].samples++;
        }
    }
}

static void take_frame(struct record_replay *r, uint32_t ring, const struct sluice_frame *frame)
{
    struct engine_inputs *inputs = &r->result->run.inputs;
    const struct record_ring *from = r->watched[ring].ring;
    bool old = (frame->flags & SLUICE_FRAME_REORDERED) != 0;
    for (uint32_t i = 0; i < r->table.channels; i++) {
        struct engine_sample *sample = &inputs->channel[i];
        if (r->from_ring[i] != ring) {
            continue;
        }
        *sample = (struct engine_sample){.tai_ns = old ? sample->tai_ns : frame->tai_ns,
                                         .samples = sample->samples + 1,
                                         .source_sequence = frame->source_sequence,
                                         .position = frame->position,
                                         .old = old};
        if (!ring_channels_decode(from->channel, r->from_channel[i], from->number, frame->payload,
                                  frame->length_bytes, &sample->value)) {
            sample->fault = CAUSE_FRAME;
        }
    }
}

/* Dropped by the recorded host: control takes the channels for bad before it looks at the frame. */
static bool was_dropped_there(const struct sluice_frame *frame)
{
    return (frame->flags & (SLUICE_FRAME_LOST_BEFORE | SLUICE_FRAME_GAP)) != 0 &&
           (frame->cause == RING_LOSS_KERNEL || frame->cause == RING_LOSS_NIC ||
            frame->cause == RING_LOSS_RING_FULL);
}

static void step_at(struct record_replay *r, uint64_t tai_ns)
{
    struct replay_run *run = &r->result->run;
    run->inputs.command = COMMAND_NONE;
    run->inputs.now_ns = tai_ns > run->inputs.now_ns ? tai_ns : run->inputs.now_ns;
    replay_run_step(run);
}

static void take_item(struct record_replay *r, uint32_t ring)
{
    struct watched *w = &r->watched[ring];
    const struct sluice_frame *frame = &w->item.frame;
    if (w->item.kind == RECORD_ITEM_GAP) {
        uint32_t cause = w->item.gap.cause < RECORD_CAUSES ? w->item.gap.cause : (uint32_t)RECORD_CAUSE_UNKNOWN;
        r->missing[cause] += w->item.gap.count;
        if (cause != RECORD_CAUSE_DECIMATED) {
            spoil(r, ring, CAUSE_OVERRUN);
            step_at(r, w->at_ns);
        }
        return;
    }
    r->result->frames++;
    if (was_dropped_there(frame)) {
        spoil(r, ring, CAUSE_OVERRUN);
        step_at(r, w->at_ns);
    }
    if ((frame->flags & SLUICE_FRAME_GAP) != 0) {
        if (frame->cause == RING_LOSS_RESTART) {
            spoil(r, ring, CAUSE_STALE);
        }
    } else if ((frame->flags & SLUICE_FRAME_DUPLICATE) == 0) {
        take_frame(r, ring, frame);
    }
    step_at(r, w->at_ns);
}

static int run_all(struct record_replay *r, struct error *err)
{
    struct replay_run *run = &r->result->run;
    struct watched *w;
    int code = 0;
    while (code == 0 && (w = next_ring(r)) != NULL) {
        uint64_t gap_ns = w->at_ns > run->inputs.now_ns ? w->at_ns - run->inputs.now_ns : 0;
        replay_run_idle(run, w->at_ns, gap_ns / IDLE_MAX > IDLE_NS ? gap_ns / IDLE_MAX : IDLE_NS);
        take_item(r, (uint32_t)(w - r->watched));
        code = advance(w, err);
    }
    return code;
}

static void note_missing(const struct record_replay *r, const struct record_set *set)
{
    for (uint32_t cause = 1; cause < RECORD_CAUSES; cause++) {
        if (r->missing[cause] > 0) {
            replay_note(r->result, "%" PRIu64 " frames of watched rings are not in the recording: %s%s",
                        r->missing[cause], record_cause_name(cause),
                        cause == RECORD_CAUSE_DECIMATED ? "" : "; their channels are bad there");
        }
    }
    if (record_problems(set) > 0) {
        replay_note(r->result, "%" PRIu64 " problems in the recording, the first: %.180s; see sluice info",
                    record_problems(set), record_problem(set, 0)->text);
    }
}

int replay_recording(struct record_set *set, const struct control_table *rules, struct replay_result *result,
                     struct error *err)
{
    struct record_replay *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return error_set(err, -ENOMEM, "no memory for another table");
    }
    bool arms = result->run.arms;
    r->result = result;
    r->table = *rules;
    for (uint32_t i = 0; i < r->table.outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        r->table.output[i].feedback = (struct control_feedback){.form = FEEDBACK_NONE};
    }
    int code = match_channels(r, set, err);
    if (code == 0) {
        code = open_cursors(r, set, err);
    }
    if (code == 0) {
        replay_run_start(&result->run, &r->table);
        result->run.arms = arms;
        code = run_all(r, err);
        note_missing(r, set);
    }
    for (uint32_t i = 0; i < r->rings; i++) {
        record_cursor_close(r->watched[i].cursor);
    }
    result->run.table = rules; /* the same but for the feedback */
    free(r);
    return code;
}
