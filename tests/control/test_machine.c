/* The state machine, whole: every code, legal or one bit beside it, with every combination of its ten inputs,
 * against the table below. */
#include <criterion/criterion.h>

#include "control/machine.h"

/* Bits of a combination. */
enum {
    RESET = 1,
    ARM = 2,
    TEST = 4,
    BAD = 8,
    BLOCKED = 16,
    DEMAND = 32,
    GATE = 64,
    FOLLOWED = 128,
    LATE = 256,
    DONE = 512,
    COMBINATIONS = 1024
};

static struct machine_inputs inputs_of(uint32_t bits)
{
    return (struct machine_inputs){.reset_edge = bits & 1,
                                   .arm_edge = bits >> 1 & 1,
                                   .test_edge = bits >> 2 & 1,
                                   .self_test_bad = bits >> 3 & 1,
                                   .blocked = bits >> 4 & 1,
                                   .demand = bits >> 5 & 1,
                                   .gate_passed = bits >> 6 & 1,
                                   .followed = bits >> 7 & 1,
                                   .feedback_late = bits >> 8 & 1,
                                   .test_done = bits >> 9 & 1};
}

/* The first row of a state whose `set` bits are all set and whose `clear` bits are all clear tells where it leads.
 */
struct row {
    uint32_t from;
    uint32_t set;
    uint32_t clear;
    uint32_t to;
};

static const struct row rows[] = {
    {ENGINE_INIT, BAD, 0, ENGINE_FAULT},          {ENGINE_INIT, 0, 0, ENGINE_TRIPPED},

    {ENGINE_TRIPPED, BAD, 0, ENGINE_FAULT},       {ENGINE_TRIPPED, RESET, BLOCKED, ENGINE_READY},
    {ENGINE_TRIPPED, 0, 0, ENGINE_TRIPPED},

    {ENGINE_READY, BAD, 0, ENGINE_FAULT},         {ENGINE_READY, BLOCKED, 0, ENGINE_TRIPPED},
    {ENGINE_READY, ARM | GATE, 0, ENGINE_ARMING}, {ENGINE_READY, 0, 0, ENGINE_READY},

    {ENGINE_ARMING, BAD, 0, ENGINE_FAULT},        {ENGINE_ARMING, BLOCKED, 0, ENGINE_TRIPPED},
    {ENGINE_ARMING, LATE, 0, ENGINE_FAULT},       {ENGINE_ARMING, FOLLOWED, 0, ENGINE_ARMED},
    {ENGINE_ARMING, 0, 0, ENGINE_ARMING},

    {ENGINE_ARMED, BAD, 0, ENGINE_FAULT},         {ENGINE_ARMED, DEMAND, 0, ENGINE_TRIPPED},
    {ENGINE_ARMED, TEST, 0, ENGINE_TEST},         {ENGINE_ARMED, 0, 0, ENGINE_ARMED},

    {ENGINE_TEST, BAD, 0, ENGINE_FAULT},          {ENGINE_TEST, DEMAND, 0, ENGINE_TRIPPED},
    {ENGINE_TEST, DONE, 0, ENGINE_ARMED},         {ENGINE_TEST, 0, 0, ENGINE_TEST},

    {ENGINE_FAULT, 0, 0, ENGINE_FAULT},
};

static const uint32_t legal[] = {ENGINE_INIT,  ENGINE_TRIPPED, ENGINE_READY, ENGINE_ARMING,
                                 ENGINE_ARMED, ENGINE_TEST,    ENGINE_FAULT};
#define LEGAL (sizeof(legal) / sizeof(legal[0]))

static uint32_t expected(uint32_t from, uint32_t bits)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].from == from && (bits & rows[i].set) == rows[i].set && (bits & rows[i].clear) == 0) {
            return rows[i].to;
        }
    }
    return ENGINE_FAULT; /* not a state */
}

static void check_code(uint32_t code)
{
    for (uint32_t bits = 0; bits < COMBINATIONS; bits++) {
        if ((bits & DEMAND) != 0 && (bits & BLOCKED) == 0) {
            continue; /* a demand blocks: the description gives the rest no meaning; see demand_alone */
        }
        struct machine_inputs inputs = inputs_of(bits);
        uint32_t to = machine_next(code, &inputs);
        cr_assert_eq(to, expected(code, bits), "%s (%#x) with %#x: %s instead of %s", engine_state_name(code), code,
                     bits, engine_state_name(to), engine_state_name(expected(code, bits)));
    }
}

/* IL-025 IL-028 IL-029 IL-031 */
Test(machine, every_state_with_every_input)
{
    for (size_t i = 0; i < LEGAL; i++) {
        check_code(legal[i]);
    }
}

/* IL-005 IL-024: if ever a demand comes without `blocked`, which it never should, it still leads to no permit from
 * ARMED and TEST, and to none that was not there before. */
Test(machine, demand_alone)
{
    for (size_t i = 0; i < LEGAL; i++) {
        for (uint32_t bits = 0; bits < COMBINATIONS; bits++) {
            struct machine_inputs inputs = inputs_of((bits | DEMAND) & ~(uint32_t)BLOCKED);
            uint32_t to = machine_next(legal[i], &inputs);
            bool armed = legal[i] == ENGINE_ARMED || legal[i] == ENGINE_TEST;
            cr_assert(!armed || !machine_permits(to), "%s", engine_state_name(legal[i]));
        }
    }
}

/* IL-027: every single flipped bit of every state, no bit and every bit. */
Test(machine, illegal_codes_are_a_fault)
{
    for (size_t i = 0; i < LEGAL; i++) {
        for (uint32_t bit = 0; bit < 32; bit++) {
            uint32_t code = legal[i] ^ UINT32_C(1) << bit;
            check_code(code);
            cr_assert(!machine_permits(code), "%#x", code);
            cr_assert_str_eq(engine_state_name(code), "illegal");
        }
    }
    check_code(0);
    check_code(UINT32_MAX);
    cr_assert(!machine_permits(0) && !machine_permits(UINT32_MAX));
}

/* IL-027 */
Test(machine, codes_lie_eight_bits_apart)
{
    for (size_t a = 0; a < LEGAL; a++) {
        cr_assert_geq(__builtin_popcount(legal[a]), 8, "from 0: %s", engine_state_name(legal[a]));
        cr_assert_leq(__builtin_popcount(legal[a]), 24, "from ~0: %s", engine_state_name(legal[a]));
        for (size_t b = 0; b < a; b++) {
            cr_assert_geq(__builtin_popcount(legal[a] ^ legal[b]), 8, "%s and %s", engine_state_name(legal[a]),
                          engine_state_name(legal[b]));
        }
    }
}

/* IL-023 */
Test(machine, permits_in_three_states_only)
{
    for (size_t i = 0; i < LEGAL; i++) {
        bool permit = legal[i] == ENGINE_ARMING || legal[i] == ENGINE_ARMED || legal[i] == ENGINE_TEST;
        cr_assert_eq(machine_permits(legal[i]), permit, "%s", engine_state_name(legal[i]));
    }
}

/* IL-021: of two inputs, the one that is worse in some respect and better in none never leads to a permit when the
 * other leads to none. A lost edge is worse, too: what nobody asked for is not given. */
Test(machine, worse_inputs_lead_to_no_permit)
{
    const uint32_t bad_when_set = BAD | BLOCKED | DEMAND | LATE;
    for (size_t i = 0; i < LEGAL; i++) {
        for (uint32_t bits = 0; bits < COMBINATIONS; bits++) {
            struct machine_inputs inputs = inputs_of(bits);
            bool permit = machine_permits(machine_next(legal[i], &inputs));
            for (uint32_t more = 1; more < COMBINATIONS; more <<= 1) {
                if ((bad_when_set & more) == 0) {
                    continue;
                }
                struct machine_inputs worse = inputs_of(bits | more);
                bool still = machine_permits(machine_next(legal[i], &worse));
                cr_assert(permit || !still, "%s with %#x: no permit, but with %#x", engine_state_name(legal[i]),
                          bits, bits | more);
            }
        }
    }
}

/* IL-025: the machine's whole graph: a permit comes from READY alone. */
Test(machine, the_only_way_to_a_permit)
{
    for (size_t i = 0; i < LEGAL; i++) {
        for (uint32_t bits = 0; bits < COMBINATIONS; bits++) {
            struct machine_inputs inputs = inputs_of(bits);
            uint32_t to = machine_next(legal[i], &inputs);
            if (machine_permits(to) && !machine_permits(legal[i])) {
                cr_assert_eq(legal[i], ENGINE_READY);
                cr_assert_eq(to, ENGINE_ARMING);
                cr_assert_eq(bits & (ARM | GATE | BAD | BLOCKED), ARM | GATE);
            }
            if (to == ENGINE_READY && legal[i] != ENGINE_READY) {
                cr_assert_eq(legal[i], ENGINE_TRIPPED);
                cr_assert_eq(bits & (RESET | BAD | BLOCKED), RESET);
            }
        }
    }
}
