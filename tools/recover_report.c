#include <inttypes.h>
#include <string.h>

#include "ring/clock.h"
#include "tools/recover.h"
#include "tools/whole_file.h"

#define SHOWN_MAX 20u /* gaps in words; the report has all */

const char *recover_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

json_t *recover_gaps_json(const struct recording_gaps *gaps)
{
    json_t *list = json_array();
    for (uint64_t i = 0; i < gaps->count; i++) {
        const struct record_gap *gap = &gaps->gap[i];
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:I, s:s}", "from_position", (json_int_t)gap->from_position,
                                        "to_position", (json_int_t)gap->to_position, "count",
                                        (json_int_t)gap->count, "cause", record_cause_name(gap->cause)));
    }
    return list;
}

void recover_say_file(const struct recover *r, const struct record_file *file, const char *action, uint64_t behind)
{
    char size[RECORDING_SIZE_BYTES];
    if (r->json || file->closed) {
        return;
    }
    printf("  %s: ", recording_plain(file->path));
    if (strcmp(action, "left") == 0) {
        printf("%s; left as it is\n",
               behind > 0 ? "it has no header that can be read" : "it has no header, and nothing is in it");
    } else if (strcmp(action, "removed") == 0) {
        printf("%s: nothing had been written to it\n", r->dry_run ? "would be removed" : "removed");
    } else {
        recording_size(file->blocks_end, size);
        printf("%s behind %" PRIu64 " whole blocks, %s", r->dry_run ? "would be closed" : "closed", file->indices,
               size);
        if (behind > 0) {
            printf("; %" PRIu64 " bytes behind them are no whole block: dropped", behind);
        }
        printf("\n");
    }
}

void recover_say_ring(const struct recover *r, const struct record_ring *ring, const struct recording_gaps *gaps)
{
    char from[RECORDING_TIME_BYTES];
    char to[RECORDING_TIME_BYTES];
    recording_time(&ring->header, ring->first_tai_ns, from);
    recording_time(&ring->header, ring->last_tai_ns, to);
    if (r->json) {
        return;
    }
    printf("ring %s: %" PRIu64 " frames saved", recording_plain(ring->header.ring), ring->frames);
    if (ring->frames > 0) {
        printf(", positions %" PRIu64 " to %" PRIu64 ", %s to %s", ring->first_position, ring->end_position - 1,
               from, to);
    }
    printf("\n");
    for (uint64_t i = 0; i < gaps->count && i < SHOWN_MAX; i++) {
        const struct record_gap *gap = &gaps->gap[i];
        printf("  missing: %" PRIu64 " frames, positions %" PRIu64 " to %" PRIu64 ", %s\n", gap->count,
               gap->from_position, gap->to_position - 1,
               gap->cause == RECORD_CAUSE_DAMAGED ? "in a block that is not whole" : "in no block");
    }
    if (gaps->count > SHOWN_MAX) {
        printf("  missing: %" PRIu64 " more gaps; --json has them all\n", gaps->count - SHOWN_MAX);
    }
    if (!ring->closed) {
        printf("  what came behind position %" PRIu64 " had not reached the disk\n",
               ring->end_position > 0 ? ring->end_position - 1 : 0);
    }
}

void recover_begin_report(struct recover *r, json_t *rings)
{
    char when[RECORDING_TIME_BYTES];
    const struct record_file_header utc = {.utc_offset_s = 37};
    recording_time(&utc, clock_realtime_ns() + 37 * CLOCK_NS_PER_S, when);
    r->report = json_pack("{s:s, s:b, s:o, s:o, s:o}", "time", when, "dry_run", (int)r->dry_run, "output",
                          r->output != NULL ? recording_json_text(r->output) : json_null(), "rings", rings,
                          "problems", recording_problems(r->set));
}

/* The report lies beside what it is about; one that is there already goes on. */
int recover_write_report(const struct recover *r, struct error *err)
{
    char path[4096];
    struct whole_file whole;
    const char *first = record_file(r->set, 0, 0)->path;
    if (r->output != NULL) {
        snprintf(path, sizeof(path), "%s/" RECOVER_REPORT_FILE, r->output);
    } else {
        snprintf(path, sizeof(path), "%.*s" RECOVER_REPORT_FILE, (int)(recover_base_name(first) - first), first);
    }
    json_t *all = json_load_file(path, 0, NULL);
    json_t *list = json_object_get(all, "recoveries");
    if (!json_is_array(list)) {
        json_decref(all);
        list = json_array();
        all = json_pack("{s:o}", "recoveries", list);
    }
    json_array_append(list, r->report);
    int code = whole_file_begin(&whole, path, err);
    if (code == 0) {
        json_dumpf(all, whole.to, JSON_PRESERVE_ORDER | JSON_INDENT(1));
        fprintf(whole.to, "\n");
        code = whole_file_end(&whole, err);
    }
    json_decref(all);
    return code;
}

void recover_say_problems(const struct recover *r)
{
    const struct record_problem *problem;
    for (uint64_t i = 0; !r->json && (problem = record_problem(r->set, i)) != NULL; i++) {
        if (problem->kind == RECORD_PROBLEM_FILE_MISSING || problem->kind == RECORD_PROBLEM_DAMAGED) {
            printf("%s\n", recording_plain(problem->text));
        }
    }
}
