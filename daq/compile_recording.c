/* A source that plays a ring of a recording. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "ring/clock.h"

#define SPEED_MIN     0.001
#define SPEED_MAX     100000.0
#define SECONDS_MAX   1e9 /* 30 years */
#define PATHS_AT_MOST "expected at most %u paths of %u bytes in all, found more"

/* One path more, behind those that are there. */
static bool add_path(struct recording_plan *plan, const char *path, size_t *used)
{
    size_t bytes = strlen(path) + 1;
    if (plan->paths == PLAN_RECORDINGS_MAX || bytes > sizeof(plan->path) - *used) {
        return false;
    }
    memcpy(plan->path + *used, path, bytes);
    *used += bytes;
    plan->paths++;
    return true;
}

bool recording_plan_paths(struct recording_plan *plan, const char *const *paths, uint32_t count)
{
    size_t used = 0;
    bool fits = true;
    plan->paths = 0;
    for (uint32_t i = 0; i < count; i++) {
        fits = fits && add_path(plan, paths[i], &used);
    }
    return fits;
}

static void compile_paths(struct compile *c, uint32_t i, const struct config_source *from,
                          struct recording_plan *plan)
{
    char path[COMPILE_PATH_BYTES];
    const char *one[] = {from->path};
    bool many = from->paths_count > 0;
    if ((from->path != NULL) == many || (from->path != NULL && from->path[0] == 0)) {
        compile_complain_item(c, "sources", i, "path",
                              "a recording needs either path or paths: directories of a run, or .slr files");
        return;
    }
    if (!recording_plan_paths(plan, many ? (const char *const *)from->paths : one, many ? from->paths_count : 1)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].%s", i, many ? "paths" : "path"),
                        PATHS_AT_MOST, PLAN_RECORDINGS_MAX, PLAN_RECORDING_BYTES);
    }
}

static uint64_t compile_time(struct compile *c, uint32_t i, const char *key, const double *given)
{
    char path[COMPILE_PATH_BYTES];
    if (given == NULL) {
        return 0;
    }
    if (!(*given >= 0) || *given > SECONDS_MAX) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].%s", i, key),
                        "expected 0 to %g s since the recording's first frame, found %g", SECONDS_MAX, *given);
        return 0;
    }
    return (uint64_t)llround(*given * (double)CLOCK_NS_PER_S);
}

void compile_recording(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    struct recording_plan *plan = &to->recording;
    char path[COMPILE_PATH_BYTES];
    compile_paths(c, i, from, plan);
    compile_name(c, compile_path(path, "sources[%u].recorded_ring", i),
                 from->recorded_ring != NULL ? from->recorded_ring : from->ring, plan->ring);
    plan->speed = from->speed != NULL ? *from->speed : 1.0;
    if (plan->speed != 0 && (!(plan->speed >= SPEED_MIN) || plan->speed > SPEED_MAX)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].speed", i),
                        "expected %g to %g times as fast as recorded, or 0 for as fast as can be, found %g",
                        SPEED_MIN, SPEED_MAX, plan->speed);
        plan->speed = 1.0;
    }
    plan->from_ns = compile_time(c, i, "from_s", from->from_s);
    plan->to_ns = compile_time(c, i, "to_s", from->to_s);
    if (from->to_s != NULL && plan->to_ns <= plan->from_ns) {
        compile_complain_item(c, "sources", i, "to_s", "expected an end behind from_s");
    }
    plan->wait_readers =
        (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].wait_readers", i), from->wait_readers, 0, 0,
                                  RING_GATES_MAX, "gating readers, as many as its ring takes");
    plan->loop = from->loop != NULL && *from->loop;
    plan->stamps = from->played_stamps != NULL ? (uint32_t)*from->played_stamps : RECORDING_STAMPS_MOVED;
}
