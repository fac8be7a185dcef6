/* Votes and groups, exhaustively: every k of n up to five members, every truth of every member, every bypass; every
 * nesting of AND, OR and NOT over three members; every reason for a channel to be bad, in every voting form.
 */
#include <criterion/criterion.h>
#include <math.h>

#include "control/engine.h"
#include "tests/support/table.h"

#define MS    UINT64_C(1000000)
#define NMAX  5u
#define KINDS 6u /* what one member may be: truth x bypassed */

static struct control_table table;
static struct engine_state state;
static struct engine_inputs inputs;
static struct engine_outputs outputs;

/* Three-valued logic: a demand is the larger, unknown between. */
enum kleene { CLEAR = 0, DARK = 1, DEMAND = 2 };

static uint32_t truth_of(enum kleene k)
{
    return k == DEMAND ? TRUTH_DEMAND : k == DARK ? TRUTH_UNKNOWN : TRUTH_CLEAR;
}

/* Each member a condition of its own on a channel of its own: demands above 100. */
static void make_members(uint32_t members)
{
    table_make_bare(&table);
    for (uint32_t i = 0; i < members; i++) {
        table_add_high(&table, table_add_channel(&table), 100)->role = ROLE_CONDITION;
    }
}

static void fresh(void)
{
    memset(&inputs, 0, sizeof(inputs));
    inputs.now_ns = TEST_NOW_NS;
    engine_init(&state);
}

static void member_is(uint32_t member, enum kleene k)
{
    inputs_sample(&inputs, member, k == DEMAND ? 150 : k == CLEAR ? 50 : (double)NAN, TEST_NOW_NS);
}

/* One step out of ARMED. */
static void judge(void)
{
    state.code = ENGINE_ARMED;
    state.first_out_open = 1;
    engine_step(&table, &state, &inputs, &outputs);
}

static uint32_t power(uint32_t base, uint32_t exponent)
{
    uint32_t result = 1;
    for (uint32_t i = 0; i < exponent; i++) {
        result *= base;
    }
    return result;
}

/* Digit i of `combination` says what member i is: truth + 3 if bypassed. */
static uint32_t digit(uint32_t combination, uint32_t i)
{
    return combination / power(KINDS, i) % KINDS;
}

static void set_members(uint32_t members, uint32_t combination)
{
    fresh();
    for (uint32_t i = 0; i < members; i++) {
        uint32_t kind = digit(combination, i);
        member_is(i, (enum kleene)(kind % 3));
        state.rule[i].bypass_until_ns = kind >= 3 ? TEST_NOW_NS + MS : 0;
        state.bypasses += kind >= 3;
    }
}

static uint32_t count(uint32_t members, uint32_t combination, enum kleene k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < members; i++) {
        uint32_t kind = digit(combination, i);
        n += (kind >= 3 ? DARK : (enum kleene)kind) == k;
    }
    return n;
}

/* The definition, in one line. */
static uint32_t defined(uint32_t k, uint32_t demand, uint32_t dark, bool trips)
{
    return demand >= k ? TRUTH_DEMAND : demand + dark >= k || (trips && dark > 0) ? TRUTH_UNKNOWN : TRUTH_CLEAR;
}

static uint8_t truths[KINDS * KINDS * KINDS * KINDS * KINDS];

static void check_vote(uint32_t k, uint32_t n, uint32_t combination, bool trips)
{
    const struct engine_rule_state *vote = &state.rule[n];
    uint32_t demand = count(n, combination, DEMAND);
    uint32_t dark = count(n, combination, DARK);
    set_members(n, combination);
    judge();
    cr_assert_eq(vote->truth, defined(k, demand, dark, trips), "%u of %u, combination %u (base 6): %s", k, n,
                 combination, engine_truth_name(vote->truth));
    cr_assert_eq((uint32_t)__builtin_popcount(vote->members), demand); /* IL-022 */
    cr_assert_eq((uint32_t)__builtin_popcount(vote->unknown), dark);
    bool acts = vote->truth != TRUTH_CLEAR;
    cr_assert_eq(outputs.energised, acts ? 0 : 3, "%u of %u, combination %u", k, n, combination);
    cr_assert_eq(outputs.tripped, acts);
    if (acts) {
        cr_assert_eq(state.first_out[0].kind, CAUSE_VOTE);
        cr_assert_eq(state.first_out[0].rule, n);
        cr_assert_eq(state.first_out[0].members, vote->members);
        cr_assert_eq(state.first_out[0].unknown, vote->unknown);
    }
    truths[combination] = (uint8_t)vote->truth;
}

/* Neither an unknown nor a bypassed member makes an acting vote clear. */
static void check_monotone(uint32_t k, uint32_t n)
{
    for (uint32_t c = 0; c < power(KINDS, n); c++) {
        for (uint32_t i = 0; i < n; i++) {
            uint32_t kind = digit(c, i);
            uint32_t without = c - kind * power(KINDS, i);
            uint32_t unknown = without + (kind / 3 * 3 + DARK) * power(KINDS, i);
            uint32_t bypassed = without + (kind % 3 + 3) * power(KINDS, i);
            bool stays =
                truths[c] == TRUTH_CLEAR || (truths[unknown] != TRUTH_CLEAR && truths[bypassed] != TRUTH_CLEAR);
            cr_assert(stays, "%u of %u: combination %u acts, not so with member %u unknown or bypassed", k, n, c,
                      i);
        }
    }
}

static void check_k_of_n(uint32_t k, uint32_t n, bool trips)
{
    make_members(n);
    table_add_vote(&table, k, 0, n)->unknown_trips = trips;
    for (uint32_t c = 0; c < power(KINDS, n); c++) {
        check_vote(k, n, c, trips);
    }
    check_monotone(k, n);
}

/* IL-017 IL-018 IL-019 IL-021 IL-022 */
Test(votes, every_k_of_n_up_to_five)
{
    for (uint32_t n = 1; n <= NMAX; n++) {
        for (uint32_t k = 1; k <= n; k++) {
            check_k_of_n(k, n, false);
            check_k_of_n(k, n, true);
        }
    }
}

/* The vote's truth when its members are as the letters say: c clear, d demand, u unknown, b clear but bypassed,
 * D demand but bypassed. */
static uint32_t vote_of(uint32_t k, const char *letters)
{
    uint32_t n = (uint32_t)strlen(letters);
    make_members(n);
    table_add_vote(&table, k, 0, n);
    fresh();
    for (uint32_t i = 0; i < n; i++) {
        member_is(i, letters[i] == 'd' || letters[i] == 'D' ? DEMAND : letters[i] == 'u' ? DARK : CLEAR);
        state.rule[i].bypass_until_ns = letters[i] == 'b' || letters[i] == 'D' ? TEST_NOW_NS + MS : 0;
    }
    judge();
    return state.rule[n].truth;
}

/* IL-018: the degradation that is promised, by its names. */
Test(votes, stated_degradation)
{
    static const struct {
        uint32_t k;
        const char *members;
        uint32_t truth;
    } rows[] = {
        {2, "ccc", TRUTH_CLEAR},   {2, "dcc", TRUTH_CLEAR},   {2, "ddc", TRUTH_DEMAND},  /* 2oo3 */
        {2, "ucc", TRUTH_CLEAR},   {2, "udc", TRUTH_UNKNOWN},                            /* .. one unknown: 1oo2 */
        {2, "bcc", TRUTH_CLEAR},   {2, "bdc", TRUTH_UNKNOWN}, {2, "Dcc", TRUTH_CLEAR},   /* .. one bypassed: 1oo2 */
        {2, "uuc", TRUTH_UNKNOWN}, {2, "ubc", TRUTH_UNKNOWN}, {2, "bbc", TRUTH_UNKNOWN}, /* .. two: a trip */
        {1, "cc", TRUTH_CLEAR},    {1, "dc", TRUTH_DEMAND},                              /* 1oo2 */
        {1, "uc", TRUTH_UNKNOWN},  {1, "bc", TRUTH_UNKNOWN},                            /* .. one unknown: a trip */
        {2, "cc", TRUTH_CLEAR},    {2, "dc", TRUTH_CLEAR},    {2, "dd", TRUTH_DEMAND},  /* 2oo2 */
        {2, "uc", TRUTH_CLEAR},    {2, "ud", TRUTH_UNKNOWN},  {2, "bd", TRUTH_UNKNOWN}, /* .. one unknown: 1oo1 */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t truth = vote_of(rows[i].k, rows[i].members);
        cr_assert_eq(truth, rows[i].truth, "%u of %s: %s", rows[i].k, rows[i].members, engine_truth_name(truth));
    }
}

static enum kleene invert(bool yes, enum kleene k)
{
    return yes ? (enum kleene)(DEMAND - k) : k;
}

static enum kleene combine(bool all, enum kleene a, enum kleene b)
{
    return (a < b) == all ? a : b;
}

/* Adds AND or OR of two rules, and NOT behind it if asked. Returns the index of the last. */
static uint32_t add_pair(bool all, bool inverted, uint32_t a, uint32_t b)
{
    struct control_rule *rule = table_add_vote(&table, all ? 2 : 1, 0, 2);
    rule->role = ROLE_CONDITION;
    rule->member[0] = (uint16_t)a;
    rule->member[1] = (uint16_t)b;
    if (inverted) {
        table_add_not(&table, table.rules - 1)->role = ROLE_CONDITION;
    }
    return table.rules - 1;
}

static uint32_t add_leaf(bool inverted, uint32_t leaf)
{
    if (!inverted) {
        return leaf;
    }
    table_add_not(&table, leaf)->role = ROLE_CONDITION;
    return table.rules - 1;
}

/* ((a op b) op c), each part inverted or not as the bits of `shape` say. */
static void check_shape(uint32_t shape)
{
    bool inner = (shape & 1) != 0;
    bool outer = (shape & 2) != 0;
    make_members(3);
    uint32_t a = add_leaf((shape & 4) != 0, 0);
    uint32_t b = add_leaf((shape & 8) != 0, 1);
    uint32_t c = add_leaf((shape & 16) != 0, 2);
    uint32_t top = add_pair(outer, (shape & 64) != 0, add_pair(inner, (shape & 32) != 0, a, b), c);
    table.rule[top].role = ROLE_PROTECT;
    for (uint32_t i = 0; i < 27; i++) {
        enum kleene k[3] = {i % 3, i / 3 % 3, i / 9};
        fresh();
        for (uint32_t m = 0; m < 3; m++) {
            member_is(m, k[m]);
        }
        judge();
        enum kleene pair = combine(inner, invert((shape & 4) != 0, k[0]), invert((shape & 8) != 0, k[1]));
        enum kleene whole = combine(outer, invert((shape & 32) != 0, pair), invert((shape & 16) != 0, k[2]));
        whole = invert((shape & 64) != 0, whole);
        cr_assert_eq(state.rule[top].truth, truth_of(whole), "shape %#x, members %u %u %u", shape, k[0], k[1],
                     k[2]);
        cr_assert_eq(outputs.energised, whole == CLEAR ? 3 : 0, "shape %#x", shape);
    }
}

/* IL-017 IL-020 */
Test(votes, every_nesting_of_and_or_not_over_three)
{
    for (uint32_t shape = 0; shape < 128; shape++) {
        check_shape(shape);
    }
}

/* Everything that a sample can be, with the truth of `above 100` on it. */
struct sample_kind {
    const char *name;
    enum kleene truth;
    uint32_t quality;
    uint32_t why;
    struct engine_sample sample;
};

static const struct sample_kind kinds[] = {
    {"good", CLEAR, ENGINE_GOOD, CAUSE_NONE, {.value = 50, .tai_ns = TEST_NOW_NS, .samples = 1}},
    {"high", DEMAND, ENGINE_GOOD, CAUSE_NONE, {.value = 150, .tai_ns = TEST_NOW_NS, .samples = 1}},
    {"none", DARK, ENGINE_STALE, CAUSE_STALE, {.value = 50, .tai_ns = TEST_NOW_NS}},
    {"stale",
     DARK,
     ENGINE_STALE,
     CAUSE_STALE,
     {.value = 50, .tai_ns = TEST_NOW_NS - TEST_STALE_NS - 1, .samples = 1}},
    {"nan", DARK, ENGINE_BAD, CAUSE_NOT_FINITE, {.value = (double)NAN, .tai_ns = TEST_NOW_NS, .samples = 1}},
    {"infinite",
     DARK,
     ENGINE_BAD,
     CAUSE_NOT_FINITE,
     {.value = -(double)INFINITY, .tai_ns = TEST_NOW_NS, .samples = 1}},
    {"above range", DARK, ENGINE_BAD, CAUSE_RANGE, {.value = 1001, .tai_ns = TEST_NOW_NS, .samples = 1}},
    {"below range", DARK, ENGINE_BAD, CAUSE_RANGE, {.value = -1001, .tai_ns = TEST_NOW_NS, .samples = 1}},
    {"short",
     DARK,
     ENGINE_BAD,
     CAUSE_FRAME,
     {.value = 50, .tai_ns = TEST_NOW_NS, .samples = 1, .fault = CAUSE_FRAME}},
    {"future", DARK, ENGINE_BAD, CAUSE_FRAME, {.value = 50, .tai_ns = TEST_NOW_NS + 10 * MS + 1, .samples = 1}},
    {"overrun",
     DARK,
     ENGINE_BAD,
     CAUSE_OVERRUN,
     {.value = 50, .tai_ns = TEST_NOW_NS, .samples = 1, .fault = CAUSE_OVERRUN}},
};
#define SAMPLE_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void check_qualities(uint32_t k, uint32_t n, const size_t *pick)
{
    uint32_t demand = 0;
    uint32_t dark = 0;
    fresh();
    for (uint32_t i = 0; i < n; i++) {
        inputs.channel[i] = kinds[pick[i]].sample;
        demand += kinds[pick[i]].truth == DEMAND;
        dark += kinds[pick[i]].truth == DARK;
    }
    judge();
    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(state.quality[i], kinds[pick[i]].quality, "%s: %s", kinds[pick[i]].name,
                     engine_quality_name(state.quality[i]));
        cr_assert_eq(state.why[i], kinds[pick[i]].why, "%s: %s", kinds[pick[i]].name,
                     engine_cause_name(state.why[i]));
        cr_assert_eq(state.rule[i].truth, truth_of(kinds[pick[i]].truth), "%s", kinds[pick[i]].name);
    }
    cr_assert_eq(state.rule[n].truth, defined(k, demand, dark, false), "%u of %u: %s %s %s", k, n,
                 kinds[pick[0]].name, kinds[pick[1]].name, kinds[pick[2]].name);
    cr_assert_eq(outputs.energised, state.rule[n].truth == TRUTH_CLEAR ? 3 : 0);
}

/* IL-001 IL-003 IL-018 */
Test(votes, every_quality_in_every_voting_form)
{
    for (uint32_t n = 1; n <= 3; n++) {
        for (uint32_t k = 1; k <= n; k++) {
            make_members(n);
            table_add_vote(&table, k, 0, n);
            for (size_t i = 0; i < SAMPLE_KINDS * SAMPLE_KINDS * SAMPLE_KINDS; i++) {
                size_t pick[3] = {i % SAMPLE_KINDS, i / SAMPLE_KINDS % SAMPLE_KINDS,
                                  i / SAMPLE_KINDS / SAMPLE_KINDS};
                check_qualities(k, n, pick);
            }
        }
    }
}

static const char *const form_names[] = {"none", "limit", "rate", "deviation", "bit", "stuck", "heartbeat"};

/* IL-003 IL-004: whatever a rule looks for, a channel that is not good acts, once and under its own name. */
Test(votes, every_bad_quality_in_every_form)
{
    for (uint32_t form = FORM_LIMIT; form <= FORM_HEARTBEAT; form++) {
        for (size_t i = 2; i < SAMPLE_KINDS; i++) {
            table_make_bare(&table);
            table_add_channel(&table);
            table_add_channel(&table);
            for (int twice = 0; twice < 2; twice++) {
                struct control_rule *rule = table_add_rule(&table, form, 0);
                rule_limits(rule, -100, 100, 0);
                rule->other = 1;
                rule->window_ns = MS;
            }
            fresh();
            inputs.channel[0] = kinds[i].sample;
            inputs.channel[1] = kinds[0].sample;
            judge();
            cr_assert_eq(state.rule[0].truth, TRUTH_UNKNOWN, "%s, %s", form_names[form], kinds[i].name);
            cr_assert_eq(outputs.energised, 0, "%s, %s", form_names[form], kinds[i].name);
            cr_assert_eq(state.cause_count, 1, "%s, %s", form_names[form], kinds[i].name);
            cr_assert_eq(state.cause[0].kind, kinds[i].why);
            cr_assert_eq(state.cause[0].channel, 0);
            cr_assert_eq(state.cause[0].rule, ENGINE_NONE);
        }
    }
}

/* A vote over a vote sees the inner one's unknown as unknown. IL-018 IL-020 */
Test(votes, votes_of_votes)
{
    for (uint32_t c = 0; c < 729; c++) {
        make_members(6);
        for (uint32_t i = 0; i < 3; i++) { /* three pairs, each one 1oo2 */
            table_add_vote(&table, 1, 2 * i, 2)->role = ROLE_CONDITION;
        }
        table_add_vote(&table, 2, 6, 3);
        fresh();
        uint32_t demand = 0;
        uint32_t dark = 0;
        for (uint32_t i = 0; i < 3; i++) {
            enum kleene a = c / power(3, 2 * i) % 3;
            enum kleene b = c / power(3, 2 * i + 1) % 3;
            member_is(2 * i, a);
            member_is(2 * i + 1, b);
            demand += combine(false, a, b) == DEMAND;
            dark += combine(false, a, b) == DARK;
        }
        judge();
        cr_assert_eq(state.rule[9].truth, defined(2, demand, dark, false), "combination %u (base 3)", c);
    }
}

/* IL-005: a vote that names nothing sensible acts. */
Test(votes, broken_members_act)
{
    for (int broken = 0; broken < 5; broken++) {
        make_members(2);
        struct control_rule *vote = table_add_vote(&table, 2, 0, 2);
        vote->members = broken == 0 ? 0 : broken == 1 ? CONTROL_MEMBERS_MAX + 1 : broken == 2 ? UINT32_MAX : 2;
        vote->member[1] = broken == 3 ? 2 : broken == 4 ? UINT16_MAX : 1;
        fresh();
        member_is(0, CLEAR);
        member_is(1, CLEAR);
        judge();
        cr_assert_eq(state.rule[2].truth, TRUTH_UNKNOWN, "case %d", broken);
        cr_assert_eq(state.rule[2].why, CAUSE_SELF_TEST, "case %d", broken);
        cr_assert_eq(outputs.energised, 0, "case %d", broken);
    }
}
