/* What the reference makes of samples: channels and rules. */
#include <math.h>
#include <string.h>

#include "tests/control/reference.h"

#define SECOND_NS 1e9

static uint32_t channel_fault(const struct control_table *table, const struct engine_inputs *inputs,
                              uint32_t channel)
{
    const struct engine_sample *sample = &inputs->channel[channel];
    const struct control_channel *c = &table->channel[channel];
    uint64_t now = inputs->now_ns;
    if (sample->samples == 0) {
        return CAUSE_STALE;
    }
    if (sample->fault != 0) {
        return sample->fault;
    }
    if (sample->tai_ns > now && sample->tai_ns - now > table->future_ns) {
        return CAUSE_FRAME;
    }
    if (sample->tai_ns <= now && now - sample->tai_ns > c->stale_ns) {
        return CAUSE_STALE;
    }
    if (isnan(sample->value) || isinf(sample->value)) {
        return CAUSE_NOT_FINITE;
    }
    if (!(sample->value >= c->decode.range_low && sample->value <= c->decode.range_high)) {
        return CAUSE_RANGE;
    }
    return CAUSE_NONE;
}

void reference_judge_channels(struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->channels && i < CONTROL_CHANNELS_MAX; i++) {
        uint32_t why = channel_fault(s->table, s->inputs, i);
        uint32_t quality = why == CAUSE_NONE ? ENGINE_GOOD : why == CAUSE_STALE ? ENGINE_STALE : ENGINE_BAD;
        if (quality != s->r->quality[i]) {
            reference_event(s, EVENT_QUALITY, i, quality);
        }
        s->r->quality[i] = quality;
        s->r->why[i] = why;
    }
}

static void row_add(struct reference_row *row, uint64_t stamp)
{
    if (row->length < REFERENCE_ROW) {
        row->stamp[row->length] = stamp;
    }
    row->length++;
}

static void row_empty(struct reference_row *row)
{
    row->length = 0;
}

static uint64_t at_least_one(uint32_t samples)
{
    return samples == 0 ? 1 : samples;
}

/* On-delay, hysteresis and off-delay: one more sample, stamped t, that is out of the limits, or back, or between.
 */
static void delays(const struct control_rule *rule, struct reference_rule *m, bool out, bool back, bool old,
                   uint64_t t)
{
    if (!m->demanding) {
        if (out) {
            row_add(&m->outside, t);
            bool enough = m->outside.length >= at_least_one(rule->on_samples);
            bool backwards = t < m->outside.stamp[0];
            if (enough && (backwards || t - m->outside.stamp[0] >= rule->on_ns)) {
                m->demanding = true;
                row_empty(&m->inside);
            }
        } else if (!old) {
            row_empty(&m->outside);
        }
    } else if (!back) {
        row_empty(&m->inside);
    } else if (!old) {
        row_add(&m->inside, t);
        bool enough = m->inside.length >= at_least_one(rule->off_samples);
        if (enough && t >= m->inside.stamp[0] && t - m->inside.stamp[0] >= rule->off_ns) {
            m->demanding = false;
            row_empty(&m->outside);
        }
    }
}

static bool above(const struct control_rule *rule, double v, double limit)
{
    return rule->has_high != 0 && !(v <= limit);
}

static bool below(const struct control_rule *rule, double v, double limit)
{
    return rule->has_low != 0 && !(v >= limit);
}

static bool is_out(const struct control_rule *rule, double v)
{
    return above(rule, v, rule->high) || below(rule, v, rule->low);
}

static bool is_back(const struct control_rule *rule, double v)
{
    return !above(rule, v, rule->high_clear) && !below(rule, v, rule->low_clear);
}

/* A sample that came after a newer one does not make clear what is unknown. */
static void decide(struct reference_rule *m, uint32_t why, bool old)
{
    if (old && m->truth == TRUTH_UNKNOWN && !m->demanding) {
        return;
    }
    m->truth = m->demanding ? TRUTH_DEMAND : TRUTH_CLEAR;
    m->why = why;
}

static void unknown(struct reference_rule *m, uint32_t why)
{
    m->truth = TRUTH_UNKNOWN;
    m->why = why;
}

/* HIGH or LOW: by the limit that is broken, else as it was, else by the one whose hysteresis is not left. */
static uint32_t side(const struct control_rule *rule, const struct reference_rule *m, double v)
{
    if (above(rule, v, rule->high)) {
        return CAUSE_HIGH;
    }
    if (below(rule, v, rule->low)) {
        return CAUSE_LOW;
    }
    if (m->why == CAUSE_HIGH || m->why == CAUSE_LOW) {
        return m->why;
    }
    return above(rule, v, rule->high_clear)  ? CAUSE_HIGH
           : below(rule, v, rule->low_clear) ? CAUSE_LOW
           : rule->has_high != 0             ? CAUSE_HIGH
                                             : CAUSE_LOW;
}

static void judge_bits(const struct control_rule *rule, struct reference_rule *m, double v, bool old, uint64_t t)
{
    m->measure = v;
    if (!(v >= 0 && v <= 9007199254740992.0 && floor(v) >= v)) {
        unknown(m, CAUSE_RANGE);
        m->bad_channel = rule->channel;
        row_empty(&m->inside);
        return;
    }
    bool any = ((uint64_t)v & rule->mask) != 0;
    bool out = any == (rule->demand_when != 0);
    delays(rule, m, out, !out, old, t);
    decide(m, CAUSE_BIT, old);
}

static void take_anchor(struct reference_rule *m, double v, uint64_t t)
{
    m->anchored = true;
    m->anchor = v;
    m->anchor_ns = t;
}

/* True if there was none: then this sample is at most the anchor, and nothing is known. */
static bool first_of_history(struct reference_rule *m, double v, bool old, uint64_t t)
{
    if (m->anchored) {
        return false;
    }
    if (!old) {
        take_anchor(m, v, t);
        m->settled = false;
    }
    m->measure = 0;
    unknown(m, CAUSE_HISTORY);
    return true;
}

static void judge_rate(const struct control_rule *rule, struct reference_rule *m, double v, bool old, uint64_t t)
{
    if (first_of_history(m, v, old, t)) {
        return;
    }
    uint64_t dt = t > m->anchor_ns ? t - m->anchor_ns : 0;
    uint64_t w = dt > rule->window_ns ? dt : rule->window_ns;
    m->measure = (v - m->anchor) / ((double)w / SECOND_NS);
    bool out = is_out(rule, m->measure);
    /* Half a window inside is not a window inside. */
    delays(rule, m, out, is_back(rule, m->measure), old || dt < rule->window_ns, t);
    decide(m, CAUSE_RATE, old);
    if (dt >= rule->window_ns && !old) {
        m->settled = true;
        take_anchor(m, v, t);
    }
    if (!m->settled && !m->demanding) {
        unknown(m, CAUSE_HISTORY);
    }
}

static void judge_stuck(const struct control_rule *rule, struct reference_rule *m, double v, bool old, uint64_t t)
{
    if (first_of_history(m, v, old, t)) {
        return;
    }
    if (fabs(v - m->anchor) > rule->band && !old) {
        take_anchor(m, v, t);
        m->settled = true;
    }
    uint64_t still = t > m->anchor_ns ? t - m->anchor_ns : 0;
    m->measure = (double)still / SECOND_NS;
    bool out = still >= rule->window_ns;
    delays(rule, m, out, !out, old, t);
    decide(m, CAUSE_STUCK, old);
    if (!m->settled && !m->demanding) {
        unknown(m, CAUSE_HISTORY);
    }
}

static void judge_heartbeat(const struct reference_step *s, const struct control_rule *rule,
                            struct reference_rule *m, bool is_new)
{
    const struct engine_sample *sample = &s->inputs->channel[rule->channel];
    if (is_new && sample->old == 0) {
        if (!m->anchored) {
            take_anchor(m, sample->value, sample->tai_ns);
        } else if (sample->value < m->anchor || sample->value > m->anchor) {
            take_anchor(m, sample->value, sample->tai_ns);
            m->settled = true;
        }
    }
    if (!m->anchored || !m->settled) {
        unknown(m, CAUSE_HISTORY);
        return;
    }
    uint64_t gone = s->inputs->now_ns > m->anchor_ns ? s->inputs->now_ns - m->anchor_ns : 0;
    if (gone > rule->window_ns) {
        if (m->truth != TRUTH_DEMAND) {
            m->measure = (double)gone / SECOND_NS;
        }
        m->truth = TRUTH_DEMAND;
        m->why = CAUSE_HEARTBEAT;
    } else {
        m->truth = TRUTH_CLEAR;
    }
}

static bool channel_exists(const struct control_table *table, uint32_t channel)
{
    return channel < table->channels && channel < CONTROL_CHANNELS_MAX;
}

/* The first of the rule's channels that is not GOOD, or ENGINE_NONE; *why says what it is. */
static bool not_good(const struct reference_step *s, const struct control_rule *rule, uint32_t *channel,
                     uint32_t *why)
{
    uint32_t named[2] = {rule->channel, rule->other};
    uint32_t count = rule->form == FORM_DEVIATION ? 2 : 1;
    for (uint32_t i = 0; i < count; i++) {
        if (!channel_exists(s->table, named[i])) {
            *channel = ENGINE_NONE;
            *why = CAUSE_SELF_TEST;
            return true;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (s->r->quality[named[i]] != ENGINE_GOOD) {
            *channel = named[i];
            *why = s->r->why[named[i]];
            return true;
        }
    }
    return false;
}

static uint64_t sample_count(const struct reference_step *s, const struct control_rule *rule)
{
    uint64_t count = 0;
    if (channel_exists(s->table, rule->channel)) {
        count += s->inputs->channel[rule->channel].samples;
    }
    if (rule->form == FORM_DEVIATION && channel_exists(s->table, rule->other)) {
        count += s->inputs->channel[rule->other].samples;
    }
    return count;
}

static void judge_limit(const struct control_rule *rule, struct reference_rule *m, double v, bool old, uint64_t t)
{
    m->measure = v;
    delays(rule, m, is_out(rule, v), is_back(rule, v), old, t);
    decide(m, rule->form == FORM_DEVIATION ? CAUSE_DEVIATION : side(rule, m, v), old);
}

static void judge_sample(const struct reference_step *s, const struct control_rule *rule, struct reference_rule *m)
{
    const struct engine_sample *a = &s->inputs->channel[rule->channel];
    if (rule->form == FORM_LIMIT) {
        judge_limit(rule, m, a->value, a->old != 0, a->tai_ns);
    } else if (rule->form == FORM_DEVIATION) {
        const struct engine_sample *b = &s->inputs->channel[rule->other];
        uint64_t t = a->tai_ns > b->tai_ns ? a->tai_ns : b->tai_ns;
        judge_limit(rule, m, a->value - b->value, a->old != 0 || b->old != 0, t);
    } else if (rule->form == FORM_BIT) {
        judge_bits(rule, m, a->value, a->old != 0, a->tai_ns);
    } else if (rule->form == FORM_RATE) {
        judge_rate(rule, m, a->value, a->old != 0, a->tai_ns);
    } else {
        judge_stuck(rule, m, a->value, a->old != 0, a->tai_ns);
    }
}

static void judge_leaf(const struct reference_step *s, const struct control_rule *rule, struct reference_rule *m)
{
    uint64_t count = sample_count(s, rule);
    uint32_t channel = ENGINE_NONE;
    uint32_t why = CAUSE_NONE;
    if (not_good(s, rule, &channel, &why)) {
        unknown(m, why);
        m->bad_channel = channel;
        m->seen = count;
        row_empty(&m->inside);
        if (rule->form == FORM_RATE || rule->form == FORM_STUCK || rule->form == FORM_HEARTBEAT) {
            m->anchored = false;
            m->settled = false;
        }
        return;
    }
    bool is_new = count != m->seen;
    uint32_t bad_channel = m->bad_channel;
    m->seen = count;
    if (rule->form == FORM_HEARTBEAT) {
        m->bad_channel = ENGINE_NONE;
        judge_heartbeat(s, rule, m, is_new);
    } else if (is_new) {
        m->bad_channel = ENGINE_NONE;
        uint32_t before = m->truth;
        judge_sample(s, rule, m);
        bool stays = before == TRUTH_UNKNOWN && m->truth == TRUTH_UNKNOWN && reference_channels_why(m->why);
        m->bad_channel = stays && m->bad_channel == ENGINE_NONE ? bad_channel : m->bad_channel;
    }
}

static bool members_are_right(const struct control_table *table, uint32_t index)
{
    const struct control_rule *rule = &table->rule[index];
    if (rule->members < 1 || rule->members > CONTROL_MEMBERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < rule->members; i++) {
        if (rule->member[i] >= index || rule->member[i] >= table->rules) {
            return false;
        }
    }
    return true;
}

static uint32_t bits_of(uint32_t mask)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < 32; i++) {
        n += mask >> i & 1;
    }
    return n;
}

static void judge_group(const struct reference_step *s, uint32_t index, struct reference_rule *m)
{
    const struct control_rule *rule = &s->table->rule[index];
    m->members = 0;
    m->unknown = 0;
    m->measure = 0;
    m->bad_channel = ENGINE_NONE;
    if (!members_are_right(s->table, index)) {
        unknown(m, CAUSE_SELF_TEST);
        return;
    }
    for (uint32_t i = 0; i < rule->members; i++) {
        const struct reference_rule *member = &s->r->rule[rule->member[i]];
        if (member->bypass_until_ns != 0 || member->truth == TRUTH_UNKNOWN) {
            m->unknown |= UINT32_C(1) << i;
        } else if (member->truth == TRUTH_DEMAND) {
            m->members |= UINT32_C(1) << i;
        }
    }
    if (rule->form == FORM_NOT) {
        m->why = CAUSE_NOT;
        m->truth = m->unknown != 0 ? TRUTH_UNKNOWN : m->members != 0 ? TRUTH_CLEAR : TRUTH_DEMAND;
        return;
    }
    uint32_t demand = bits_of(m->members);
    uint32_t dark = bits_of(m->unknown);
    uint32_t needed = rule->needed == 0 ? 1 : rule->needed;
    m->measure = demand;
    m->why = CAUSE_VOTE;
    m->truth = demand >= needed                       ? TRUTH_DEMAND
               : dark > 0 && rule->unknown_trips != 0 ? TRUTH_UNKNOWN
               : demand + dark >= needed              ? TRUTH_UNKNOWN
                                                      : TRUTH_CLEAR;
}

void reference_judge_rules(struct reference_step *s)
{
    for (uint32_t i = 0; i < s->table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct control_rule *rule = &s->table->rule[i];
        struct reference_rule *m = &s->r->rule[i];
        bool was_clear = m->truth == TRUTH_CLEAR;
        if (rule->form == FORM_VOTE || rule->form == FORM_NOT) {
            judge_group(s, i, m);
        } else if (rule->form >= FORM_LIMIT && rule->form <= FORM_HEARTBEAT) {
            judge_leaf(s, rule, m);
        } else {
            unknown(m, CAUSE_SELF_TEST);
            m->bad_channel = ENGINE_NONE;
        }
        bool clear = m->truth == TRUTH_CLEAR;
        if (rule->role == ROLE_CONDITION || clear == was_clear) {
            continue;
        }
        if (!clear) {
            m->demands++;
        }
        reference_event(s, clear ? EVENT_RULE_OFF : EVENT_RULE_ON, i, m->measure);
    }
}
