#include "bench/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

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
    fprintf(to, "%s%-12s %-24s %6u %s%10.4g %-9s %9.4g %9.4g %5u %7s %7s %8s", report_mark(r), r->name, r->variant,
            r->size_bytes, r->capped ? ">" : " ", r->median, r->unit, r->min, r->max, r->runs,
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

static void print_host(const struct host *h, FILE *to)
{
    fprintf(to, "preemption %s, clocksource %s, pages of %" PRIu64 " KiB", h->preemption,
            h->clocksource[0] != 0 ? h->clocksource : "unknown", h->page_bytes / 1024);
    for (uint32_t i = 0; i < h->page_kinds; i++) {
        fprintf(to, ", %" PRIu64 " of %" PRIu64 " KiB", h->pages[i].count, h->pages[i].bytes / 1024);
    }
    fprintf(to, ", transparent ones %s; sched_rt_runtime_us ", h->thp[0] != 0 ? h->thp : "none");
    fprintf(to, h->rt_runtime_us == INT64_MIN ? "unknown" : "%" PRId64, h->rt_runtime_us);
    fprintf(to, "; load at the start %.2f\n", h->load);
    uint32_t mitigated = 0;
    uint32_t absent = 0;
    for (uint32_t i = 0; i < h->flaws; i++) {
        mitigated += strncmp(h->flaw[i].says, "Mitigation", 10) == 0;
        absent += strncmp(h->flaw[i].says, "Not affected", 12) == 0;
    }
    fprintf(to, "weaknesses of the processor: %u mitigated, %u open, %u absent; kernel options: %s\n", mitigated,
            h->flaws - mitigated - absent, absent, h->options[0] != 0 ? h->options : "none that matter");
}

void report_environment(const struct environment *e, FILE *to)
{
    fprintf(to, "%s, %u cpus, cores %d and %d, kernel %s, governor %s, ring pages of %" PRIu64 " KiB\n", e->machine,
            e->cpus, e->cores[0], e->cores[1], e->kernel, e->governor[0] != 0 ? e->governor : "none",
            e->page_bytes / 1024);
    print_host(&e->host, to);
    fprintf(to,
            "cores watched for %.2f s: %" PRIu64 " gaps over 10 us, %" PRIu64
            " over 1 ms, longest %.0f us, %.2f %% of the time; steal %.2f s\n",
            e->watched_s, e->gaps, e->gaps_long, e->gap_us_max, 100 * e->gap_share, e->steal_s);
    if (e->siblings) {
        fprintf(to, "BOTH CORES ARE THREADS OF ONE: the figures are worth little\n");
    }
}

void report_head(const struct report *report, FILE *to)
{
    if (!report->is_part) {
        report_environment(report->environment, to);
    }
}

const char *report_mark(const struct row *row)
{
    return row->stalls.rounds > 0 ? "! " : "  ";
}

void report_stalls(const struct report *report, FILE *to)
{
    uint32_t marked = 0;
    uint32_t decided = 0;
    uint32_t found = 0;
    double longest_us = 0;
    double stolen_s = 0;
    for (uint32_t i = 0; i < report->row_count; i++) {
        const struct row *r = &report->rows[i];
        found += r->runs > 0;
        marked += r->stalls.rounds > 0;
        decided += stalls_decide(&r->stalls, r->runs);
        longest_us = r->stalls.longest_us > longest_us ? r->stalls.longest_us : longest_us;
        stolen_s = r->stalls.stolen_s > stolen_s ? r->stalls.stolen_s : stolen_s;
    }
    if (marked == 0) {
        fprintf(to, "no stall was seen in any round\n");
        return;
    }
    fprintf(to,
            "! THE MACHINE STALLED in rounds of %u of %u rows: something else had a core for over %.0f ms by the "
            "measurement's own record (longest %.1f ms), or the hypervisor took over %.0f %% of a round (most "
            "%.2f s)%s\n",
            marked, found, STALLS_LIMIT_US / 1e3, longest_us / 1e3, 100 * STALLS_STEAL_SHARE, stolen_s,
            decided > 0 ? "" : "; in none of them half of its rounds");
    if (decided > 0) {
        fprintf(to, "! in %u of them half of the rounds or more: their medians may be a stall's\n", decided);
    }
}

void report_table(const struct report *report, FILE *to)
{
    report_head(report, to);
    fprintf(to, "%s; a ratio is the median over the rounds of value / floor, value / best peer\n\n", REPORT_ENDS);
    fprintf(to, "  %-12s %-24s %6s  %10s %-9s %9s %9s %5s %7s %7s %8s\n", "name", "variant", "bytes", "median",
            "unit", "min", "max", "runs", "/floor", "/peer", "stall us");
    for (uint32_t i = 0; i < report->row_count; i++) {
        if (report->rows[i].runs > 0) {
            print_row(&report->rows[i], to);
        }
    }
    report_stalls(report, to);
    report_skipped(report, to);
}
