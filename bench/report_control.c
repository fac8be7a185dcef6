#include "bench/report_control.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/decisions.h"

#define SLOWEST 12u

static const struct row *find(const struct plan *plan, const char *name, const char *variant)
{
    for (uint32_t i = 0; i < plan->row_count; i++) {
        if (strcmp(plan->rows[i].name, name) == 0 && strcmp(plan->rows[i].variant, variant) == 0) {
            return plan->rows[i].runs > 0 ? &plan->rows[i] : NULL;
        }
    }
    return NULL;
}

/* The median of the rounds, as text. */
static const char *median_of(const struct plan *plan, const char *name, const char *variant, char text[24])
{
    const struct row *row = find(plan, name, variant);
    snprintf(text, 24, row != NULL ? "%.0f" : "-", row != NULL ? row->median : 0);
    return text;
}

static void print_real_time(const struct real_time *r, FILE *to)
{
    if (r->policy >= 0) {
        fprintf(to, "control thread: %s%s, memory %slocked", r->policy > 0 ? "SCHED_FIFO 80" : "SCHED_OTHER",
                r->policy > 0 ? "" : " (SCHED_FIFO was refused: needs root or CAP_SYS_NICE)",
                r->locked ? "" : "not ");
    }
    if (r->policy >= 0 && r->rt_runtime_us == INT64_MIN) {
        fprintf(to, "; sched_rt_runtime_us cannot be read\n");
    } else if (r->policy >= 0) {
        fprintf(to, "; sched_rt_runtime_us %" PRId64 "%s\n", r->rt_runtime_us,
                r->rt_runtime_us < 0 || r->policy == 0
                    ? ""
                    : ": a busy real-time thread may be stopped for the rest of each second");
    }
}

static void print_decisions(const struct plan *plan, FILE *to)
{
    bool headed = false;
    for (uint32_t i = 0; i < plan->case_count; i++) {
        const struct plan_case *c = &plan->cases[i];
        const struct row *r = &plan->rows[c->first_row];
        if (c->question.body != measure_decisions || !r->has_pooled) {
            continue;
        }
        if (!headed) {
            fprintf(to,
                    "\nsample published -> output written, all rounds taken as one; ns, but max in us; `added` is "
                    "the median's part over the floor's\n  %-24s %10s %7s %7s %7s %8s %8s %8s %9s\n",
                    "", "decisions", "p50", "added", "p99", "p99.9", "p99.99", "p99.999", "max us");
            headed = true;
        }
        char added[24];
        fprintf(to, "%s%-24s %10" PRIu64 " %7.0f %7s %7.0f %8.0f %8.0f %8.0f %9.1f\n", report_mark(r), r->variant,
                c->question.total->spread.count, r[DECISION_P50].pooled,
                median_of(plan, "decision_added", r->variant, added), r[DECISION_P99].pooled,
                r[DECISION_P999].pooled, r[DECISION_P9999].pooled, r[DECISION_P99999].pooled,
                r[DECISION_MAX].pooled / 1e3);
    }
}

static void print_late(const struct plan *plan, FILE *to)
{
    bool headed = false;
    for (uint32_t i = 0; i < plan->case_count; i++) {
        const struct plan_case *c = &plan->cases[i];
        const struct row *r = &plan->rows[c->first_row];
        if (c->question.body != measure_decisions || !r->has_pooled) {
            continue;
        }
        if (!headed) {
            fprintf(to,
                    "\nlate: over %.0f us, less what the writer's own core was stalled; unexplained by the stall "
                    "record of the control core; undetected by the loop\n"
                    "stalls of the control core over 5, 50, 500 us and their sum, per second; %s\n"
                    "  %-24s %6s %8s %7s %7s %7s %7s %6s %8s %7s %7s %8s %9s %8s %8s\n",
                    DECISION_LATE_US, "the loop's include its own longer cycles", "", "late", "/million", "unexpl",
                    "undetec", "misses", "unacted", "trips", ">5us", ">50us", ">500us", "us/s", "max us", "wake us",
                    "preempt");
            headed = true;
        }
        bool floor = c->question.decisions->floor;
        fprintf(to, "%s%-24s %6.0f %8.3f %7.0f ", report_mark(r), r->variant,
                c->question.total->values[DECISION_LATE], r[DECISION_LATE].pooled, r[DECISION_UNEXPLAINED].pooled);
        if (floor) {
            fprintf(to, "%7s %7s %7s %6s ", "-", "-", "-", "-");
        } else {
            fprintf(to, "%7.0f %7.0f %7.0f %6.0f ", r[LOOP_UNDETECTED].pooled, r[LOOP_MISSES].pooled,
                    r[LOOP_UNACTED].pooled, r[LOOP_TRIPS].pooled);
        }
        fprintf(to, "%8.1f %7.1f %7.2f %8.0f %9.1f %8.1f %8.1f\n", r[STALL_5US].pooled, r[STALL_50US].pooled,
                r[STALL_500US].pooled, r[STALL_SHARE].pooled, r[STALL_MAX].pooled, r[WAKE_MAX].pooled,
                r[PREEMPTED].pooled);
    }
}

/* Of the rows that stand in one line of a table: is any marked? */
static const char *mark_of(const struct row *const *rows, uint32_t count)
{
    const char *mark = "  ";
    for (uint32_t i = 0; i < count; i++) {
        mark = rows[i] != NULL && rows[i]->stalls.rounds > 0 ? report_mark(rows[i]) : mark;
    }
    return mark;
}

static void print_engine(const struct plan *plan, FILE *to)
{
    static const uint32_t rules[] = {1, 16, 64, 256};
    bool headed = false;
    for (uint32_t i = 0; i < 4; i++) {
        char variants[3][24];
        char text[7][24];
        snprintf(variants[0], sizeof(variants[0]), "mixed-frame-r%u", rules[i]);
        snprintf(variants[1], sizeof(variants[1]), "mixed-idle-r%u", rules[i]);
        snprintf(variants[2], sizeof(variants[2]), "sluice-r%u", rules[i]);
        if (find(plan, "engine_step", variants[0]) == NULL && find(plan, "cycle_idle", variants[2]) == NULL) {
            continue;
        }
        if (!headed) {
            fprintf(
                to,
                "\nthe engine alone, a table of every form, 64 channels (ns, medians; instructions), and a whole "
                "cycle of the loop (ns)\n  %5s %11s %11s %10s %10s %10s %11s %11s\n",
                "rules", "frame step", "instruct.", "idle step", "instruct.", "idle cycle", "frame cycle",
                "full cycle");
            headed = true;
        }
        const struct row *const shown[] = {find(plan, "engine_step", variants[0]),
                                           find(plan, "engine_step", variants[1]),
                                           find(plan, "cycle_idle", variants[2])};
        fprintf(to, "%s%5u %11s %11s %10s %10s %10s %11s %11s\n", mark_of(shown, 3), rules[i],
                median_of(plan, "engine_step", variants[0], text[0]),
                median_of(plan, "engine_instructions", variants[0], text[1]),
                median_of(plan, "engine_step", variants[1], text[2]),
                median_of(plan, "engine_instructions", variants[1], text[3]),
                median_of(plan, "cycle_idle", variants[2], text[4]),
                median_of(plan, "cycle_frame", variants[2], text[5]),
                median_of(plan, "cycle_full", variants[2], text[6]));
    }
}

/* What measuring costs: each pair alternates in one run. */
static void print_instruments(const struct plan *plan, FILE *to)
{
    static const char *const pairs[][4] = {
        {"instruments_plain_off", "instruments_plain", "sluice-writer", "a writer, per plain packet"},
        {"instruments_packet_off", "instruments_packet", "sluice-writer", "a writer, per other packet"},
        {"cycle_idle_off", "cycle_idle", "sluice-r16", "an idle cycle of control"},
        {"cycle_frame_off", "cycle_frame", "sluice-r16", "a cycle of control with a frame"}};
    const struct row *record = find(plan, "instruments_record", "sluice-writer");
    if (record == NULL) {
        return;
    }
    fprintf(to, "\nwhat measuring costs (ns, medians): one record %.2f\n%-34s %9s %9s %9s %9s\n", record->median,
            "", "without", "with", "more", "percent");
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const struct row *off = find(plan, pairs[i][0], pairs[i][2]);
        const struct row *on = find(plan, pairs[i][1], pairs[i][2]);
        if (off != NULL && on != NULL) {
            fprintf(to, "%-34s %9.2f %9.2f %9.2f %9.1f\n", pairs[i][3], off->median, on->median,
                    on->median - off->median, 100 * (on->median / off->median - 1));
        }
    }
}

/* What the observer costs whoever runs on its machine. */
static void print_observer(const struct plan *plan, FILE *to)
{
    const struct row *off = find(plan, "switch_off", "sluice-observer");
    const struct row *others = find(plan, "switch_others", "sluice-observer");
    const struct row *watched = find(plan, "switch_watched", "sluice-observer");
    if (off != NULL && others != NULL && watched != NULL) {
        fprintf(
            to,
            "\nwhat the observer costs (ns, medians): a switch between two threads %.0f without it, %.0f with it "
            "(%+.0f), %.0f if it watches them (%+.0f)\n",
            off->median, others->median, others->median - off->median, watched->median,
            watched->median - off->median);
    }
}

static int slower(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a;
    const struct row *y = *(const struct row *const *)b;
    return (x->median < y->median) - (x->median > y->median);
}

static void print_slowest(const struct plan *plan, FILE *to)
{
    static const struct row *rows[PLAN_CASES_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->case_count; i++) {
        const struct row *row = &plan->rows[plan->cases[i].first_row];
        if (plan->cases[i].question.body == measure_engine && row->runs > 0) {
            rows[n++] = row;
        }
    }
    if (n < 2) {
        return;
    }
    qsort(rows, n, sizeof(const struct row *), slower);
    fprintf(
        to,
        "\nthe slowest of %u paths through a step: median of the rounds' medians, and their least and greatest\n",
        n);
    for (uint32_t i = 0; i < n && i < SLOWEST; i++) {
        char text[24];
        fprintf(to, "%s%-24s %7.0f ns  %7.0f .. %.0f  %8s instructions\n", report_mark(rows[i]), rows[i]->variant,
                rows[i]->median, rows[i]->min, rows[i]->max,
                median_of(plan, "engine_instructions", rows[i]->variant, text));
    }
}

void report_control_table(const struct plan *plan, const struct report *report, FILE *to)
{
    report_head(report, to);
    print_real_time(report->real_time, to);
    print_decisions(plan, to);
    print_late(plan, to);
    print_engine(plan, to);
    print_instruments(plan, to);
    print_observer(plan, to);
    print_slowest(plan, to);
    report_stalls(report, to);
    report_skipped(report, to);
}
