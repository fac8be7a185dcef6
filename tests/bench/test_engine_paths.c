/* A bench of a path is worth nothing if the engine is not on it. */
#include <criterion/criterion.h>

#include "bench/engine_paths.h"

static struct engine_bed bed;

static uint32_t count(uint32_t truth, bool acting_only)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < bed.table.rules; i++) {
        bool condition = bed.table.rule[i].role == ROLE_CONDITION;
        n += bed.state.rule[i].truth == truth && !(acting_only && condition);
    }
    return n;
}

static uint32_t acting(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < bed.table.rules; i++) {
        n += bed.table.rule[i].role != ROLE_CONDITION;
    }
    return n;
}

static void check(const struct engine_path *path)
{
    switch (path->state) {
    case PATH_CLEAR:
    case PATH_IDLE:
    case PATH_DELAY:
        cr_assert_eq(bed.state.code, ENGINE_ARMED, "%s", path->name);
        cr_assert_eq(count(TRUTH_CLEAR, true), acting(), "%s", path->name);
        break;
    case PATH_DEMAND:
        cr_assert_eq(count(TRUTH_DEMAND, true), acting(), "%s", path->name);
        break;
    case PATH_UNKNOWN:
        cr_assert_eq(count(TRUTH_UNKNOWN, true), acting(), "%s", path->name);
        break;
    case PATH_FLAP:
        if (path->form == FORM_RATE) {
            break; /* its demand ends after a whole window only: it cannot flap from step to step */
        }
        cr_assert_geq(bed.outputs.events, ENGINE_EVENTS_MAX - ENGINE_EVENTS_OWN, "%s", path->name);
        cr_assert_gt(bed.outputs.events_lost, 0, "%s", path->name);
        break;
    case PATH_TRIP:
    case PATH_BLIND:
    case PATH_READBACK:
        cr_assert(bed.outputs.tripped, "%s", path->name);
        cr_assert_neq(bed.outputs.energised, control_all_outputs(&bed.table), "%s", path->name);
        break;
    case PATH_BYPASS:
        cr_assert_eq(bed.state.bypasses, 0, "%s", path->name);
        cr_assert_geq(bed.outputs.events, ENGINE_EVENTS_MAX - ENGINE_EVENTS_OWN, "%s", path->name);
        break;
    default:
        break;
    }
}

Test(engine_paths, every_one_leads_where_its_name_says)
{
    for (uint32_t i = 0; i < engine_path_count(); i++) {
        engine_bed_make(&bed, engine_path_at(i), CONTROL_RULES_MAX);
        cr_assert(bed.armed, "%s", engine_path_at(i)->name);
        for (int s = 0; s < 50; s++) {
            engine_bed_next(&bed);
            engine_bed_step(&bed);
            if (s > 3) { /* what changes in every second step has to begin */
                check(engine_path_at(i));
            }
        }
    }
}
