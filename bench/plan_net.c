/* The cases of `sluice-bench net`. */
#include <stdio.h>
#include <string.h>

#include "bench/net_rig.h"
#include "bench/net_search.h"
#include "bench/plan.h"

#define CAP_TRIALS 40.0 /* of --seconds each, and what the programs take to start */
#define CAP_S      60.0

static const char *const value_names[NET_VALUES] = {
    "loss_free", "loss_free_unstalled", "taken_max", "offered_max", "trials", "repeated"};
static const char *const value_units[NET_VALUES] = {"million/s", "million/s", "million/s",
                                                    "million/s", "trials",    "trials"};

static void add_rows(struct plan *plan, const struct net_path *path, uint32_t size)
{
    for (uint32_t i = 0; i < NET_VALUES; i++) {
        struct row *row = &plan->rows[plan->row_count++];
        *row = (struct row){.name = value_names[i],
                            .unit = value_units[i],
                            .note = path->note,
                            .stall_us = -1,
                            .size_bytes = size,
                            .group = path->wire,
                            .batch = 1,
                            .kind = path->is_peer    ? PEER_OTHER
                                    : path->is_floor ? PEER_FLOOR
                                                     : PEER_OURS,
                            .is_floor = path->is_floor && i < NET_OFFERED,
                            .high = i < NET_TRIALS,
                            .stalls = {.excused = i == NET_EXCUSED}};
        snprintf(row->variant, sizeof(row->variant), "%s", path->variant);
    }
}

/* "sluice-memif" names all its sizes, "sluice-memif@64" one. */
static bool is_wanted(const struct plan *plan, const struct net_path *path, uint32_t size)
{
    char one[48];
    snprintf(one, sizeof(one), "%s@%u", path->variant, size);
    return plan_wants(plan->only, value_names[NET_LOSS_FREE], path->variant) ||
           plan_wants(plan->only, value_names[NET_LOSS_FREE], one);
}

static void add_path(struct plan *plan, const struct environment *environment, double seconds,
                     const struct net_path *path, uint32_t size)
{
    if (!is_wanted(plan, path, size) || plan->case_count == PLAN_CASES_MAX ||
        plan->row_count + NET_VALUES > ROWS_MAX) {
        return;
    }
    struct plan_case *c = &plan->cases[plan->case_count++];
    *c = (struct plan_case){
        .first_row = plan->row_count, .row_count = NET_VALUES, .scale = {1e-6, 1e-6, 1e-6, 1e-6, 1, 1}};
    c->question = (struct question){.body = measure_net,
                                    .net = path,
                                    .spec = {.size_bytes = size, .batch = 1, .readers = 1},
                                    .seconds = seconds,
                                    .cap_s = CAP_S + CAP_TRIALS * seconds,
                                    .core_count = environment->core_count};
    memcpy(c->question.cores, environment->cores, sizeof(c->question.cores));
    add_rows(plan, path, size);
}

void plan_net(struct plan *plan, const struct environment *environment, double seconds, const char *only)
{
    static const uint32_t sizes[] = {64, 512, 1500, 9000};
    *plan = (struct plan){.only = only};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct net_path *path;
        for (uint32_t n = 0; (path = net_path_at(n)) != NULL; n++) {
            add_path(plan, environment, seconds, path, sizes[i]);
        }
    }
}
