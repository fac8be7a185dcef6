/* Recorders: which rings, whereto, when, and what is promised. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "daq/recorder_plan.h"
#include "daq/state_dir.h"
#include "ring/clock.h"

static uint64_t bounded(struct compile *c, uint32_t i, const char *key, const uint32_t *given, uint64_t standard,
                        uint64_t min, uint64_t max, const char *unit)
{
    char path[COMPILE_PATH_BYTES];
    return compile_bounded(c, compile_path(path, "recorders[%u].%s", i, key), given, standard, min, max, unit);
}

static void take_text(struct compile *c, uint32_t i, const char *key, const char *given, char *to, size_t bytes)
{
    if (given == NULL) {
        return;
    }
    if (strlen(given) >= bytes || strchr(given, '\n') != NULL) {
        compile_complain_item(c, "recorders", i, key, "expected one line of at most %zu bytes, found %zu",
                              bytes - 1, strlen(given));
        return;
    }
    snprintf(to, bytes, "%s", given);
}

static const struct ring_plan *find_ring(const struct compile *c, const char *name)
{
    for (uint32_t r = 0; r < c->plan->rings; r++) {
        if (strcmp(c->plan->ring[r].name, name) == 0) {
            return &c->plan->ring[r];
        }
    }
    return NULL;
}

static void take_rings(struct compile *c, uint32_t i, const struct config_recorder *from, struct recorder_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    for (uint32_t r = 0; from->only_rings_count == 0 && r < c->plan->rings; r++) {
        if (c->plan->ring[r].stream.name[0] != 0) {
            memcpy(to->ring[to->rings++], c->plan->ring[r].name, RING_NAME_BYTES);
        }
    }
    for (uint32_t r = 0; r < from->only_rings_count; r++) {
        const struct ring_plan *ring = find_ring(c, from->only_rings[r]);
        bool twice = false;
        for (uint32_t k = 0; k < to->rings; k++) {
            twice = twice || strcmp(to->ring[k], from->only_rings[r]) == 0;
        }
        compile_path(path, "recorders[%u].only_rings[%u]", i, r);
        if (ring == NULL) {
            config_complain(c->file, c->errors, path, "there is no ring '%s'", from->only_rings[r]);
        } else if (twice) {
            config_complain(c->file, c->errors, path, "ring %s is named twice", ring->name);
        } else if (to->rings < RECORDER_RINGS_MAX) {
            memcpy(to->ring[to->rings++], ring->name, RING_NAME_BYTES);
        }
    }
}

static void take_directories(struct compile *c, uint32_t i, const struct config_recorder *from,
                             struct recorder_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct error err = {{0}};
    if (from->directories_count > RECORDER_DIRECTORIES_MAX) {
        compile_complain_item(c, "recorders", i, "directories", "expected at most %u, found %u",
                              RECORDER_DIRECTORIES_MAX, from->directories_count);
        return;
    }
    if (from->directories_count == 0) {
        to->directories = 1;
        to->makes_directory = 1; /* as the black box does with its own */
        if (state_path(to->directory[0], sizeof(to->directory[0]), c->plan->instance, "recordings", &err) != 0 ||
            to->directory[0][0] != '/') {
            compile_complain_item(c, "recorders", i, "directories", "%s; say where",
                                  err.text[0] != 0 ? err.text : "no absolute state directory");
        }
        return;
    }
    for (uint32_t d = 0; d < from->directories_count; d++) {
        const char *given = from->directories[d];
        compile_path(path, "recorders[%u].directories[%u]", i, d);
        if (given[0] != '/' || strlen(given) >= RECORDER_PATH_BYTES) {
            config_complain(c->file, c->errors, path, "expected an absolute path of at most %u letters, found '%s'",
                            RECORDER_PATH_BYTES - 1, given);
            continue;
        }
        char *path_to = to->directory[to->directories];
        snprintf(path_to, RECORDER_PATH_BYTES, "%s", given);
        for (size_t n = strlen(path_to); n > 1 && path_to[n - 1] == '/'; n--) {
            path_to[n - 1] = 0;
        }
        for (uint32_t k = 0; k < to->directories; k++) {
            if (strcmp(to->directory[k], path_to) == 0) {
                config_complain(c->file, c->errors, path, "%s is named twice; stripes are for several disks",
                                given);
            }
        }
        to->directories++;
    }
}

static void take_condition(struct compile *c, uint32_t i, const struct config_recorder *from,
                           struct recorder_plan *to)
{
    const struct config_condition *condition = from->condition;
    if (to->begins != RECORDER_ON_CONDITION) {
        if (condition != NULL) {
            compile_complain_item(c, "recorders", i, "condition",
                                  "is for begins: on_condition; leave it out, or say so");
        }
        return;
    }
    if (condition == NULL || (condition->above == NULL && condition->below == NULL)) {
        compile_complain_item(c, "recorders", i, "condition",
                              "expected a channel, and above or below (or both), for begins: on_condition");
        return;
    }
    take_text(c, i, "condition.channel", condition->channel, to->channel, sizeof(to->channel));
    bool found = false;
    for (uint32_t r = 0; r < to->rings; r++) {
        const struct ring_plan *ring = find_ring(c, to->ring[r]);
        for (uint32_t k = 0; ring != NULL && k < ring->channel_count; k++) {
            found = found || strcmp(ring->channel[k].name, to->channel) == 0;
        }
    }
    if (!found) {
        compile_complain_item(c, "recorders", i, "condition.channel",
                              "none of the rings that it records carries a channel '%s'", condition->channel);
    }
    to->has_above = condition->above != NULL;
    to->has_below = condition->below != NULL;
    to->above = condition->above != NULL ? *condition->above : 0;
    to->below = condition->below != NULL ? *condition->below : 0;
    if ((to->has_above && !isfinite(to->above)) || (to->has_below && !isfinite(to->below))) {
        compile_complain_item(c, "recorders", i, "condition", "expected numbers");
    }
}

static void check_gating(struct compile *c, uint32_t i, const struct recorder_plan *to)
{
    if (to->gating == 0) {
        if (to->layout == RECORDER_SLOTS) {
            compile_complain_item(c, "recorders", i, "layout",
                                  "slots are written from the ring itself, which only a gating reader may: "
                                  "reading: gating");
        }
        return;
    }
    if (to->pre_ns != 0 || to->begins == RECORDER_ON_TRIP || to->begins == RECORDER_ON_CONDITION) {
        compile_complain_item(c, "recorders", i, "reading",
                              "a gating reader cannot go back in the ring: pre_s and triggers want "
                              "reading: observer");
    }
    for (uint32_t r = 0; r < to->rings; r++) {
        const struct ring_plan *ring = find_ring(c, to->ring[r]);
        if (ring != NULL && ring->watched_as != 0) {
            compile_complain_item(
                c, "recorders", i, "reading",
                "the interlock watches ring %s: its writer would drop frames while a recorder stands still, and "
                "its channels turn stale; read it as an observer",
                ring->name);
        } else if (ring != NULL && ring->gates == 0) {
            compile_complain_item(c, "recorders", i, "reading",
                                  "ring %s takes no gating readers; give it `gating`, or read as an observer",
                                  ring->name);
        }
    }
}

static void take_promises(struct compile *c, uint32_t i, const struct config_recorder *from,
                          struct recorder_plan *to)
{
    to->block_bytes = bounded(c, i, "block_kb", from->block_kb, 1024, 64, 16384, "KiB") << 10;
    to->sync_ns = CLOCK_NS_PER_MS * bounded(c, i, "sync_ms", from->sync_ms, 1000, 30, 60000, "ms");
    to->sync_bytes = bounded(c, i, "sync_mb", from->sync_mb, 256, 1, 65536, "MiB") << 20;
    if (to->sync_bytes < 8 * to->block_bytes) {
        compile_complain_item(c, "recorders", i, "sync_mb",
                              "expected 8 blocks at least (block_kb), else the disk waits for every sync");
    }
    to->pre_ns = CLOCK_NS_PER_S * bounded(c, i, "pre_s", from->pre_s, 0, 0, 3600, "s");
    to->post_ns = CLOCK_NS_PER_S * bounded(c, i, "post_s", from->post_s, 0, 0, 86400, "s");
    to->rotate_bytes = bounded(c, i, "rotate_mb", from->rotate_mb, 4096, 0, 1048576, "MiB") << 20;
    to->rotate_ns = CLOCK_NS_PER_S * bounded(c, i, "rotate_s", from->rotate_s, 0, 0, 604800, "s");
    to->keep_runs = (uint32_t)bounded(c, i, "keep_runs", from->keep_runs, 0, 0, 100000, "runs");
    to->keep_bytes = bounded(c, i, "keep_mb", from->keep_mb, 0, 0, 1000000000, "MiB") << 20;
    to->room_bytes = bounded(c, i, "room_mb", from->room_mb, 1024, 8, 1000000, "MiB") << 20;
    to->decimate = (uint32_t)bounded(c, i, "decimate", from->decimate, 10, 2, 1000000, "frames");
    bool triggered = to->begins == RECORDER_ON_TRIP || to->begins == RECORDER_ON_CONDITION;
    if (triggered && to->post_ns == 0) {
        compile_complain_item(c, "recorders", i, "post_s", "expected for how long it records after its trigger");
    }
    if (!triggered && to->begins == RECORDER_AT_ONCE && (to->pre_ns != 0 || to->post_ns != 0)) {
        compile_complain_item(c, "recorders", i, "pre_s",
                              "pre_s and post_s are of a trigger or a command, not of begins: at_once");
    }
    if (from->decimate != NULL && to->full != RECORDER_DECIMATES) {
        compile_complain_item(c, "recorders", i, "decimate", "is for on_full: decimate; leave it out, or say so");
    }
}

static void compile_one(struct compile *c, uint32_t i)
{
    char path[COMPILE_PATH_BYTES];
    const struct config_recorder *from = &c->config->recorders[i];
    struct recorder_plan *to = &c->plan->recorder[i];
    memset(to, 0, sizeof(*to));
    to->magic = RECORDER_PLAN_MAGIC;
    to->version = RECORDER_PLAN_VERSION;
    memcpy(to->instance, c->plan->instance, sizeof(to->instance));
    compile_name(c, compile_path(path, "recorders[%u].name", i), from->name, to->name);
    for (uint32_t k = 0; k < i; k++) {
        if (strcmp(c->plan->recorder[k].name, to->name) == 0) {
            compile_complain_item(c, "recorders", i, "name", "two recorders are called '%s'", to->name);
        }
    }
    to->gating = from->reading != NULL ? (uint32_t)*from->reading : 0;
    to->layout = from->layout != NULL ? (uint32_t)*from->layout : RECORDER_AUTO;
    to->begins = from->begins != NULL ? (uint32_t)*from->begins : RECORDER_AT_ONCE;
    to->full = from->on_full != NULL ? (uint32_t)*from->on_full : RECORDER_STOPS;
    take_rings(c, i, from, to);
    take_directories(c, i, from, to);
    take_promises(c, i, from, to);
    take_condition(c, i, from, to);
    check_gating(c, i, to);
    take_text(c, i, "operator", from->operator_name, to->operator_name, sizeof(to->operator_name));
    take_text(c, i, "test_id", from->test_id, to->test_id, sizeof(to->test_id));
    take_text(c, i, "note", from->note, to->note, sizeof(to->note));
}

void compile_recorders(struct compile *c)
{
    c->plan->recorders = 0;
    if (c->config->recorders_count > SERVER_RECORDERS_MAX) {
        config_complain(c->file, c->errors, "recorders", "expected at most %u, found %u", SERVER_RECORDERS_MAX,
                        c->config->recorders_count);
        return;
    }
    for (uint32_t i = 0; i < c->config->recorders_count; i++) {
        c->plan->recorders++;
        compile_one(c, i);
    }
}
