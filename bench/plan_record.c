/* The cases of `sluice-bench record`. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/disk_rig.h"
#include "bench/plan.h"

#define CAP_S 240.0 /* what is written is taken, synced and read back; a recording to be exported is made */

static const char *const value_names[DISK_VALUES] = {"throughput", "cpu_percent",    "cpu_per_gb", "payload",
                                                     "pss_kb",     "durable_ms_max", "lost"};
static const char *const value_units[DISK_VALUES] = {"MB/s", "% of a core", "s/GB", "MB/s", "KiB", "ms", "frames"};

static void add_rows(struct plan *plan, const struct disk_path *path)
{
    for (uint32_t i = 0; i < path->values; i++) {
        struct row *row = &plan->rows[plan->row_count++];
        *row = (struct row){.name = value_names[i],
                            .unit = value_units[i],
                            .stall_us = -1,
                            .group = path->group,
                            .batch = 1,
                            .kind = path->is_floor ? PEER_OTHER : PEER_OURS,
                            .is_floor = path->is_floor,
                            .high = i == DISK_THROUGHPUT || i == DISK_PAYLOAD};
        snprintf(row->variant, sizeof(row->variant), "%s", path->variant);
    }
}

void plan_record(struct plan *plan, const struct environment *environment, double seconds, const char *directory,
                 const char *only)
{
    const struct disk_path *path;
    *plan = (struct plan){.only = only};
    for (uint32_t n = 0; (path = disk_path_at(n)) != NULL; n++) {
        if (!plan_wants(only, value_names[DISK_THROUGHPUT], path->variant)) {
            continue;
        }
        struct plan_case *c = &plan->cases[plan->case_count++];
        *c = (struct plan_case){
            .first_row = plan->row_count, .row_count = path->values, .scale = {1e-6, 1, 1, 1e-6, 1, 1, 1}};
        c->question = (struct question){.body = measure_record,
                                        .disk = path,
                                        .directory = directory,
                                        .spec = {.size_bytes = path->frame_bytes, .batch = 1, .readers = 1},
                                        .seconds = seconds,
                                        .cap_s = CAP_S + seconds,
                                        .core_count = environment->core_count};
        memcpy(c->question.cores, environment->cores, sizeof(c->question.cores));
        add_rows(plan, path);
    }
}

static const struct row *floor_of(const struct plan *plan, uint32_t group)
{
    for (uint32_t i = 0; i < plan->row_count; i++) {
        const struct row *row = &plan->rows[i];
        if (row->is_floor && row->group == group && row->name == value_names[DISK_THROUGHPUT]) {
            return row;
        }
    }
    return NULL;
}

/* A disk that cannot take a line's rate is no fault of who records it. */
void plan_record_finish(struct plan *plan)
{
    const struct row *floor = floor_of(plan, 0);
    uint32_t slow = 0;
    uint32_t known = 0;
    for (uint32_t i = 0; floor != NULL && i < floor->rounds; i++) {
        known += isfinite(floor->samples[i]) != 0;
        slow += floor->samples[i] < DISK_10G / 1e6;
    }
    for (uint32_t i = 0; slow > 0 && i < plan->case_count; i++) {
        struct plan_case *c = &plan->cases[i];
        size_t used = strlen(c->reason);
        if (c->question.disk->pace > 0 && !c->dropped) {
            snprintf(c->reason + used, sizeof(c->reason) - used,
                     "%sfio-1m carried less than %.0f MB/s in %u of %u rounds", used > 0 ? "; " : "",
                     DISK_10G / 1e6, slow, known);
            for (uint32_t k = 0; k < c->row_count; k++) {
                plan->rows[c->first_row + k].note = c->reason;
            }
        }
    }
}
