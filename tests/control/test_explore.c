/* Every state that the engine can reach with a small plant, breadth first, and from each of them every input: the
 * invariants of the interlock hold on every transition. The plant: one channel with a rule that trips, one with a
 * rule that holds an output, an output with feedback and one without, a gate, an operator with every command,
 * faults.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "control/engine.h"
#include "tests/support/bytes.h"
#include "tests/support/table.h"

#define MS          UINT64_C(1000000)
#define RULES       3u
#define POSITION    2u
#define STATE_BYTES (offsetof(struct engine_state, rule) + RULES * sizeof(struct engine_rule_state))
#define NODES       200000u
#define BUCKETS     (1u << 19)
#define TIME_MS     3 /* of the feedback, and of the longest bypass */

static struct control_table table;
static struct engine_state state;
static struct engine_inputs inputs;
static struct engine_outputs outputs;

/* What tells two states of this plant apart. Times as the milliseconds that they still matter. Without delays and
 * hysteresis, a rule's truth is what the next sample makes of it: no part of this. */
struct key {
    uint32_t code;
    uint16_t previous_command;
    uint8_t bypass_ms;
    uint8_t position;
    uint8_t followed;
    uint8_t waited_ms; /* for the output to follow */
    uint8_t energised;
    uint8_t latched;
    uint8_t held;
    uint8_t open;
    uint8_t phase;
    uint8_t gate;
};

struct node {
    struct key key;
    struct engine_sample channel[3];
    uint64_t now_ns;
    uint8_t *bytes; /* the engine's state: STATE_BYTES */
};

static struct node *nodes;
static uint32_t node_count;
static uint32_t *buckets;
static uint64_t transitions;

static uint8_t capped_ms(uint64_t from_ns, uint64_t to_ns)
{
    uint64_t ms = to_ns > from_ns ? (to_ns - from_ns) / MS : 0;
    return ms > TIME_MS + 1 ? TIME_MS + 1 : (uint8_t)ms;
}

static struct key key_of_state(void)
{
    const struct engine_output_state *o = &state.output[0];
    struct key key;
    memset(&key, 0, sizeof(key));
    key.code = state.code;
    key.previous_command = (uint16_t)state.previous_command;
    key.bypass_ms = capped_ms(inputs.now_ns, state.rule[0].bypass_until_ns);
    key.position = (uint8_t)o->position;
    key.followed = (uint8_t)o->followed;
    key.waited_ms = UINT8_MAX;
    if (o->left_ns != 0) {
        key.waited_ms = capped_ms(o->left_ns > o->changed_ns ? o->left_ns : o->changed_ns, inputs.now_ns);
    }
    key.energised = (uint8_t)state.energised;
    key.latched = (uint8_t)state.latched;
    key.held = (uint8_t)state.held;
    key.open = (uint8_t)state.first_out_open;
    key.phase = (uint8_t)state.test.phase;
    key.gate = state.gate_missing != 0;
    return key;
}

static uint32_t bucket_of(const struct key *key)
{
    const uint8_t *bytes = (const uint8_t *)key;
    uint64_t hash = CONTROL_TABLE_HASH_START;
    for (size_t i = 0; i < sizeof(*key); i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return (uint32_t)(hash ^ hash >> 32) & (BUCKETS - 1);
}

/* Remembers the present state if it is new. */
static void meet(void)
{
    struct key key = key_of_state();
    uint32_t b = bucket_of(&key);
    while (buckets[b] != 0) {
        if (memcmp(&nodes[buckets[b] - 1].key, &key, sizeof(key)) == 0) {
            return;
        }
        b = (b + 1) & (BUCKETS - 1);
    }
    cr_assert_lt(node_count, NODES, "more states than this plant should have");
    struct node *node = &nodes[node_count++];
    node->key = key;
    node->now_ns = inputs.now_ns;
    memcpy(node->channel, inputs.channel, sizeof(node->channel));
    node->bytes = malloc(STATE_BYTES);
    cr_assert_not_null(node->bytes);
    memcpy(node->bytes, &state, STATE_BYTES);
    buckets[b] = node_count;
}

static void return_to(const struct node *node)
{
    memcpy(&state, node->bytes, STATE_BYTES);
    memcpy(inputs.channel, node->channel, sizeof(node->channel));
    inputs.now_ns = node->now_ns;
}

/* Rule 0 trips, rule 1 holds output 1, rule 2 trips output 1 alone. Output 0 is read back. */
static void make_plant(void)
{
    table_make_bare(&table);
    for (uint32_t i = 0; i < 3; i++) {
        table_add_channel(&table);
    }
    table_add_high(&table, 0, 100)->bypass_max_ns = 2 * MS;
    struct control_rule *hold = table_add_high(&table, 1, 100);
    hold->role = ROLE_HOLD;
    hold->outputs = 2;
    table_add_high(&table, 1, 200)->outputs = 2;
    table.bypasses_max = 1;
    table.gate_required = GATE_CONFIG;
    table.output[0].feedback = (struct control_feedback){
        .form = FEEDBACK_BITS, .channel = POSITION, .energised_mask = 2, .safe_mask = 1, .time_ns = TIME_MS * MS};
    nodes = calloc(NODES, sizeof(*nodes));
    buckets = calloc(BUCKETS, sizeof(*buckets));
    cr_assert(nodes != NULL && buckets != NULL);
    memset(&inputs, 0, sizeof(inputs));
    inputs.now_ns = TEST_NOW_NS;
    engine_init(&state);
    node_count = 0;
    meet();
}

static const uint32_t commands[] = {COMMAND_NONE, COMMAND_RESET,  COMMAND_ARM,
                                    COMMAND_TRIP, COMMAND_BYPASS, COMMAND_RESET | COMMAND_ARM,
                                    COMMAND_TEST};

/* One input of the plant. */
struct choice {
    uint32_t trips;    /* channel 0: 0 healthy, 1 above, 2 not a number */
    uint32_t holds;    /* channel 1: 0 healthy, 1 holds, 2 trips its output, 3 not a number */
    uint32_t position; /* channel 2: 0 between, 1 safe, 2 energised, 3 both */
    uint32_t command;
    uint32_t fault; /* 0 none, 1 deadline, 2 self-test, 3 clock goes back, 4 gate does not pass */
};

static void decode(uint32_t number, struct choice *choice)
{
    choice->trips = number % 3;
    choice->holds = number / 3 % 4;
    choice->position = number / 12 % 4;
    choice->command = commands[number / 48 % 7];
    choice->fault = number / 336;
}
#define CHOICES (336u * 5u)

static void apply(const struct choice *choice)
{
    static const double trips[] = {50, 150, (double)NAN};
    static const double holds[] = {50, 150, 250, (double)NAN};
    inputs.now_ns += MS;
    inputs_sample(&inputs, 0, trips[choice->trips], inputs.now_ns);
    inputs_sample(&inputs, 1, holds[choice->holds], inputs.now_ns);
    inputs_sample(&inputs, POSITION, choice->position, inputs.now_ns);
    inputs.command = choice->command;
    inputs.command_index = 0;
    inputs.command_ns = 2 * MS;
    inputs.deadline_missed = choice->fault == 1;
    inputs.self_test_bad = choice->fault == 2;
    inputs.gate_passed = choice->fault == 4 ? 0 : GATE_ALL;
    if (choice->fault == 3) {
        state.last_now_ns = inputs.now_ns + 1;
    }
    engine_step(&table, &state, &inputs, &outputs);
    transitions++;
}

/* What is checked between the state of a node and the one after a step. */
struct past {
    uint32_t code;
    uint32_t previous_command;
    uint32_t energised;
    uint32_t open;
    uint64_t trips;
    uint64_t bypass_until_ns;
    struct engine_cause first_out;
};

static bool withdraws(const struct choice *c, const struct past *past)
{
    bool bypassed = past->bypass_until_ns > inputs.now_ns;
    bool edge = (c->command & ~past->previous_command & COMMAND_TRIP) != 0;
    return (c->trips != 0 && !bypassed) || edge || (c->fault >= 1 && c->fault <= 3);
}

/* Invariants 1, 2, 5, 8. IL-023 IL-024 IL-028 IL-029 */
static void check_safe(const struct choice *c, const struct past *past)
{
    cr_assert(outputs.energised == 0 || machine_permits(state.code));
    cr_assert_eq(outputs.energised, state.energised);
    if (withdraws(c, past)) {
        cr_assert_eq(outputs.energised, 0, "from %s", engine_state_name(past->code));
    }
    if (past->code == ENGINE_FAULT || c->fault == 2 || c->fault == 3) {
        cr_assert_eq(state.code, ENGINE_FAULT);
    }
    if (c->holds != 0) { /* IL-041 IL-042: rule 2 or rule 1 acts in the same step */
        cr_assert_eq(outputs.energised & 2, 0);
    }
    if ((outputs.energised & ~past->energised & 2) != 0 && machine_permits(past->code)) {
        cr_assert_eq(state.latched & 2, 0, "a latched output came back by itself");
    }
}

/* Invariants 3 and 4. IL-025 IL-026 IL-031 IL-045 IL-055 IL-062 */
static void check_way(const struct choice *c, const struct past *past)
{
    uint32_t edges = c->command & ~past->previous_command;
    bool healthy = c->trips == 0 || past->bypass_until_ns > inputs.now_ns;
    bool clear = healthy && c->holds == 0 && c->position == 1 && c->fault == 0;
    if (state.code == ENGINE_READY && past->code != ENGINE_READY) {
        cr_assert_eq(past->code, ENGINE_TRIPPED);
        cr_assert((edges & COMMAND_RESET) != 0 && (clear || c->fault == 4));
        cr_assert(healthy && c->holds == 0 && c->position == 1);
    }
    if (machine_permits(state.code) && !machine_permits(past->code)) {
        cr_assert(past->code == ENGINE_READY && state.code == ENGINE_ARMING);
        cr_assert((edges & COMMAND_ARM) != 0 && (edges & COMMAND_RESET) == 0 && clear);
    }
    if (state.code == ENGINE_ARMED && past->code == ENGINE_ARMING) {
        cr_assert_eq(c->position, 2, "ARMED before the output has followed");
    }
    if (state.code == ENGINE_TEST && past->code != ENGINE_TEST) { /* IL-060 */
        cr_assert(past->code == ENGINE_ARMED && (edges & COMMAND_TEST) != 0 && (past->energised & 1) != 0);
        cr_assert_eq(outputs.energised & 1, 0);
    }
}

/* Invariants 6 and 7. IL-036 IL-038 IL-046 IL-047 IL-048 IL-049 */
static void check_records(const struct past *past)
{
    uint64_t until = state.rule[0].bypass_until_ns;
    bool withdrawn = machine_permits(past->code) && !machine_permits(state.code);
    cr_assert(until == 0 || until > inputs.now_ns, "a bypass outlives its expiry");
    cr_assert(until <= inputs.now_ns + 2 * MS, "a bypass longer than allowed");
    bool standing = past->bypass_until_ns > inputs.now_ns;
    cr_assert(!standing || until == past->bypass_until_ns || until == 0, "a bypass was extended");
    cr_assert(!withdrawn || until == 0, "a bypass outlives a trip");
    cr_assert_leq(state.bypasses, 1);
    cr_assert_eq(state.bypasses, until != 0);
    bool may_change = past->open != 0 && outputs.tripped != 0;
    bool same = same_bytes(&past->first_out, &state.first_out[0], sizeof(past->first_out));
    cr_assert(same || may_change || past->code == ENGINE_INIT, "first-out changed in %s",
              engine_state_name(past->code));
    cr_assert_eq(state.trips - past->trips, outputs.tripped);
    cr_assert(!withdrawn || outputs.tripped == 1);
    cr_assert(outputs.tripped == 0 || state.first_out_count > 0,
              "a trip without a first-out: from %s, causes %u, %s", engine_state_name(past->code),
              state.cause_count, engine_cause_name(state.cause[0].kind));
}

/* Invariant 11: what does not follow loses its permit in time. IL-053 */
static void check_readback(const struct choice *c)
{
    const struct engine_output_state *o = &state.output[0];
    if ((state.energised & 1) != 0 && c->position != 2) {
        uint64_t since = o->left_ns > o->changed_ns ? o->left_ns : o->changed_ns;
        cr_assert_leq(inputs.now_ns - since, TIME_MS * MS, "%s: energised, and never followed",
                      engine_state_name(state.code));
    }
}

static void explore_one(uint32_t node)
{
    for (uint32_t i = 0; i < CHOICES; i++) {
        struct choice choice;
        decode(i, &choice);
        return_to(&nodes[node]);
        struct past past = {.code = state.code,
                            .previous_command = state.previous_command,
                            .energised = state.energised,
                            .open = state.first_out_open,
                            .trips = state.trips,
                            .bypass_until_ns = state.rule[0].bypass_until_ns,
                            .first_out = state.first_out[0]};
        apply(&choice);
        check_safe(&choice, &past);
        check_way(&choice, &past);
        check_records(&past);
        check_readback(&choice);
        meet();
    }
}

static void healthy_step(uint32_t command)
{
    struct choice choice = {.position = (state.energised & 1) != 0 ? 2 : 1, .command = command};
    apply(&choice);
}

/* Invariant 12: from everywhere but FAULT, a healthy plant and an operator who does what the book says arm it.
 * IL-033 */
static void check_rearm(uint32_t node)
{
    return_to(&nodes[node]);
    if (state.code == ENGINE_FAULT) {
        return;
    }
    static const uint32_t book[] = {COMMAND_NONE, COMMAND_TRIP, COMMAND_NONE, COMMAND_RESET,
                                    COMMAND_NONE, COMMAND_ARM,  COMMAND_NONE, COMMAND_NONE};
    for (size_t i = 0; i < sizeof(book) / sizeof(book[0]); i++) {
        healthy_step(book[i]);
    }
    cr_assert_eq(state.code, ENGINE_ARMED, "from %s: %s", engine_state_name(nodes[node].key.code),
                 engine_state_name(state.code));
    cr_assert_eq(outputs.energised, 3);
}

Test(explore, every_reachable_state_with_every_input, .timeout = 300)
{
    make_plant();
    uint32_t limit = NODES;
#ifdef SLUICE_SANITIZED
    limit = 300;
#endif
    bool met[2] = {false, false};
    for (uint32_t i = 0; i < node_count && i < limit; i++) {
        explore_one(i);
        check_rearm(i);
        met[0] = met[0] || nodes[i].key.code == ENGINE_TEST;
        met[1] = met[1] || nodes[i].key.code == ENGINE_ARMED;
    }
    cr_assert(limit < NODES || (met[0] && met[1]));
    cr_log_info("%u states, %lu transitions", node_count, transitions);
    fprintf(stderr, "explored %u states, %lu transitions\n", node_count, transitions);
    for (uint32_t i = 0; i < node_count; i++) {
        free(nodes[i].bytes);
    }
    free(nodes);
    free(buckets);
}
