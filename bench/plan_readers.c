/* The cases of `sluice-bench readers`. */
#include <stdio.h>
#include <string.h>

#include "bench/plan.h"
#include "bench/readers_rig.h"

#define CAP_S 120.0 /* what programs in Python take to start, and all trials of a search */

static bool is_wanted(const struct readers_path *path, const char *only)
{
    for (uint32_t i = 0; i < path->value_count; i++) {
        if (plan_wants(only, path->values[i].name, path->variant)) {
            return true;
        }
    }
    return false;
}

static void add_rows(struct plan *plan, const struct readers_path *path)
{
    for (uint32_t i = 0; i < path->value_count; i++) {
        struct row *row = &plan->rows[plan->row_count++];
        *row = (struct row){.name = path->values[i].name,
                            .unit = path->values[i].unit,
                            .high = path->values[i].high,
                            .stall_us = -1,
                            .size_bytes = path->frame_bytes,
                            .group = path->group,
                            .batch = 1,
                            .kind = path->kind,
                            .is_floor = path->is_floor};
        snprintf(row->variant, sizeof(row->variant), "%s", path->variant);
    }
}

void plan_readers(struct plan *plan, const struct environment *environment, double seconds, const char *only)
{
    const struct readers_path *path;
    *plan = (struct plan){.only = only};
    for (uint32_t n = 0; (path = readers_path_at(n)) != NULL; n++) {
        if (!is_wanted(path, only)) {
            continue;
        }
        struct plan_case *c = &plan->cases[plan->case_count++];
        *c = (struct plan_case){.first_row = plan->row_count, .row_count = path->value_count};
        for (uint32_t i = 0; i < path->value_count; i++) {
            c->scale[i] = 1;
        }
        c->question = (struct question){.body = measure_readers,
                                        .readers = path,
                                        .spec = {.size_bytes = path->frame_bytes, .batch = 1, .readers = 1},
                                        .seconds = seconds,
                                        .cap_s = CAP_S + 20 * seconds,
                                        .core_count = environment->core_count};
        memcpy(c->question.cores, environment->cores, sizeof(c->question.cores));
        add_rows(plan, path);
    }
}
