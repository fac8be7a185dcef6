#include <stdio.h>
#include <string.h>

#include "ring/clock.h"
#include "tools/record.h"

#define MIB 1048576.0

static json_t *integer(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* Written by another process: the last byte is ours. */
static json_t *text_json(const char *from, size_t bytes)
{
    return json_stringn_nocheck(from, strnlen(from, bytes - 1));
}

uint64_t record_missing(const struct recorder_board *board, uint64_t *decimated)
{
    uint64_t missing = 0;
    *decimated = 0;
    for (uint32_t i = 0; i < board->rings && i < RECORDER_RINGS_MAX; i++) {
        for (uint32_t c = 0; c < RECORD_CAUSES; c++) {
            uint64_t n = __atomic_load_n(&board->ring[i].missing[c], __ATOMIC_RELAXED);
            *(c == RECORD_CAUSE_DECIMATED ? decimated : &missing) += n;
        }
    }
    return missing;
}

static json_t *ring_json(const struct recorder_ring_board *ring)
{
    json_t *missing = json_object();
    for (uint32_t c = RECORD_CAUSE_NONE + 1; c < RECORD_CAUSE_DAMAGED; c++) {
        json_object_set_new(missing, record_cause_name(c), integer(ring->missing[c]));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:i, s:o}", "name",
                     text_json(ring->name, sizeof(ring->name)), "frames", integer(ring->frames), "run_frames",
                     integer(ring->run_frames), "run_bytes", integer(ring->run_bytes), "position",
                     integer(ring->position), "synced_position",
                     integer(__atomic_load_n(&ring->synced_position, __ATOMIC_ACQUIRE)), "lag_frames",
                     integer(ring->lag_frames), "lag_frames_max", integer(ring->lag_frames_max), "waits_for_disk",
                     integer(ring->waits_for_disk), "copied_bytes", integer(ring->copied_bytes), "in_place_bytes",
                     integer(ring->in_place_bytes), "gating", ring->gating != 0, "segment", (int)ring->segment,
                     "missing", missing);
}

json_t *record_report(const struct recorder_board *board)
{
    uint64_t decimated;
    uint64_t missing = record_missing(board, &decimated);
    json_t *rings = json_array();
    for (uint32_t i = 0; i < board->rings && i < RECORDER_RINGS_MAX; i++) {
        json_array_append_new(rings, ring_json(&board->ring[i]));
    }
    json_t *report = json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:f, s:o, "
        "s:o, s:o, s:o}",
        "name", text_json(board->common.name, sizeof(board->common.name)), "state",
        recorder_state_name(__atomic_load_n(&board->state, __ATOMIC_ACQUIRE)), "run",
        text_json(board->run, sizeof(board->run)), "directory",
        text_json(board->directory, sizeof(board->directory)), "error",
        text_json(board->error, sizeof(board->error)), "runs", integer(board->runs), "triggers",
        integer(board->triggers), "failures", integer(board->failures), "run_frames", integer(board->run_frames),
        "run_bytes", integer(board->run_bytes), "bytes_per_s", integer(board->bytes_per_s), "frames_per_s",
        integer(board->frames_per_s), "missing", integer(missing), "decimated", integer(decimated), "free_bytes",
        integer(board->free_bytes), "removed_runs", integer(board->removed_runs), "decimating",
        board->decimating != 0, "durable_ms_max", (double)board->durable_ns_max / 1e6, "durable_late",
        integer(board->durable_late), "unsynced_bytes", integer(board->unsynced_bytes), "unsynced_bytes_max",
        integer(board->unsynced_bytes_max), "rings", rings);
    json_object_set_new(report, "removed_segments", integer(board->removed_segments));
    return report;
}

json_t *record_report_all(const struct session *session)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < session->recorders; i++) {
        json_array_append_new(list, record_report(session->recorder[i]));
    }
    return list;
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

void record_draw(const json_t *recorder)
{
    printf("recorder %s: %s, %.1f MiB and %.0f frames in this run, %.1f MiB/s, %.0f missing",
           text_of(recorder, "name"), text_of(recorder, "state"), number_of(recorder, "run_bytes") / MIB,
           number_of(recorder, "run_frames"), number_of(recorder, "bytes_per_s") / MIB,
           number_of(recorder, "missing"));
    if (number_of(recorder, "decimated") > 0) {
        printf(", %.0f left out", number_of(recorder, "decimated"));
    }
    printf("%s\n", json_is_true(json_object_get(recorder, "decimating")) ? ", DECIMATING" : "");
    if (text_of(recorder, "run")[0] != 0) {
        printf("  %s/%s\n", text_of(recorder, "directory"), text_of(recorder, "run"));
    }
    if (text_of(recorder, "error")[0] != 0) {
        printf("  ! %s\n", text_of(recorder, "error"));
    }
}
