#include "bench/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

/* What a writer and a reader are, where the row does not say otherwise. */
#define ENDS "two threads of one process, each pinned"

/* A number, or null if there is none. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *text(const char *value)
{
    return value != NULL && value[0] != 0 ? json_string(value) : json_null();
}

static json_t *environment_json(const struct environment *e, const char *ends)
{
    json_t *cores = json_array();
    for (uint32_t i = 0; i < e->core_count; i++) {
        json_array_append_new(cores, json_integer(e->cores[i]));
    }
    json_t *o = json_object();
    json_object_set_new(o, "machine", text(e->machine));
    json_object_set_new(o, "cpus", json_integer(e->cpus));
    json_object_set_new(o, "kernel", text(e->kernel));
    json_object_set_new(o, "governor", text(e->governor));
    json_object_set_new(o, "page_bytes", json_integer((json_int_t)e->page_bytes));
    json_object_set_new(o, "cores", cores);
    json_object_set_new(o, "siblings", json_boolean(e->siblings));
    json_object_set_new(o, "ends", json_string(ends != NULL ? ends : ENDS));
    json_object_set_new(o, "tsc_mhz", number(e->tsc_mhz));
    json_object_set_new(o, "watched_s", number(e->watched_s));
    json_object_set_new(o, "gaps_over_10us", json_integer((json_int_t)e->gaps));
    json_object_set_new(o, "gap_us_max", number(e->gap_us_max));
    json_object_set_new(o, "gap_share", number(e->gap_share));
    json_object_set_new(o, "steal_s", number(e->steal_s));
    return o;
}

/* What it could not get stands here as well. */
static json_t *real_time_json(const struct real_time *r)
{
    json_t *o = json_object();
    const char *policy = r->policy < 0 ? NULL : r->policy == 0 ? "SCHED_OTHER" : "SCHED_FIFO";
    json_object_set_new(o, "policy", text(policy));
    json_object_set_new(o, "priority", json_integer(r->policy > 0 ? r->priority : 0));
    json_object_set_new(o, "memory_locked", json_boolean(r->locked));
    json_object_set_new(o, "sched_rt_runtime_us",
                        r->rt_runtime_us == INT64_MIN ? json_null() : json_integer(r->rt_runtime_us));
    return o;
}

static json_t *row_json(const struct row *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(r->name));
    json_object_set_new(o, "variant", json_string(r->variant));
    json_object_set_new(o, "size_bytes", json_integer(r->size_bytes));
    json_object_set_new(o, "value", number(r->median));
    json_object_set_new(o, "unit", json_string(r->unit));
    json_object_set_new(o, "min", number(r->min));
    json_object_set_new(o, "median", number(r->median));
    json_object_set_new(o, "max", number(r->max));
    json_object_set_new(o, "runs", json_integer(r->runs));
    json_object_set_new(o, "pooled", r->has_pooled ? number(r->pooled) : json_null());
    json_object_set_new(o, "floor_ratio", number(r->floor_ratio));
    json_object_set_new(o, "peer_ratio", number(r->peer_ratio));
    json_object_set_new(o, "live_ratio", number(r->live_ratio));
    json_object_set_new(o, "single_ratio", number(r->single_ratio));
    json_object_set_new(o, "best_peer", text(r->best_peer != NULL ? r->best_peer->variant : NULL));
    json_object_set_new(o, "stalls_us_max", r->stall_us < 0 ? json_null() : number(r->stall_us));
    json_object_set_new(o, "capped", json_boolean(r->capped));
    json_object_set_new(o, "frames_verified", json_integer((json_int_t)r->frames));
    json_object_set_new(o, "frames_wrong", json_integer((json_int_t)r->wrong));
    json_object_set_new(o, "frames_lost", json_integer((json_int_t)r->lost));
    json_object_set_new(o, "note", text(r->note));
    return o;
}

int report_json(const struct report *report, const char *path, struct error *err)
{
    json_t *rows = json_array();
    json_t *skipped = json_array();
    for (uint32_t i = 0; i < report->row_count; i++) {
        const struct row *r = &report->rows[i];
        if (r->runs > 0) {
            json_array_append_new(rows, row_json(r));
        } else {
            json_array_append_new(skipped, json_pack("{s:s, s:s, s:i, s:o}", "name", r->name, "variant", r->variant,
                                                     "size_bytes", (int)r->size_bytes, "why", text(r->note)));
        }
    }
    json_t *environment = environment_json(report->environment, report->ends);
    if (report->real_time != NULL) {
        json_object_set_new(environment, "real_time", real_time_json(report->real_time));
    }
    json_t *all = json_pack("{s:s, s:o, s:o, s:o}", "bench", report->question, "environment", environment, "rows",
                            rows, "skipped", skipped);
    if (report->plot != NULL) {
        json_object_set_new(all, "plot", json_string(report->plot));
    }
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdout : fopen(path, "we");
    int code = 0;
    if (f == NULL || json_dumpf(all, f, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0 || fputc('\n', f) == EOF ||
        (standard ? fflush(f) : fclose(f)) != 0) {
        code =
            error_set(err, -EIO, "cannot write %s: %s; name a file in a folder that exists", path, strerror(errno));
    }
    json_decref(all);
    return code;
}

static const char *ratio_text(double ratio, char *buffer, size_t bytes)
{
    if (!isfinite(ratio)) {
        return "-";
    }
    snprintf(buffer, bytes, "%.2f", ratio);
    return buffer;
}

static void print_row(const struct row *r, FILE *to)
{
    char floor[16];
    char peer[16];
    char stall[16];
    snprintf(stall, sizeof(stall), r->stall_us < 0 ? "-" : "%.0f", r->stall_us);
    uint64_t seen = r->frames + r->lost;
    fprintf(to, "%-12s %-24s %6u %s%10.4g %-9s %9.4g %9.4g %5u %7s %7s %8s", r->name, r->variant, r->size_bytes,
            r->capped ? ">" : " ", r->median, r->unit, r->min, r->max, r->runs,
            ratio_text(r->floor_ratio, floor, sizeof(floor)), ratio_text(r->peer_ratio, peer, sizeof(peer)), stall);
    if (r->lost > 0) {
        fprintf(to, "  lost %.1f %%", 100.0 * (double)r->lost / (double)seen);
    }
    if (isfinite(r->single_ratio)) {
        fprintf(to, "  %.2f of one reader", r->single_ratio);
    }
    fprintf(to, r->note != NULL ? "  %s\n" : "\n", r->note);
}

void report_skipped(const struct report *report, FILE *to)
{
    for (uint32_t i = 0; i < report->row_count; i++) {
        const struct row *r = &report->rows[i];
        uint32_t same = 0;
        bool said = false;
        for (uint32_t j = 0; r->runs == 0 && j < report->row_count; j++) {
            const struct row *other = &report->rows[j];
            if (other->runs == 0 && r->note != NULL && other->note != NULL && strcmp(r->note, other->note) == 0) {
                said = said || j < i;
                same++;
            }
        }
        if (r->runs == 0 && !said) {
            fprintf(to, "skipped: %s %s%s: %s\n", r->name, r->variant, same > 1 ? " and others" : "",
                    r->note != NULL ? r->note : "no run");
        }
    }
}

void report_environment(const struct environment *e, FILE *to)
{
    fprintf(to, "%s, %u cpus, cores %d and %d, kernel %s, governor %s, ring pages of %" PRIu64 " KiB\n", e->machine,
            e->cpus, e->cores[0], e->cores[1], e->kernel, e->governor[0] != 0 ? e->governor : "none",
            e->page_bytes / 1024);
    fprintf(to,
            "cores watched for %.2f s: %" PRIu64 " gaps over 10 us, longest %.0f us, %.2f %% of the time; "
            "steal %.2f s\n",
            e->watched_s, e->gaps, e->gap_us_max, 100 * e->gap_share, e->steal_s);
    if (e->siblings) {
        fprintf(to, "BOTH CORES ARE THREADS OF ONE: the figures are worth little\n");
    }
}

void report_table(const struct report *report, FILE *to)
{
    report_environment(report->environment, to);
    fprintf(to, "%s; a ratio is the median over the rounds of value / floor, value / best peer\n\n", ENDS);
    fprintf(to, "%-12s %-24s %6s  %10s %-9s %9s %9s %5s %7s %7s %8s\n", "name", "variant", "bytes", "median",
            "unit", "min", "max", "runs", "/floor", "/peer", "stall us");
    for (uint32_t i = 0; i < report->row_count; i++) {
        if (report->rows[i].runs > 0) {
            print_row(&report->rows[i], to);
        }
    }
    report_skipped(report, to);
}
