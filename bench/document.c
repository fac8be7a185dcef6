#include "bench/document.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "bench/ask.h"
#include "bench/decisions.h"
#include "bench/report.h"

#define CURVE_STEPS 10.0 /* of a percentile curve, to each factor of ten of 1 / (1 - share) */

/* A number, or null if there is none. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Null if there is none. Words of others may have ends of lines in them; document_read() takes none. */
static json_t *text(const char *value)
{
    char line[ERROR_TEXT_BYTES];
    if (value == NULL || value[0] == 0) {
        return json_null();
    }
    snprintf(line, sizeof(line), "%s", value);
    for (char *at = line; *at != 0; at++) {
        if ((unsigned char)*at < ' ' || *at == 127) {
            *at = ' ';
        }
    }
    json_t *said = json_string(line);
    return said != NULL ? said : json_string("(not readable)");
}

static json_t *count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *cores_json(const struct environment *e)
{
    json_t *cores = json_array();
    for (uint32_t i = 0; i < e->core_count; i++) {
        json_array_append_new(cores, json_integer(e->cores[i]));
    }
    return cores;
}

static json_t *runtime_json(int64_t us)
{
    return us == INT64_MIN ? json_null() : json_integer(us);
}

static void add_host(json_t *o, const struct host *h)
{
    json_t *pages = json_array();
    json_t *flaws = json_object();
    for (uint32_t i = 0; i < h->page_kinds; i++) {
        json_array_append_new(pages, json_pack("{s:o, s:o}", "bytes", count(h->pages[i].bytes), "reserved",
                                               count(h->pages[i].count)));
    }
    for (uint32_t i = 0; i < h->flaws; i++) {
        json_object_set_new(flaws, h->flaw[i].name, text(h->flaw[i].says));
    }
    json_object_set_new(o, "kernel_build", text(h->version));
    json_object_set_new(o, "kernel_options", text(h->options));
    json_object_set_new(o, "preemption", text(h->preemption));
    json_object_set_new(o, "clocksource", text(h->clocksource));
    json_object_set_new(o, "system_page_bytes", count(h->page_bytes));
    json_object_set_new(o, "huge_pages", pages);
    json_object_set_new(o, "transparent_huge_pages", text(h->thp));
    json_object_set_new(o, "sched_rt_runtime_us", runtime_json(h->rt_runtime_us));
    json_object_set_new(o, "load_at_start", number(h->load));
    json_object_set_new(o, "vulnerabilities", flaws);
}

static json_t *environment_json(const struct environment *e)
{
    json_t *o = json_object();
    json_object_set_new(o, "machine", text(e->machine));
    json_object_set_new(o, "cpus", json_integer(e->cpus));
    json_object_set_new(o, "kernel", text(e->kernel));
    json_object_set_new(o, "governor", text(e->governor));
    json_object_set_new(o, "page_bytes", count(e->page_bytes));
    json_object_set_new(o, "cores", cores_json(e));
    json_object_set_new(o, "siblings", json_boolean(e->siblings));
    json_object_set_new(o, "tsc_mhz", number(e->tsc_mhz));
    add_host(o, &e->host);
    json_object_set_new(o, "watched_s", number(e->watched_s));
    json_object_set_new(o, "gaps_over_10us", count(e->gaps));
    json_object_set_new(o, "gaps_over_1ms", count(e->gaps_long));
    json_object_set_new(o, "gap_us_max", number(e->gap_us_max));
    json_object_set_new(o, "gap_share", number(e->gap_share));
    json_object_set_new(o, "steal_s", number(e->steal_s));
    json_object_set_new(o, "stall_limit_us", number(STALLS_LIMIT_US));
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
    json_object_set_new(o, "sched_rt_runtime_us", runtime_json(r->rt_runtime_us));
    return o;
}

static json_t *samples_json(const struct row *r)
{
    json_t *samples = json_array();
    for (uint32_t i = 0; i < r->rounds; i++) {
        json_array_append_new(samples, number(r->samples[i]));
    }
    return samples;
}

static json_t *stalled_json(const struct row *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "rounds", json_integer(r->stalls.rounds), "longest_us",
                     r->stalls.longest_us > 0 ? number(r->stalls.longest_us) : json_null(), "stolen_s",
                     number(r->stalls.stolen_s), "excused", json_boolean(r->stalls.excused), "decide",
                     json_boolean(stalls_decide(&r->stalls, r->runs)));
}

static const char *kind_name(const struct row *r)
{
    return r->kind == PEER_FLOOR ? "floor" : r->kind == PEER_OTHER ? "peer" : "ours";
}

static json_t *row_json(const struct row *r, const char *question)
{
    json_t *o = json_object();
    json_object_set_new(o, "question", json_string(question));
    json_object_set_new(o, "name", json_string(r->name));
    json_object_set_new(o, "variant", json_string(r->variant));
    json_object_set_new(o, "size_bytes", json_integer(r->size_bytes));
    json_object_set_new(o, "kind", json_string(kind_name(r)));
    json_object_set_new(o, "is_floor", json_boolean(r->is_floor));
    json_object_set_new(o, "value", number(r->median));
    json_object_set_new(o, "unit", json_string(r->unit));
    json_object_set_new(o, "min", number(r->min));
    json_object_set_new(o, "median", number(r->median));
    json_object_set_new(o, "max", number(r->max));
    json_object_set_new(o, "runs", json_integer(r->runs));
    json_object_set_new(o, "samples", samples_json(r));
    json_object_set_new(o, "pooled", r->has_pooled ? number(r->pooled) : json_null());
    json_object_set_new(o, "floor_ratio", number(r->floor_ratio));
    json_object_set_new(o, "peer_ratio", number(r->peer_ratio));
    json_object_set_new(o, "live_ratio", number(r->live_ratio));
    json_object_set_new(o, "single_ratio", number(r->single_ratio));
    json_object_set_new(o, "best_peer", text(r->best_peer != NULL ? r->best_peer->variant : NULL));
    json_object_set_new(o, "stalls_us_max", r->stall_us < 0 ? json_null() : number(r->stall_us));
    json_object_set_new(o, "stalled", stalled_json(r));
    json_object_set_new(o, "capped", json_boolean(r->capped));
    json_object_set_new(o, "frames_verified", count(r->frames));
    json_object_set_new(o, "frames_wrong", count(r->wrong));
    json_object_set_new(o, "frames_lost", count(r->lost));
    json_object_set_new(o, "note", text(r->note));
    return o;
}

static void add_rows(const struct bench_part *part, json_t *rows, json_t *skipped)
{
    const char *question = part->question->name;
    for (uint32_t i = 0; i < part->plan.row_count; i++) {
        const struct row *r = &part->plan.rows[i];
        if (r->runs > 0) {
            json_array_append_new(rows, row_json(r, question));
        } else {
            json_array_append_new(skipped,
                                  json_pack("{s:s, s:s, s:s, s:i, s:o}", "question", question, "name", r->name,
                                            "variant", r->variant, "size_bytes", (int)r->size_bytes, "why",
                                            text(r->note != NULL ? r->note : "it was not its turn yet")));
        }
    }
}

/* Pairs: one of so many values is above so many ns. As far as there are values for, then the greatest. */
static json_t *curve_json(const struct spread *spread)
{
    json_t *curve = json_array();
    uint32_t steps = (uint32_t)(log10((double)spread->count) * CURVE_STEPS);
    for (uint32_t step = 0; step < steps; step++) {
        double of = pow(10, step / CURVE_STEPS);
        json_array_append_new(curve, json_pack("[f, o]", of, count(spread_quantile_ns(spread, 1 - 1 / of))));
    }
    json_array_append_new(curve, json_pack("[f, o]", (double)spread->count, count(spread->max_ns)));
    return curve;
}

static void add_histograms(const struct bench_part *part, json_t *histograms)
{
    for (uint32_t i = 0; i < part->plan.case_count; i++) {
        const struct plan_case *c = &part->plan.cases[i];
        const struct decisions_total *total = c->question.total;
        if (total != NULL && total->spread.count > 0) {
            const struct row *row = &part->plan.rows[c->first_row];
            json_array_append_new(histograms,
                                  json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "question", part->question->name,
                                            "name", "decision", "variant", row->variant, "unit", "ns", "count",
                                            count(total->spread.count), "stalled_rounds",
                                            json_integer(row->stalls.rounds), "curve", curve_json(&total->spread)));
        }
    }
}

static json_t *part_json(const struct bench_part *part)
{
    const struct bench_question *q = part->question;
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(q->name));
    json_object_set_new(o, "ends", json_string(q->ends != NULL ? q->ends : REPORT_ENDS));
    json_object_set_new(o, "seconds", json_real(part->options.seconds));
    json_object_set_new(o, "runs", json_integer(part->options.runs));
    json_object_set_new(o, "rounds", json_integer(part->rounds));
    json_object_set_new(o, "decisions", part->options.decisions > 0 ? count(part->options.decisions) : json_null());
    json_object_set_new(o, "only", text(part->plan.only));
    json_object_set_new(o, "warm_up_rounds", json_integer(part->warmed ? 1 : 0));
    if (part->plan.real_time != NULL) {
        json_object_set_new(o, "real_time", real_time_json(part->plan.real_time));
    }
    return o;
}

struct json_t *document_make(const struct document_about *about, const struct bench_part *parts,
                             uint32_t part_count)
{
    json_t *all = json_object();
    json_t *environment = environment_json(about->environment);
    json_t *questions = json_array();
    json_t *rows = json_array();
    json_t *skipped = json_array();
    json_t *histograms = json_array();
    for (uint32_t i = 0; i < part_count; i++) {
        const struct bench_part *part = &parts[i];
        json_array_append_new(questions, part_json(part));
        add_rows(part, rows, skipped);
        add_histograms(part, histograms);
        if (part->plan.real_time != NULL) {
            json_object_set_new(environment, "real_time", real_time_json(part->plan.real_time));
        }
    }
    if (part_count == 1) {
        json_object_set_new(environment, "ends",
                            json_string(parts->question->ends != NULL ? parts->question->ends : REPORT_ENDS));
    }
    json_object_set_new(all, "bench", json_string(about->bench));
    json_object_set_new(all, "version", json_string(SLUICE_VERSION));
    json_object_set_new(all, "command", json_string(about->command));
    json_object_set_new(all, "started", json_string(about->started));
    json_object_set_new(all, "interrupted", json_boolean(about->interrupted));
    json_object_set_new(all, "environment", environment);
    json_object_set_new(all, "questions", questions);
    json_object_set_new(all, "rows", rows);
    json_object_set_new(all, "skipped", skipped);
    json_object_set_new(all, "histograms", histograms);
    if (part_count == 1 && parts->options.plot != NULL) {
        json_object_set_new(all, "plot", json_string(parts->options.plot));
    }
    return all;
}
