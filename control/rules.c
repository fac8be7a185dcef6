#include "control/rules.h"

#include "control/events.h"
#include "ring/channel.h"
#include "ring/clock.h"

#define WHOLE_MAX 9007199254740992.0 /* 2^53: every whole number up to it is exact */
#define NS_PER_S  1e9

/* What a leaf rule sees in one new sample. */
struct look {
    double value;  /* what is compared: value, difference, rate, seconds */
    uint64_t t_ns; /* the sample's stamp */
    bool old;
    bool out;      /* beyond the limit */
    bool back;     /* inside the limit, hysteresis included */
    bool known;    /* false: truth is UNKNOWN unless beyond */
    bool low_side; /* nearer to the low limit */
    bool first;    /* there is nothing to compare it with yet */
    bool partial;  /* RATE: the window is not over: what is inside so far proves nothing */
    uint32_t why;
};

/* Why a sample is not GOOD, CAUSE_NONE if it is. Whatever is unknown is not good. */
/*@ requires \valid_read(table) && \valid_read(channel) && \valid_read(sample);
    assigns \nothing;
    ensures good: \result == CAUSE_NONE ==> sample->samples != 0 && sample->fault == CAUSE_NONE &&
            (sample->tai_ns <= now_ns ==> now_ns - sample->tai_ns <= channel->stale_ns) && (sample->tai_ns >
            now_ns ==> sample->tai_ns - now_ns <= table->future_ns); */
static uint32_t judge(const struct control_table *table, const struct control_channel *channel,
                      const struct engine_sample *sample, uint64_t now_ns)
{
    if (sample->samples == 0) {
        return CAUSE_STALE;
    }
    if (sample->fault != CAUSE_NONE) {
        return sample->fault;
    }
    if (sample->tai_ns > now_ns) {
        if (sample->tai_ns - now_ns > table->future_ns) {
            return CAUSE_FRAME;
        }
    } else if (now_ns - sample->tai_ns > channel->stale_ns) {
        return CAUSE_STALE;
    }
    if (ring_is_not_finite(sample->value)) {
        return CAUSE_NOT_FINITE;
    }
    /* Written so that an unordered comparison would be BAD as well. */
    if (!(sample->value >= channel->decode.range_low && sample->value <= channel->decode.range_high)) {
        return CAUSE_RANGE;
    }
    return CAUSE_NONE;
}

void rules_judge_channels(const struct control_table *table, struct engine_state *state,
                          const struct engine_inputs *inputs, struct engine_outputs *outputs)
{
    /*@ loop invariant 0 <= i <= CONTROL_CHANNELS_MAX;
        loop invariant \forall integer k; 0 <= k < i ==> (state->quality[k] == ENGINE_GOOD <==> state->why[k] ==
                CAUSE_NONE);
        loop
        assigns i, state->why[0 .. CONTROL_CHANNELS_MAX - 1], state->quality[0 .. CONTROL_CHANNELS_MAX - 1],
                outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX -
                1];
        loop variant CONTROL_CHANNELS_MAX - i; */
    for (uint32_t i = 0; i < CONTROL_CHANNELS_MAX && i < table->channels; i++) {
        uint32_t why = judge(table, &table->channel[i], &inputs->channel[i], inputs->now_ns);
        uint32_t quality = why == CAUSE_NONE ? ENGINE_GOOD : why == CAUSE_STALE ? ENGINE_STALE : ENGINE_BAD;
        if (state->why[i] != why) {
            state->why[i] = why;
            outputs->changed = 1;
        }
        if (state->quality[i] != quality) {
            state->quality[i] = quality;
            engine_emit(outputs, inputs->now_ns, EVENT_QUALITY, i, (double)quality);
        }
    }
}

bool rules_whole_number(double value, uint64_t *number)
{
    if (!(value >= 0.0 && value <= WHOLE_MAX)) {
        return false;
    }
    uint64_t whole = (uint64_t)value;
    *number = whole;
    return (double)whole == value;
}

/* Out and back by the rule's limits; a comparison that is unordered is out, and not back. */
/*@ requires \valid_read(rule) && \valid(look) && \separated(rule, look);
    assigns look->out, look->back, look->why, look->low_side; */
static void compare(const struct control_rule *rule, struct look *look)
{
    bool above = rule->has_high != 0 && !(look->value <= rule->high);
    bool below = rule->has_low != 0 && !(look->value >= rule->low);
    bool near_high = rule->has_high != 0 && !(look->value <= rule->high_clear);
    bool near_low = rule->has_low != 0 && !(look->value >= rule->low_clear);
    look->out = above || below;
    look->back = !near_high && !near_low;
    look->low_side = !near_high && (near_low || rule->has_high == 0);
    if (look->why == CAUSE_HIGH && !above && below) {
        look->why = CAUSE_LOW;
    }
}

/* Inside the hysteresis a limit keeps the name that it was passed by. */
/*@ requires \valid_read(rule) && \valid_read(memory) && \valid_read(look);
    assigns \nothing; */
static uint32_t keep_why(const struct control_rule *rule, const struct engine_rule_state *memory,
                         const struct look *look)
{
    if (rule->form != FORM_LIMIT || look->out) {
        return look->why;
    }
    if (memory->why == CAUSE_HIGH || memory->why == CAUSE_LOW) {
        return memory->why;
    }
    return look->low_side ? CAUSE_LOW : CAUSE_HIGH;
}

/* The first sample after the start or a time of bad quality is only a reference. True: it was one. */
/*@ requires \valid(memory) && \valid(look) && \separated(memory, look);
    assigns memory->anchor, memory->anchor_ns, memory->has_anchor, look->first, look->value; */
static bool take_anchor(struct engine_rule_state *memory, struct look *look)
{
    if (memory->has_anchor != 0) {
        return false;
    }
    if (!look->old) {
        memory->anchor = look->value;
        memory->anchor_ns = look->t_ns;
        memory->has_anchor = 1;
    }
    look->first = true;
    look->value = 0.0;
    return true;
}

/* A peak between two references counts as well: it is judged as if it had taken the whole window. */
/*@ requires \valid_read(rule) && \valid(memory) && \valid(look) && \separated(rule, memory, look);
    assigns memory->anchor, memory->anchor_ns, memory->has_anchor, memory->settled, *look; */
static void look_at_rate(const struct control_rule *rule, struct engine_rule_state *memory, struct look *look)
{
    double value = look->value;
    if (take_anchor(memory, look)) {
        return;
    }
    uint64_t dt_ns = clock_elapsed_ns(memory->anchor_ns, look->t_ns);
    uint64_t over_ns = dt_ns > rule->window_ns ? dt_ns : rule->window_ns;
    look->value = (value - memory->anchor) / ((double)over_ns / NS_PER_S);
    compare(rule, look);
    look->why = CAUSE_RATE;
    look->partial = dt_ns < rule->window_ns;
    if (dt_ns >= rule->window_ns && !look->old) {
        memory->settled = 1;
        memory->anchor = value;
        memory->anchor_ns = look->t_ns;
    }
    look->known = memory->settled != 0;
}

/*@ requires \valid_read(rule) && \valid(memory) && \valid(look) && \separated(rule, memory, look);
    assigns memory->anchor, memory->anchor_ns, memory->has_anchor, memory->settled, *look; */
static void look_at_stuck(const struct control_rule *rule, struct engine_rule_state *memory, struct look *look)
{
    double value = look->value;
    look->why = CAUSE_STUCK;
    if (take_anchor(memory, look)) {
        return;
    }
    double moved = value > memory->anchor ? value - memory->anchor : memory->anchor - value;
    if (moved > rule->band && !look->old) {
        memory->anchor = value;
        memory->anchor_ns = look->t_ns;
        memory->settled = 1;
    }
    uint64_t still_ns = clock_elapsed_ns(memory->anchor_ns, look->t_ns);
    look->value = (double)still_ns / NS_PER_S;
    look->out = still_ns >= rule->window_ns;
    look->back = !look->out;
    look->known = memory->settled != 0;
}

/*@ requires \valid_read(rule) && \valid(look) && \separated(rule, look);
    assigns *look; */
static void look_at_bit(const struct control_rule *rule, struct look *look)
{
    uint64_t number;
    look->why = CAUSE_BIT;
    if (!rules_whole_number(look->value, &number)) {
        look->why = CAUSE_RANGE;
        return;
    }
    look->out = ((number & rule->mask) != 0) == (rule->demand_when != 0);
    look->back = !look->out;
}

/* The delays: `beyond` begins after on_samples and on_ns, and ends after off_samples and off_ns. Stamps that step
 * back let it begin and never let it end. What is old, or a part of a window, counts if it is out; inside it
 * neither interrupts a demand that begins nor ends one: a ramp that goes on is below its limit at the start of
 * every window.
 */
/*@ requires \valid_read(rule) && \valid(memory) && \valid_read(look) && \separated(rule, memory, look);
    assigns memory->beyond_samples, memory->beyond_since_ns, memory->beyond, memory->inside_samples,
            memory->inside_since_ns; */
static void count(const struct control_rule *rule, struct engine_rule_state *memory, const struct look *look)
{
    bool proves = !look->old && !look->partial;
    if (memory->beyond == 0) {
        if (look->out) {
            if (memory->beyond_samples == 0) {
                memory->beyond_since_ns = look->t_ns;
            }
            memory->beyond_samples++;
            if (memory->beyond_samples >= rule->on_samples &&
                (look->t_ns < memory->beyond_since_ns || look->t_ns - memory->beyond_since_ns >= rule->on_ns)) {
                memory->beyond = 1;
                memory->inside_samples = 0;
            }
        } else if (proves) {
            memory->beyond_samples = 0;
        }
        return;
    }
    if (!look->back) {
        memory->inside_samples = 0;
    } else if (proves) {
        if (memory->inside_samples == 0) {
            memory->inside_since_ns = look->t_ns;
        }
        memory->inside_samples++;
        if (memory->inside_samples >= rule->off_samples && look->t_ns >= memory->inside_since_ns &&
            look->t_ns - memory->inside_since_ns >= rule->off_ns) {
            memory->beyond = 0;
            memory->beyond_samples = 0;
        }
    }
}

/*@ requires \valid(memory) && \valid(outputs) && \separated(memory, outputs);
    assigns memory->truth, memory->why, outputs->changed;
    ensures memory->truth == truth; */
static void set_truth(struct engine_rule_state *memory, uint32_t truth, uint32_t why,
                      struct engine_outputs *outputs)
{
    why = truth == TRUTH_CLEAR ? CAUSE_NONE : why;
    if (memory->truth != truth || memory->why != why) {
        memory->truth = truth;
        memory->why = why;
        outputs->changed = 1;
    }
}

/* A change must be seen at least every window_ns, by the clock: the sender's mind, not its samples. */
/*@ requires \valid_read(rule) && \valid(memory) && \valid_read(sample) && \valid(outputs);
    requires \separated(rule, memory, sample, outputs);
    assigns *memory, outputs->changed; */
static void judge_heartbeat(const struct control_rule *rule, struct engine_rule_state *memory,
                            const struct engine_sample *sample, uint64_t now_ns, struct engine_outputs *outputs)
{
    if (sample->samples != memory->seen_samples) {
        memory->seen_samples = sample->samples;
        outputs->changed = 1;
        if (sample->old == 0 && (memory->has_anchor == 0 || sample->value != memory->anchor)) {
            memory->settled = memory->has_anchor;
            memory->has_anchor = 1;
            memory->anchor = sample->value;
            memory->anchor_ns = sample->tai_ns;
        }
    }
    uint64_t gone_ns = clock_elapsed_ns(memory->anchor_ns, now_ns);
    if (memory->has_anchor == 0 || memory->settled == 0) {
        set_truth(memory, TRUTH_UNKNOWN, CAUSE_HISTORY, outputs);
    } else if (gone_ns > rule->window_ns) {
        if (memory->truth != TRUTH_DEMAND) {
            memory->measure = (double)gone_ns / NS_PER_S;
        }
        set_truth(memory, TRUTH_DEMAND, CAUSE_HEARTBEAT, outputs);
    } else {
        set_truth(memory, TRUTH_CLEAR, CAUSE_NONE, outputs);
    }
}

/*@ requires \valid_read(rule) && \valid(memory) && \valid(look) && \valid(outputs);
    requires \separated(rule, memory, look, outputs);
    assigns *memory, *look, outputs->changed; */
static void judge_sample(const struct control_rule *rule, struct engine_rule_state *memory, struct look *look,
                         struct engine_outputs *outputs)
{
    switch (rule->form) {
    case FORM_LIMIT:
        look->why = CAUSE_HIGH;
        compare(rule, look);
        break;
    case FORM_DEVIATION:
        compare(rule, look);
        look->why = CAUSE_DEVIATION;
        break;
    case FORM_BIT:
        look_at_bit(rule, look);
        break;
    case FORM_RATE:
        look_at_rate(rule, memory, look);
        break;
    default:
        look_at_stuck(rule, memory, look);
    }
    memory->measure = look->value;
    if (look->why == CAUSE_RANGE) { /* a bit of something that is no whole number */
        memory->inside_samples = 0;
        set_truth(memory, TRUTH_UNKNOWN, CAUSE_RANGE, outputs);
        return;
    }
    if (look->first) {
        set_truth(memory, TRUTH_UNKNOWN, CAUSE_HISTORY, outputs);
        return;
    }
    count(rule, memory, look);
    if (memory->beyond != 0) {
        set_truth(memory, TRUTH_DEMAND, keep_why(rule, memory, look), outputs);
    } else if (!look->known) {
        set_truth(memory, TRUTH_UNKNOWN, CAUSE_HISTORY, outputs);
    } else if (!look->old || memory->truth != TRUTH_UNKNOWN) { /* what is old clears nothing */
        set_truth(memory, TRUTH_CLEAR, CAUSE_NONE, outputs);
    }
}

/* Of a channel that is not good nothing is known; what the rule had counted so far stands. */
/*@ requires \valid(memory) && \valid(outputs) && \separated(memory, outputs);
    assigns *memory, outputs->changed;
    ensures memory->truth == TRUTH_UNKNOWN; */
static void judge_unknown(struct engine_rule_state *memory, uint32_t why, uint64_t samples,
                          struct engine_outputs *outputs)
{
    if (memory->seen_samples != samples || memory->inside_samples != 0 || memory->has_anchor != 0 ||
        memory->settled != 0) {
        memory->seen_samples = samples;
        memory->inside_samples = 0;
        memory->has_anchor = 0;
        memory->settled = 0;
        outputs->changed = 1;
    }
    set_truth(memory, TRUTH_UNKNOWN, why, outputs);
}

/*@ requires \valid_read(table) && \valid_read(state) && \valid_read(inputs) && \valid_read(rule);
    requires \valid(memory) && \valid(outputs) && \separated(table, inputs, memory, outputs);
    requires \separated(rule, memory, outputs) && \separated(rule, inputs) && \separated(memory, &state->why[0 ..
            CONTROL_CHANNELS_MAX - 1]);
    requires \separated(outputs, state);
    assigns *memory, outputs->changed;
    ensures bad_is_unknown: rule->channel < CONTROL_CHANNELS_MAX && state->why[rule->channel] != CAUSE_NONE ==>
            memory->truth == TRUTH_UNKNOWN; */
static void judge_leaf(const struct control_table *table, const struct engine_state *state,
                       const struct engine_inputs *inputs, const struct control_rule *rule,
                       struct engine_rule_state *memory, struct engine_outputs *outputs)
{
    uint32_t a = rule->channel;
    uint32_t b = rule->form == FORM_DEVIATION ? rule->other : rule->channel;
    if (a >= table->channels || b >= table->channels || a >= CONTROL_CHANNELS_MAX || b >= CONTROL_CHANNELS_MAX) {
        set_truth(memory, TRUTH_UNKNOWN, CAUSE_SELF_TEST, outputs);
        return;
    }
    const struct engine_sample *first = &inputs->channel[a];
    const struct engine_sample *second = &inputs->channel[b];
    bool pair = rule->form == FORM_DEVIATION;
    uint64_t samples = pair ? first->samples + second->samples : first->samples;
    uint32_t why = state->why[a] != CAUSE_NONE ? state->why[a] : state->why[b];
    if (why != CAUSE_NONE) {
        uint32_t bad_second = state->why[a] == CAUSE_NONE ? 1 : 0;
        outputs->changed |= memory->bad_second != bad_second ? 1 : 0;
        memory->bad_second = bad_second;
        judge_unknown(memory, why, samples, outputs);
        return;
    }
    if (rule->form == FORM_HEARTBEAT) {
        judge_heartbeat(rule, memory, first, inputs->now_ns, outputs);
        return;
    }
    if (samples == memory->seen_samples) {
        return;
    }
    struct look look = {.value = pair ? first->value - second->value : first->value,
                        .t_ns = pair && second->tai_ns > first->tai_ns ? second->tai_ns : first->tai_ns,
                        .old = first->old != 0 || (pair && second->old != 0),
                        .known = true};
    memory->seen_samples = samples;
    outputs->changed = 1;
    judge_sample(rule, memory, &look, outputs);
}

/* What a vote sees of the rules in front of it: a word each, so that one addition counts and one shift marks both
 * what demands and what is unknown. */
#define MEMBER_DEMANDS UINT32_C(1)
#define MEMBER_UNKNOWN UINT32_C(65536)
static_assert(CONTROL_MEMBERS_MAX <= 16, "a half of a word has a bit for each member");

struct members {
    uint32_t word[CONTROL_RULES_MAX]; /* 0: clear; of the rules judged so far in this step */
};

/*@ predicate member_words(struct members *m, integer n) = \forall integer k; 0 <= k < n ==> m->word[k] == 0 ||
            m->word[k] == 1 || m->word[k] == 65536; */
/*@ requires \valid_read(memory);
    assigns \nothing;
    ensures \result == 0 || \result == 1 || \result == 65536; */
static uint32_t member_word(const struct engine_rule_state *memory)
{
    if (memory->bypass_until_ns != 0 || memory->truth == TRUTH_UNKNOWN) {
        return MEMBER_UNKNOWN;
    }
    return memory->truth != TRUTH_CLEAR ? MEMBER_DEMANDS : 0;
}

/* Marks and counts the members that demand, in the low halves, and those that are unknown. False: the rule cannot
 * be right. The engine's dearest loop. */
/*@ requires \valid_read(members) && \valid_read(rule) && \valid(marked) && \valid(counted);
    requires \separated(members, marked, counted) && \separated(rule, marked, counted);
    requires index < CONTROL_RULES_MAX && member_words(members, index);
    assigns *marked, *counted;
    ensures \result != 0 ==> *counted % 65536 + *counted / 65536 <= CONTROL_MEMBERS_MAX; */
static bool count_members(const struct members *members, const struct control_rule *rule, uint32_t index,
                          uint32_t *marked, uint32_t *counted)
{
    uint32_t count = rule->members;
    uint32_t marks = 0;
    uint32_t votes = 0;
    if (count == 0 || count > CONTROL_MEMBERS_MAX) {
        return false;
    }
    /*@ loop invariant 0 <= i <= count;
        loop invariant votes % 65536 + votes / 65536 <= i;
        loop
        assigns i, marks, votes;
        loop variant count - i; */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t m = rule->member[i];
        if (m >= index) {
            return false;
        }
        marks |= members->word[m] << i;
        votes += members->word[m];
    }
    *marked = marks;
    *counted = votes;
    return true;
}

/*@ logic integer needs(integer needed) = needed == 0 ? 1 : needed;
    // The vote as it should be, and what makes it monotone: a member that turns unknown takes no trip away.
    predicate vote_clear(integer needed, boolean strict, integer d, integer u) =
            d + u < needs(needed) && !(u > 0 && strict);
    lemma worse_is_not_clear: \forall integer n, d, u, boolean s;
            !vote_clear(n, s, d, u) && d > 0 ==> !vote_clear(n, s, d - 1, u + 1);
    lemma worse_from_clear: \forall integer n, d, u, boolean s;
            vote_clear(n, s, d, u + 1) ==> vote_clear(n, s, d, u); */
/*@ requires \valid_read(rule) && demanding <= CONTROL_MEMBERS_MAX && unknown <= CONTROL_MEMBERS_MAX;
    assigns \nothing;
    ensures exact: \result == TRUTH_CLEAR <==> vote_clear(rule->needed, (boolean)(rule->unknown_trips != 0),
            demanding, unknown);
    ensures three: \result == TRUTH_CLEAR || \result == TRUTH_DEMAND || \result == TRUTH_UNKNOWN;
    ensures demand: \result == TRUTH_DEMAND <==> demanding >= needs(rule->needed); */
static uint32_t vote(const struct control_rule *rule, uint32_t demanding, uint32_t unknown)
{
    uint32_t needed = rule->needed != 0 ? rule->needed : 1;
    if (demanding >= needed) {
        return TRUTH_DEMAND;
    }
    if (unknown > 0 && rule->unknown_trips != 0) {
        return TRUTH_UNKNOWN;
    }
    return demanding + unknown >= needed ? TRUTH_UNKNOWN : TRUTH_CLEAR;
}

/*@ requires \valid_read(members) && \valid(memory) && \valid_read(rule) && \valid(outputs);
    requires \separated(members, memory, rule, outputs);
    requires index < CONTROL_RULES_MAX && member_words(members, index);
    assigns *memory, outputs->changed; */
static void judge_group(const struct members *members, const struct control_rule *rule, uint32_t index,
                        struct engine_rule_state *memory, struct engine_outputs *outputs)
{
    uint32_t marked;
    uint32_t counted;
    if (!count_members(members, rule, index, &marked, &counted)) {
        set_truth(memory, TRUTH_UNKNOWN, CAUSE_SELF_TEST, outputs);
        return;
    }
    uint32_t demanding = marked % MEMBER_UNKNOWN;
    uint32_t unknown = marked / MEMBER_UNKNOWN;
    if (memory->members != demanding || memory->unknown != unknown) {
        memory->members = demanding;
        memory->unknown = unknown;
        outputs->changed = 1;
    }
    if (rule->form == FORM_NOT) {
        set_truth(memory,
                  (unknown & 1) != 0     ? TRUTH_UNKNOWN
                  : (demanding & 1) != 0 ? TRUTH_CLEAR
                                         : TRUTH_DEMAND,
                  CAUSE_NOT, outputs);
        return;
    }
    uint32_t votes = counted % MEMBER_UNKNOWN;
    if (memory->measure != (double)votes) {
        memory->measure = (double)votes;
        outputs->changed = 1;
    }
    set_truth(memory, vote(rule, votes, counted / MEMBER_UNKNOWN), CAUSE_VOTE, outputs);
}

/* Over means over: neither can be extended. */
/*@ requires \valid(memory) && \valid(outputs) && \separated(memory, outputs);
    assigns memory->bypass_until_ns, memory->shelved_until_ns, outputs->changed, outputs->events,
            outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX - 1];
    ensures over: memory->bypass_until_ns == 0 || memory->bypass_until_ns > now_ns;
    ensures not_longer: memory->bypass_until_ns == 0 || memory->bypass_until_ns ==
            \old(memory->bypass_until_ns); */
static void end_what_is_over(struct engine_rule_state *memory, uint32_t index, uint64_t now_ns,
                             struct engine_outputs *outputs)
{
    if (memory->bypass_until_ns != 0 && now_ns >= memory->bypass_until_ns) {
        memory->bypass_until_ns = 0;
        engine_emit(outputs, now_ns, EVENT_BYPASS_OFF, index, 1.0);
    }
    if (memory->shelved_until_ns != 0 && now_ns >= memory->shelved_until_ns) {
        memory->shelved_until_ns = 0;
        engine_emit(outputs, now_ns, EVENT_SHELVED, index, 0.0);
    }
}

/*@ requires \valid(memory) && \valid(outputs) && \separated(memory, outputs);
    assigns memory->alarm, outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 ..
            ENGINE_EVENTS_MAX - 1]; */
static void judge_alarm(struct engine_rule_state *memory, uint32_t index, uint64_t now_ns,
                        struct engine_outputs *outputs)
{
    bool active = memory->truth != TRUTH_CLEAR;
    uint32_t next = memory->alarm;
    if (active && (next == ALARM_NORMAL || next == ALARM_RETURNED)) {
        next = ALARM_UNACKNOWLEDGED;
    } else if (!active && next == ALARM_UNACKNOWLEDGED) {
        next = ALARM_RETURNED;
    } else if (!active && next == ALARM_ACKNOWLEDGED) {
        next = ALARM_NORMAL;
    }
    if (next != memory->alarm) {
        memory->alarm = next;
        engine_emit(outputs, now_ns, EVENT_ALARM, index, (double)next);
    }
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs) && \valid_read(members);
    requires index < CONTROL_RULES_MAX && member_words(members, index);
    requires \separated(table, state, inputs, outputs, members);
    assigns state->rule[index], outputs->changed;
    ensures bad_is_unknown: FORM_LIMIT <= table->rule[index].form <= FORM_HEARTBEAT &&
            table->rule[index].channel < CONTROL_CHANNELS_MAX && state->why[table->rule[index].channel] !=
            CAUSE_NONE ==> state->rule[index].truth == TRUTH_UNKNOWN; */
static void judge_truth(const struct control_table *table, struct engine_state *state,
                        const struct engine_inputs *inputs, uint32_t index, const struct members *members,
                        struct engine_outputs *outputs)
{
    const struct control_rule *rule = &table->rule[index];
    struct engine_rule_state *memory = &state->rule[index];
    if (rule->form >= FORM_LIMIT && rule->form <= FORM_HEARTBEAT) {
        judge_leaf(table, state, inputs, rule, memory, outputs);
    } else if (rule->form == FORM_VOTE || rule->form == FORM_NOT) {
        judge_group(members, rule, index, memory, outputs);
    } else {
        set_truth(memory, TRUTH_UNKNOWN, CAUSE_SELF_TEST, outputs);
    }
}

/* What follows from a rule's truth by itself: the event, and the alarm that it may be. */
/*@ requires \valid_read(rule) && \valid(memory) && \valid(outputs) && \separated(rule, memory, outputs);
    assigns memory->demands, memory->alarm, outputs->changed, outputs->events, outputs->events_lost,
            outputs->event[0 .. ENGINE_EVENTS_MAX - 1]; */
static void announce(const struct control_rule *rule, struct engine_rule_state *memory, bool was_clear,
                     uint32_t index, uint64_t now_ns, struct engine_outputs *outputs)
{
    bool clear = memory->truth == TRUTH_CLEAR;
    if (was_clear != clear && rule->role != ROLE_CONDITION) {
        memory->demands += clear ? 0 : 1;
        engine_emit(outputs, now_ns, clear ? EVENT_RULE_OFF : EVENT_RULE_ON, index, memory->measure);
    }
    if (rule->role == ROLE_ALARM) {
        judge_alarm(memory, index, now_ns, outputs);
    }
}

/*@ requires \valid_read(table) && \valid(state) && \valid_read(inputs) && \valid(outputs) && \valid_read(members);
    requires index < CONTROL_RULES_MAX && member_words(members, index);
    requires \separated(table, state, inputs, outputs, members);
    assigns state->rule[index], outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 ..
            ENGINE_EVENTS_MAX - 1];
    ensures bad_is_unknown: FORM_LIMIT <= table->rule[index].form <= FORM_HEARTBEAT &&
            table->rule[index].channel < CONTROL_CHANNELS_MAX && state->why[table->rule[index].channel] !=
            CAUSE_NONE ==> state->rule[index].truth == TRUTH_UNKNOWN; */
static void judge_rule(const struct control_table *table, struct engine_state *state,
                       const struct engine_inputs *inputs, uint32_t index, const struct members *members,
                       struct engine_outputs *outputs)
{
    struct engine_rule_state *memory = &state->rule[index];
    bool was_clear = memory->truth == TRUTH_CLEAR;
    if ((memory->bypass_until_ns | memory->shelved_until_ns) != 0) {
        end_what_is_over(memory, index, inputs->now_ns, outputs);
    }
    judge_truth(table, state, inputs, index, members, outputs);
    announce(&table->rule[index], memory, was_clear, index, inputs->now_ns, outputs);
}

/*@ requires \valid(members) && \valid_read(memory) && \separated(members, memory);
    requires index < CONTROL_RULES_MAX && member_words(members, index);
    assigns members->word[index];
    ensures member_words(members, index + 1); */
static void remember(struct members *members, uint32_t index, const struct engine_rule_state *memory)
{
    members->word[index] = member_word(memory);
}

void rules_judge(const struct control_table *table, struct engine_state *state, const struct engine_inputs *inputs,
                 struct engine_outputs *outputs)
{
    struct members members;
    uint32_t bypasses = 0;
    /*@ loop invariant 0 <= i <= CONTROL_RULES_MAX && bypasses <= i;
        loop invariant member_words(&members, i);
        loop
        assigns i, bypasses, members.word[0 .. CONTROL_RULES_MAX - 1], state->rule[0 .. CONTROL_RULES_MAX - 1],
                outputs->changed, outputs->events, outputs->events_lost, outputs->event[0 .. ENGINE_EVENTS_MAX -
                1];
        loop variant CONTROL_RULES_MAX - i; */
    for (uint32_t i = 0; i < CONTROL_RULES_MAX && i < table->rules; i++) {
        judge_rule(table, state, inputs, i, &members, outputs);
        remember(&members, i, &state->rule[i]);
        bypasses += state->rule[i].bypass_until_ns != 0 ? 1 : 0;
    }
    if (state->bypasses != bypasses) {
        state->bypasses = bypasses;
        outputs->changed = 1;
    }
}
