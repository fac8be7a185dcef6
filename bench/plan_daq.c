/* The cases of `sluice-bench daq`. */
#include <stdio.h>
#include <string.h>

#include "bench/daq_rig.h"
#include "bench/plan.h"

#define CAP_S 30.0 /* what the programs take to start and end */

static const char *const value_names[DAQ_VALUES] = {
    "cpu_percent", "cpu_per_sample", "calls_per_sample", "late_p50", "late_p99", "late_max", "lost"};
static const char *const value_units[DAQ_VALUES] = {"% of a core", "us", "calls", "us", "us", "us", "ppm"};

static void add_rows(struct plan *plan, const struct daq_path *path, uint32_t group)
{
    for (uint32_t i = 0; i < DAQ_VALUES; i++) {
        struct row *row = &plan->rows[plan->row_count++];
        *row = (struct row){.name = value_names[i],
                            .unit = value_units[i],
                            .note = path->note,
                            .stall_us = -1,
                            .size_bytes = path->wire == DAQ_FILES ? (uint32_t)sizeof(double)
                                                                  : (uint32_t)sizeof(struct daq_frame),
                            .group = group,
                            .batch = 1,
                            .kind = path->is_peer    ? PEER_OTHER
                                    : path->is_floor ? PEER_FLOOR
                                                     : PEER_OURS,
                            .is_floor = path->is_floor};
        snprintf(row->variant, sizeof(row->variant), "%s", path->variant);
    }
}

/* "fifo" of "fifo-epoll": who answers the same question. */
static bool same_group(const char *a, const char *b)
{
    size_t n = strcspn(a, "-");
    return n == strcspn(b, "-") && strncmp(a, b, n) == 0;
}

void plan_daq(struct plan *plan, const struct environment *environment, double seconds, const char *only)
{
    const struct daq_path *path;
    const struct daq_path *before = NULL;
    uint32_t group = 0;
    *plan = (struct plan){.only = only};
    for (uint32_t n = 0; (path = daq_path_at(n)) != NULL; n++) {
        group += before != NULL && !same_group(before->variant, path->variant);
        before = path;
        if (!plan_wants(only, value_names[DAQ_CPU_PERCENT], path->variant)) {
            continue;
        }
        struct plan_case *c = &plan->cases[plan->case_count++];
        *c = (struct plan_case){
            .first_row = plan->row_count, .row_count = DAQ_VALUES, .scale = {1, 1e-3, 1, 1e-3, 1e-3, 1e-3, 1}};
        c->question = (struct question){.body = measure_daq,
                                        .daq = path,
                                        .spec = {.size_bytes = sizeof(struct daq_frame), .batch = 1, .readers = 1},
                                        .seconds = seconds,
                                        .cap_s = CAP_S + seconds,
                                        .core_count = environment->core_count};
        memcpy(c->question.cores, environment->cores, sizeof(c->question.cores));
        add_rows(plan, path, group);
    }
}
